"""A rival's heads are stored with its encoders and opened with them."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives import registry
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.pedclip import ExpertObjective, RegionHeadObjective, WithRegionLabels
from pedclip.objectives.tokens import Tokens
from pedclip.objectives.trained import ObjectiveModel, open_model, write_objective
from tests.objectives.tiny_features import residual_batch, tiny_features, tiny_model

TEXTS = ["Film 1.", "Film 2 of the chest. Film 3.", "Film"]


class Rival(Objective):
    """One head for films; a pair's score is its cosine plus its number of words."""

    def __init__(self, model: PedCLIP, *, width: int = 3) -> None:
        super().__init__(model)
        self.films, self.texts = (nn.Linear(model.image_encoder.width, width) for _ in range(2))

    def embed_image(self, image: ImageFeatures) -> Tensor:
        return self.films(image.embedding)

    def embed_text(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        return self.texts(text.embedding)

    def pair_scores(self, image: ImageFeatures, text: TextFeatures, tokens: Tokens) -> Tensor:
        return super().pair_scores(image, text, tokens) + (tokens.words >= 0).sum(1)

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        return {"loss": self.embed_image(features.image).square().sum()}


@pytest.fixture(autouse=True)
def _with_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "OBJECTIVES", registry.OBJECTIVES | {"rival": Rival})


@pytest.mark.parametrize("wrapper", [None, ExpertObjective, RegionHeadObjective])
def test_saved_and_opened(tmp_path: Path, wrapper: type[WithRegionLabels] | None) -> None:
    model = tiny_model()
    rival: Objective = Rival(model, width=5)
    trained = wrapper(model, rival) if wrapper else rival
    model.save_pretrained(
        tmp_path / "c", add=lambda folder: write_objective(folder, trained, name="rival", options={"width": 5})
    )
    opened = open_model(tmp_path / "c")
    assert isinstance(opened, ObjectiveModel)
    pixels = torch.randn(4, 3, 16, 16)
    encoded = opened.encode_image(pixels)
    expected = nn.functional.normalize(rival.films(model.encode_image(pixels).embedding), dim=-1)
    torch.testing.assert_close(encoded.embedding, expected)
    tokens = opened.tokenize(TEXTS)
    text = opened.encode_text(**tokens)
    plain = model.encode_text(tokens["input_ids"], tokens["attention_mask"])
    torch.testing.assert_close(text.embedding, nn.functional.normalize(rival.texts(plain.embedding), dim=-1))
    scores = opened.pair_scores(pixels, TEXTS)
    raw = rival.films(model.encode_image(pixels).embedding) @ rival.texts(plain.embedding).t()
    torch.testing.assert_close(scores, raw + torch.tensor([2, 7, 1]))
    # Other weights, the same shapes.
    other = opened.untrained(3)
    assert (other.name, other.options) == ("rival", {"width": 5})
    assert not torch.equal(other.objective.films.weight, opened.objective.films.weight)


def test_damage_is_named(tmp_path: Path) -> None:
    model = tiny_model()
    folder = model.save_pretrained(
        tmp_path / "c", add=lambda place: write_objective(place, Rival(model), name="rival", options={})
    )
    (folder / "objective.json").write_text('{"name": "rival", "options": {"width": 9}}')
    with pytest.raises(ValueError, match=r"objective\.json or heads\.safetensors is damaged or missing"):
        open_model(folder)
    (folder / "heads.safetensors").unlink()
    with pytest.raises(ValueError, match="is damaged or missing"):
        open_model(folder)


def test_heads_without_their_description_are_no_pedclip(tmp_path: Path) -> None:
    model = tiny_model()
    folder = model.save_pretrained(
        tmp_path / "c", add=lambda place: write_objective(place, Rival(model), name="rival", options={})
    )
    (folder / "objective.json").unlink()
    with pytest.raises(ValueError, match=r"holds heads\.safetensors but no file objective\.json"):
        open_model(folder)


def test_pedclip_has_no_heads(tmp_path: Path) -> None:
    model = tiny_model()
    folder = model.save_pretrained(
        tmp_path / "c", add=lambda place: write_objective(place, Rival(model), name="pedclip", options={})
    )
    assert not (folder / "objective.json").exists()
    assert isinstance(open_model(folder), PedCLIP)


