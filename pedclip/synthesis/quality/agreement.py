"""Agreement of films with the texts they were made from: with the text itself, and finding by finding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, Groups, Interval, Record, can_resample
from pedclip.evaluation.metrics.classification import auc, macro_auc, scorable
from pedclip.evaluation.result import ClassScore
from pedclip.evaluation.tasks.prompts import prompt_pair
from pedclip.evaluation.zero_shot.scoring import EncodeText, cosines, score_pairs, unit_vectors
from pedclip.findings import finding_name
from pedclip.synthesis.quality.film_means import mean_interval
from pedclip.triplets.arrays import TripletArrays

FindingRegions = Mapping[str, frozenset[int]]  # finding to the regions in which real training films show it


@dataclass(frozen=True)
class TextAgreement(Record):
    """Rank of a film's own text among others, by cosine.

    Args:
        all_texts: Share of the other texts that are less like the film than its own, ties counting one half, averaged
            over films; chance is 0.5.
        same_region: The same among texts about the film's region, which is harder, as no text is out of place there;
            None where no region has two texts.
        cosine: Mean cosine of a film with its own text; its level depends on the model and compares only within it.
        num_texts: Distinct texts.
    """

    all_texts: Interval
    same_region: Interval | None
    cosine: Interval
    num_texts: int


@dataclass(frozen=True)
class FindingAgreement(Record):
    """Scores of a classifier of findings on films, against the findings of their texts.

    Args:
        macro: Mean over findings of the AUC; None where no finding has films with and without it.
        findings: One per finding; without a score where a class or the patients are too few.
    """

    macro: Interval | None
    findings: tuple[ClassScore, ...]


def text_agreement(
    image: NDArray[Any],
    text: NDArray[Any],
    films: TripletArrays,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> TextAgreement:
    """Rank of each film's own text among the distinct texts of a set.

    Args:
        image: (N, D) embeddings of the films.
        text: (N, D) embeddings of their texts.
        films: N films, of which only texts, regions and patients are read.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Raises:
        ValueError: Lengths differ, fewer than two distinct texts, or an embedding without length.
    """
    if not len(image) == len(text) == len(films):
        raise ValueError(f"expected {len(films)} films and texts, got {len(image)} and {len(text)} embeddings")
    # Films with one text share a place, or a "normal" sentence would count as an error of all others with it.
    first, own = np.unique(np.asarray(films.texts), return_index=True, return_inverse=True)[1:]  # (U,) and (N,)
    if len(first) < 2:
        raise ValueError(f"agreement needs at least 2 distinct texts, got {len(first)}")
    similarity = cosines(unit_vectors(image, "image"), unit_vectors(text[first], "text").T)  # (N, U)
    is_there = np.zeros((int(films.regions.max()) + 1, len(first)), dtype=bool)
    is_there[films.regions, own] = True  # (regions, U)
    # Regions alone order most texts, so the second rank asks among texts that fit the film's region.
    every, near = _rank(similarity, own, np.ones_like(similarity, dtype=bool)), None
    within = _rank(similarity, own, is_there[films.regions])
    # A film of a region with one text has no rival there and drops out.
    is_ranked = ~np.isnan(within)
    patients = np.asarray(films.patients)

    def interval(values: Floats, groups: Groups) -> Interval:
        return mean_interval(values, groups, num_resamples=num_resamples, seed=seed)

    if is_ranked.any() and can_resample(patients[is_ranked]):
        near = interval(within[is_ranked], patients[is_ranked])
    own_cosine = similarity[np.arange(len(own)), own]
    cosine = mean_interval(own_cosine, patients, scale="difference", num_resamples=num_resamples, seed=seed)
    return TextAgreement(interval(every, patients), near, cosine, len(first))


def _rank(similarity: Floats, own: NDArray[np.intp], is_candidate: NDArray[np.bool_]) -> Floats:
    """(N,) share of the candidates (N, U) but a film's own text that are below it; NaN where there is none."""
    rows = np.arange(len(own))
    # The text of a film is no rival of itself.
    mine = similarity[rows, own][:, None]  # (N, 1)
    others = is_candidate.copy()
    others[rows, own] = False
    number = others.sum(axis=1)
    won = ((similarity < mine) * others).sum(axis=1) + 0.5 * ((similarity == mine) * others).sum(axis=1)
    share: Floats = np.divide(won, number, out=np.full(len(own), np.nan), where=number > 0)
    return share


