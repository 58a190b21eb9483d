"""The map's table; UMAP itself is replaced, as its coordinates differ between machines."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pedclip.anatomy import REGIONS, display_name
from pedclip.evaluation.embeddings import Embeddings
from pedclip.evaluation.tasks.labels import Row
from pedclip.evaluation.zero_shot.embedding_map import GROUPS, project
from pedclip.triplets.arrays import TripletArrays

NAMES = ("hand", "chest", "tibia_fibula", "skull", "knee")


class FirstTwo:
    """Stands for UMAP: the first two coordinates, and what it was asked for."""

    asked: dict[str, Any]

    def __init__(self, **options: Any) -> None:
        FirstTwo.asked = options

    def fit_transform(self, points: np.ndarray) -> np.ndarray:
        return points[:, :2]


def films() -> tuple[Embeddings, list[Row], TripletArrays]:
    image = np.arange(20, dtype=np.float32).reshape(5, 4)
    rows = [Row(None, name, "a", f"a/{name}") for name in NAMES]
    pixels = np.zeros((5, 12, 12), np.uint8)
    arrays = TripletArrays(pixels, ["x" * 200, "b", "c", "d", "e"], np.zeros(5, np.int64), list("abcde"))
    return Embeddings(image, -image, np.zeros((5, 0), np.float32)), rows, arrays


def test_groups_hold_every_region_once_and_fit_the_palette() -> None:
    listed = [region for regions in GROUPS.values() for region in regions]
    assert sorted(listed) == sorted(REGIONS)
    assert len(GROUPS) <= 7  # colours that stay apart


def test_every_film_is_a_pair_of_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=FirstTwo))
    embeddings, rows, arrays = films()
    table = project(embeddings, rows, arrays, max_points=3, seed=7, folder=tmp_path / "map")
    assert table["x"].tolist() == [0, 8, 16, 0, -8, -16]  # films 0, 2 and 4
    assert table["y"].tolist() == [1, 9, 17, -1, -9, -17]
    assert table["region"].tolist() == [display_name(NAMES[film]) for film in (0, 2, 4)] * 2
    assert table["group"].tolist() == ["hand", "leg", "leg"] * 2
    assert table["modality"].tolist() == ["image"] * 3 + ["text"] * 3
    assert table["film"].tolist() == [0, 2, 4] * 2
    assert table["text"].tolist() == ["x" * 120, "c", "e"] * 2
    assert FirstTwo.asked["n_neighbors"] == 5  # never as many as the points
    assert FirstTwo.asked["random_state"] == 7


def test_stored_coordinates_hold_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=FirstTwo))
    table = project(*films(), max_points=100, seed=0, folder=tmp_path)
    stored = pd.read_parquet(tmp_path / "map.parquet")
    assert stored.columns.tolist() == ["x", "y", "region", "group", "modality", "text"]
    assert stored["x"].tolist() == table["x"].tolist()
    assert len(stored) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["map.parquet"]


def test_a_missing_umap_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pedclip\[notebooks\]'"):
        project(*films(), max_points=3, seed=0, folder=tmp_path)
