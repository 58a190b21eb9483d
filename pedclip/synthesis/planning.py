"""Plan of a copy: which triplets get a film, of which prompt and seed, and which are left out and why."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from pedclip.anatomy import REGIONS
from pedclip.synthesis.generator import Generator, SeedMode, check_seeds, film_seeds
from pedclip.synthesis.prompts import Prompt, prompt_of
from pedclip.triplets.left_out import LeftOut, Reason
from pedclip.triplets.sources import real_source, synthetic_source
from pedclip.triplets.splits import SPLITS

if TYPE_CHECKING:
    from datasets import DatasetDict

VERSION: Final = 1  # of plan and manifest: raise it when the same options give other films
# All that a plan reads: films stay on disk.
_COLUMNS: Final = ("text", "region", "laterality", "image_id", "source")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CopyOptions:
    """Options of a copy; its documentation is that of `synthetic_copy`.

    Raises:
        ValueError: A value is out of its range.
    """

    seed: int = 0
    prompt: Prompt = "excerpt"
    seed_mode: SeedMode = "per_report"
    min_words: int = 1
    batch_size: int = 8
    splits: tuple[str, ...] = ("train",)

    def __post_init__(self) -> None:
        # At once, before texts are read or weights are loaded.
        check_seeds([self.seed], 1)
        object.__setattr__(self, "seed", int(self.seed))  # JSON knows no number of NumPy
        for name, kind in (("prompt", Prompt), ("seed_mode", SeedMode)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}={getattr(self, name)!r} is not allowed: one of {get_args(kind)}")
        for name in ("min_words", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name}={value!r} is not allowed: a whole number, at least 1")
        # Not one text: "train" is a sequence of letters, too.
        is_known = isinstance(self.splits, tuple) and set(self.splits) <= set(SPLITS)
        if not is_known or not self.splits or len(set(self.splits)) < len(self.splits):
            raise ValueError(f"splits={self.splits!r} is not allowed: some of {SPLITS}, each once")


@dataclass(frozen=True, slots=True)
class PlannedFilm:
    """One film before it is drawn.

    Args:
        split: Of its triplet.
        row: Of its triplet in the split.
        image_id: Of its triplet.
        source: Data set of the report.
        prompt: What the generator is told.
        is_cut: True where the generator reads only the beginning.
        seed: Of the film.
    """

    split: str
    row: int
    image_id: str
    source: str
    prompt: str
    is_cut: bool
    seed: int

    def record(self) -> dict[str, Any]:
        """A line of the manifest, without the film."""
        return {
            "image_id": self.image_id,
            "source": self.source,
            "split": self.split,
            "prompt": self.prompt,
            "prompt_sha256": hashlib.sha256(self.prompt.encode()).hexdigest(),
            "is_cut": self.is_cut,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class CopyPlan:
    """Everything that is known before the first film is drawn.

    Args:
        films: In the order in which they are drawn.
        left_out: Triplets without a film.
        identity: What decides the films, as JSON: two plans with one identity give the same films.
    """

    films: tuple[PlannedFilm, ...]
    left_out: tuple[LeftOut, ...]
    identity: dict[str, Any]

    @property
    def num_cut(self) -> int:
        """Films of whose prompt the generator reads only the beginning."""
        return sum(film.is_cut for film in self.films)


def plan_copy(triplets: "DatasetDict", generator: Generator, options: CopyOptions) -> CopyPlan:
    """The plan of a copy.

    Args:
        triplets: Splits with the features of the schema.
        generator: Draws the films.
        options: Which triplets, prompts and seeds.

    Raises:
        ValueError: No triplet is left, two films of one source have one identifier, or the generator has a name that
            `synthetic_source` refuses.
    """
    synthetic_source(generator.name, "")  # a name that no source can have is told before a film is drawn
    # In the order of the rows, which "run" seeds and the batches follow.
    chosen, left_out = [], []
    for split in options.splits:
        for row, entry in enumerate(triplets[split].select_columns(list(_COLUMNS))):
            found = _prompt_or_reason(entry, options)
            if isinstance(found, LeftOut):
                left_out.append(found)
            else:
                chosen.append((split, row, entry["image_id"], real_source(entry["source"]), found))
    if not chosen:
        raise ValueError(f"no triplet of {', '.join(options.splits)} has a prompt; {len(left_out)} were left out")
    # With the source: two archives may both have a film number 1.
    names = [f"{source}/{image}" for _, _, image, source, _ in chosen]
    seeds = film_seeds(names, seed=options.seed, mode=options.seed_mode)
    # Of all at once, so that a reader knows before the first film how much of the reports is lost.
    is_cut = generator.is_cut([prompt for *_, prompt in chosen])
    if len(is_cut) != len(chosen):
        raise ValueError(f"is_cut of {generator.name} told {len(is_cut)} answers for {len(chosen)} texts")
    films = tuple(PlannedFilm(*some, bool(cut), seed) for some, cut, seed in zip(chosen, is_cut, seeds, strict=True))
    plan = CopyPlan(films, tuple(left_out), _identity(films, generator, options))
    if plan.num_cut:
        _log.info(
            "%d of %d prompts (%.1f %%) are longer than %s reads: their ends have no part in the films",
            *(plan.num_cut, len(films), 100 * plan.num_cut / len(films), generator.name),
        )
    return plan


def _prompt_or_reason(entry: Mapping[str, Any], options: CopyOptions) -> str | LeftOut:
    text, source = entry["text"] or "", real_source(entry["source"])
    region = REGIONS[entry["region"]]  # stored as its number
    prompt = prompt_of(text, prompt=options.prompt, region=region, laterality=entry["laterality"] or "")
    if not prompt:
        # Two causes that a reader must be able to tell apart.
        detail = "no text" if not text.strip() else f"no {options.prompt} in the text"
        return LeftOut(entry["image_id"], Reason.NO_TEXT, detail, source=source)
    # Of the report: the name of a region before it makes no report longer.
    words = text if options.prompt == "named" else prompt
    if len(words.split()) < options.min_words:
        return LeftOut(entry["image_id"], Reason.NO_TEXT, f"fewer than {options.min_words} words", source=source)
    return prompt


def _identity(films: tuple[PlannedFilm, ...], generator: Generator, options: CopyOptions) -> dict[str, Any]:
    # Every prompt, seed and row: another data set under the same options is another copy.
    digest = hashlib.sha256()
    for film in films:
        digest.update(json.dumps([film.row, *film.record().values()]).encode())
    described = {**generator.describe(), "name": generator.name, "image_size": generator.image_size}
    content = {"version": VERSION, "generator": described, "options": asdict(options), "reports": digest.hexdigest()}
    # As it will be read again: tuples become lists, and what JSON cannot hold shows now.
    plain: dict[str, Any] = json.loads(json.dumps(content, allow_nan=False))
    return plain
