"""Content-based image retrieval: films of the query's class, or body part, among the first K of an index."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, Interval, Resampled, bootstrap_interval, mean_of_known
from pedclip.evaluation.metrics.retrieval import precision_at_k, query_interval, recall_at_k
from pedclip.evaluation.result import Result
from pedclip.retrieval.measures.protocols import Protocol, with_protocol

CLASSES_AT: Final = (1, 3, 5, 10)  # of Table 2
MURA_AT: Final = (5, 10, 30)  # of Table 3
_QUERIES_AT_ONCE: Final = 128  # whose cosines with the whole index are held
_LAST: Final = -2.0  # below every cosine


@dataclass(frozen=True, eq=False)
class LabelledFilms:
    """Descriptors of films, each of one class.

    Args:
        vectors: (N, D) of any length but zero; scaled to unit length here.
        classes: N names, one per film: a film of several findings has no place here. Where the same finding elsewhere
            is another class, the name says where.
        patients: N patient identifiers.

    Raises:
        ValueError: Lengths that differ, a vector of length zero or not finite, a class that is empty or no text, or one
            text in place of a list.
    """

    vectors: NDArray[np.float32]
    classes: Sequence[str]
    patients: Sequence[str]

    def __post_init__(self) -> None:
        vectors = np.asarray(self.vectors, dtype=np.float32)
        if vectors.ndim != 2 or 0 in vectors.shape:
            raise ValueError(f"vectors must be (N, D) with at least one row, got {vectors.shape}")
        for name in ("classes", "patients"):
            # A text of N letters would be N classes.
            if isinstance(getattr(self, name), str | bytes):
                raise ValueError(f"{name} must be a list of {len(vectors)} names, one for each film, not one text")
            if len(getattr(self, name)) != len(vectors):
                raise ValueError(f"{len(getattr(self, name))} {name} for {len(vectors)} films: one for each")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (N, 1)
        if len(wrong := np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))):
            raise ValueError(f"{len(wrong)} of {len(vectors)} vectors are zero or not finite, the first at {wrong[0]}")
        # Number 0 would count as no class below, and numbers of two tables rarely mean the same.
        if numbers := sum(not isinstance(name, str) for name in self.classes):
            raise ValueError(f"{numbers} of {len(vectors)} classes are no text; give names, such as those of REGIONS")
        # A film that nobody labelled is of no class, and not of one that all such films share.
        if unnamed := sum(not name for name in self.classes):
            raise ValueError(f"{unnamed} of {len(vectors)} films have no class; leave them out and count them")
        object.__setattr__(self, "vectors", vectors / lengths)

    def __len__(self) -> int:
        return len(self.vectors)


def class_precision(
    queries: LabelledFilms,
    index: LabelledFilms | None = None,
    *,
    ks: Sequence[int] = CLASSES_AT,
    is_capped: bool = True,
    exclude_same_patient: bool = False,
    views: str = "all",
    method: str = "PECM",
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """P@K: films of the query's class among the first K by cosine, over min(K, films of that class in the index).

    "Micro" is the mean over queries, "macro" the mean over classes of the mean within each. Queries whose class the
    index does not have (without the excluded films) have no number; they are left out, and they and the classes that
    vanish with them are counted.

    Args:
        queries: Q films, such as a test split.
        index: N films, such as a training split; None searches the queries among themselves, each without itself.
        ks: The K, each at least 1.
        is_capped: False divides by K however few films there are.
        exclude_same_patient: Films of the query's patient are no answers, and count nowhere.
        views: Which films take part, for the protocol.
        method: Name in the results.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        Two results per K, "P@K (micro)" and "P@K (macro)", with their `Protocol`. The baseline is a random ranking. A
        macro number has no interval where a class has queries of one patient only.

    Raises:
        ValueError: Widths that differ, a K below 1, or no query with an answer.

    Source: MIC-DKFZ/foundation-models-for-cbmir, src/evaluation/evaluate_retrieval.py. Differs: absent classes are left
        out and counted, where theirs divide by zero; the exclusion of patients; intervals.
    """
    gallery = queries if index is None else index
    if not ks or min(ks) < 1:
        raise ValueError(f"ks={tuple(ks)} is not allowed: each at least 1, and at least one")
    if queries.vectors.shape[1] != gallery.vectors.shape[1]:
        raise ValueError(f"queries of width {queries.vectors.shape[1]}, an index of {gallery.vectors.shape[1]}")
    search = _Search(queries, gallery, index is None, exclude_same_patient)
    values, num_relevant, num_allowed = search.values(ks, is_capped)  # (ks, Q), (Q,), (Q,)
    asked = np.flatnonzero(num_relevant > 0)
    if not len(asked):
        raise ValueError(f"none of {len(queries)} queries has a film of its class in the index of {len(gallery)}")
    protocol = _protocol(queries, gallery, asked, is_capped=is_capped, exclude_same_patient=exclude_same_patient)
    classes, patients = np.asarray(queries.classes)[asked], np.asarray(queries.patients)[asked]
    results = []
    bootstrap: dict[str, Any] = {"num_resamples": num_resamples, "seed": seed}
    for k, of_k in zip(ks, values[:, asked], strict=True):
        drawn = np.minimum(k, num_allowed[asked])
        most = np.minimum(k, num_relevant[asked]) if is_capped else k
        # Mean of the hypergeometric distribution over what each query is shown.
        chance = drawn * num_relevant[asked] / num_allowed[asked] / most
        averages = {
            "micro": (query_interval(of_k, patients, **bootstrap), float(chance.mean())),
            "macro": (_macro(of_k, classes, patients, **bootstrap), float(_class_means(chance, classes).mean())),
        }
        for average, (score, baseline) in averages.items():
            result = Result(
                task="image to image",
                method=method,
                metric=f"P@K ({average})",
                score=score,
                baseline=baseline,
                baseline_name="random ranking",
                settings={"k": k},
            )
            results.append(with_protocol(result, replace(protocol, views=views)))
    return results


def region_precision(
    films: LabelledFilms,
    *,
    ks: Sequence[int] = MURA_AT,
    exclude_same_patient: bool = True,
    views: str = "all",
    method: str = "PECM",
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """P@K of MURA: films of the same body part among the K nearest, each film a query without itself.

    Args:
        films: Of one split, their body parts as classes; MURA has seven.
        ks: The K, each at least 1.
        exclude_same_patient: Films of one study are nearly the same film; the paper does not say whether they count.
        views: Which films take part, for the protocol.
        method: Name in the results.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        As `class_precision`, divided by K.

    Raises:
        ValueError: As `class_precision`.

    Source: PECM, Table 3. Differs: films of the query's patient are left out by default.
    """
    return class_precision(
        films,
        None,
        ks=ks,
        is_capped=False,
        exclude_same_patient=exclude_same_patient,
        views=views,
        method=method,
        num_resamples=num_resamples,
        seed=seed,
    )


def _protocol(
    queries: LabelledFilms,
    gallery: LabelledFilms,
    asked: NDArray[np.intp],
    *,
    is_capped: bool,
    exclude_same_patient: bool,
) -> Protocol:
    """Protocol of the queries with an answer, (Q,) numbers of theirs."""
    classes = {queries.classes[row] for row in asked}
    num_lost = len(set(queries.classes) - classes)
    rule = "min(K, films of the class)" if is_capped else "K"
    return Protocol(
        direction="image to image",
        num_queries=len(asked),
        gallery=len(gallery),
        num_patients=len({queries.patients[row] for row in asked}),
        is_self_included=False,
        excludes_same_patient=exclude_same_patient,
        num_left_out=len(queries) - len(asked),
        note=f"{len(classes)} classes, {num_lost} left out; divided by {rule}",
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """All cosines of queries with an index, a few queries at a time, and who may be an answer."""

    queries: LabelledFilms
    gallery: LabelledFilms
    is_among_themselves: bool
    exclude_same_patient: bool

    def values(self, ks: Sequence[int], is_capped: bool) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
        """(ks, Q) precision, (Q,) films of the query's class and (Q,) films at all; 0 where there is no answer."""
        num_relevant, num_allowed = (np.zeros(len(self.queries), np.int64) for _ in range(2))
        values = np.zeros((len(ks), len(self.queries)))
        # One metric of this package for each rule; what they have in common is the order of equal cosines.
        metric = recall_at_k if is_capped else precision_at_k
        for rows, similarity, relevant, is_allowed in self._blocks():
            num_relevant[rows], num_allowed[rows] = relevant.sum(axis=1), is_allowed.sum(axis=1)
            has_answer = relevant.any(axis=1)
            if has_answer.any():
                shown, right = np.where(is_allowed, similarity, _LAST)[has_answer], relevant[has_answer]
                for number, k in enumerate(ks):
                    values[number, rows[has_answer]] = metric.values(shown, right, k)
        return values, num_relevant, num_allowed

    def _blocks(self) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]]:
        """Numbers of queries (B,), cosines, films of their class that may be answers, and films that may: (B, N)."""
        codes = [_codes(getattr(self.queries, name), getattr(self.gallery, name)) for name in ("classes", "patients")]
        (query_class, item_class), (query_patient, item_patient) = codes
        for start in range(0, len(self.queries), _QUERIES_AT_ONCE):
            rows = np.arange(start, min(start + _QUERIES_AT_ONCE, len(self.queries)))
            similarity = self.queries.vectors[rows] @ self.gallery.vectors.T  # (B, N)
            is_allowed = np.ones(similarity.shape, dtype=np.bool_)
            if self.exclude_same_patient:
                is_allowed &= query_patient[rows, None] != item_patient
            if self.is_among_themselves:
                is_allowed[np.arange(len(rows)), rows] = False
            yield rows, similarity, is_allowed & (query_class[rows, None] == item_class), is_allowed


