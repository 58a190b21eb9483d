"""Questions that pairs of film and text answer without any label: the body region, and the text of a film."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.compared import has_own_score
from pedclip.evaluation.embeddings import embed, embed_texts
from pedclip.evaluation.metrics.interval import Interval
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.result import Predictions, Result
from pedclip.evaluation.tasks.labels import Row
from pedclip.evaluation.zero_shot.own_score import own_regions, pair_score_matrix
from pedclip.evaluation.zero_shot.recall import ranked_queries
from pedclip.evaluation.zero_shot.scoring import cosines, unit_vectors, zero_shot_regions
from pedclip.triplets.arrays import TripletArrays

REGION: Final = "zero-shot region"
RETRIEVAL: Final = "retrieval"
RECALL_AT: Final = 5
NO_LABELS: Final = 0.0  # the fraction of the labels that both questions read


def alignment(
    model: Any, films: TripletArrays, labels: Sequence[Row], method: str, *, batch_size: int = 64, device: str = "cpu"
) -> dict[tuple[str, float], list[Result]]:
    """Zero-shot accuracy of the body region, and how often a film finds its text among the first five.

    A method that scores pairs by more than a cosine is asked by its own score.

    Args:
        model: With both encoders, as `pedclip.objectives.open_model` gives it.
        films: N real films of test patients, with their texts.
        labels: N rows of the same films.
        method: As it is reported.
        batch_size: Films embedded at a time.
        device: Where to compute.

    Returns:
        By question and fraction of the labels, one result each, as of `DownstreamScorer.score`. The gallery holds each
        text of the films once; films of one region are asked for their texts alone.
    """
    texts, answer = np.unique(np.asarray(films.texts), return_inverse=True)  # (U,), and (N,) the text of each film
    sentences = [str(text) for text in texts]
    options: dict[str, Any] = {"batch_size": batch_size, "device": device}
    has_regions = len({row.region for row in labels}) > 1
    found: dict[tuple[str, float], list[Result]] = {}
    if has_own_score(model):

        def score(asked: Sequence[str]) -> NDArray[Any]:
            return pair_score_matrix(model, films.images, asked, **options)

        similarity: NDArray[Any] = score(sentences)  # (N, U)
        regions = own_regions(score, labels, method=method) if has_regions else None
    else:
        both = embed(model, films.images, sentences, **options)
        similarity = cosines(unit_vectors(both.image, "image"), unit_vectors(both.text, "text").T)  # (N, U)
        speak = partial(embed_texts, model, device=device)
        regions = zero_shot_regions(both.image, labels, speak, method=method) if has_regions else None
    if regions is not None:
        found[REGION, NO_LABELS] = [regions]
    if len(texts) > 1:
        found[RETRIEVAL, NO_LABELS] = [_recall(similarity, answer, films.patients, method)]
    return found


def _recall(similarity: NDArray[Any], answer: NDArray[Any], patients: Sequence[str], method: str) -> Result:
    queries = ranked_queries(similarity, answer, patients)[0]
    # A film has one text, so that its recall is 0 or 1: the share of films that are right.
    hits = queries.values(RECALL_AT).round().astype(np.int64)  # (N,)
    nowhere = float("nan")
    score = Interval(float(hits.mean()), nowhere, nowhere, len(hits), len(set(patients)))
    return Result(
        task="film to text",
        method=method,
        metric=f"Recall@{RECALL_AT}",
        score=score,  # without an interval of its own: several seeds are resampled together
        baseline=queries.chance(RECALL_AT),
        baseline_name="random ranking",
        predictions=Predictions(accuracy, np.ones_like(hits), hits, np.asarray(patients)),
        settings={"k": RECALL_AT, "gallery": similarity.shape[1]},
    )
