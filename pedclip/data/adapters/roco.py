"""ROCO: figures of open-access articles with captions; only those whose caption says that it is a radiograph."""

import re
from collections.abc import Iterator
from typing import Final

from pedclip.anatomy import find_mentions
from pedclip.data.adapters.reader import Reader
from pedclip.data.adapters.sample import Sample
from pedclip.triplets.left_out import Reason, Unusable

_PARTS: Final = ("test", "validation", "train")
_RADIOGRAPH: Final = re.compile(r"\b(x[- ]?rays?|radiograph\w*|roentgenogram\w*|plain films?)\b", re.IGNORECASE)
_OTHER: Final = re.compile(
    r"\b(ct|mri?|mra|pet|computed|tomograph\w*|magnetic|ultraso\w*|sonogra\w*|echocardio\w*|scintigra\w*|angiogra\w*)\b",
    re.IGNORECASE,
)


def read_roco(reader: Reader) -> Iterator[Sample]:
    """Radiographs with their caption; the article stands for the patient."""
    for part in _PARTS:
        articles = _articles(reader, part)

        # Bound as defaults, so that the closure does not follow the loop.
        def build(number: int, cells: list[str], part: str = part, articles: dict[str, str] = articles) -> Sample:
            return _sample(reader, part, articles, number, cells)

        lines = reader.lines(reader.table(f"data/{part}/radiology/captions.txt"), separator="\t")
        yield from reader.samples(lines, build, lambda cells: cells[0])


def _articles(reader: Reader, part: str) -> dict[str, str]:
    """Article of each figure: "ROCO_00001,PMC123_figure.jpg,CC BY" is of PMC123."""
    lines = reader.lines(reader.table(f"data/{part}/radiology/licences.txt"))
    return {cells[0]: cells[1].split("_")[0] for _, cells in lines if len(cells) >= 2}


def _sample(reader: Reader, part: str, articles: dict[str, str], number: int, cells: list[str]) -> Sample:
    if len(cells) != 2:
        raise Unusable(Reason.BROKEN_ROW, f"line of {len(cells)} cells; expected figure and caption")
    figure, caption = cells[0], " ".join(cells[1].split())
    if figure not in articles:
        raise Unusable(Reason.NO_PATIENT, "no article in licences.txt; without it the split could leak")
    # A caption with CT and radiograph may be of either.
    if not _RADIOGRAPH.search(caption) or _OTHER.search(caption):
        raise Unusable(Reason.NOT_A_RADIOGRAPH, "the caption does not say that it is a radiograph alone")
    # One film, one region; a caption of several does not say which is shown.
    regions = {mention.region for mention in find_mentions(caption)}
    if len(regions) != 1:
        raise Unusable(Reason.REGION_UNKNOWN, f"the caption names {len(regions)} regions instead of one")
    image = f"data/{part}/radiology/images/{figure}.jpg"
    return Sample(
        path=reader.root / image,
        file=image,
        row=number,
        image_id=figure,
        patient_id=articles[figure],
        region=regions.pop(),
        split=part,
        text=caption,
    )
