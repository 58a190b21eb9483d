"""Which tasks each public data set gets in its own layout, and beside which column of PedCLIP's tables they stand."""

from pathlib import Path

import pytest

import pedclip.data
from pedclip.evaluation.crop import read_truth
from pedclip.evaluation.published import printed
from pedclip.evaluation.tasks.discover import discover_tasks
from pedclip.triplets.transforms import Preprocess
from tests.data.cards.layouts import LAYOUTS, Film

# One patient each. Seven shares no factor with the numbers by which the layouts turn over their labels, so that every
# label is in both parts.
FILMS: list[Film] = [(number, "test" if number % 7 == 6 else "train") for number in range(210)]

# Card to task (without the source in brackets) to the column that asks the same, "" where none does.
TASKS: dict[str, dict[str, str]] = {
    "chd-cxr": {"heart and vessels": "CHD", "findings": ""},
    "chexpert": {"findings": ""},
    "covidx": {"findings": "", "classes": ""},
    "grazpedwri-dx": {
        "wrist fracture": "GRAZPEDWRI-DX",
        "findings": "",
        "fracture masks": "GRAZPEDWRI-DX segmentation",
        "boxes": "",
    },
    "mimic-cxr": {"findings": ""},
    "mura": {"body region": "", "findings": ""},
    "nih-chestxray14": {"findings": ""},
    "object-cxr": {"findings": "", "masks": "", "boxes": ""},
    "pedi-cxr": {"findings": "Pedi-CXR", "classes": "", "boxes": ""},
    "radimagenet": {"body region": ""},
    "roco": {},  # captions, no labels
    "rsna-bone-age": {"bone age": "RSNA-BoneAge"},
    "rsna-pneumonia": {"findings": "", "lung opacity masks": "", "boxes": ""},
    "siim-acr-pneumothorax": {"findings": "", "masks": ""},
}
# Share of the training films of the masks that have one.
MASKED = {"grazpedwri-dx": 1.0, "object-cxr": 1.0, "rsna-pneumonia": 0.5, "siim-acr-pneumothorax": 0.5}
BOXED = {
    "grazpedwri-dx": ("fracture",),  # and no side marker
    "object-cxr": ("foreign object",),
    "pedi-cxr": ("lung hyperinflation",),
    "rsna-pneumonia": ("lung opacity",),
}


def test_every_layout_is_asked_and_every_column_of_a_public_set_is_met() -> None:
    assert set(TASKS) == set(LAYOUTS)
    table = printed("pedclip")
    columns = set(table[table["table"] == "Table 2"]["column"]) - {"average"}
    met = {column for tasks in TASKS.values() for column in tasks.values() if column}
    assert columns - met == {"Arthritis"}  # a private set
    assert met <= columns


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_tasks_and_columns_of_a_card(name: str, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path, FILMS)
    triplets = pedclip.data.load(name, root=tmp_path)
    found = {task.name.removesuffix(f" ({name})"): task for task in discover_tasks(triplets, min_positives=2)}
    assert {task: one.paper for task, one in found.items()} == TASKS[name]
    assert {task.classes for task in found.values() if task.kind == "boxes"} == (
        {BOXED[name]} if name in BOXED else set()
    )
    for task in found.values():
        if task.kind == "masks":
            truth = read_truth(task, triplets, Preprocess(size=24, resize=24))["train"]
            assert truth.any(axis=(1, 2)).mean() == pytest.approx(MASKED[name], abs=0.1)
