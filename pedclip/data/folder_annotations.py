"""Masks and boxes of a folder, given to the rows whose films they lie on."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from pedclip.data.table import BOXES, read_box_table
from pedclip.findings import finding_name
from pedclip.triplets.annotations import clip_box
from pedclip.triplets.decoding import BadImage, read_mask
from pedclip.triplets.film_paths import FilmPaths
from pedclip.triplets.left_out import LeftOut, Reason, Unusable


@dataclass(frozen=True)
class FolderRow:
    """A usable row: what becomes the triplet, and what is still needed from the table."""

    number: int
    split: str
    file: str
    mask_file: str
    size: tuple[int, int]  # height, width
    record: dict[str, Any]


def add_masks(paths: FilmPaths, rows: list[FolderRow], source: str) -> tuple[list[LeftOut], list[str]]:
    """Give every row its mask; a mask that cannot be used is listed, and noted."""
    left_out = []
    for row in rows:
        if not row.mask_file:
            continue
        try:
            row.record["mask"] = {"bytes": read_mask(paths.find(row.mask_file), size=row.size), "path": None}
        except (BadImage, Unusable) as error:
            left_out.append(LeftOut(row.mask_file, Reason.BAD_ANNOTATION, str(error), row.number, source))
    if not left_out:
        return [], []
    first = f"{left_out[0].file}: {left_out[0].detail}"
    return left_out, [f"{len(left_out)} masks left out, their films kept (first: {first})"]


def add_boxes(paths: FilmPaths, rows: list[FolderRow], source: str) -> tuple[list[LeftOut], list[str]]:
    """Give every row the boxes of its film; a box that cannot be used, or comes twice, is listed."""
    by_file = defaultdict(list)
    for row in rows:
        # A file may be listed in several rows, under several image ids.
        by_file[place_of(paths, row.file)].append(row)
    left_out: list[LeftOut] = []
    num_clipped, outside, seen = 0, [], set()

    def refuse(number: int, detail: str) -> None:
        left_out.append(LeftOut(BOXES, Reason.BAD_ANNOTATION, detail, number, source))

    for number, file, box, label in read_box_table(paths.folder):
        key = (place_of(paths, file), box, finding_name(label))
        if key in seen:
            refuse(number, "the same box a second time")
            continue
        seen.add(key)
        if not by_file.get(key[0]):
            refuse(number, "no triplet of this file")
        for row in by_file.get(key[0], ()):
            if not (box.width > 0 and box.height > 0):
                refuse(number, f"box without area ({box.width:g} wide, {box.height:g} high)")
                continue
            # Boxes drawn by hand often reach a pixel over the edge.
            clipped = clip_box(box, row.size)
            if clipped is None:
                outside.append(number)
                refuse(number, "box outside its film")
                continue
            num_clipped += clipped != box
            row.record["boxes"].append({**clipped._asdict(), "label": key[2]})
    notes = [f"{num_clipped} boxes cut at the edge of their film"] if num_clipped else []
    notes += [f"{len(outside)} boxes outside their film left out (first: row {outside[0]})"] if outside else []
    return left_out, notes


def place_of(paths: FilmPaths, file: str) -> str:
    """The film that a cell means, however it is written; the cell itself where there is none."""
    try:
        return str(paths.find(file))
    except Unusable:
        return file