def learnable_findings(films: TripletArrays, *, min_patients: int = 5) -> dict[str, frozenset[int]]:
    """Findings of training films that enough patients have, with the regions in which they were seen.

    `TripletArrays` does not tell films that nobody labelled from films without findings: leave the former out.

    Args:
        films: Real training films with their findings.
        min_patients: Patients with a finding, at least 1.

    Raises:
        ValueError: The films carry no findings.
    """
    _require_findings(films)
    # Patients, not films: ten films of one child are one case.
    patients: dict[str, set[str]] = {}
    regions: dict[str, set[int]] = {}
    for found, region, patient in zip(films.findings, films.regions, films.patients, strict=True):
        for name in map(finding_name, found):
            patients.setdefault(name, set()).add(patient)
            regions.setdefault(name, set()).add(int(region))
    return {name: frozenset(regions[name]) for name in sorted(regions) if len(patients[name]) >= min_patients}


def finding_labels(films: TripletArrays, finding_regions: FindingRegions) -> Floats:
    """Labels of findings where they can be asked: in the regions in which training films show them.

    Elsewhere a label would only ask for the region, which a film of another finding gives away as well.

    Args:
        films: N films with the findings of their texts.
        finding_regions: L findings, as from `learnable_findings`.

    Returns:
        (N, L) 1, 0, or NaN for a film of another region.

    Raises:
        ValueError: The films carry no findings.
    """
    _require_findings(films)
    # NaN leaves a film out of one finding and keeps it for the others.
    labels = np.full((len(films), len(finding_regions)), np.nan)
    for row, (found, region) in enumerate(zip(films.findings, films.regions, strict=True)):
        names = set(map(finding_name, found))
        for column, (name, regions) in enumerate(finding_regions.items()):
            if int(region) in regions:
                labels[row, column] = float(name in names)
    return labels


def zero_shot_scores(image: NDArray[Any], names: Sequence[str], encode_text: EncodeText) -> Floats:
    """Scores of films for findings by the prompts of the zero-shot evaluation.

    Args:
        image: (N, D) embeddings.
        names: L findings.
        encode_text: P sentences -> (P, D) embeddings.

    Returns:
        (N, L) cosine with the positive prompts minus that with the negative ones.
    """
    columns = []
    for name in names:
        # Without a region in the sentences: the films of one question are of several.
        prompts = prompt_pair(name)
        columns.append(score_pairs(image, encode_text(prompts.positive), encode_text(prompts.negative)))
    return np.stack(columns, axis=1)  # (N, L)


def finding_agreement(
    scores: NDArray[Any],
    labels: NDArray[Any],
    names: Sequence[str],
    patients: Sequence[str],
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> FindingAgreement:
    """AUC of each finding: the chance that a film whose text has it scores above one whose text has not.

    Args:
        scores: (N, L) of a classifier, higher means likelier.
        labels: (N, L) 1, 0 or NaN, from the texts.
        names: L findings.
        patients: (N,) patient of each text.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Raises:
        ValueError: Shapes differ, or scores are not finite.
    """
    if not scores.shape == labels.shape == (len(patients), len(names)):
        raise ValueError(
            f"scores and labels must be (N, L) of {len(patients)} films and {len(names)} findings, "
            f"got {scores.shape} and {labels.shape}"
        )
    # One finding at a time, each on the films that answer for it.
    owners, findings = np.asarray(patients), []
    for column, name in enumerate(names):
        rows = np.flatnonzero(~np.isnan(labels[:, column]))
        truth = labels[rows, column]
        score = None
        # Without both answers there is nothing to rank.
        if len(np.unique(truth)) == 2 and can_resample(owners[rows]):
            score = auc.bootstrap(truth, scores[rows, column], owners[rows], num_resamples=num_resamples, seed=seed)
        findings.append(ClassScore(name, score, int(truth.sum()), len(rows)))
    # The mean is resampled as a whole: findings of one patient are drawn together.
    macro = None
    if len(scorable(labels)) and can_resample(owners):
        macro = macro_auc.bootstrap(labels, scores, owners, num_resamples=num_resamples, seed=seed)
    return FindingAgreement(macro, tuple(findings))


def _require_findings(films: TripletArrays) -> None:
    # () of a film means that nothing was found; of the whole column, that nobody asked.
    if len(films.findings) != len(films):
        raise ValueError("these films carry no findings; read them with their column `findings`")
