"""Classifiers that were fitted on real training films, to be asked about synthetic and about real test films.

A generator whose films they recognise as well as real ones draws what the classifiers look for, no less and no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.anatomy import REGIONS
from pedclip.evaluation.downstream.probes import Probe, fit_probe
from pedclip.evaluation.metrics.bootstrap import Floats, Interval, Record
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.tasks.patient_split import Part
from pedclip.synthesis.quality.agreement import FindingAgreement, FindingRegions, finding_agreement, finding_labels
from pedclip.triplets.arrays import TripletArrays

_VALIDATION: Final = 0.2  # of the training patients, on which penalties are chosen


@dataclass(frozen=True)
class RegionAccuracy(Record):
    """Films whose region a classifier tells.

    Args:
        accuracy: Share of films that are taken for the region of their text.
        macro: Mean over regions of the share within each.
        chance: Of always answering the commonest region of these films.
        num_regions: Regions of these films.
        by_region: Name of each region of these films to the share that is recognised, and the number of films.
    """

    accuracy: Interval
    macro: float
    chance: float
    num_regions: int
    by_region: Mapping[str, tuple[float, int]]


@dataclass(frozen=True, eq=False)
class RealClassifiers:
    """Linear classifiers on frozen features, fitted on real training films.

    Args:
        regions: Of the body region, among `candidates`.
        candidates: (R,) class number to number of the region in `pedclip.anatomy.REGIONS`.
        findings: Of the findings in `finding_regions`; None where there are none.
        finding_regions: L findings, each with its regions.
    """

    regions: Probe
    candidates: NDArray[np.intp]
    findings: Probe | None
    finding_regions: FindingRegions

    def region_accuracy(
        self, features: NDArray[Any], films: TripletArrays, *, num_resamples: int = 1000, seed: int = 0
    ) -> RegionAccuracy:
        """Share of films that are taken for the region of their text.

        Args:
            features: (N, C) of the same encoder as in training.
            films: N films; a region that training has not shown counts as wrong.
            num_resamples: Of the bootstrap over patients.
            seed: Of the bootstrap.

        Raises:
            ValueError: As the metric.
        """
        answers = self.candidates[self.regions.scores(features).argmax(axis=1)]  # (N,)  # class numbers to regions
        is_right = answers == films.regions
        counts = np.bincount(films.regions, minlength=len(REGIONS))
        # Of each region those that are recognised, whatever the region is taken for otherwise.
        right = np.bincount(films.regions[is_right], minlength=len(REGIONS))
        # A region without films has no accuracy.
        present = counts > 0
        return RegionAccuracy(
            accuracy.bootstrap(films.regions, answers, films.patients, num_resamples=num_resamples, seed=seed),
            float((right[present] / counts[present]).mean()),
            float(counts.max() / counts.sum()),
            int(present.sum()),
            {REGIONS[one]: (float(right[one] / counts[one]), int(counts[one])) for one in np.flatnonzero(present)},
        )

    def finding_agreement(
        self, features: NDArray[Any], films: TripletArrays, *, num_resamples: int = 1000, seed: int = 0
    ) -> FindingAgreement:
        """AUC of each finding on films.

        Args:
            features: (N, C) of the same encoder as in training.
            films: N films with the findings of their texts.
            num_resamples: Of the bootstrap over patients.
            seed: Of the bootstrap.

        Raises:
            ValueError: No classifier of findings was fitted, or the films carry no findings.
        """
        if self.findings is None:
            raise ValueError("no finding of the training films is frequent enough, so no classifier was fitted")
        # Asked in the regions in which it was learned, of synthetic and of real films alike.
        labels = finding_labels(films, self.finding_regions)
        scores = self.findings.scores(features)
        return finding_agreement(
            scores, labels, list(self.finding_regions), films.patients, num_resamples=num_resamples, seed=seed
        )


def fit_classifiers(
    features: NDArray[Any], films: TripletArrays, finding_regions: FindingRegions, *, seed: int = 0, device: str = "cpu"
) -> RealClassifiers:
    """Classifiers of regions and findings on features of real training films.

    A fifth of the patients is left out of the fit, and the penalties are chosen on them.

    Args:
        features: (N, C).
        films: N real training films.
        finding_regions: L findings to classify, as from `learnable_findings`; empty where the films carry none.
        seed: Of the choice of patients.
        device: Where to compute.

    Raises:
        ValueError: Fewer than two regions, fewer than two patients, or features of another length.
    """
    if len(features) != len(films):
        raise ValueError(f"expected one row of features per film: {len(films)} films, got {len(features)}")
    is_chosen_on = _validation_rows(films.patients, seed)
    # The softmax needs class numbers without gaps.
    candidates, classes = np.unique(films.regions, return_inverse=True)
    if len(candidates) < 2:
        raise ValueError(f"a classifier of regions needs training films of at least 2, got {len(candidates)}")

    def parts(truth: Floats | NDArray[np.intp]) -> tuple[Part, Part]:
        # Split by patient: films of one child on both sides would make any penalty look right.
        whole = Part(features, truth, np.asarray(films.patients))
        return whole.take(~is_chosen_on), whole.take(is_chosen_on)

    regions = fit_probe(*parts(classes), kind="multi-class", num_classes=len(candidates), device=device)
    findings = None
    # Each finding is learned on films of its own regions, as it will be asked.
    if finding_regions:
        findings = fit_probe(*parts(finding_labels(films, finding_regions)), kind="multi-label", device=device)
    return RealClassifiers(regions, candidates, findings, finding_regions)


def _validation_rows(patients: Any, seed: int) -> NDArray[np.bool_]:
    """(N,) True for films of the patients that are left out of the fit."""
    # Sorted names, so that the order of the films does not change who is left out.
    names = np.unique(np.asarray(patients))
    if len(names) < 2:
        raise ValueError(f"classifiers need training films of at least 2 patients, got {len(names)}")
    # At least one, as penalties must be chosen on somebody.
    number = max(1, round(_VALIDATION * len(names)))
    left_out = np.random.default_rng(seed).choice(names, number, replace=False)
    return np.isin(np.asarray(patients), left_out)
