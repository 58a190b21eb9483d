"""The perfect generator: films that the phantom draws for reports of its own, the upper bound of any other."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np

from pedclip.data.phantom.imaging.render import MIN_SIZE
from pedclip.data.phantom.population import StudyPlan, plan_study
from pedclip.data.phantom.retake import Retake, draw_retakes
from pedclip.data.phantom.study import report_of
from pedclip.synthesis.generator import Films

_STUDY: Final = re.compile(r"(?:.*/)?phantom-(\d+)-s(\d+)", re.ASCII)  # a union writes a folder before it


class _Told(NamedTuple):
    """A film that a text was written about."""

    plan: StudyPlan
    part: int
    view: str
    seed: int


class PhantomGenerator:
    """Films of other patients with the facts that a report of the phantom tells.

    A text is looked up among the reports of the given studies, word for word, and its study drawn again with another
    body (`pedclip.data.phantom.Retake`). Where several films have one text, the seed chooses among them, and so the
    view. It knows more than any text tells, such as the exact degree of a finding and the bone age: no generator that
    reads the text alone can be expected to reach it. Other wording than the phantom's is not understood.

    Args:
        studies: Identifiers of the phantom's studies, such as the column `study_id`; repetitions are fine.
        image_size: Height and width of the films, at least 32 pixels.

    Raises:
        ValueError: No studies, an identifier that the phantom does not give, or a size below 32.

    Example:
        >>> generator = PhantomGenerator(["phantom-0-s000000"], image_size=32)
        >>> generator.generate(generator.texts[:1], seeds=[7]).shape
        (1, 32, 32)
    """

    name: Final = "phantom"
    prompt: Final = "excerpt"  # it knows its own excerpts, word for word

    def __init__(self, studies: Sequence[str], *, image_size: int = 224) -> None:
        if image_size < MIN_SIZE:
            raise ValueError(f"image_size={image_size} is not allowed: at least {MIN_SIZE} pixels")
        self.image_size: Final = image_size
        # Sorted and each once, so that the order of the rows changes neither description nor films.
        self._studies = sorted({_number_of(study) for study in studies})
        if not self._studies:
            raise ValueError("no studies: give identifiers of the phantom, such as 'phantom-0-s000000'")

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that it can draw."""
        return tuple(self._told)

    def generate(self, texts: Sequence[str], *, seeds: Sequence[int]) -> Films:
        """Films of texts: (B, H, W) uint8; each the same whatever the batch, bit for bit on one machine.

        Args:
            texts: B texts of the phantom, equal up to white space.
            seeds: One per text: another seed, another patient.

        Raises:
            ValueError: Texts that are in no report of the studies; they are numbered, not quoted.
        """
        keys = [" ".join(text.split()) for text in texts]
        if unknown := [number for number, key in enumerate(keys) if key not in self._told]:
            raise ValueError(
                f"{len(unknown)} of {len(texts)} texts (the first is number {unknown[0]}) are in no report of these "
                f"{len(self._studies)} studies of the phantom; it draws excerpts that it wrote itself, unchanged"
            )
        return draw_retakes(
            [self._retake(key, seed) for key, seed in zip(keys, seeds, strict=True)], self.image_size
        )  # (B, H, W)

    def is_cut(self, texts: Sequence[str]) -> list[bool]:
        """False for every text: they are looked up as a whole."""
        return [False] * len(texts)

    def describe(self) -> dict[str, Any]:
        """Kind, number of studies, and the SHA-256 of which they are."""
        digest = hashlib.sha256(repr(self._studies).encode()).hexdigest()
        return {"kind": "phantom", "num_studies": len(self._studies), "studies_sha256": digest}

    def _retake(self, key: str, seed: int) -> Retake:
        # The seed alone chooses, never a counter: the batch must not matter.
        choices = self._told[key]
        told = choices[int(np.random.default_rng(seed).integers(len(choices)))]
        return Retake(told.plan, told.part, told.view, told.seed, body=int(seed))

    @cached_property
    def _told(self) -> dict[str, list[_Told]]:
        # Reports without films: a thousand studies take about five seconds.
        found: dict[str, list[_Told]] = {}
        for seed, number in self._studies:
            for text, told in _films(seed, number):
                found.setdefault(text, []).append(told)
        return found


def _films(seed: int, number: int) -> Iterator[tuple[str, _Told]]:
    # Both from the number alone, as the phantom made them.
    plan, report = plan_study(number, seed), report_of(number, seed=seed)
    for part, sentences in enumerate(report.part_excerpts):
        # As the triplets have it.
        text = " ".join(" ".join(sentences).split())
        yield from ((text, _Told(plan, part, view, seed)) for view in plan.parts[part].views)


def _number_of(study: str) -> tuple[int, int]:
    if (match := _STUDY.fullmatch(study)) is None:
        raise ValueError(f"study {study!r} is none of the phantom; expected identifiers such as 'phantom-0-s000000'")
    return int(match[1]), int(match[2])
