"""The contact sheet that fresh eyes are shown, and its key."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict
from PIL import Image

from benchmarks import synthetic_quality
from pedclip.anatomy import REGIONS, display_name
from pedclip.synthesis import synthetic_copy
from pedclip.synthesis.flow import save_generator
from pedclip.synthesis.flow.checkpoint import embedded_folder
from pedclip.triplets.cache import stored_films
from pedclip.triplets.decoding import decode
from pedclip.triplets.storage import load_triplets, make_split
from tests.synthesis.flow.tiny import drawn_network, tiny_captions, tiny_run
from tests.synthesis.generators import NoiseGenerator
from tests.triplets.triplet_rows import triplet


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A copy of two regions of three films each, and one of a single film."""
    names = ["wrist"] * 3 + ["knee"] * 3 + ["skull"]
    rows = [triplet(number, region=name, text=f"Text {number}.") for number, name in enumerate(names)]
    parts = {"train": rows, "validation": [triplet(7)], "test": [triplet(8)]}
    real = DatasetDict({split: make_split(found) for split, found in parts.items()})
    synthetic_copy(real, NoiseGenerator(), tmp_path / "films" / "copies" / "domain")
    return tmp_path / "films"


def test_the_key_names_the_films_in_their_order(films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sheet"
    synthetic_quality.main(["--films", str(films), "--parts", "", "--sheet", str(folder)])
    key = json.loads((folder / "key.json").read_text())
    assert sorted(key) == ["knee", "knee", "skull", "wrist", "wrist"]
    # Films of 16 pixels and a line of 2, three times as large, eight in a row.
    sheet = np.asarray(Image.open(folder / "sheet.png"))
    assert sheet.shape == (18 * 3, 8 * 18 * 3)
    drawn = load_triplets(films / "copies" / "domain")["train"]
    stored = zip(stored_films(drawn), drawn["region"], strict=True)
    known = {decode(file).tobytes(): display_name(REGIONS[region]) for file, region in stored}
    for number, name in enumerate(key):
        left = number * 18 * 3
        film = np.ascontiguousarray(sheet[: 16 * 3 : 3, left : left + 16 * 3 : 3])
        assert known[film.tobytes()] == name


def test_a_flow_is_described_by_its_folder(tmp_path: Path) -> None:
    captions = tiny_captions()
    run = tiny_run().replace({"studies": 77, "phantom_size": 48, "prompt": "excerpt", "training": {"seed": 5}})
    folder = save_generator(drawn_network(captions), tmp_path / "flow", run=run, captions=captions)
    assert synthetic_quality.run_of(folder) == run


def test_the_flow_of_the_package_can_be_held_against_its_films() -> None:
    described = synthetic_quality.run_of(embedded_folder())
    assert (described.data, described.studies, described.training.seed) == ("phantom", 8000, 2027)


def test_misspelt_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        synthetic_quality.main(["--parts", "qualiti"])
    assert "'qualiti' is none of quality, memorisation, speed, control" in capsys.readouterr().err
