"""Films that a flow is trained on, from every kind of data."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pedclip.data.phantom import iterate_studies
from pedclip.synthesis.flow.config import FlowRun
from pedclip.synthesis.flow.films import training_films
from pedclip.synthesis.flow.generic.films import generic_films
from pedclip.synthesis.prompts import prompt_of
from pedclip.triplets.splits import split_of
from pedclip.triplets.transforms import square
from tests.synthesis.flow.tiny import tiny_run


def phantom(**changes: object) -> FlowRun:
    return tiny_run(seed=4).replace({"studies": 8, "phantom_size": 32, **changes})


def test_phantom_gives_its_training_split(tmp_path: Path) -> None:
    films = training_films(phantom(), tmp_path / "run")
    images, texts = films.images, films.captions
    rows = [row for study in iterate_studies(8, 4, 32) for row in study]
    kept = [row for row in rows if split_of(row["patient_id"]) == "train"]
    assert 0 < len(kept) < len(rows)
    # As a prompt will name them: an excerpt often does not say of which region it is.
    expected = [
        prompt_of(row["text"], prompt="named", region=row["region"], laterality=row["laterality"]) for row in kept
    ]
    assert texts == expected
    assert all(" radiograph. " in text for text in texts)
    last = np.asarray(Image.open(io.BytesIO(kept[-1]["image"]["bytes"])))
    assert np.array_equal(images[-1], square(last, 16))
    # With whom, for an evaluation that leaves them out.
    assert films.rows is not None
    assert set(films.rows.patients) == {f"phantom/{row['patient_id']}" for row in kept}


def test_first_films_only(tmp_path: Path) -> None:
    every = training_films(phantom(), tmp_path / "all")
    few = training_films(phantom(films=3), tmp_path / "few")
    assert np.array_equal(few.images, every.images[:3])
    assert few.captions == every.captions[:3]


def test_generic_films_have_no_patients(tmp_path: Path) -> None:
    found = training_films(phantom(data="generic", films=5), tmp_path / "run")
    expected, captions = generic_films(5, seed=4, size=16)
    assert np.array_equal(found.images, expected)
    assert found.captions == captions
    assert found.rows is None
    assert not (tmp_path / "run").exists()


def test_folder_of_films(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["image,text,region,patient_id"]
    (tmp_path / "data").mkdir()
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 30), dtype=np.uint8)).save(tmp_path / "data" / f"{number}.png")
        lines.append(f"{number}.png,Normal wrist number {number}.,wrist,p{number}")
    (tmp_path / "data" / "table.csv").write_text("\n".join(lines) + "\n")
    films = training_films(phantom(data=str(tmp_path / "data")), tmp_path / "run")
    images, texts = films.images, films.captions
    kept = [number for number in range(12) if f"Wrist radiograph. Normal wrist number {number}." in texts]
    assert len(images) == len(texts) == len(kept) < 12
    with Image.open(tmp_path / "data" / f"{kept[0]}.png") as stored:
        expected = square(np.asarray(stored), 16)
    assert any(np.array_equal(image, expected) for image in images)


def test_captions_as_they_are_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    excerpts = training_films(phantom(prompt="excerpt"), tmp_path / "excerpts").captions
    named = training_films(phantom(), tmp_path / "named").captions
    assert all(one.endswith(f" radiograph. {other}") for one, other in zip(named, excerpts, strict=True))
    # Excerpts have no headings, hence no impression: told, and the films stay.
    caplog.set_level("INFO")
    found = training_films(phantom(prompt="impression"), tmp_path / "impressions")
    blank = found.captions
    assert len(found.images) == len(excerpts)
    assert set(blank) == {""}
    assert f"{len(blank)} of {len(blank)} films have no impression" in caplog.text


def test_absent_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        training_films(phantom(data=str(tmp_path / "nowhere")), tmp_path / "run")
