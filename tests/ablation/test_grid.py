"""Grids as data: what a cell is made of, and mistakes found before anything is trained."""

import json
from pathlib import Path
from typing import Any

import pytest

from pedclip.ablation import FilmChoice, Grid, grid_names, load_grid
from pedclip.ablation.grid import cell_config

SMALL: dict[str, Any] = {
    "name": "small",
    "question": "Which?",
    "reference": "mobe",
    "settings": {"epochs": 4},
    "seeds": [0, 1],
    "arms": {"mobe": {}, "mlp": {"words": "no experts", "settings": {"mobe_layers": []}}},
}


def changed(**values: Any) -> dict[str, Any]:
    return {**SMALL, **values}


def test_cells_are_arms_times_seeds_seed_by_seed() -> None:
    cells = Grid.from_dict(SMALL).cells()
    assert [cell.name for cell in cells] == ["mobe-0", "mlp-0", "mobe-1", "mlp-1"]
    assert cells[1].parameters["settings"] == {"epochs": 4, "mobe_layers": []}


def test_parameters_are_all_that_decides_a_cell() -> None:
    first = Grid.from_dict(SMALL).cells()[0].parameters
    assert Grid.from_dict(changed(settings={"epochs": 5})).cells()[0].parameters != first
    assert Grid.from_dict(changed(test_studies=10)).cells()[0].parameters != first
    # A word about an arm decides nothing.
    assert Grid.from_dict(changed(question="Why?")).cells()[0].parameters == first


def test_empty_values_are_values() -> None:
    config = cell_config("demo", {"mobe_layers": [], "region_head": True, "teacher_epochs": 0}, 3, FilmChoice())
    assert config.model.mobe_layers == ()
    assert (config.training.region_head, config.training.teacher_epochs, config.training.seed) == (True, 0, 3)
    assert cell_config("demo", {"objective": "clip"}, 0, FilmChoice()).model.mobe_layers == ()
    with_experts = {"objective": "clip", "mobe_layers": [-1]}
    assert cell_config("demo", with_experts, 0, FilmChoice()).model.mobe_layers == (-1,)


def test_some_arms_or_other_seeds() -> None:
    grid = Grid.from_dict(SMALL)
    assert grid.only(["mlp"]).reference == "mlp"
    assert [cell.name for cell in grid.replace(seeds=(5,), settings={"epochs": 1}).cells()] == ["mobe-5", "mlp-5"]
    assert grid.replace(settings={"studies": 200}).settings == {"epochs": 4, "studies": 200}
    with pytest.raises(ValueError, match="grid 'small' has no arm 'x'; it has mobe, mlp"):
        grid.only(["x"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reference": "other"}, "reference='other' is not allowed"),
        ({"seeds": []}, "seeds=\\(\\) is not allowed"),
        ({"arms": {"a/b": {}}}, "arm 'a/b' is not allowed"),
        ({"arms": {"mobe": {"setting": {}}}}, "arm 'mobe' has no 'setting'; it has words, settings, films"),
        ({"arms": {"mobe": {"settings": {"epoch": 3}}}}, "arm 'mobe' of grid 'small'.*epoch"),
        ({"arms": {"mobe": {"settings": {"seed": 3}}}}, "arm 'mobe' sets seed"),
        ({"arms": {"mobe": {"films": {"regions": ["kne"]}}}}, "there is no region 'kne'"),
        ({"arms": []}, "arms: expected an object, got list"),
        ({"typo": 1}, "a grid has no 'typo'"),
        ({"test_studies": 5, "settings": {"data": "/films"}}, "studies of the phantom"),
    ],
)
def test_mistakes_are_named_before_the_first_training(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Grid.from_dict(changed(**values))


def test_grids_of_the_package_can_be_read_and_have_different_cells() -> None:
    assert set(grid_names()) >= {"interference", "layer", "experts", "schedule", "rare"}
    for name in grid_names():
        cells = load_grid(name).cells()
        assert len({json.dumps(cell.parameters) for cell in cells}) == len(cells), name


def test_a_grid_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(SMALL))
    assert load_grid(file).name == "small"
    file.write_text(json.dumps(changed(reference="x")))
    with pytest.raises(ValueError, match=r"mine\.json: reference='x'"):
        load_grid(file)
    with pytest.raises(FileNotFoundError, match="nosuch is no grid: one of experts"):
        load_grid("nosuch")
