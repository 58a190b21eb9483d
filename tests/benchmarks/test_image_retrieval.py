"""Films by a film: paired differences are those of the package's precision, and concepts go to the right captions."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.image_retrieval import by_concept, compared, film_names, finding_class, main, query_values
from pedclip.evaluation.tasks.labels import Row
from pedclip.retrieval import FilmReports, LabelledFilms, Scores, class_precision, region_precision

PATIENTS = [f"p{number // 2}" for number in range(30)]


def films(seed: int) -> LabelledFilms:
    rng = np.random.default_rng(seed)
    return LabelledFilms(rng.normal(size=(30, 4)).astype(np.float32), rng.choice(list("abc"), 30).tolist(), PATIENTS)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_values_of_queries_have_the_mean_that_the_package_reports(k: int) -> None:
    queries, index = films(0), films(1)
    by_class = class_precision(queries, index, ks=(k,), exclude_same_patient=True, num_resamples=1)[0]
    among = region_precision(queries, ks=(k,), num_resamples=1)[0]
    assert np.nanmean(query_values(queries, index, k)) == pytest.approx(by_class.score.value)
    assert np.nanmean(query_values(queries, None, k)) == pytest.approx(among.score.value)


def test_the_difference_is_that_of_the_method_to_the_thumbnail() -> None:
    queries = films(0)
    labels = np.array([ord(name) for name in queries.classes])
    right = LabelledFilms(np.eye(3, dtype=np.float32)[labels - ord("a")], queries.classes, PATIENTS)
    entries = compared({"right": (right, None), "thumbnail": (queries, None)}, (1,), 20)
    micro = {entry["method"]: entry for entry in entries if entry["metric"] == "P@K (micro)"}
    assert micro["right"]["score"]["value"] == 1
    away = 1 - micro["thumbnail"]["score"]["value"]
    assert micro["right"]["minus thumbnail"]["value"] == pytest.approx(away)
    assert "minus thumbnail" not in micro["thumbnail"]


def test_a_class_of_a_finding_is_of_one_finding_in_one_region() -> None:
    def row(findings: frozenset[str] | None, uncertain: frozenset[str] = frozenset()) -> Row:
        return Row(findings=findings, region="wrist", source="a", patient="p", uncertain=uncertain)

    assert finding_class(row(frozenset({"fracture"}))) == "fracture of wrist"
    for other in (None, frozenset[str](), frozenset({"fracture", "cast"})):
        assert finding_class(row(other)) == ""
    assert finding_class(row(frozenset({"fracture"}), frozenset({"cast"}))) == ""


def reports() -> FilmReports:
    return FilmReports(
        split="test", section="excerpt", views="all", rows=np.array([1, 2, 3, 5]), texts=("x", "y", "z"),
        report=np.array([0, 0, 1, 2]), patients=list("pqrs"), studies=list("abcd"), num_films=6, num_other_views=0,
        num_label_texts=0, left_out=(),
    )  # fmt: skip


def test_captions_have_the_concepts_of_their_films() -> None:
    triplets = {"image_id": [f"roco/f{number}" for number in range(6)], "source": ["roco"] * 6}
    names = film_names(triplets, reports())
    assert names == ["f1", "f2", "f3", "f5"]
    # The film of "z" is in no file of concepts, so that neither it nor its caption takes part.
    concepts = {"f1": frozenset({"A"}), "f2": frozenset({"B"}), "f3": frozenset({"B", "C"})}
    own_first = torch.tensor([[3.0, 2, 9], [3, 2, 9], [2, 3, 9], [1, 1, 1]])
    entries = by_concept({"m": Scores(own_first, own_first, own_first)}, reports(), names, concepts, 2)
    coverage = {
        entry["question"]: entry["score"]["value"]
        for entry in entries
        if (entry["metric"], entry["k"]) == ("CUI (coverage)", 5)
    }
    # Without its own caption f1 (A) finds B and C, f2 (B) finds B and C, and f3 (B and C) finds A and B.
    assert coverage == {"CUI, own caption excluded": 0.5, "CUI, own caption included": 1}
    assert {entry["gallery"] for entry in entries} == {2}
    with pytest.raises(SystemExit, match="none of 4 test films"):
        by_concept({}, reports(), names, {"g": frozenset()}, 2)


def test_the_whole_run_at_toy_size(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    main(["--studies", "60", "--epochs", "1", "--cache", str(tmp_path / "cache"), "--json", str(path)])
    report = json.loads(path.read_text())
    assert str(tmp_path) not in path.read_text()
    methods = {entry["method"] for entry in report["region"]}
    assert methods >= {"PECM", "embedding", "untrained", "thumbnail", "raw thumbnail"}
    assert {entry["k"] for entry in report["mura"]} == {5, 10, 30}