def _codes(first: Sequence[str], second: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(Q,) and (N,) numbers of names that both may have."""
    codes = np.unique(np.concatenate([np.asarray(first), np.asarray(second)]), return_inverse=True)[1]
    return codes[: len(first)], codes[len(first) :]


def _class_means(values: Floats, classes: NDArray[Any]) -> Floats:
    """(C,) mean of the values (Q,) of each class (Q,)."""
    names = np.unique(classes)
    return np.array([values[classes == name].mean() for name in names])


def _macro(values: Floats, classes: NDArray[Any], patients: NDArray[Any], *, num_resamples: int, seed: int) -> Interval:
    """Mean of class means with its interval over patients."""
    members = classes == np.unique(classes)[:, None]  # (C, Q)
    table = members.T.astype(np.float64)
    return bootstrap_interval(
        float(_class_means(values, classes).mean()),
        _resampled_macro(values, table),
        num_items=len(values),
        groups=patients,
        num_resamples=num_resamples,
        seed=seed,
        # As sure as the class of the fewest patients.
        classes=list(members),
    )


def _resampled_macro(values: Floats, table: Floats) -> Resampled:
    def resampled(counts: Floats) -> Floats:
        sums, numbers = (counts * values) @ table, counts @ table  # (R, C)
        # A class that was not drawn is left out of that resample's mean.
        means = np.divide(sums, numbers, out=np.full(sums.shape, np.nan), where=numbers > 0)
        return mean_of_known(means.T)

    return resampled
