"""Arms of the experiment: which films each trains on, in which order, and the arrays of these films.

All arms read the same reports and see as many pairs, so that they take the same number of optimizer steps, up to the
batch that an epoch leaves over. Validation and test films are real in all of them.
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pedclip.synthesis.arms import Within, common_reports, mixed, replaced, same_reports, shuffled
from pedclip.synthesis.copying import SyntheticCopy
from pedclip.synthesis.quality.encoders import resized
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.storage import load_triplets

if TYPE_CHECKING:
    from datasets import DatasetDict

REAL: Final = "real"
COARSE: Final = "coarse"
MAIN: Final = "domain"  # the generator whose films the mixed, two-stage and shuffled arms have
PERFECT: Final = "perfect"  # of the phantom alone
SHUFFLED: Final = "shuffled"
IN_REGION: Final = "in-region"
GENERATORS: Final = ("generic", MAIN, PERFECT)


@dataclass(frozen=True)
class Stage:
    """One training.

    Args:
        films: Name of a set, as `film_sets` gives them.
        fraction: Of the passes of the real arm, in (0, 1].
    """

    films: str
    fraction: float = 1.0


@dataclass(frozen=True)
class Arm:
    """Films that an encoder is pre-trained on.

    Args:
        name: As it is reported.
        words: What it is, for a table.
        stages: One training after the other, each from the checkpoint of the one before.
    """

    name: str
    words: str
    stages: tuple[Stage, ...]

    @property
    def generators(self) -> frozenset[str]:
        """Generators that must have drawn a copy for it."""
        sets = {stage.films for stage in self.stages}
        # Coarse films are as coarse as those of the main generator.
        needs_main = {COARSE, "mixed", SHUFFLED, IN_REGION} & sets
        return frozenset(sets & set(GENERATORS)) | (frozenset([MAIN]) if needs_main else frozenset())


ARMS: Final[Mapping[str, Arm]] = {
    arm.name: arm
    for arm in (
        Arm(REAL, "real films", (Stage(REAL),)),
        Arm(COARSE, "real films, no sharper than the generator draws", (Stage(COARSE),)),
        Arm("generic", "films of a generator without medical pictures", (Stage("generic"),)),
        Arm(MAIN, "films of a generator of this domain", (Stage(MAIN),)),
        Arm(PERFECT, "films of a generator that knows what reports mean", (Stage(PERFECT),)),
        # Twice the films, so half the passes.
        Arm("mixed", "real films and those of the domain generator", (Stage("mixed", 0.5),)),
        Arm("then-real", "films of the domain generator, then real ones", (Stage(MAIN, 0.5), Stage(REAL, 0.5))),
        Arm(SHUFFLED, "films of the domain generator, each of another report", (Stage(SHUFFLED),)),
        # What films tell of a report beyond its region is lost, and nothing else.
        Arm(IN_REGION, "the same, each of another report of its region", (Stage(IN_REGION),)),
    )
}


def film_sets(
    triplets: "DatasetDict",
    copies: Mapping[str, SyntheticCopy],
    wanted: Collection[Arm],
    *,
    folder: Path,
    size: int,
    seed: int = 0,
) -> dict[str, TripletArrays]:
    """Training films of every stage of some arms.

    Args:
        triplets: The real data.
        copies: By generator, those that the arms need.
        wanted: The arms.
        folder: Gets the image caches.
        size: Height and width of the arrays, pixels; films of another size are brought to it.
        seed: Of the shuffled arm.

    Returns:
        By name of the set. A report without a film in one of the copies is in none of them.

    Raises:
        ValueError: A copy is missing, or as `replaced` and `shuffled`; the message names the arm.
    """
    needed = sorted(set().union(*(arm.generators for arm in wanted)))
    if missing := [name for name in needed if name not in copies]:
        raise ValueError(f"the arms need films of {', '.join(missing)}, of which there is no copy")
    # All copies given, also those that nobody asks for: the same reports whatever the choice of arms.
    drawn = common_reports({name: load_triplets(copy.folder) for name, copy in copies.items()})
    real = same_reports(triplets, next(iter(drawn.values()))) if drawn else triplets
    found: dict[str, TripletArrays] = {}
    for name in dict.fromkeys(stage.films for arm in wanted for stage in arm.stages):
        # Coarse films are the real ones again, so they are read from the same cache.
        data = _set(REAL if name == COARSE else name, real, drawn, seed)
        arrays = to_arrays(data["train"], folder / (REAL if name == COARSE else name), size=size)
        found[name] = _coarse(arrays, copies[MAIN], size) if name == COARSE else arrays
    return found


def impossible_arms(
    triplets: "DatasetDict", copies: Mapping[str, SyntheticCopy], wanted: Collection[Arm], *, seed: int = 0
) -> dict[str, str]:
    """Arms that these reports allow no control of: their texts are too much alike to exchange films.

    Args:
        triplets: The real data.
        copies: By generator, those that will be given to `film_sets`.
        wanted: Arms to ask about.
        seed: As for `film_sets`.

    Returns:
        By name of the arm the reason.
    """
    drawn = common_reports({name: load_triplets(copy.folder) for name, copy in copies.items()})
    reasons = {}
    for arm in wanted:
        if arm.name in (SHUFFLED, IN_REGION):
            try:
                _set(arm.name, triplets, drawn, seed)
            except ValueError as error:
                reasons[arm.name] = str(error)
    return reasons


def _set(name: str, real: "DatasetDict", drawn: Mapping[str, "DatasetDict"], seed: int) -> "DatasetDict":
    if name == REAL:
        return real
    if name == "mixed":
        return mixed(real, drawn[MAIN])
    if name in (SHUFFLED, IN_REGION):
        within: Within = "region" if name == IN_REGION else "all"
        try:
            return shuffled(replaced(real, drawn[MAIN]), seed=seed, within=within)
        except ValueError as error:
            # Some reports are too much alike; every other arm can be had.
            raise ValueError(f"there can be no arm {name}: {error}") from error
    return replaced(real, drawn[name])


def _coarse(films: TripletArrays, copy: SyntheticCopy, size: int) -> TripletArrays:
    # What is lost by the size of the drawn films alone; a generator as sharp as the real ones loses nothing.
    drawn = min(size, int(copy.head["generator"]["image_size"]))
    return dataclasses.replace(films, images=resized(films.images, compared_at=drawn, size=size))
