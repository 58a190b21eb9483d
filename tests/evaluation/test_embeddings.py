from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from pedclip.evaluation.embeddings import embed, embed_texts
from pedclip.triplets.transforms import Preprocess, to_pixels

SIDE = 8
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (7, SIDE, SIDE), dtype=np.uint8)
TEXTS = ["Fracture.", "No fracture.", "Fracture.", "Normal.", "No fracture."]


class FakeModel(nn.Module):
    """A linear dual encoder that remembers what it was asked."""

    def __init__(self, *, num_experts=3):
        super().__init__()
        torch.manual_seed(0)
        self.preprocess = Preprocess(size=SIDE, resize=SIDE)
        self.image = nn.Linear(3 * SIDE * SIDE, 4)
        self.gates = nn.ModuleList(nn.Linear(4, num_experts) for _ in range(2 * bool(num_experts)))
        self.words = nn.Embedding(256, 4)
        self.dropout = nn.Dropout(0.5)
        self.asked = []

    def encode_image(self, pixels):
        embedding = self.dropout(self.image(pixels.flatten(1)))
        return SimpleNamespace(embedding=embedding, gate_logits=[gate(embedding) for gate in self.gates])

    def tokenize(self, texts):
        self.asked.append(list(texts))
        ids = [torch.tensor(list(text.encode())) for text in texts]
        input_ids = nn.utils.rnn.pad_sequence(ids, batch_first=True)
        return {"input_ids": input_ids, "attention_mask": (input_ids > 0).long()}

    def encode_text(self, input_ids, attention_mask):
        return SimpleNamespace(embedding=(self.words(input_ids) * attention_mask[:, :, None]).sum(1))


def test_embeddings_equal_the_model_on_each_item():
    model = FakeModel().train()
    found = embed(model, IMAGES, TEXTS, batch_size=3)
    assert model.training
    model.eval()
    with torch.no_grad():
        for i, image in enumerate(IMAGES):
            features = model.encode_image(to_pixels(torch.from_numpy(image[None]), model.preprocess))
            unit = features.embedding[0] / features.embedding[0].norm()
            assert found.image[i] == pytest.approx(unit.numpy(), abs=1e-6)  # float32, another batch size
            assert found.gate[i] == pytest.approx(features.gate_logits[-1][0].softmax(0).numpy(), abs=1e-6)
    assert found.image.dtype == found.text.dtype == found.gate.dtype == np.float32
    assert (found.image.shape, found.text.shape, found.gate.shape) == ((7, 4), (5, 4), (7, 3))
    assert np.linalg.norm(found.text, axis=1) == pytest.approx(np.ones(5), abs=1e-6)


def test_identical_texts_are_encoded_once_and_keep_their_place():
    model = FakeModel()
    found = embed(model, IMAGES, TEXTS, batch_size=2)
    assert model.asked == [["Fracture.", "No fracture."], ["Normal."]]
    for row, text in zip(found.text, TEXTS, strict=True):
        assert row == pytest.approx(embed_texts(model, [text])[0], abs=1e-6)
    assert np.array_equal(found.text[0], found.text[2])


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_the_batch_size_does_not_matter(batch_size):
    model = FakeModel()
    found, other = (embed(model, IMAGES, TEXTS, batch_size=size) for size in (batch_size, 7))
    for name, values in vars(found).items():
        assert values == pytest.approx(vars(other)[name], abs=1e-6)


def test_a_read_only_memory_map_will_do(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert np.array_equal(embed(FakeModel(), mapped, []).image, embed(FakeModel(), IMAGES, []).image)


def test_no_experts_and_no_texts_leave_those_columns_empty():
    found = embed(FakeModel(num_experts=0), IMAGES, [])
    assert (found.gate.shape, found.text.shape) == ((7, 0), (0, 4))


@pytest.mark.parametrize(
    ("images", "batch_size", "words"),
    [
        (IMAGES / 255, 4, "uint8 with values 0 to 255"),
        (IMAGES[0], 4, r"got \(8, 8\) uint8"),
        (IMAGES[:0], 4, r"got \(0, 8, 8\)"),
        (IMAGES, 0, "batch_size must be at least 1, got 0"),
    ],
)
def test_wrong_images_are_refused(images, batch_size, words):
    with pytest.raises(ValueError, match=words):
        embed(FakeModel(), images, TEXTS, batch_size=batch_size)
