"""The dual encoder: shapes as documented, saving without loss, misuse named."""

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from pedclip.anatomy import REGIONS
from pedclip.models.config import PedCLIPConfig
from pedclip.models.pedclip import PedCLIP, default_preprocess
from pedclip.models.text import train_tokenizer
from pedclip.weights import SHIPPED, shipped_folder

TEXTS = ["No fracture of the left wrist.", "Buckle fracture of the distal radius.", "Normal heart size, clear lungs."]
TINY = PedCLIPConfig(
    regions=("wrist", "chest", "hand"),
    image_architecture="vit_tiny_patch16_224",
    image_size=16,
    image_patch_size=8,
    image_width=32,
    image_depth=2,
    image_heads=2,
    text_width=32,
    text_depth=1,
    text_heads=2,
    vocab_size=200,
    max_text_tokens=16,
)


def tiny(**changes: object) -> PedCLIP:
    torch.manual_seed(0)
    return PedCLIP(dataclasses.replace(TINY, **changes), tokenizer=train_tokenizer(TEXTS, vocab_size=200)).eval()


def test_shapes_are_the_documented_ones() -> None:
    model = tiny(projection_dim=24, mobe_layers=(0, 1))
    image = model.encode_image(torch.randn(5, 3, 16, 16))
    text = model.encode_text(**model.tokenize(TEXTS))
    num_tokens = model.tokenize(TEXTS)["input_ids"].shape[1]
    assert image.embedding.shape == (5, 24)
    assert [logits.shape for logits in image.gate_logits] == [(5, 3), (5, 3)]
    assert image.tokens.shape == image.dense.shape == (5, 1 + 4, 32)
    assert text.embedding.shape == (3, 24)
    assert text.tokens.shape == (3, num_tokens, 32)
    for embedding in (image.embedding, text.embedding):
        torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(len(embedding)))


def test_embedding_is_the_projected_image_token() -> None:
    model = tiny(projection_dim=24)
    features = model.encode_image(torch.randn(2, 3, 16, 16))
    projected = torch.nn.functional.normalize(model.image_projection(features.tokens[:, 0]), dim=-1)
    torch.testing.assert_close(features.embedding, projected)
    torch.testing.assert_close(features.pooled, features.tokens[:, 0])


def test_text_embedding_is_the_projected_first_token() -> None:
    model = tiny(projection_dim=24)
    features = model.encode_text(**model.tokenize(TEXTS))
    projected = torch.nn.functional.normalize(model.text_projection(features.tokens[:, 0]), dim=-1)
    torch.testing.assert_close(features.embedding, projected)


def test_every_switch_of_the_configuration_reaches_its_block() -> None:
    changes = {"gate_threshold": 0.25, "detach_gate": True, "mobe_implementation": "loop", "gate_input": "pre_norm"}
    plain, switched = (tiny(**given).image_encoder.vit.blocks[-1] for given in ({}, changes))
    found = [
        (block.mobe.threshold, block.mobe.detach_gate, block.mobe.implementation, block.gate_input)
        for block in (plain, switched)
    ]
    assert found == [(0.0, False, "auto", "post_norm"), (0.25, True, "loop", "pre_norm")]
    assert torch.equal(plain.mobe.w1[0], plain.mobe.w1[1])  # copies, unless asked otherwise
    random = tiny(expert_init="random").image_encoder.vit.blocks[-1].mobe
    assert not torch.equal(random.w1[0], random.w1[1])


@pytest.mark.parametrize(("size", "resize"), [(224, 256), (112, 128), (16, 18)])
def test_default_preprocessing_is_an_eighth_larger_with_the_statistics_of_the_weights(size: int, resize: int) -> None:
    preprocess = default_preprocess(size, None)
    assert (preprocess.size, preprocess.resize, preprocess.augment) == (size, resize, "none")
    assert preprocess.mean == preprocess.std == (0.5, 0.5, 0.5)
    published = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    assert default_preprocess(size, published).mean == (0.1, 0.2, 0.3)
    assert default_preprocess(size, published).std == (0.4, 0.5, 0.6)


