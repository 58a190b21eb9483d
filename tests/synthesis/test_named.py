"""Generators by name: what a folder holds decides, and what is none is said with all that would be one."""

from pathlib import Path

import pytest
from datasets import DatasetDict

from pedclip.artefacts import write_json
from pedclip.synthesis import PhantomGenerator, named, named_generator
from pedclip.synthesis.flow import Sampling, save_generator
from pedclip.triplets.arrays import to_arrays
from pedclip.triplets.seen_patients import write_seen_patients
from pedclip.triplets.storage import make_split
from tests.synthesis.flow.tiny import drawn_network, tiny_captions, tiny_run
from tests.triplets.triplet_rows import triplet


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
    with pytest.raises(
        FileNotFoundError, match="is no generator: expected 'embedded', 'embedded-generic', 'phantom', "
    ):
        named_generator(name)


@pytest.mark.parametrize(("name", "kind"), [("embedded", "domain"), ("embedded-generic", "generic")])
def test_those_of_the_package(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "embedded_generator", lambda asked, **_: asked)
    assert named_generator(name) == kind


@pytest.mark.parametrize("kind", ["embedded", "embedded-generic"])
def test_those_of_the_package_draw(kind: str) -> None:
    generator = named_generator(kind, sampling=Sampling(steps=1, guidance=1.0, batch_size=1))
    (film,) = generator.generate(["Left wrist radiograph. No fracture."], seeds=[1])
    assert film.shape == (generator.image_size,) * 2
    assert film.std() > 1


def test_a_flow_that_has_seen_patients_of_the_test_films_is_refused(tmp_path: Path) -> None:
    real = DatasetDict({"test": make_split([triplet(row, patient_id=f"p{row}") for row in range(3)])})
    seen = to_arrays(real["test"].select([1]), tmp_path / "cache", size=16, with_digests=True)
    captions = tiny_captions()
    folder = save_generator(drawn_network(captions), tmp_path / "run" / "checkpoint", run=tiny_run(), captions=captions)
    write_seen_patients(tmp_path / "run", train=seen, validation=seen)
    with pytest.raises(ValueError, match="was trained on patients of 1 of the 3 films by which models"):
        named_generator(folder, judged_on=real["test"])
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ValueError, match="patients of 1 of the 3 films"):
        named_generator(tmp_path / "link", judged_on=real["test"])
    # Of other patients it gets as far as its text encoder.
    with pytest.raises(ValueError, match="was trained with another text encoder"):
        named_generator(folder, judged_on=real["test"].select([0, 2]))
