"""Questions without labels, asked of a model whose answers are known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pedclip.anatomy import REGIONS
from pedclip.evaluation.embeddings import embed
from pedclip.evaluation.tasks.labels import Row
from pedclip.synthesis.experiment import alignment as asked
from pedclip.synthesis.experiment.alignment import RECALL_AT, REGION, RETRIEVAL, alignment
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.transforms import Preprocess

AXES = 16
NUMBER = 12  # films, each of a brightness of its own; even ones are wrists, odd ones knees
WRIST, KNEE = REGIONS.index("wrist"), REGIONS.index("knee")


class Reader(nn.Module):
    """Film k and text k point along axis k, films and prompts of a region along one more each."""

    def __init__(self, *, shift: int = 0) -> None:
        super().__init__()
        self.preprocess = Preprocess(size=8, resize=8, mean=(0.0,) * 3, std=(1.0,) * 3)
        self.shift = shift  # the text that a film points to is so many further
        self.texts: list[str] = []

    def encode_image(self, pixels: Tensor) -> Any:
        number = (pixels.mean(dim=(1, 2, 3)) * 255 / 20).round().long()  # (B,)
        rows = torch.eye(AXES)[(number + self.shift) % NUMBER]
        # A little along the region, so that the own text stays the nearest.
        region = torch.eye(AXES)[NUMBER + number % 2]
        return SimpleNamespace(embedding=rows + 0.3 * region, gate_logits=[])

    def tokenize(self, texts: list[str]) -> dict[str, Tensor]:
        numbers = []
        for text in texts:
            place = int(text.split()[1]) if text.startswith("text ") else NUMBER + ("knee" in text.lower())
            numbers.append([place])
        return {"input_ids": torch.tensor(numbers)}

    def encode_text(self, input_ids: Tensor) -> Any:
        return SimpleNamespace(embedding=torch.eye(AXES)[input_ids[:, 0]])


def films(regions: tuple[int, int] = (WRIST, KNEE)) -> TripletArrays:
    images = np.stack([np.full((8, 8), 20 * number, np.uint8) for number in range(NUMBER)])
    texts = [f"text {number}" for number in range(NUMBER)]
    return TripletArrays(
        images, texts, np.array(regions * (NUMBER // 2)), [f"p{number // 2}" for number in range(NUMBER)]
    )


def labels(arrays: TripletArrays) -> list[Row]:
    pairs = zip(arrays.regions, arrays.patients, strict=True)
    return [Row(frozenset(), REGIONS[number], "made", patient) for number, patient in pairs]


def test_a_model_that_knows_is_right_everywhere() -> None:
    found = alignment(Reader(), films(), labels(films()), "known")
    assert list(found) == [(REGION, 0.0), (RETRIEVAL, 0.0)]
    ((region,), (recall,)) = found.values()
    assert (region.score.value, recall.score.value) == (1, 1)
    assert (region.method, recall.method, recall.metric) == ("known", "known", "Recall@5")
    assert recall.baseline == pytest.approx(RECALL_AT / NUMBER)
    assert recall.settings == {"k": 5, "gallery": NUMBER}


def test_films_that_point_to_their_neighbours_text() -> None:
    # Behind the neighbour's text all others are equally far and come as they are sorted, 0, 1, 10, 11, 2: the own text
    # is among the first five of films 0, 1, 10 and 11.
    (recall,) = alignment(Reader(shift=1), films(), labels(films()), "shifted")[RETRIEVAL, 0.0]
    known = recall.require_predictions()
    assert np.flatnonzero(known.output).tolist() == [0, 1, 10, 11]
    assert recall.score.value == pytest.approx(4 / NUMBER)
    assert known.patients.tolist() == list(films().patients)


def test_swapped_regions_are_wrong_regions() -> None:
    swapped = films((KNEE, WRIST))
    (region,) = alignment(Reader(), swapped, labels(swapped), "swapped")[REGION, 0.0]
    assert region.score.value == 0


def test_nothing_is_asked_that_every_answer_would_get_right() -> None:
    arrays = films((WRIST, WRIST))
    assert list(alignment(Reader(), arrays, labels(arrays), "one region")) == [(RETRIEVAL, 0.0)]
    same = TripletArrays(arrays.images, ["text 1"] * NUMBER, arrays.regions, arrays.patients)
    assert alignment(Reader(), same, labels(same), "one text") == {}


def test_a_method_with_a_score_of_its_own_is_asked_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def worse(model: Any, images: Any, texts: Any, **_: Any) -> Any:
        found = embed(model, images, texts)
        # The opposite of its cosine: the own text comes last.
        return -found.image @ found.text.T

    monkeypatch.setattr(asked, "has_own_score", lambda _: True)
    monkeypatch.setattr(asked, "pair_score_matrix", worse)
    found = alignment(Reader(), films(), labels(films()), "own")
    assert [one.score.value for (one,) in found.values()] == [0, 0]
