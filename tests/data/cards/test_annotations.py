"""Boxes and masks as published: against values worked out by hand, and what is wrong with a bad one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pedclip.data.adapters.annotations import (
    bounds,
    corner_box,
    parse_shapes,
    runs_mask,
    shapes_mask,
    sized_box,
    voc_boxes,
    yolo_boxes,
)
from pedclip.data.adapters.sample import BadAnnotation, LabeledBox

NAMES = ("fracture", "metal")


def voc(*objects: tuple[str, object, object, object, object]) -> str:
    items = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox></object>"
        for name, left, top, right, bottom in objects
    )
    return f"<annotation><size><width>100</width><height>200</height></size>{items}</annotation>"


def no_refusal(line: int, reason: str) -> None:
    pytest.fail(f"line {line}: {reason}")


def test_yolo_and_voc_say_the_same_box(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 0.5 0.25 0.4 0.1\n\n")
    (tmp_path / "a.xml").write_text(voc(("metal", 30, 40, 70, 60)))
    (from_yolo,) = yolo_boxes(tmp_path / "a.txt", NAMES, no_refusal)
    (from_voc,) = voc_boxes(tmp_path / "a.xml", NAMES, no_refusal)
    assert from_voc == LabeledBox(30, 40, 40, 20, "metal", row=1)
    pixels = from_yolo.in_pixels((200, 100))
    assert (pixels.x, pixels.y, pixels.width, pixels.height) == pytest.approx((30, 40, 40, 20))
    assert pixels.label == "metal"


def test_bad_lines_of_yolo_are_refused_one_by_one(tmp_path: Path) -> None:
    lines = ["0 0.5 0.5 0.1 0.1", "2 .5 .5 .1 .1", "0 .5 .5 .1", "0 .5 .5 0 .1", "0 x .5 .1 .1", "0 nan .5 .1 .1"]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    refused: list[tuple[int, str]] = []
    boxes = yolo_boxes(tmp_path / "a.txt", NAMES, lambda line, error: refused.append((line, str(error))))
    assert [box.row for box in boxes] == [1]
    assert refused == [
        (2, "unknown label: class '2'; expected 0 to 1"),
        (3, "YOLO line of 4 numbers instead of 5"),
        (4, "box without area (0 wide, 0.1 high)"),
        (5, "box or shape with a coordinate that is no number: 'x .5 .1 .1'"),
        (6, "box or shape with a coordinate that is not finite"),
    ]


def test_bad_objects_of_voc_are_refused_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(voc(("cat", 1, 2, 3, 4), ("metal", 5, 5, 2, 9), ("metal", "", 5, 2, 9)))
    (tmp_path / "b.xml").write_text("<annotation>")
    refused: list[tuple[int, str]] = []
    assert voc_boxes(tmp_path / "a.xml", NAMES, lambda line, error: refused.append((line, str(error)))) == ()
    assert voc_boxes(tmp_path / "b.xml", NAMES, lambda line, error: refused.append((line, str(error)))) == ()
    assert refused[:3] == [
        (1, "unknown label 'cat'; expected one of fracture, metal"),
        (2, "box without area (-3 wide, 4 high)"),
        (3, "box or shape with a coordinate that is no number: ' 5 2 9'"),
    ]
    assert refused[3][1].startswith("annotation is not XML (no element found")


def test_boxes_are_cut_at_the_edge_and_vanish_outside() -> None:
    assert corner_box(["-5", "2", "10", "50"], "x", 1).clipped((30, 20)) == LabeledBox(0, 2, 10, 28, "x", 1)
    assert sized_box(["25", "2", "10", "5"], "x", 1).clipped((30, 20)) is None
    assert sized_box(["20", "2", "10", "5"], "x", 1).clipped((30, 20)) is None  # touches the edge


def encoded(mask: np.ndarray) -> str:
    """Relative run lengths down the columns, written anew from the format's description."""
    values, gap, run = [], 0, 0
    for pixel in mask.T.ravel():
        if pixel:
            run += 1
        elif run:
            values += [gap, run]
            gap, run = 1, 0
        else:
            gap += 1
    return " ".join(map(str, values + ([gap, run] if run else []))) or "-1"


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_give_back_any_mask(mask: np.ndarray) -> None:
    assert np.array_equal(runs_mask([encoded(mask)], mask.shape), mask)
    top = mask.copy()
    top[1:] = False
    assert np.array_equal(runs_mask([encoded(top), encoded(mask & ~top)], mask.shape), mask)  # two masks, joined


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "unreadable mask: 3 run lengths; expected pairs"),
        ("", "unreadable mask: 0 run lengths"),
        ("1 two", "unreadable mask: run lengths that are no whole numbers"),
        ("1 -2", "unreadable mask: a negative run length"),
        ("10 99", "mask of another image: its runs end at pixel 109 of 12"),
        ("9" * 30 + " 1", "unreadable mask: run lengths that are no whole numbers"),
    ],
)
def test_bad_run_lengths_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadAnnotation, match=message):
        runs_mask([text], (3, 4))


def test_shapes_are_read_filled_and_bounded() -> None:
    shapes = parse_shapes("0 2 3 8 9;1 10 2 18 10; 2 0 12 6 12 0 18", pytest.fail)
    assert [kind for kind, _ in shapes] == ["rectangle", "ellipse", "polygon"]
    assert [bounds(values) for _, values in shapes] == [(2, 3, 6, 6), (10, 2, 8, 8), (0, 12, 6, 6)]
    mask = shapes_mask(shapes, (24, 20))
    assert mask.shape == (24, 20)
    assert mask[3:10, 2:9].all()  # the rectangle with its edges
    assert mask[6, 14]  # the ellipse has its centre and lacks its corner
    assert not mask[2, 10]
    assert mask[13, 1]  # the triangle has its right angle and lacks what lies past the long side
    assert not mask[17, 5]


def test_bad_shapes_are_refused_and_the_others_kept() -> None:
    refused: list[str] = []
    assert parse_shapes(
        "0 1 2 3 4;3 1 2 3 4;0 9 2 3 4;2 1 2 3 4;1 a 2 3 4;0 1 2", lambda error: refused.append(str(error))
    ) == [("rectangle", [1, 2, 3, 4])]
    assert refused == [
        "unknown label: shape '3'; expected 0, 1 or 2",
        "rectangle that is not given as left, top, right, bottom",
        "polygon of 4 coordinates; expected three points or more",
        "box or shape with a coordinate that is no number: 'a 2 3 4'",
        "rectangle that is not given as left, top, right, bottom",
    ]
    assert parse_shapes("", pytest.fail) == []