def test_a_region_head_adds_the_labels_without_experts() -> None:
    model = tiny_model(mobe_layers=())
    features = tiny_features(model)
    inner = Rival(model)
    objective = RegionHeadObjective(model, inner, schedule=lambda epoch: (0.25, True))
    values = objective(features)
    logits = objective.head(features.image.pooled)
    rows = [-float(logits.detach()[row].log_softmax(0)[region]) for row, region in enumerate(features.regions)]
    assert float(values["region"].detach()) == pytest.approx(sum(rows) / 4, rel=1e-5)
    torch.testing.assert_close(values["loss"], inner(features)["loss"] + 0.25 * values["region"])
    assert objective.assignment(features.regions, 0) is None  # there is nobody to assign
    values["loss"].backward()
    assert objective.head.weight.grad.abs().sum() > 0


def test_experts_add_their_loss_to_any_objective() -> None:
    model = tiny_model()
    features = tiny_features(model)
    inner = Rival(model)
    values = ExpertObjective(model, inner, schedule=lambda epoch: (0.25, epoch < 1))(features)
    torch.testing.assert_close(values["loss"], inner(features)["loss"] + 0.25 * values["gate"])
    assert (
        ExpertObjective(model, inner, schedule=lambda epoch: (1.0, epoch < 1)).assignment(features.regions, 2) is None
    )


def test_patches_go_through_the_head_of_the_image_token() -> None:
    model = tiny_model()

    class Pooled(Rival):
        def embed_image(self, image: ImageFeatures) -> Tensor:
            return self.films(image.pooled)

    opened = ObjectiveModel(model, Pooled(model), name="rival", options={}).eval()
    image = opened.encode_image(torch.randn(3, 3, 16, 16))
    patches = opened.embed_patches(image)
    assert patches.shape == (3, 4, 3)
    one = opened.objective.films(model.image_encoder.vit.norm(image.dense[1, 2]))  # row 0, column 1
    torch.testing.assert_close(patches[1, 1], nn.functional.normalize(one, dim=0))
    assert opened.grid == (2, 2)


@pytest.mark.parametrize(("name", "head"), [("gloria", "local_head"), ("mgca", "patch_head"), ("prior", "patch")])
def test_patches_go_through_the_local_head(name: str, head: str) -> None:
    model, features = residual_batch()  # whose third stage has 4 × 4 places, its last 2 × 2
    objective = registry.build(name, model).eval()
    opened = ObjectiveModel(model, objective, name=name, options={}).eval()
    layer = getattr(objective, head)
    patches = opened.embed_patches(features.image)
    assert (opened.grid, opened.model.grid) == ((4, 4), (2, 2))
    assert patches.shape[:2] == (4, 16)
    one = layer(features.image.patches[1, 3][None])[0]
    torch.testing.assert_close(patches[1, 3], nn.functional.normalize(one, dim=0))
    wrapped = ExpertObjective(model, objective)
    assert torch.equal(
        wrapped.embed_patches(features.image, features.image), objective.embed_patches(*[features.image] * 2)
    )
    assert wrapped.has_local_head
    # A head that lets nothing through leaves nothing to compare.
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    assert not opened.embed_patches(features.image).any()
    plain = tiny_model(mobe_layers=())
    assert ObjectiveModel(plain, registry.build(name, plain), name=name, options={}).grid == plain.grid


def _exported(folder: Path, spoil: float | None = None) -> Path:
    model = tiny_model()
    rival = Rival(model)
    if spoil is not None:
        rival.films.bias.data[1] = spoil
    return model.save_pretrained(folder, add=lambda place: write_objective(place, rival, name="rival", options={}))


def test_a_flipped_bit_of_the_heads_is_noticed(tmp_path: Path) -> None:
    folder = _exported(tmp_path / "c")
    assert json.loads((folder / "checksums.json").read_text()).keys() == {"model.safetensors", "heads.safetensors"}
    heads = folder / "heads.safetensors"
    content = bytearray(heads.read_bytes())
    content[-1] ^= 1
    heads.write_bytes(content)
    with pytest.raises(ValueError, match=r"heads\.safetensors is damaged: its SHA-256 is not the one in"):
        open_model(folder)
    # An earlier version kept the checksum of the encoders alone.
    checksums = json.loads((folder / "checksums.json").read_text())
    (folder / "checksums.json").write_text(json.dumps({"model.safetensors": checksums["model.safetensors"]}))
    assert isinstance(open_model(folder), ObjectiveModel)
    # The encoders need no heads.
    PedCLIP.from_pretrained(folder)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_heads_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    folder = _exported(tmp_path / "c", spoil=value)
    with pytest.raises(ValueError, match=r"heads\.safetensors holds NaN or infinite values in films\.bias"):
        open_model(folder)
