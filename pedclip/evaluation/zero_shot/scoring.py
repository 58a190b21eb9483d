"""Classification and retrieval from embeddings alone: nothing is fitted."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, Groups
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.tasks.prompts import region_prompts
from pedclip.evaluation.tasks.task import Task
from pedclip.evaluation.zero_shot.recall import recall_results
from pedclip.evaluation.zero_shot.results import best_regions, finding_results, region_candidates

Rows = Iterable[Row | Mapping[str, Any]]
EncodeText = Callable[[Sequence[str]], NDArray[Any]]  # P sentences -> (P, D)
Prompting = Literal["pair", "single"]


def score_pairs(
    image: NDArray[Any], positive: NDArray[Any], negative: NDArray[Any], *, prompting: Prompting = "pair"
) -> Floats:
    """Cosine of each image with the positive prompts minus that with the negative ones.

    The embeddings of an ensemble are averaged at unit length, and the average is normalized again.

    Args:
        image: (N, D) embeddings of any length.
        positive: (P, D) embeddings of the positive prompts.
        negative: (P', D) embeddings of the negative prompts; unused with "single".
        prompting: "pair" is cos⁺ − cos⁻, which ranks as the softmax over the two at any temperature; "single" is cos⁺.

    Returns:
        (N,) in [-2, 2].

    Raises:
        ValueError: Widths differ, an embedding has no length, or an unknown prompting.

    Source: PedCLIP, zero-shot classification, which prints no formula; the pair follows CXR-CLIP and BioViL.

    Example:
        >>> score_pairs(np.eye(2), np.array([[3.0, 0.0]]), np.array([[0.0, 1.0]])).tolist()
        [1.0, -1.0]
    """
    if prompting not in ("pair", "single"):
        raise ValueError(f"prompting must be 'pair' or 'single', got {prompting!r}")
    images = unit_vectors(image, "image")  # (N, D)
    # Cosines also hold how much a film looks like the region that both sentences name; the difference cancels it.
    scores = cosines(images, ensemble(positive))
    return scores if prompting == "single" else scores - cosines(images, ensemble(negative))


def zero_shot_findings(
    image: NDArray[Any],
    rows: Rows,
    encode_text: EncodeText,
    tasks: Sequence[Task],
    *,
    prompting: Prompting = "pair",
    method: str = "zero-shot",
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """The AUC of each task, from its prompts.

    Args:
        image: (N, D) embeddings, in the order of the rows.
        rows: N rows of the triplet schema.
        encode_text: P sentences -> (P, D) embeddings.
        tasks: What `discover_findings` returned for these rows.
        prompting: As in `score_pairs`.
        method: Name in the results.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        One result per task, in the same order.

    Raises:
        ValueError: As many embeddings as rows were expected, a task has no prompts, or one misses a class.
    """
    labels = read_labels(rows)
    _check_count(image, len(labels))

    def score(task: Task) -> Floats:
        # Prompts are encoded per task, as they may name its region.
        prompts = task.require_rule().prompts
        positive, negative = encode_text(prompts.positive), encode_text(prompts.negative)
        return score_pairs(image[task.rows["test"]], positive, negative, prompting=prompting)

    return finding_results(labels, tasks, map(score, tasks), method=method, num_resamples=num_resamples, seed=seed)


def zero_shot_regions(
    image: NDArray[Any],
    rows: Rows,
    encode_text: EncodeText,
    *,
    candidates: Sequence[str] | None = None,
    method: str = "zero-shot",
    num_resamples: int = 1000,
    seed: int = 0,
) -> Result:
    """Body region of each image, by the nearest region prompts.

    Args:
        image: (N, D) embeddings, in the order of the rows.
        rows: N rows of the triplet schema.
        encode_text: P sentences -> (P, D) embeddings.
        candidates: Regions to choose from; None means those present in the rows.
        method: Name in the result.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        Accuracy, confusion and chance.

    Raises:
        ValueError: As many embeddings as rows were expected, or fewer than two regions are present.
    """
    labels = read_labels(rows)
    _check_count(image, len(labels))
    # The true regions score the answers, and are the candidates where none are named.
    names = region_candidates(labels, candidates)
    # One point per region; the nearest is the answer, so that no label is fitted.
    anchors = np.stack([ensemble(encode_text(region_prompts(region))) for region in names])  # (L, D)
    scores = cosines(unit_vectors(image, "image"), anchors.T)  # (N, L)
    return best_regions(labels, names, scores, method=method, num_resamples=num_resamples, seed=seed)


def retrieval(
    image: NDArray[Any],
    text: NDArray[Any],
    texts: Sequence[str],
    groups: Groups = None,
    *,
    method: str = "zero-shot",
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """Recall@1, 5 and 10 from image to text and back.

    The gallery of texts holds each distinct text once, so that two images with the same "normal" sentence do not
    count as errors of each other. A text query has all images with that text as answers; it belongs to the patient
    of the first of them.

    Args:
        image: (N, D) embeddings.
        text: (N, D) embeddings of the texts.
        texts: (N,) the text of each image.
        groups: (N,) patient of each image; None resamples queries.
        method: Name in the results.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        One result per direction ("image to text", "text to image"), metric and K: capped recall both ways, and the hit
        rate from text to image (the other way the two are equal). Settings are K ("k") and the size of the "gallery";
        the baseline is a random ranking.

    Raises:
        ValueError: Lengths differ, or fewer than two distinct texts.

    Source: PECM, report-level Recall@K; the gallery of unique texts is CXR-CLIP's.
    """
    _check_lengths(len(image), text=text, texts=texts, groups=texts if groups is None else groups)
    # (U,) first film with each text, and (N,) the text of each film.
    first, answer = np.unique(np.asarray(texts), return_index=True, return_inverse=True)[1:]
    # With one text every ranking is right.
    if len(first) < 2:
        raise ValueError(f"retrieval needs at least 2 distinct texts, got {len(first)}")
    similarity = cosines(unit_vectors(image, "image"), unit_vectors(text[first], "text").T)  # (N, unique)
    return recall_results(similarity, answer, groups, method=method, num_resamples=num_resamples, seed=seed)


def ensemble(prompts: NDArray[Any]) -> Floats:
    """One embedding for several wordings.

    Args:
        prompts: (P, D) embeddings.

    Returns:
        (D,) mean of their directions, of unit length.

    Raises:
        ValueError: There is none, or one is zero or not finite.
    """
    # Each wording counts alike, however long its embedding; the mean is normalized again (CLIP, prompt ensembling).
    mean: Floats = unit_vectors(unit_vectors(prompts, "prompt").mean(axis=0, keepdims=True), "prompt ensemble")[0]
    return mean


def unit_vectors(embeddings: NDArray[Any], what: str) -> Floats:
    """Embeddings (N, D) at unit length (N, D).

    Raises:
        ValueError: Another shape, or an embedding without length; `what` names them.
    """
    vectors = np.asarray(embeddings, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) == 0:
        raise ValueError(f"{what} embeddings must be (N, D) with at least one row, got shape {vectors.shape}")
    # (N, 1) in float64, as the differences of cosines are small.
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    # NaN would rank somewhere and give a score that looks like one.
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError(f"{what} embeddings must be finite and longer than zero; the model gave NaN or zeros")
    unit: Floats = vectors / lengths
    return unit


def cosines(unit: Floats, other: Floats) -> Floats:
    """Cosines of unit vectors (N, D) with one (D,) or several (D, M): (N,) or (N, M) in [-1, 1]."""
    if unit.shape[1] != other.shape[0]:
        raise ValueError(f"embeddings must have one width, got {unit.shape[1]} and {other.shape[0]}")
    product: Floats = unit @ other
    return product


def _check_lengths(num_images: int, **columns: Sized) -> None:
    for name, column in columns.items():
        if len(column) != num_images:
            raise ValueError(f"{name} must have one entry per image: expected {num_images}, got {len(column)}")


def _check_count(image: NDArray[Any], num_rows: int) -> None:
    if len(image) != num_rows:
        raise ValueError(f"expected one embedding per row: {num_rows} rows, got {len(image)} embeddings")
