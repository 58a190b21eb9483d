"""Rows of a quality report: one number each, with the arm, the encoder and the direction in which it is better."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pedclip.anatomy import display_name
from pedclip.evaluation.metrics.bootstrap import Interval, Record
from pedclip.evaluation.metrics.interval import TOO_FEW
from pedclip.synthesis.quality.agreement import FindingAgreement, TextAgreement
from pedclip.synthesis.quality.classifiers import RegionAccuracy
from pedclip.synthesis.quality.coverage import ManifoldCoverage
from pedclip.synthesis.quality.diversity import Diversity
from pedclip.synthesis.quality.frechet import FrechetDistance, KernelDistance
from pedclip.synthesis.quality.memorisation import Memorisation

Role = Literal["synthetic", "ceiling", "floor"]
Better = Literal["lower", "higher", "near 0.5", "near the ceiling"]
# Rows that say whether films are copies, in this order.
COPY_MEASURES: Final = (
    "nearer to training than test",
    "nearer to one training film than test",
    "median distance ratio",
    "near copies",
)
_CEILING: Final = "near the ceiling"


@dataclass(frozen=True, kw_only=True)
class Entry(Record):
    """One number of one arm.

    Args:
        arm: Name of the generator, "real test", or the kind of bad films.
        role: "synthetic", "ceiling" (real test films in place of synthetic ones) or "floor".
        encoder: That the number is of; "" where pixels alone were looked at.
        measure: Name.
        detail: Finding, or what else the number is of; "" where there is nothing to add.
        value: The number.
        low: Lower end of its interval; None where it has none.
        high: Upper end.
        better: Direction.
        num_films: Films of the arm that the number is of.
        note: Warning, "" where there is none.
    """

    arm: str
    role: Role
    encoder: str
    measure: str
    detail: str = ""
    value: float
    low: float | None = None
    high: float | None = None
    better: Better
    num_films: int
    note: str = ""


@dataclass(frozen=True)
class MeasuredArm:
    """Names that all rows of one arm and one encoder begin with.

    Args:
        name: Of the arm.
        role: Of the arm.
        encoder: Name, "" for pixels.
    """

    name: str
    role: Role
    encoder: str = ""

    def entry(
        self, measure: str, value: float | Interval, better: Better, num_films: int, *, detail: str = "", note: str = ""
    ) -> Entry:
        """One row; an interval without ends gets the note that patients are too few."""
        ends: dict[str, Any] = {"value": value}
        if isinstance(value, Interval):
            ends = {"value": value.value}
            # NaN is for arithmetic; a table says why there is nothing.
            if value.is_known:
                ends |= {"low": value.low, "high": value.high}
            else:
                note = note or TOO_FEW
        return Entry(
            arm=self.name, role=self.role, encoder=self.encoder, measure=measure, detail=detail, better=better,
            num_films=num_films, note=note, **ends,
        )  # fmt: skip


def frechet_entries(arm: MeasuredArm, found: FrechetDistance) -> Iterator[Entry]:
    """The distance, and the extrapolated one where there is one."""
    # The warning stands in the row itself, where a table of a paper is copied from.
    yield arm.entry("Fréchet distance", found.value, "lower", found.num_synthetic, note=found.note)
    if found.extrapolated is not None:
        yield arm.entry("Fréchet distance, N → ∞", found.extrapolated, "lower", found.num_synthetic)


def kernel_entries(arm: MeasuredArm, found: KernelDistance, num_films: int) -> Iterator[Entry]:
    """The kernel distance with the spread of its subsets."""
    detail = f"{found.num_subsets} subsets of {found.subset_size}"
    # The size of the subsets is part of the number: two spreads compare at one size only.
    plain = arm.entry("kernel distance", found.value, "lower", num_films, detail=detail)
    # Not an interval over patients, hence not an `Interval`.
    yield replace(plain, low=found.low, high=found.high, note="spread over subsets")


def coverage_entries(arm: MeasuredArm, found: ManifoldCoverage) -> Iterator[Entry]:
    """Precision, recall, density and coverage."""
    for name in ("precision", "recall", "density", "coverage"):
        # k and the number of films change these numbers as much as the films do.
        value = getattr(found, name)
        yield arm.entry(name, value, "higher", found.num_synthetic, detail=f"k = {found.neighbours}")


def text_entries(arm: MeasuredArm, found: TextAgreement) -> Iterator[Entry]:
    """Ranks of the own text, and the cosine with it."""
    number = found.all_texts.num_items
    # A rank among few texts is coarse, so their number goes with it.
    texts = f"{found.num_texts} texts"
    yield arm.entry("rank of own text", found.all_texts, "higher", number, detail=texts)
    if found.same_region is not None:
        one = found.same_region
        yield arm.entry("rank of own text in its region", one, "higher", one.num_items, detail=texts)
    # Higher is not better: a film may please the encoder more than any real one does.
    yield arm.entry("cosine with own text", found.cosine, _CEILING, number)


def finding_entries(arm: MeasuredArm, found: FindingAgreement, measure: str) -> Iterator[Entry]:
    """The mean over findings, and each finding that has a score."""
    # Without a finding that can be asked there is no row, rather than a row of nothing.
    if found.macro is not None:
        yield arm.entry(measure, found.macro, "higher", found.macro.num_items, detail="mean over findings")
    for one in found.findings:
        if one.score is not None:
            # An area of three positives would otherwise look like one of three hundred.
            note = f"{one.num_positives} films with the finding"
            entry = arm.entry(measure, one.score, "higher", one.num_items, detail=one.name)
            yield replace(entry, note="; ".join(filter(None, (note, entry.note))))


def region_entries(arm: MeasuredArm, found: RegionAccuracy) -> Iterator[Entry]:
    """Accuracy of regions with its chance, and within each region."""
    number = found.accuracy.num_items
    # Some regions are filmed far more often than others.
    note = f"chance {found.chance:.2f}"
    yield arm.entry("region accuracy", found.accuracy, "higher", number, detail="classifier of real films", note=note)
    # Without intervals: of some regions there are a handful of films.
    for region, (share, count) in found.by_region.items():
        yield arm.entry("accuracy within a region", share, "higher", count, detail=display_name(region))


def diversity_entries(arm: MeasuredArm, found: Diversity, pairs: str) -> Iterator[Entry]:
    """Structure, pixels and features of pairs; `pairs` says of what they are."""
    # The number of scales depends on the size of the films, and the value on it.
    kind = "SSIM" if found.num_scales == 1 else f"MS-SSIM ({found.num_scales} scales)"
    for name, value in ((kind, found.similarity), ("pixel difference", found.pixels)):
        yield MeasuredArm(arm.name, arm.role).entry(f"{name}, {pairs}", value, _CEILING, found.num_pairs)
    if found.features is not None:
        yield arm.entry(f"feature difference, {pairs}", found.features, _CEILING, found.num_pairs)


def memorisation_entries(arm: MeasuredArm, found: Memorisation) -> Iterator[Entry]:
    """Nearness, near copies and the verdict as a note."""
    number = found.near_copies.num_items
    detail = found.space
    nearer, nearer_relative, ratio, near_copies = COPY_MEASURES
    yield arm.entry(nearer, found.nearer, "near 0.5", number, detail=detail)
    # Relative distances tell a copy from a film that is near to everything.
    relative = found.nearer_relative
    yield arm.entry(nearer_relative, relative, "near 0.5", number, detail=detail)
    yield arm.entry(ratio, found.median_ratio, _CEILING, number, detail=detail)
    # The verdict with what it rests on, so that nobody has to look up the rule.
    verdict = "flagged" if found.is_flagged else "not flagged"
    note = f"{verdict}: {found.near_patients:.3f} of patients, limit {found.limit:.3f}, expected {found.expected:.3f}"
    yield arm.entry(near_copies, found.near_copies, "lower", number, detail=detail, note=note)
