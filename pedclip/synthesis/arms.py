"""Arms of an experiment on drawn films: real, synthetic, both, and synthetic films of other reports.

All arms keep the real validation and test films of the data set. Training on synthetic films first and on real ones
then is two trainings, the second from the checkpoint of the first.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pedclip.anatomy import REGIONS
from pedclip.triplets.schema import FEATURES, with_optional
from pedclip.triplets.sources import is_synthetic, real_source

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Within = Literal["all", "region"]

_OF_THE_FILM: Final = ("image", "view", "boxes", "mask", "structures", "bone_age_months")
_PASSES: Final = 2  # over all rows, exchanging films at random


def replaced(real: "DatasetDict", synthetic: "DatasetDict") -> "DatasetDict":
    """The synthetic arm: drawn films for training, real ones for validation and test.

    Args:
        real: The data set.
        synthetic: A copy of its training split.

    Raises:
        ValueError: A film of the copy is real, or of a report that is not in the real training split.
    """
    _check_copy(real, synthetic)
    return _with_training(real, synthetic["train"])


def mixed(real: "DatasetDict", synthetic: "DatasetDict") -> "DatasetDict":
    """The arm of both: for training real films, then drawn ones under identifiers "synthetic/<identifier>".

    Args:
        real: The data set.
        synthetic: A copy of its training split.

    Raises:
        ValueError: As for `replaced`.
    """
    from datasets import concatenate_datasets

    _check_copy(real, synthetic)
    # Identifiers of films are unique within a set, and a drawn film has that of the real one.
    drawn = _with_column(
        with_optional(synthetic["train"]), "image_id", [f"synthetic/{one}" for one in synthetic["train"]["image_id"]]
    )
    return _with_training(real, concatenate_datasets([with_optional(real["train"]), drawn]))


def same_reports(real: "DatasetDict", synthetic: "DatasetDict") -> "DatasetDict":
    """The real arm: real training films of those reports alone that have a drawn film, in its order.

    Args:
        real: The data set.
        synthetic: A copy of its training split.

    Raises:
        ValueError: As for `replaced`.
    """
    rows = _check_copy(real, synthetic)
    # Equal reports in equal order: the arms then differ in their films alone.
    return _with_training(real, real["train"].select(rows))


def common_reports(copies: Mapping[str, "DatasetDict"]) -> dict[str, "DatasetDict"]:
    """Copies of one data set, each with the training films of those reports alone that have a film in all of them.

    Args:
        copies: By name, such as of the generator.

    Returns:
        By the same names, in the order of the first: row i of all of them is of one report.
    """
    # One generator may have drawn a grey film, which its copy leaves out.
    places = {name: {key: row for row, key in enumerate(_keys(one["train"]))} for name, one in copies.items()}
    first = next(iter(places.values()), {})
    kept = [key for key in first if all(key in rows for rows in places.values())]
    return {
        name: _with_training(one, one["train"].select([places[name][key] for key in kept]))
        for name, one in copies.items()
    }


def shuffled(triplets: "DatasetDict", *, seed: int, within: Within = "all") -> "DatasetDict":
    """The lower control: every training report with the film of another report, whose text is never the same.

    Kept are all films and all reports, each exactly once, so that the distributions of both are what they were; only
    what the film tells of its report is lost. With `within="region"` the region still fits, and the findings do not.
    Text, region, findings, identifiers and all else stay with the report; image, view and annotations go with the film.

    Args:
        triplets: Such as from `replaced`; validation and test stay as they are.
        seed: Of the choice, 0 or more.
        within: "all" exchanges films between any two reports, "region" between reports of one region.

    Raises:
        ValueError: One text has more than half of the films, so that some would keep it; or an unknown `within`.
    """
    if within not in get_args(Within):
        raise ValueError(f"within={within!r} is not allowed: one of {get_args(Within)}")
    data = with_optional(triplets["train"])
    texts, regions = [" ".join((text or "").split()) for text in data["text"]], np.asarray(data["region"])
    partner = np.arange(len(data))  # (N,) row whose film each row gets
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(regions == region) for region in np.unique(regions)] if within == "region" else [partner]
    # One generator for all groups, so that one seed tells the whole choice.
    for rows in groups:
        where = f" of {REGIONS[regions[rows[0]]]}" if within == "region" else ""
        partner[rows] = rows[derangement([texts[row] for row in rows], rng, where=where)]
    # The films move, since columns of text are cheaper to write anew than films.
    moved = data.select(partner)
    for name in FEATURES:
        if name not in _OF_THE_FILM:
            moved = _with_column(moved, name, data[name][:])
    return _with_training(triplets, moved.select_columns(list(FEATURES)))


def derangement(texts: Sequence[str], rng: np.random.Generator, *, where: str = "") -> NDArray[np.int64]:
    """Random partners, each of another text.

    Args:
        texts: N texts, some equal.
        rng: Chooses.
        where: For the message.

    Returns:
        (N,) a permutation p with texts[p[i]] != texts[i] for every i.

    Raises:
        ValueError: There is none: one text is that of more than half.
    """
    counts = Counter(texts)
    most = max(counts.values(), default=0)
    if 2 * most > len(texts):
        raise ValueError(
            f"one text has {most} of the {len(texts)} films{where}: they cannot all get another one's film"
        )
    # Equal texts side by side, in random order: a step as long as the longest run leads out of every run.
    shuffled_rows = rng.permutation(len(texts))
    first = {text: place for place, text in reversed([*enumerate(texts[row] for row in shuffled_rows)])}
    order = np.array(sorted(shuffled_rows, key=lambda row: first[texts[row]]), dtype=np.int64)
    partner = np.empty(len(texts), dtype=np.int64)
    partner[order] = np.roll(order, -most)  # round the end, where the first run is no longer than the step
    # That is one derangement; exchanges that keep it one make it a random one.
    for _ in range(_PASSES):
        # (N,) someone to exchange with for each, who may be anyone.
        for one, other in enumerate(rng.integers(len(texts), size=len(texts))):
            if texts[partner[one]] != texts[other] and texts[partner[other]] != texts[one]:
                partner[[one, other]] = partner[[other, one]]
    return partner


def _check_copy(real: "DatasetDict", synthetic: "DatasetDict") -> list[int]:
    """Row in the real training split of each drawn film."""
    train = real["train"]
    rows = {key: row for row, key in enumerate(_keys(train))}
    # A film of a validation or test report would train on what is evaluated.
    keys = _keys(synthetic["train"])
    if real_films := sum(not is_synthetic(source) for source in synthetic["train"]["source"]):
        raise ValueError(f"{real_films} of {len(keys)} films of the copy are real; expected a folder of synthetic_copy")
    if unknown := [key for key in keys if key not in rows]:
        raise ValueError(
            f"{len(unknown)} of {len(keys)} drawn films are of reports that are not in the training split of the data: "
            "a copy of other data, or of its validation or test films"
        )
    return [rows[key] for key in keys]


def _keys(split: "Dataset") -> list[tuple[str, str]]:
    return [(real_source(source), image) for source, image in zip(split["source"], split["image_id"], strict=True)]


def _with_training(triplets: "DatasetDict", train: "Dataset") -> "DatasetDict":
    from datasets import DatasetDict

    return DatasetDict({**triplets, "train": train})


def _with_column(data: "Dataset", name: str, values: Sequence[Any]) -> "Dataset":
    # `add_column` puts it last; the schema has an order.
    order = data.column_names
    changed = data.remove_columns(name).add_column(name, list(values), feature=FEATURES[name])
    return changed.select_columns(order)
