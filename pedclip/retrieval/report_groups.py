"""Groups of a report's sentences, and the different texts among many reports."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

from pedclip.curation.report.sentences import split_sentences
from pedclip.retrieval.config import ShortReports

Group = tuple[str, ...]  # sentences that have one prototype
NUM_GROUPS: Final = 25  # K − 1


def sentence_groups(num_sentences: int, num_groups: int, *, short: ShortReports = "mask") -> tuple[range, ...]:
    """Contiguous groups of sentences in reading order, of sizes that differ by one at most.

    Args:
        num_sentences: Of the report, at least 1.
        num_groups: K − 1, at least 1.
        short: With fewer sentences than groups, "mask" makes groups of one sentence and leaves the last ones empty,
            "repeat" gives group g the sentence ⌊g·S/(K−1)⌋ (decision E12).

    Returns:
        `num_groups` ranges of sentence numbers.

    Raises:
        ValueError: A number below 1.

    Example:
        >>> [len(group) for group in sentence_groups(7, 3)], [len(group) for group in sentence_groups(2, 3)]
        ([2, 2, 3], [1, 1, 0])
    """
    if num_sentences < 1 or num_groups < 1:
        raise ValueError(f"num_sentences={num_sentences}, num_groups={num_groups} is not allowed: each at least 1")
    if num_sentences >= num_groups:
        # ⌊g·S/G⌋ for g = 0…G: sizes differ by one, and the sum is S.
        bounds = [group * num_sentences // num_groups for group in range(num_groups + 1)]
        return tuple(range(begin, end) for begin, end in pairwise(bounds))
    # One sentence each, and what is behind the last one is absent.
    if short == "mask":
        return tuple(range(group, min(group + 1, num_sentences)) for group in range(num_groups))
    # ⌊(g+1)·S/G⌋ may equal ⌊g·S/G⌋, so bounds would leave groups empty here.
    firsts = [group * num_sentences // num_groups for group in range(num_groups)]
    return tuple(range(first, first + 1) for first in firsts)


def split_groups(
    reports: Sequence[str], num_groups: int = NUM_GROUPS, *, short: ShortReports = "mask"
) -> list[list[Group]]:
    """The sentences of each group of each report, () where the report has no such group.

    Args:
        reports: Texts, such as the findings sections of reports; headings count as sentences.
        num_groups: K − 1.
        short: See `sentence_groups`.

    Raises:
        ValueError: Reports without a sentence; the message numbers them.
    """
    sentences = [[sentence.text for sentence in split_sentences(report)] for report in reports]
    # No prototype of nothing: all such reports would be one point, which every query might meet.
    if empty := [number for number, found in enumerate(sentences) if not found]:
        numbers = ", ".join(map(str, empty[:5])) + (", …" if len(empty) > 5 else "")
        raise ValueError(
            f"{len(empty)} of {len(reports)} reports are empty (rows {numbers}): leave them out, count them"
        )
    return [
        [tuple(found[number] for number in group) for group in sentence_groups(len(found), num_groups, short=short)]
        for found in sentences
    ]


def unique_texts(reports: Sequence[str]) -> tuple[list[str], Tensor]:
    """Different reports in order of first occurrence, and which of them each report is.

    Args:
        reports: N texts, one per film; equal up to white space is equal.

    Returns:
        R texts, and (N,) indices into them.
    """
    # Line breaks come from whatever wrote the report; its words tell whether two are the same.
    numbers: dict[str, int] = {}
    # setdefault numbers a new text by how many there were before it.
    found = [numbers.setdefault(" ".join(report.split()), len(numbers)) for report in reports]
    return list(numbers), torch.tensor(found, dtype=torch.long)
