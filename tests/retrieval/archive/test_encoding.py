"""Vectors and fingerprints of a tiny PedCLIP with a PECM: what they equal, what they depend on, what is refused."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.archive.encoding import (
    OF_VECTORS,
    Omission,
    encode_usable_reports,
    film_vectors,
    fingerprint,
    report_vectors,
)
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.prototypes import film_prototypes, report_prototypes
from pedclip.retrieval.vectors import PairVectors
from pedclip.triplets.left_out import Reason
from tests.retrieval.archive.tiny_models import REPORTS, films, tiny_clip, tiny_pecm

model = cache(tiny_clip)
COLUMNS = ("similarity", "confidence", "weight")


def same(one: PairVectors, other: PairVectors) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


@pytest.mark.parametrize("short", ["mask", "repeat"])
def test_scores_of_the_vectors_are_those_of_the_models(short: str) -> None:
    pecm = tiny_pecm(short=short)
    image = film_prototypes(model(), films(5), grid="ceil5")
    text = report_prototypes(model(), REPORTS, num_groups=4, short=short)  # type: ignore[arg-type]
    with torch.no_grad():
        expected = pecm(image, text.values, text.mask)
    queries, items = film_vectors(model(), pecm, films(5)), report_vectors(model(), pecm, REPORTS)
    cosines = queries.similarity @ items.similarity.T  # (B, N)
    confidence = queries.confidence @ items.confidence.T / np.minimum(queries.weight[:, None], items.weight)
    # Single precision, over few and short sums.
    np.testing.assert_allclose(cosines, expected.initial, rtol=0, atol=1e-5)
    np.testing.assert_allclose(confidence, expected.confidence, rtol=0, atol=1e-5)
    assert bool(items.weight.min() < 0.9) is (short == "mask")


def test_an_item_has_the_same_bits_in_any_company() -> None:
    pecm = tiny_pecm()
    for encode, items in ((report_vectors, REPORTS), (film_vectors, films(9))):
        whole = encode(model(), pecm, items)
        for rows in (*(slice(row, row + 1) for row in range(9)), slice(2, 7), slice(8, 3, -2)):
            part = encode(model(), pecm, items[rows])
            assert same(part, PairVectors(*(getattr(whole, name)[rows] for name in COLUMNS)))
        # Larger batches are the same vectors but for their rounding.
        for name in COLUMNS:
            together = getattr(encode(model(), pecm, items, batch_size=4), name)
            np.testing.assert_allclose(together, getattr(whole, name), rtol=0, atol=1e-5)


def test_texts_that_cannot_be_encoded_are_listed() -> None:
    texts = ["", "No fracture.", None, "…", " \n", "Broken \ud800 text.", "No fracture."]
    encoded = encode_usable_reports(model(), tiny_pecm(), texts)
    assert encoded.num_given == 7
    assert encoded.omitted == (
        Omission(0, Reason.EMPTY_REPORT),
        Omission(2, Reason.EMPTY_REPORT),
        Omission(3, Reason.EMPTY_REPORT, "a text without a sentence"),
        Omission(4, Reason.EMPTY_REPORT),
        Omission(5, Reason.CORRUPT, "a text that is no Unicode"),
    )
    assert encoded.vectors is not None
    assert same(encoded.vectors, report_vectors(model(), tiny_pecm(), ["No fracture."] * 2))
    assert encode_usable_reports(model(), tiny_pecm(), ["", None]).vectors is None
    with pytest.raises(TypeError, match="a report is a float; expected texts, and None where there is none"):
        encode_usable_reports(model(), tiny_pecm(), ["No fracture.", float("nan")])  # type: ignore[list-item]


def test_one_sentence_two_hundred_and_another_language() -> None:
    texts = ["No fracture.", "The hand is normal. " * 200, "Không thấy gãy xương. Phổi bình thường.", "骨折なし。"]
    found = report_vectors(model(), tiny_pecm(), texts)
    # Of five equal weights, a report has one per group that it fills and the global one.
    np.testing.assert_allclose(found.weight, [2 / 5, 1, 3 / 5, 2 / 5], rtol=1e-6)
    assert len(np.unique(found.similarity, axis=0)) == 4
    # Groups that a report does not have are zeros: (N, K·D) -> (N, K, D).
    blocks = np.abs(found.confidence.reshape(4, 5, -1)).sum(2) > 0
    assert blocks.sum(1).tolist() == [2, 5, 3, 2]


def test_whatever_changes_the_vectors_changes_the_fingerprint() -> None:
    def trained(name: str) -> PedCLIP:
        other = tiny_clip()
        with torch.no_grad():
            other.get_parameter(name).add_(1e-3)
        return other

    weights, heads, scaled = tiny_pecm(), tiny_clip(), tiny_clip()
    with torch.no_grad():
        weights.theta[2] += 1e-3
    heads.text_encoder.bert.config.num_attention_heads = 4
    scaled.preprocess = replace(scaled.preprocess, mean=(0.4, 0.5, 0.5))
    other_words = tiny_clip()
    other_words.tokenizer = other_words.tokenizer.train_new_from_iterator(["other words"], 60)
    names = [name for name, _ in model().named_parameters()]
    models = [
        *(trained(next(name for name in names if name.startswith(part))) for part in ("text_encoder", "image_encoder")),
        *(heads, scaled, other_words),
    ]
    known = fingerprint(model(), tiny_pecm())
    keys = [
        known,
        *(fingerprint(one, tiny_pecm()) for one in models),
        fingerprint(model(), weights),
        fingerprint(model(), tiny_pecm(), layer="dense"),
        *(fingerprint(model(), tiny_pecm(**change)) for change in ({"short": "repeat"}, {"grid": "floor4"})),
        *(fingerprint(model(), tiny_pecm(**change)) for change in ({"per": False}, {"w_norm": "softmax"})),
    ]
    assert len(set(keys)) == len(keys)
    assert fingerprint(tiny_clip(), tiny_pecm()) == known


# With a value other than the default of `tiny_pecm`, under which the vectors are the same.
NOT_OF_VECTORS: dict[str, object] = {
    # Of the start of a training: what came of it is in the weights.
    "proj_init": "own",
    # Of the losses.
    "w_entropy": 0.5,
    "sim_loss": "as_printed",
    "temperature": 0.5,
    "equal_texts": "negative",
    "conf_loss": "as_printed",
    "div_loss": "hinge",
    "div_reduce": "sum",
    "sim_weight": 0.5,
    "conf_weight": 0.5,
    "div_weight": 0.5,
    # Of attention, which has no vectors.
    "match_temperature": 0.5,
    # Of a search.
    "rerank": "sum",
    "top_m": 3,
    "arr": False,
}


def test_every_field_of_pecm_is_known_to_change_vectors_or_not() -> None:
    # A new field must be put in one of the two, or an index would be taken for another one's without a word.
    assert {field.name for field in fields(PECMConfig)} == {*OF_VECTORS, *NOT_OF_VECTORS}
    assert not {*OF_VECTORS} & {*NOT_OF_VECTORS}


@pytest.mark.parametrize("name", NOT_OF_VECTORS)
def test_losses_and_searches_are_not_in_the_fingerprint(name: str) -> None:
    known, other = tiny_pecm(), tiny_pecm(**{name: NOT_OF_VECTORS[name]})
    assert getattr(known.config, name) != NOT_OF_VECTORS[name]
    if name == "proj_init":
        # As the weights of one training.
        other.load_state_dict(known.state_dict())
    assert fingerprint(model(), other) == fingerprint(model(), known)
    assert same(film_vectors(model(), other, films(1)), film_vectors(model(), known, films(1)))
    assert same(report_vectors(model(), other, REPORTS[:2]), report_vectors(model(), known, REPORTS[:2]))


def test_a_model_that_was_saved_has_the_fingerprint_that_it_had(tmp_path) -> None:
    # Workers and later sessions load it from there.
    pecm = tiny_pecm()
    model().tokenize(["a longer text"])  # leaves padding and truncation in the tokenizer
    model().save_pretrained(tmp_path / "clip")
    assert fingerprint(PedCLIP.from_pretrained(tmp_path / "clip"), pecm) == fingerprint(model(), pecm)


def test_misuse_is_refused() -> None:
    pecm, stored = tiny_pecm(), films(3)
    for encode, items in ((report_vectors, REPORTS), (film_vectors, stored)):
        with pytest.raises(ValueError, match="batch_size=0 is not allowed"):
            encode(model(), pecm, items, batch_size=0)
        with pytest.raises(ValueError, match=r"prototypes of widths .* do not fit image_width"):
            encode(model(), tiny_pecm(image_width=24, text_width=24), items)
    with pytest.raises(ValueError, match="1 of 2 reports are empty"):
        report_vectors(model(), pecm, ["No fracture.", ""])
    with pytest.raises(ValueError, match="reports is empty"):
        report_vectors(model(), pecm, [])
    with pytest.raises(ValueError, match="text_proto='doc2vec': this PECM was trained on other report prototypes"):
        report_vectors(model(), tiny_pecm(text_proto="doc2vec"), REPORTS)
    with pytest.raises(ValueError, match="w_norm='free' has no form for an index"):
        report_vectors(model(), tiny_pecm(w_norm="free"), REPORTS)
    # Other regions than groups: a grid that the model's patches do not make.
    with pytest.raises(ValueError, match=r"prototypes \(1, 2, 24\)"):
        film_vectors(model(), tiny_pecm(grid="floor4"), stored)
    for wrong in (stored[0], stored[:0], stored[:, 1:], stored.astype(np.float32)):
        with pytest.raises(ValueError, match=r"films must be \(N, \d+, \d+\) uint8 with at least one film, got"):
            film_vectors(model(), pecm, wrong)


@pytest.mark.parametrize("layer", ["last", "", "Dense", None, ["final"]])
def test_a_layer_that_does_not_exist_is_refused(layer: object) -> None:
    wrong: dict[str, object] = {"layer": layer}
    calls: list[Callable[[], object]] = [
        lambda: fingerprint(model(), tiny_pecm(), **wrong),  # type: ignore[arg-type]
        lambda: film_vectors(model(), tiny_pecm(), films(1), **wrong),  # type: ignore[arg-type]
        lambda: film_prototypes(model(), films(1), **wrong),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"layer=.* is not allowed: choose from dense, final"):
            call()


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("No fracture.", TypeError, "texts is a single text; pass a list of one"),
        (None, TypeError, "texts is a NoneType; expected a list of texts"),
        (3, TypeError, "texts is a int; expected a list of texts"),
        (["No fracture.", None], TypeError, "a report is a NoneType; expected texts only, see item 1"),
        (["No fracture.", float("nan")], TypeError, "a report is a float; expected texts only, see item 1"),
        ([3], TypeError, "a report is a int; expected texts only, see item 0"),
        (b"No fracture.", TypeError, "a report is a int; expected texts only, see item 0"),
        (["No fracture.", "Broken \ud800 text."], ValueError, "item 1 is a text that is no Unicode; leave it out"),
    ],
)
def test_reports_that_are_no_texts_are_refused(texts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        report_vectors(model(), tiny_pecm(), texts)


def test_columns_of_texts_are_texts() -> None:
    listed = report_vectors(model(), tiny_pecm(), REPORTS[:2])
    assert same(report_vectors(model(), tiny_pecm(), np.array(REPORTS[:2])), listed)  # type: ignore[arg-type]
    assert same(report_vectors(model(), tiny_pecm(), tuple(REPORTS[:2])), listed)


def test_films_that_are_no_array_are_refused() -> None:
    for wrong, kind in ((list(films(2)), "list"), (torch.from_numpy(films(1)), "Tensor"), (None, "NoneType")):
        with pytest.raises(TypeError, match=rf"films is a {kind}; expected a numpy array \(N, \d+, \d+\) of uint8"):
            film_vectors(model(), tiny_pecm(), wrong)  # type: ignore[arg-type]
