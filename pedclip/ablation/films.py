"""Films of an arm: of some regions alone, fewer of some, with other experts, or with labels that say nothing."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np

from pedclip.anatomy import REGIONS
from pedclip.triplets.arrays import TripletArrays

Labels = Literal["given", "random"]
EqualIn = Literal["passes", "steps"]


@dataclass(frozen=True)
class FilmChoice:
    """Training films of an arm, with their labels.

    Args:
        regions: Films of these alone; () takes all.
        at_most: Region to number of training films, for a region that is to be rare; chosen by the seed.
        groups: Expert to its regions, which together are all 23 and none twice; {} has an expert for each region.
        labels: "given", or "random" for the control whose experts are told nothing: each film gets the label of some
            other film. (A fixed permutation of the regions would only rename the experts.)
        equal_in: What an arm of fewer films has in common with one of all: "passes" over its films, or "steps" of the
            optimizer, for which it passes over them more often.

    Raises:
        ValueError: An unknown region, a number below 2, or groups that leave out or repeat a region.
    """

    regions: tuple[str, ...] = ()
    at_most: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Labels = "given"
    equal_in: EqualIn = "passes"

    def __post_init__(self) -> None:
        # JSON brings lists.
        object.__setattr__(self, "regions", tuple(self.regions))
        object.__setattr__(self, "groups", {name: tuple(found) for name, found in self.groups.items()})
        if unknown := [region for region in (*self.regions, *self.at_most) if region not in REGIONS]:
            raise ValueError(f"there is no region {unknown[0]!r}: one of {', '.join(REGIONS)}")
        for region, number in self.at_most.items():
            if number < 2:
                raise ValueError(f"at_most of {region}={number!r} is not allowed: at least 2")
        # All regions: a film without an expert could not be trained on.
        grouped = [region for found in self.groups.values() for region in found]
        if self.groups and sorted(grouped) != sorted(REGIONS):
            wrong = sorted(set(REGIONS) ^ set(grouped)) or sorted(one for one in set(grouped) if grouped.count(one) > 1)
            raise ValueError(f"groups must hold each of the {len(REGIONS)} regions once; look at {', '.join(wrong)}")
        for name, allowed in (("labels", get_args(Labels)), ("equal_in", get_args(EqualIn))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is not allowed: one of {allowed}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values: only those that are not the default, so that finished cells outlive a new field."""
        plain = dataclasses.asdict(self)
        # A field added later has its default in all grids of before.
        default = dataclasses.asdict(FilmChoice())
        return {name: value for name, value in plain.items() if value != default[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ValueError: A name is unknown or a value not allowed.
        """
        known = [one.name for one in dataclasses.fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ValueError(f"films have no {unknown[0]!r}; they have {', '.join(known)}")
        return cls(**values)

    def rows(self, regions: np.ndarray, *, seed: int) -> np.ndarray:
        """Rows of the films to train on.

        Args:
            regions: (N,) indices into `REGIONS`.
            seed: Chooses the films of rare regions.

        Returns:
            (M,) in rising order.
        """
        # (N,) by name, as people write grids.
        names = np.asarray(REGIONS)[regions]  # (N,)
        kept = np.isin(names, self.regions) if self.regions else np.ones(len(names), bool)
        # The same seed gives MLP and MoBE the same rare films.
        rng = np.random.default_rng(seed)
        # Sorted: the order in a file must not decide which films are drawn.
        for region, number in sorted(self.at_most.items()):
            mine = rng.permutation(np.flatnonzero(kept & (names == region)))
            kept[mine[number:]] = False
        return np.flatnonzero(kept)

    def experts(self, regions: np.ndarray) -> np.ndarray:
        """Number of the expert of each film.

        Args:
            regions: (N,) indices into `REGIONS`.

        Returns:
            (N,) indices into `groups`, or the regions themselves where every one has an expert: those of the gate.
        """
        # Without groups expert and region have one numbering.
        if not self.groups:
            return regions
        places = {region: number for number, found in enumerate(self.groups.values()) for region in found}
        return np.asarray([places[REGIONS[region]] for region in regions], dtype=np.int64)

    @property
    def expert_names(self) -> tuple[str, ...]:
        """Region that stands for each expert: the first of its group, as a model names its experts by regions."""
        return tuple(found[0] for found in self.groups.values()) or REGIONS

    def labels_of(self, regions: np.ndarray) -> np.ndarray:
        """Labels to train with: the region that stands for the expert of each film.

        Args:
            regions: (N,) indices into `REGIONS`.

        Returns:
            (N,) indices into `REGIONS`.
        """
        places = np.asarray([REGIONS.index(name) for name in self.expert_names])  # (E,)
        found: np.ndarray = places[self.experts(regions)]
        return found

    def training_films(self, films: TripletArrays, *, seed: int) -> TripletArrays:
        """The training films of an arm; its labels are those of experts.

        Args:
            films: All training films, labelled by region.
            seed: Of the training: chooses films of rare regions and random labels.

        Raises:
            ValueError: Fewer than two films are left.
        """
        rows = self.rows(films.regions, seed=seed)
        # One pair has no negative.
        if len(rows) < 2:
            raise ValueError(f"{len(rows)} training films are left of {len(films)}: none of {', '.join(self.regions)}")
        labels = self.labels_of(films.regions[rows])
        if self.labels == "random":
            # Every expert keeps as many films as it had; which ones they are says nothing any more.
            labels = np.random.default_rng(seed).permutation(labels)
        return select(films, rows, labels=labels)

    def passes(self, epochs: int, *, all_batches: int, batches: int) -> int:
        """Passes over the films of an arm, at least 1.

        Args:
            epochs: Of an arm of all films.
            all_batches: Whole batches of all films.
            batches: Those of this arm; with 0 there is nothing to be equal to.
        """
        # Whole batches and not films: a pass leaves the incomplete one out.
        return max(1, round(epochs * all_batches / max(1, batches))) if self.equal_in == "steps" else epochs


def select(films: TripletArrays, rows: np.ndarray, *, labels: np.ndarray | None = None) -> TripletArrays:
    """Some rows of arrays.

    Args:
        films: N films.
        rows: (M,) rows.
        labels: (M,) instead of their regions.
    """

    # Columns may be lists or arrays, and digests and findings may be absent: ().
    def of(column: Any) -> Any:
        return [column[row] for row in rows] if len(column) else column

    return TripletArrays(
        images=films.images[rows],
        texts=of(films.texts),
        regions=films.regions[rows] if labels is None else labels,
        patients=of(films.patients),
        digests=of(films.digests),
        findings=of(films.findings),
    )