def test_padding_does_not_change_a_text() -> None:
    model = tiny()
    alone = model.encode_text(**model.tokenize(TEXTS[:1])).embedding[0]
    padded = model.encode_text(**model.tokenize([TEXTS[0], " ".join(TEXTS)])).embedding[0]
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"projection_dim": 8, "learn_temperature": True, "mobe_layers": [0, -1]}])
def test_saving_loses_nothing(tmp_path: Path, changes: dict) -> None:
    model = tiny(**changes)
    model.save_pretrained(tmp_path / "checkpoint", card="# A card")
    loaded = PedCLIP.from_pretrained(tmp_path / "checkpoint")
    assert loaded.config == model.config
    assert loaded.preprocess == model.preprocess
    pixels = torch.randn(2, 3, 16, 16)
    assert torch.equal(loaded.encode_image(pixels).embedding, model.encode_image(pixels).embedding)
    tokens = model.tokenize(["No unseen words, never."])
    assert torch.equal(loaded.tokenize(["No unseen words, never."])["input_ids"], tokens["input_ids"])
    assert torch.equal(loaded.encode_text(**tokens).embedding, model.encode_text(**tokens).embedding)
    assert (tmp_path / "checkpoint" / "README.md").read_text() == "# A card"


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (project := tmp_path / "project").mkdir()
    # The names are those of a model's folder, and no folder of a model lacks its preprocessing.
    for name in ("config.json", "README.md"):
        (project / name).write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds README\.md, config\.json and no preprocess\.json"):
        tiny().save_pretrained(project)
    assert sorted(path.name for path in project.iterdir()) == ["README.md", "config.json"]


def test_shipped_weights_can_be_shipped_again(tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    shutil.copytree(shipped_folder(SHIPPED[0]), folder)
    tiny().save_pretrained(folder)
    assert not (folder / "metrics.json").exists()


def test_half_precision_halves_the_file_and_hardly_moves_an_embedding(tmp_path: Path) -> None:
    model = tiny()
    full, half = model.save_pretrained(tmp_path / "full"), model.save_pretrained(tmp_path / "half", half=True)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (half, full)]
    assert sizes[0] < 0.6 * sizes[1]
    loaded = PedCLIP.from_pretrained(half)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert next(model.parameters()).dtype == torch.float32
    pixels = torch.randn(2, 3, 16, 16)
    cosines = (loaded.encode_image(pixels).embedding * model.encode_image(pixels).embedding).sum(-1)
    assert 0.999 < cosines.min().item() <= 1.0 + 1e-6


def test_an_untrained_twin_is_drawn_from_its_seed_alone() -> None:
    model = tiny(projection_dim=8)
    model.preprocess = dataclasses.replace(model.preprocess, resize=20)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = model.untrained(3)
    assert torch.equal(torch.get_rng_state(), state)  # its caller's numbers go on as if nothing had been asked
    torch.manual_seed(2)
    again, other = model.untrained(3).state_dict(), model.untrained(4).state_dict()
    assert not first.training
    assert (first.config, first.preprocess, first.tokenizer) == (model.config, model.preprocess, model.tokenizer)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again[name]), name
    for name in ("image_encoder.vit.blocks.1.mobe.gate.weight", "text_projection.weight"):
        assert not torch.equal(first.state_dict()[name], other[name])
        assert not torch.equal(first.state_dict()[name], model.state_dict()[name])
    word = "text_encoder.bert.embeddings.word_embeddings.weight"
    assert not torch.equal(first.state_dict()[word], other[word])


def test_an_untrained_twin_leaves_the_numbers_of_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a GPU's generator was asked or seeded")

    model = tiny()
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_rng_state", refuse)
    monkeypatch.setattr("torch.cuda.manual_seed_all", refuse)
    assert not model.untrained(3).training


def test_text_weights_from_a_folder(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=200)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=40
    )
    bert = BertModel(config)
    bert.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = PedCLIP(TINY, text_weights=str(tmp_path))
    torch.testing.assert_close(
        model.text_encoder.bert.embeddings.word_embeddings.weight, bert.embeddings.word_embeddings.weight
    )
    model.save_pretrained(tmp_path / "saved")
    assert PedCLIP.from_pretrained(tmp_path / "saved").text_encoder.bert.config.intermediate_size == 40


def test_what_cannot_be_fetched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        OSError,
        match=r"(?s)text_weights='.*nothing'.*Fetch 'config.json'.*text_weights='/path/to/folder'.*pretrained='no'",
    ):
        PedCLIP(TINY, text_weights=str(tmp_path / "nothing"))
    with pytest.raises(OSError, match="no checkpoint at"):
        PedCLIP.from_pretrained(tmp_path / "nothing")


def test_broken_checkpoints_are_refused(tmp_path: Path) -> None:
    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"regions": ["wrist", "chest"]}))
    with pytest.raises(ValueError, match=r"model.safetensors does not fit .*config.json"):
        PedCLIP.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"is not a PedCLIP checkpoint: it has no model\.safetensors"):
        PedCLIP.from_pretrained(folder)


