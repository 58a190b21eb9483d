"""The door of every generator: texts and seeds in, films out; and where the seeds come from."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pedclip.synthesis.prompts import Prompt

SeedMode = Literal["per_report", "fixed_each", "run"]
Films = NDArray[np.uint8]

SEED_BITS: Final = 63  # what torch, NumPy and a column of whole numbers can all hold


@runtime_checkable
class Generator(Protocol):
    """Films from texts: the same film for a text and a seed, whatever else is in the batch.

    Attributes:
        name: In the column `source` and in manifests: letters, digits and . + - _.
        image_size: Height and width of its films, pixels.
        prompt: What of a triplet it is meant to be told, see `prompt_of`.
    """

    @property
    def name(self) -> str:
        """Short name."""
        ...

    @property
    def image_size(self) -> int:
        """Height and width of the films, pixels."""
        ...

    @property
    def prompt(self) -> Prompt:
        """Part of a triplet that it is meant to be told."""
        ...

    def generate(self, texts: Sequence[str], *, seeds: Sequence[int]) -> Films:
        """Films of texts.

        Args:
            texts: B texts, none blank.
            seeds: One per text, each from 0 to 2⁶³ - 1.

        Returns:
            (B, H, W) grey levels, 0 black to 255 white.
        """
        ...

    def is_cut(self, texts: Sequence[str]) -> list[bool]:
        """True for each text that is longer than the generator reads."""
        ...

    def describe(self) -> dict[str, Any]:
        """Everything that decides a film besides text and seed, as JSON: kind, SHA-256 of the weights, steps and more.

        Two generators that describe themselves alike draw alike.
        """
        ...


def film_seeds(reports: Sequence[str], *, seed: int, mode: SeedMode = "per_report") -> list[int]:
    """Seeds of the films of reports.

    Args:
        reports: N identifiers, each once.
        seed: Of the run, 0 to 2⁶³ - 1.
        mode: "per_report" hashes the run's seed with the identifier, so that a film depends on neither the order nor
            the number of the others; "fixed_each" gives every film the seed of the run, and so the same initial noise:
            films of near-equal texts become near copies; "run" draws all seeds in order from one generator.

    Returns:
        N seeds from 0 to 2⁶³ - 1.

    Raises:
        ValueError: An unknown mode, a seed out of range, or an identifier that occurs twice.

    Source: "the same random seed for every image" (synthetic-data paper) is read as "fixed_each" or "run"; "per_report"
        is ours (methods/synthetic.md, Y4).

    Example:
        >>> film_seeds(["a", "b"], seed=0) == film_seeds(["b", "a"], seed=0)[::-1]
        True
    """
    if mode not in get_args(SeedMode):
        raise ValueError(f"seed_mode={mode!r} is not allowed: one of {get_args(SeedMode)}")
    check_seeds([seed], 1)
    # Two equal identifiers would get two equal films of one text.
    if len(set(reports)) < len(reports):
        raise ValueError(f"{len(reports) - len(set(reports))} identifiers occur twice; each film needs one of its own")
    # As printed, in two readings; then ours.
    if mode == "fixed_each":
        return [int(seed)] * len(reports)
    if mode == "run":
        return [int(one) for one in np.random.default_rng(seed).integers(2**SEED_BITS, size=len(reports))]
    return [_hashed(seed, report) for report in reports]


def _hashed(seed: int, report: str) -> int:
    # A zero between the two, or seed 1 of report "2x" and seed 12 of report "x" would be one film.
    digest = hashlib.sha256(f"{seed}\0{report}".encode()).digest()
    # The upper bits, which are as random as any.
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


def check_seeds(seeds: Sequence[int], count: int) -> None:
    """A ValueError for seeds that are not `count` whole numbers from 0 to 2⁶³ - 1."""
    if len(seeds) != count:
        raise ValueError(f"{len(seeds)} seeds for {count} texts: give one each")
    for seed in seeds:
        # True is the number 1 to Python, and a slip of the pen to everyone else.
        is_number = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        if not is_number or not 0 <= seed < 2**SEED_BITS:
            raise ValueError(f"seed {seed!r} is not allowed: a whole number from 0 to 2**{SEED_BITS} - 1")


def draw_films(generator: Generator, texts: Sequence[str], *, seeds: Sequence[int]) -> Films:
    """Films of a generator, checked on the way in and out.

    Args:
        generator: Any.
        texts: B texts.
        seeds: One per text.

    Returns:
        (B, H, W) uint8, where H and W are the generator's `image_size`.

    Raises:
        ValueError: A blank text, a seed out of range, or films of another number, size or type than promised.
    """
    check_seeds(seeds, len(texts))
    # A film of nothing would be paired with a report that says nothing.
    if blank := [number for number, text in enumerate(texts) if not text.strip()]:
        raise ValueError(
            f"{len(blank)} of {len(texts)} texts are blank (the first is number {blank[0]}): leave them out"
        )
    size = generator.image_size
    # Nothing is asked for nothing: libraries fail on an empty batch.
    films = generator.generate(texts, seeds=seeds) if texts else np.zeros((0, size, size), np.uint8)
    # A wrong scale or a film too few would pair every later film with another report.
    expected = (len(texts), size, size)  # (B, H, W)
    if not isinstance(films, np.ndarray) or films.dtype != np.uint8 or films.shape != expected:
        found = f"{films.dtype} {films.shape}" if isinstance(films, np.ndarray) else type(films).__name__
        raise ValueError(f"{generator.name} gave {found}, expected uint8 {expected}")
    return films
