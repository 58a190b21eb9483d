"""Generators by name: what a folder holds decides, and what is none is said with all that would be one."""

from pathlib import Path

import pytest

from pedclip.artefacts import write_json
from pedclip.synthesis import PhantomGenerator, has_embedded, named, named_generator
from pedclip.synthesis.flow import save_generator
from tests.synthesis.flow.tiny import drawn_network, tiny_captions, tiny_run


def test_the_phantom_knows_the_reports_it_is_given() -> None:
    found = named_generator("phantom", studies=["phantom-0-s000000"], image_size=48)
    assert isinstance(found, PhantomGenerator)
    assert found.image_size == 48
    assert found.texts
    with pytest.raises(ValueError, match="no studies"):
        named_generator("phantom")


def test_a_folder_of_a_flow_is_opened_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = tiny_captions()
    folder = save_generator(drawn_network(captions), tmp_path / "flow", run=tiny_run(), captions=captions)
    # It names the text encoder of the package, which it was not trained with: the refusal is that of a flow.
    with pytest.raises(ValueError, match="was trained with another text encoder"):
        named_generator(folder)
    monkeypatch.setattr(named, "open_generator", lambda path, **_: ("flow", path))
    assert named_generator(str(folder)) == ("flow", folder)


def test_a_pipeline_is_told_by_its_index(tmp_path: Path) -> None:
    write_json(tmp_path / "model_index.json", {"_class_name": ["mine", "Pipeline"]})
    with pytest.raises(ValueError, match="code of its own"):
        named_generator(tmp_path)


@pytest.mark.parametrize("name", ["embeded", "nothing/here"])
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="is no generator: expected 'embedded', 'phantom', a folder of a flow"):
        named_generator(name)


def test_without_its_weights_the_embedded_one_says_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (named, named.embedded_generator.__globals__):
        place = lambda: tmp_path / "absent"  # noqa: E731
        (monkeypatch.setitem if isinstance(module, dict) else monkeypatch.setattr)(module, "embedded_folder", place)
    assert not has_embedded()
    with pytest.raises(FileNotFoundError, match=r"make one: python -m pedclip\.synthesis\.train"):
        named_generator("embedded")