def test_temperature() -> None:
    assert float(tiny().temperature) == pytest.approx(0.07)
    assert not tiny().log_temperature.requires_grad
    model = tiny(learn_temperature=True)
    with torch.no_grad():
        model.log_temperature.fill_(math.log(1e-4))
    assert float(model.temperature.detach()) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"regions": ("wrist", "wrist")}, "regions="),
        ({"gate_input": "cls"}, "gate_input='cls' is not allowed: one of"),
        ({"expert_init": "zero"}, "expert_init='zero'"),
        ({"temperature": 0.0}, r"temperature=0.0 is not allowed: in \(0, 1\]"),
        ({"gate_threshold": 0.5}, "gate_threshold=0.5"),
        ({"max_text_tokens": 4}, "max_text_tokens=4"),
        ({"image_size": 0}, "image_size=0"),
        ({"image_architecture": "x"}, "image_architecture='x' is not allowed: an architecture that timm knows"),
        ({"image_backbone": "x"}, "image_backbone='x' is not allowed: an architecture that timm knows"),
    ],
)
def test_wrong_configurations_raise(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tiny(**changes)


def test_text_encoder_of_another_width_is_projected_and_the_image_encoder_is_not() -> None:
    model = tiny(text_width=64)
    assert isinstance(model.image_projection, torch.nn.Identity)
    assert model.text_projection.weight.shape == (32, 64)
    assert isinstance(tiny().text_projection, torch.nn.Identity)


@pytest.mark.parametrize("part", ["image", "text"])
def test_encoder_of_the_package_is_a_starting_point_by_itself(part: str) -> None:
    known = PedCLIP.from_pretrained("pedclip-phantom-small")
    torch.manual_seed(0)
    weights = {f"{part}_weights": "pedclip-phantom-small"}
    model = PedCLIP(known.config, tokenizer=known.tokenizer, **weights)
    for name in ("image", "text"):
        found, wanted = (getattr(one, f"{name}_encoder").state_dict() for one in (model, known))
        is_equal = all(torch.equal(found[key], wanted[key]) for key in wanted)
        assert is_equal == (name == part)


def test_checkpoint_of_the_convolutional_stem_loads_without_the_fields_it_did_not_know(tmp_path: Path) -> None:
    model = tiny(image_stem="convolutional")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["image_backbone"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "checksums.json").unlink()
    films = torch.randn(2, 3, 16, 16)
    loaded = PedCLIP.from_pretrained(tmp_path)
    assert torch.equal(loaded.encode_image(films).embedding, model.encode_image(films).embedding)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"regions": tuple(reversed(REGIONS))}, "regions="),
        ({"regions": REGIONS[:5]}, "regions="),
        ({"gate_input": "pre_norm"}, "gate_input='post_norm', not 'pre_norm'"),
        ({"image_heads": 2}, "image_heads=4, not 2"),
        ({"image_width": 64}, "image_width=128, not 64"),
    ],
)
def test_encoder_of_the_package_does_not_fit_another_architecture(changes: dict, words: str) -> None:
    known = PedCLIP.from_pretrained("pedclip-phantom-small")
    config = dataclasses.replace(known.config, **changes)
    with pytest.raises(ValueError, match=f"image_weights='pedclip-phantom-small' is of another arch.*{words}"):
        PedCLIP(config, tokenizer=known.tokenizer, image_weights="pedclip-phantom-small")


def test_wrong_pixels_and_missing_tokenizer_raise() -> None:
    with pytest.raises(ValueError, match=r"pixels has shape \(2, 1, 16, 16\); expected \(B, 3, 16, 16\)"):
        tiny().encode_image(torch.zeros(2, 1, 16, 16))
    with pytest.raises(ValueError, match="train_tokenizer"):
        PedCLIP(TINY)
    with pytest.raises(ValueError, match="needs at least one excerpt"):
        train_tokenizer(["", " "], vocab_size=100)


def test_weights_of_the_package_load_offline_and_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("pedclip.models.pedclip.snapshot_download", refuse)
    for name in SHIPPED:
        model = PedCLIP.from_pretrained(name)
        side = model.config.image_size
        assert model.encode_image(torch.zeros(1, 3, side, side)).embedding.isfinite().all()
        assert sum(path.stat().st_size for path in shipped_folder(name).rglob("*")) < 15e6
        assert {"training.json", "patients.json", "metrics.json", "README.md", "checksums.json"} <= {
            path.name for path in shipped_folder(name).iterdir()
        }


def test_unknown_weights_of_the_package_are_named() -> None:
    with pytest.raises(ValueError, match=r"no weights are called 'pedclip-large'; there are: pedclip-phantom-small"):
        shipped_folder("pedclip-large")


