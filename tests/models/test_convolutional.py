"""A residual network in place of the ViT: timm's own values, saved and trained like any other encoder."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pedclip.evaluation.embeddings import embed
from pedclip.evaluation.features import extract_features
from pedclip.evaluation.zero_shot.localization import similarity_maps
from pedclip.models.config import PedCLIPConfig
from pedclip.models.convolutional import ConvolutionalEncoder, build_resnet, is_resnet
from pedclip.models.cost import EveryRow, count_gmac
from pedclip.models.encoders import build_image_encoder
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import train_tokenizer
from pedclip.training.config import RunConfig
from pedclip.training.loop import build_model, pretrain
from pedclip.training.module import PretrainModule
from pedclip.triplets.transforms import to_pixels
from pedclip.weights import SHIPPED
from tests.training.tiny import tiny_arrays, tiny_config

TEXTS = ["No fracture of the left wrist.", "Buckle fracture of the distal radius.", "Normal heart size, clear lungs."]
TINY = PedCLIPConfig(
    regions=("wrist", "chest", "hand"),
    image_architecture="resnet10t",
    image_size=64,
    mobe_layers=(),
    text_width=32,
    text_depth=1,
    text_heads=2,
    vocab_size=200,
    max_text_tokens=16,
)
# The tiny run of the training tests with a residual network: what is a ViT's own is left to the architecture.
RESNET = {"image_architecture": "resnet10t", "mobe_layers": ()} | dict.fromkeys(
    ("image_patch_size", "image_width", "image_depth", "image_heads"), 0
)


def tiny(**changes: object) -> PedCLIP:
    torch.manual_seed(0)
    return PedCLIP(dataclasses.replace(TINY, **changes), tokenizer=train_tokenizer(TEXTS, vocab_size=200)).eval()


def with_statistics(network: nn.Module) -> nn.Module:
    """The network after some batches in training mode, so that its batch statistics are its own."""
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(3 * torch.randn(4, 3, 64, 64, dtype=next(network.parameters()).dtype) + 1)
    return network.eval()


@pytest.mark.parametrize("architecture", ["resnet10t", "resnet18", "resnet50"])
def test_stages_are_those_of_timm(architecture: str) -> None:
    torch.manual_seed(0)
    network = with_statistics(build_resnet(architecture).double())
    pixels = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    # timm's own way to the stages, on the same weights.
    stages = timm.create_model(architecture, features_only=True, out_indices=(3, 4)).double().eval()
    stages.load_state_dict(network.state_dict())
    third, fourth = stages(pixels)
    whole = network.forward_features(pixels)
    encoder = ConvolutionalEncoder(network, image_size=64)
    pooled, gate_logits, dense, finish, attend, local = encoder(pixels)
    close = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(fourth, whole, **close)
    for row, column in ((0, 0), (0, 1), (1, 0)):
        torch.testing.assert_close(dense[:, 1 + 2 * row + column], whole[:, :, row, column], **close)
    for row, column in ((0, 1), (3, 2)):
        torch.testing.assert_close(local()[:, 4 * row + column], third[:, :, row, column], **close)
    torch.testing.assert_close(pooled, network(pixels), **close)
    torch.testing.assert_close(pooled, whole.mean((2, 3)), **close)
    assert torch.equal(dense[:, 0], pooled)
    assert torch.equal(finish(), dense)
    assert (gate_logits, attend) == ([], None)
    assert local().shape == (2, 16, encoder.local_width)
    assert dense.shape == (2, 1 + 4, encoder.width)


@pytest.mark.parametrize("architecture", ["resnet18", "resnet26d", "resnetblur18"])
@pytest.mark.parametrize("size", [64, 100, 112])
def test_grid_is_that_of_the_last_stage(architecture: str, size: int) -> None:
    encoder = build_image_encoder(dataclasses.replace(TINY, image_architecture=architecture, image_size=size)).eval()
    with torch.no_grad():
        assert tuple(encoder.network.forward_features(torch.zeros(1, 3, size, size)).shape[2:]) == encoder.grid


def test_resnet50_has_the_widths_that_the_rivals_print() -> None:
    encoder = build_image_encoder(PedCLIPConfig(image_architecture="resnet50", mobe_layers=()))
    assert (encoder.width, encoder.local_width, encoder.grid) == (2048, 1024, (7, 7))


def test_a_film_depends_on_its_batch_in_training_only() -> None:
    torch.manual_seed(0)
    encoder = ConvolutionalEncoder(with_statistics(build_resnet("resnet10t")), image_size=64)
    pixels = torch.randn(4, 3, 64, 64)
    alone, together = encoder(pixels[:2])[0], encoder(pixels)[0][:2]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
    encoder.train()
    assert not torch.allclose(encoder(pixels[:2])[0], encoder(pixels)[0][:2], rtol=1e-2)


def test_gradient_against_finite_differences() -> None:
    torch.manual_seed(0)
    encoder = ConvolutionalEncoder(with_statistics(build_resnet("resnet10t").double()), image_size=32)
    pixels = torch.randn(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)

    def outputs(pixels: Tensor) -> tuple[Tensor, Tensor]:
        _, _, dense, _, _, local = encoder(pixels)
        return dense, local()

    assert torch.autograd.gradcheck(outputs, pixels, fast_mode=True)


def test_dual_encoder_reads_pooled_features_and_the_third_stage() -> None:
    model = tiny()
    image = model.encode_image(torch.randn(2, 3, 64, 64))
    text = model.encode_text(**model.tokenize(TEXTS))
    assert (image.embedding.shape, text.embedding.shape) == ((2, 512), (3, 512))  # the text comes to the film's width
    torch.testing.assert_close(image.embedding, nn.functional.normalize(image.pooled, dim=1))
    assert (image.tokens.shape, image.patches.shape, image.attention) == ((2, 5, 512), (2, 16, 256), None)
    assert torch.equal(image.tokens, image.dense)
    # The mean of the places is the film, and goes through the same projection.
    places = tiny(projection_dim=24)
    image = places.encode_image(torch.randn(2, 3, 64, 64))
    mean = places.image_projection(image.dense[:, 1:].mean(1))
    torch.testing.assert_close(image.embedding, nn.functional.normalize(mean, dim=1))
    one = nn.functional.normalize(places.image_projection(image.dense[1, 3]), dim=0)
    torch.testing.assert_close(places.embed_patches(image)[1, 2], one)


def test_saving_loses_nothing(tmp_path: Path) -> None:
    model = tiny(projection_dim=16)
    with_statistics(model.image_encoder.network)
    model.save_pretrained(tmp_path / "checkpoint")
    loaded = PedCLIP.from_pretrained(tmp_path / "checkpoint")
    pixels = torch.randn(2, 3, 64, 64)
    assert loaded.config == model.config
    assert torch.equal(loaded.encode_image(pixels).embedding, model.encode_image(pixels).embedding)
    assert torch.equal(loaded.encode_image(pixels).patches, model.encode_image(pixels).patches)
    model.save_pretrained(tmp_path / "half", half=True)
    halved = PedCLIP.from_pretrained(tmp_path / "half").encode_image(pixels).embedding
    torch.testing.assert_close(halved, model.encode_image(pixels).embedding, rtol=0, atol=5e-3)
    baseline = loaded.untrained(3)
    assert baseline.config == model.config
    assert not torch.allclose(baseline.encode_image(pixels).embedding, loaded.encode_image(pixels).embedding)


def test_evaluation_takes_it_like_any_model() -> None:
    model = tiny()
    films = np.random.default_rng(0).integers(0, 255, (5, 73, 73), dtype=np.uint8)
    found = embed(model, films, TEXTS, batch_size=2)
    assert (found.image.shape, found.text.shape, found.gate.shape) == ((5, 512), (3, 512), (5, 0))
    features = extract_features(model, films, with_tokens=True, batch_size=3)
    np.testing.assert_allclose(features.embedding, found.image, rtol=0, atol=1e-5)
    assert features.tokens is not None
    assert features.tokens.shape == (5, 4, 512)
    assert [found.shape for found in similarity_maps(model, films[:2], TEXTS[:1], TEXTS[1:])] == [(2, 2), (2, 2)]


def test_default_preprocessing_has_the_statistics_of_the_weights() -> None:
    assert tiny().preprocess.mean == (0.485, 0.456, 0.406)


def test_weights_of_a_file_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(7)
    published = timm.create_model("resnet10t")  # with its classifier, as files are published
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    model = build_model(config(image_weights=str(tmp_path / "model.safetensors")), tiny_arrays(9)).eval()
    pixels = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(
        model.encode_image(pixels).pooled, published.eval().forward_features(pixels).mean((2, 3))
    )
    with pytest.raises(ValueError, match="is of another architecture than 'resnet18'"):
        build_resnet("resnet18", weights=str(tmp_path / "model.safetensors"))


def config(**training: object) -> RunConfig:
    return tiny_config(RESNET, objective="clip", stem_training="slow", **training)


def test_it_learns_regions_from_few_films() -> None:
    arrays = tiny_arrays(24)
    model = build_model(config(), arrays).train()
    pixels = to_pixels(torch.from_numpy(arrays.images), model.preprocess)  # (B, 3, 16, 16)
    torch.manual_seed(0)
    head = nn.Linear(model.image_encoder.width, 3)
    optimizer = torch.optim.Adam([*model.image_encoder.parameters(), *head.parameters()], lr=1e-3)
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(head(model.encode_image(pixels).pooled), torch.from_numpy(arrays.regions))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.7
    assert losses[-1] < 0.1


def test_a_run_moves_weights_and_statistics_and_exports_them(tmp_path: Path) -> None:
    before = build_model(config(), tiny_arrays(24)).image_encoder.network
    result = pretrain(tiny_arrays(24), tiny_arrays(9), config=config(epochs=2), run=tmp_path)
    after = result.model.image_encoder.network
    assert not torch.equal(before.layer4[0].conv1.weight, after.layer4[0].conv1.weight)
    assert after.bn1.num_batches_tracked == 2 * 3
    films = torch.randn(3, 3, 16, 16)
    loaded = PedCLIP.from_pretrained(result.checkpoint)
    torch.testing.assert_close(loaded.encode_image(films).embedding, result.model.encode_image(films).embedding)


def test_a_killed_run_ends_with_the_same_weights_and_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrain(tiny_arrays(24), tiny_arrays(9), config=config(epochs=2), run=tmp_path / "whole").model

    class Killed(Exception):
        pass

    step = PretrainModule.training_step

    def dying(self: PretrainModule, batch: object, batch_idx: int) -> Tensor:
        if self.global_step == 4:
            raise Killed
        return step(self, batch, batch_idx)

    monkeypatch.setattr(PretrainModule, "training_step", dying)
    with pytest.raises(Killed):
        pretrain(tiny_arrays(24), tiny_arrays(9), config=config(epochs=2), run=tmp_path / "killed")
    monkeypatch.undo()
    again = pretrain(tiny_arrays(24), tiny_arrays(9), config=config(epochs=2), run=tmp_path / "killed")
    assert again.resumed_from == 4
    found = again.model.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in whole.state_dict().items())


def test_cost_is_the_published_one() -> None:
    encoder = build_image_encoder(PedCLIPConfig(image_architecture="resnet50", mobe_layers=())).eval()
    # He et al., Table 1: 3.8·10⁹ with the stride in the first layer of a block; timm's, in the second, has 4.09.
    assert count_gmac(encoder, torch.zeros(1, 3, 224, 224)) == pytest.approx(4.087, abs=0.002)
    with pytest.raises(ValueError, match="expected an ImageEncoder, got ConvolutionalEncoder"):
        EveryRow(encoder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"mobe_layers": (-1,)},
            r"mobe_layers=\(-1,\) is not allowed for the convolutional image_architecture .* pass mobe_layers=\(\)",
        ),
        ({"image_stem": "hybrid"}, "image_stem='hybrid' is not allowed for the convolutional"),
        ({"image_patch_size": 16}, "image_patch_size=16 is not allowed for the convolutional"),
        ({"image_stem": "hybrid", "image_width": 64}, "image_stem='hybrid', image_width=64 is not allowed"),
        ({"image_width": 64}, "image_width=64 is not allowed"),
        ({"image_depth": 2}, "image_depth=2 is not allowed"),
        ({"image_heads": 2}, "image_heads=2 is not allowed"),
    ],
)
def test_what_only_a_transformer_has_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(TINY, **changes)


def test_other_networks_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"image_size=100 does not fit this residual network.* take a multiple of 32"):
        build_image_encoder(dataclasses.replace(TINY, image_architecture="resnetaa34d", image_size=100))
    for network in (timm.create_model("resnet10t"), timm.create_model("tf_efficientnet_lite0", num_classes=0)):
        with pytest.raises(ValueError, match="expected a timm ResNet without classifier"):
            ConvolutionalEncoder(network, image_size=64)
    with pytest.raises(ValueError, match="is of another architecture than this configuration"):
        PedCLIP(TINY, tokenizer=train_tokenizer(TEXTS, vocab_size=200), image_weights=SHIPPED[0])
    assert [is_resnet(name) for name in ("resnext50_32x4d", "resnet50.tv_in1k", "resnetv2_50")] == [True, True, False]
