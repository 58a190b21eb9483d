"""Protocols beside numbers: in settings, in words, in a table, and refused where there are none."""

import json
from dataclasses import replace

import pytest

from pedclip.evaluation.metrics import Interval
from pedclip.evaluation.result import Result
from pedclip.retrieval.measures.protocols import Protocol, protocol_of, protocol_table, with_protocol

PROTOCOL = Protocol(
    direction="text to image", num_queries=4, gallery=6, unique_texts=4, section="study", num_patients=3,
    is_self_included=True,
)  # fmt: skip
RESULT = Result(
    task="text to image",
    method="PECM",
    metric="recall",
    score=Interval(0.5, 0.25, 0.75, 4, 3),
    baseline=0.1,
    baseline_name="random ranking",
    settings={"k": 5, "gallery": 6},
)


def test_a_result_keeps_its_protocol_on_the_way_to_a_file_and_back() -> None:
    result = with_protocol(RESULT, PROTOCOL)
    assert protocol_of(result) == PROTOCOL
    again = json.loads(json.dumps(result.to_dict()))["settings"]
    assert protocol_of(replace(RESULT, settings=again)) == PROTOCOL
    assert again["k"] == 5


def test_a_table_repeats_the_protocol_in_every_row() -> None:
    other = with_protocol(replace(RESULT, method="cosine"), replace(PROTOCOL, note="other"))
    table = protocol_table([with_protocol(RESULT, PROTOCOL), other])
    assert table.columns[:8].tolist() == ["method", "direction", "metric", "k", "value", "low", "high", "chance"]
    assert table[["method", "value", "chance", "gallery", "unique_texts", "note"]].to_dict("records") == [
        {"method": "PECM", "value": 0.5, "chance": 0.1, "gallery": 6, "unique_texts": 4, "note": ""},
        {"method": "cosine", "value": 0.5, "chance": 0.1, "gallery": 6, "unique_texts": 4, "note": "other"},
    ]


def test_a_number_without_a_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match=r"text to image, recall: no protocol \(direction, num_queries, "):
        protocol_table([RESULT])


def test_a_mean_over_nothing_has_no_protocol() -> None:
    for name in ("num_queries", "gallery"):
        with pytest.raises(ValueError, match=f"{name}=0 is not allowed: at least 1"):
            replace(PROTOCOL, **{name: 0})  # type: ignore[arg-type]


def test_words_leave_out_what_nobody_knows() -> None:
    films = replace(PROTOCOL, direction="image to image", unique_texts=None, section="", is_self_included=False)
    assert str(films) == (
        "image to image: 4 queries of 3 patients, gallery of 6; all views; ties: lower number first; "
        "own item excluded; 0 queries left out"
    )