@pytest.mark.parametrize("name", ["config.json", "preprocess.json"])
@pytest.mark.parametrize("content", ["{", "", "[1]", "7", "null", '{"image_size": "224"}', '{"size": [1]}', "\x00"])
def test_a_broken_description_is_one_error_with_its_name(tmp_path: Path, name: str, content: str) -> None:
    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=name):
        PedCLIP.from_pretrained(folder)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    model = tiny()
    with torch.no_grad():
        model.image_encoder.vit.norm.weight[3] = value
    folder = model.save_pretrained(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match=r"model.safetensors holds NaN or infinite values in image_encoder.vit.norm"):
        PedCLIP.from_pretrained(folder)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    for damaged in (b"", content[:100], content[:-1], b"\x80\x04N."):
        weights.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
            PedCLIP.from_pretrained(folder)


def test_one_flipped_bit_of_the_weights_is_refused_and_a_folder_without_checksums_still_loads(tmp_path: Path) -> None:
    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1  # of a value: the file is read as before
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged: its SHA-256 is not the one in .*checksums"):
        PedCLIP.from_pretrained(folder)
    (folder / "checksums.json").unlink()
    assert not PedCLIP.from_pretrained(folder).training


@pytest.mark.parametrize("content", ["{", "", "[1]", "null", "{}", '{"model.safetensors": 7}'])
def test_broken_checksums_are_one_error_with_their_name(tmp_path: Path, content: str) -> None:
    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    (folder / "checksums.json").write_text(content)
    with pytest.raises(ValueError, match=r"checksums\.json"):
        PedCLIP.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "preprocess.json", "model.safetensors", "checksums.json"])
def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(IsADirectoryError, match=f"{re.escape(name)} is a folder; expected a file"):
        PedCLIP.from_pretrained(folder)


def test_a_file_in_place_of_the_text_encoder_is_named(tmp_path: Path) -> None:
    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    shutil.rmtree(folder / "text")
    (folder / "text").write_text("{}")
    with pytest.raises(NotADirectoryError, match=r"text is a file; expected a folder"):
        PedCLIP.from_pretrained(folder)


@pytest.mark.parametrize("name", ["x", "efficientnet_b0", "vit_base_patch16_223"])
def test_an_architecture_that_is_no_vision_transformer_of_timm_is_one_error(tmp_path: Path, name: str) -> None:
    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    content = json.loads((folder / "config.json").read_text()) | {"image_architecture": name}
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"config\.json: image_architecture='{name}'"):
        PedCLIP.from_pretrained(folder)


@pytest.mark.parametrize("name", ["hf-hub:somebody/model", "hf_hub:a/b", "local-dir:/tmp/model", "timm/vit_base", ""])
def test_a_configuration_does_not_ask_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    folder = tiny().save_pretrained(tmp_path / "checkpoint")
    content = json.loads((folder / "config.json").read_text()) | {"image_architecture": name}
    (folder / "config.json").write_text(json.dumps(content))
    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(ValueError, match=r"config\.json: image_architecture=.* is not allowed: timm's name"):
        PedCLIP.from_pretrained(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_size", "16"),
        ("image_size", 16.0),
        ("image_size", True),
        ("image_size", None),
        ("image_size", [16]),
        ("regions", "hand"),
        ("regions", 5),
        ("regions", [1, 2]),
        ("mobe_layers", ["0"]),
        ("mobe_layers", -1),
        ("detach_gate", 1),
        ("temperature", "0.07"),
        ("temperature", None),
        ("gate_input", ["post_norm"]),
        ("image_architecture", 7),
    ],
)
def test_values_of_a_wrong_type_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field}=.* is not allowed"):
        dataclasses.replace(TINY, **{field: value})


def test_an_untrained_twin_depends_on_its_seed_alone() -> None:
    model = tiny()
    torch.manual_seed(1)
    first = model.untrained(3)
    torch.manual_seed(2)
    again, other = model.untrained(3), model.untrained(4)
    pixels = torch.randn(2, 3, 16, 16)
    embeddings = [twin.encode_image(pixels).embedding for twin in (first, again, other)]
    assert torch.equal(embeddings[0], embeddings[1])
    assert not torch.allclose(embeddings[0], embeddings[2])


def test_many_regions_are_refused_before_a_model_is_built() -> None:
    with pytest.raises(ValueError, match=r"regions='20000 names' is not allowed: at most 200") as error:
        PedCLIPConfig(regions=tuple(f"region {number}" for number in range(20_000)))
    assert len(str(error.value)) < 100
