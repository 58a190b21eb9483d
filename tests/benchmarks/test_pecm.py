"""PECM's benchmarks at toy size: which rows they have, on whom they choose, and what their files do not tell."""

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import pecm
from benchmarks.answer_confidence import Scored, confidences
from benchmarks.pecm_fine_tuning import main as measure_fine_tuning
from pedclip.retrieval import FilmReports, Scores
from pedclip.retrieval.measures.comparison import fit_variant
from pedclip.retrieval.measures.confidence import MEASURES
from tests.benchmarks.test_toy_size import claimed
from tests.retrieval.drawn_pairs import pairs as drawn_pairs
from tests.training.data_source import write_source
from tests.training.tiny import tiny_config

COMPONENTS = {"none", "PER", "DSCE", "ARR", "PER+DSCE", "PER+ARR", "DSCE+ARR", "PER+DSCE+ARR"}
SOME_LOSSES = {"conf", "div", "sim+conf", "sim+div", "conf+div"}
CONTRADICTIONS = {
    "E15: proj_init=own", "E14: norm_z=False", "E5: w_norm=free", "E9: rerank=as_printed", "E8: sim_loss=as_printed",
    "E8: equal_texts=negative", "E3: div_loss=as_printed", "E4: div_reduce=sum", "E12: short=repeat",
    "E13: match=max", "E13: match=attention", "E6: w_mode=per_pair", "E3 and E4 as printed", "E8 and E15 as printed",
}  # fmt: skip
TOGETHER = {
    "w at the printed rate", "as printed", "as printed, but E3 and E4", "as printed, printed steps",
    "PER+DSCE+ARR, printed steps",
}  # fmt: skip
DIRECTIONS = ("image to text", "text to image")


def write_reports(folder: Path, splits: list[str]) -> Path:
    """Two films of each patient; every report is of words of its own, so that there is something to find."""
    write_source(folder, [f"{folder.name}{number}" for number in range(len(splits))], splits=splits, films=2)
    with (folder / "metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["text"] = f"{row['region']} number {number}. Row {number * 7}."
    with (folder / "metadata.csv").open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@dataclasses.dataclass(frozen=True)
class Toy:
    folder: Path
    arguments: list[str]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A checkpoint of other patients, and films whose nine validation patients are as few as a promise needs."""
    folder = tmp_path_factory.mktemp("pecm")
    known = write_reports(folder / "known", ["train"] * 5 + ["val"] * 3)
    sizes = {"image_size": 32, "text_depth": 1, "max_text_tokens": 32}
    checkpoint = claimed(folder / "run", dataclasses.replace(tiny_config(sizes), data=str(known)))
    source = write_reports(folder / "asked", ["train"] * 12 + ["val"] * 9 + ["test"] * 6)
    named = ["--data", str(source), "--checkpoint", str(checkpoint), "--cache", str(folder / "cache")]
    return Toy(folder, [*named, "--grid", "ceil5", "--epochs", "1", "--seeds", "0"])


def written(toy: Toy, measure: Callable[[list[str]], None]) -> dict[str, Any]:
    """The report of a benchmark, which tells neither paths nor words nor patients, and is JSON to every reader."""
    path = toy.folder / "report.json"
    measure([*toy.arguments, "--json", str(path)])
    text = path.read_text()
    assert str(toy.folder) not in text
    assert str(Path.cwd()) not in text
    with (toy.folder / "asked" / "metadata.csv").open() as file:
        for row in csv.DictReader(file):
            assert row["text"].split(".")[0] not in text
            assert row["patient_id"] not in text
    report: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return report


@pytest.fixture(scope="module")
def report(toy: Toy) -> dict[str, Any]:
    """The whole run, where choosing is held to the training and validation pairs."""
    choose = pecm.choose
    trained_on: set[str] = set()

    def chosen_blindly(options: Any, pairs: pecm.Pairs, reports: FilmReports) -> Any:
        assert reports.split == "validation"
        assert set(reports.patients) == set(pairs["validation"].patients)
        return choose(options, {split: pairs[split] for split in ("train", "validation")}, reports)

    def fitted(variant: Any, pairs: Any, **options: Any) -> Any:
        trained_on.update(pairs.patients)
        return fit_variant(variant, pairs, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pecm, "choose", chosen_blindly)
        patch.setattr(pecm, "fit_variant", fitted)
        found = written(toy, pecm.main)
    assert {patient.rpartition("asked")[2] for patient in trained_on} == {str(number) for number in range(12)}
    return found


def rows_of(report: dict[str, Any]) -> dict[tuple[str, str, int], list[str]]:
    """Methods in each direction by each metric at each K."""
    found: dict[tuple[str, str, int], list[str]] = {}
    for entry in report["recall"]:
        found.setdefault((entry["direction"], entry["metric"], entry["k"]), []).append(entry["method"])
    return found


def test_every_row_is_there_in_both_directions(report: dict[str, Any]) -> None:
    trained = COMPONENTS | CONTRADICTIONS | TOGETHER | {f"losses {name}" for name in SOME_LOSSES | {"sim"}}
    trained |= {f"printed losses {name}" for name in SOME_LOSSES | {"sim+conf+div"}}
    if report["chosen"]["config"]["conf_loss"] == "contrastive":
        trained |= {pecm.WITHOUT_NEGATIVES}
    rows = rows_of(report)
    assert {(direction, k) for direction, metric, k in rows if metric == "recall"} == {
        (direction, k) for direction in DIRECTIONS for k in (1, 5, 10)
    }
    for methods in rows.values():
        assert sorted(methods) == sorted(trained | {"cosine", "shortcut"})
    assert set(report["weights"]) == trained
    assert {entry["method"] for entry in report["recall"] if entry["difference"] is None} == {"cosine"}
    assert all(entry["difference"] is None for entry in report["recall"] if entry["method"] == "cosine")
    assert all(len(entry["seeds"]) == 1 for entry in report["recall"])


def test_counts_are_those_of_the_source(report: dict[str, Any]) -> None:
    assert report["films"] == report["texts"] == {"train": 24, "validation": 18, "test": 12}
    assert report["patients"] == {"train": 12, "validation": 9, "test": 6}
    assert report["prototypes"] == 5
    assert report["sentence_groups_per_report"] == 2
    # 12 films and 12 texts, each of its own: one in twelve of a random order.
    assert all(entry["chance"] == pytest.approx(1 / 12) for entry in report["recall"] if entry["k"] == 1)
    assert set(report["collapse"]) == {"before", "as_printed", "orthogonal", "hinge"}


def test_the_choice_is_the_best_of_what_is_told(report: dict[str, Any]) -> None:
    choice, chosen = report["choice"], report["chosen"]
    told = {(row["weights_rate"], row["conf_loss"], row["rerank"]) for row in choice}
    assert len(choice) == len(told) == 3 * 2 * 3
    intended = [row for row in choice if row["rerank"] == chosen["config"]["rerank"]]
    rate = chosen["training"]["weights_rate"]
    of_rate = [row for row in intended if row["weights_rate"] == rate]
    assert max(row["recall_at_5"] for row in of_rate) == max(row["recall_at_5"] for row in intended)
    (best,) = [row for row in of_rate if row["conf_loss"] == chosen["config"]["conf_loss"]]
    assert best["augrc, confidence"] == min(row["augrc, confidence"] for row in of_rate)


def test_recall_chooses_the_rate_and_augrc_the_loss_of_that_rate(
    report: dict[str, Any], toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [(row["weights_rate"], row["conf_loss"], row["rerank"]) for row in report["choice"]]
    # Whatever is better elsewhere, at another rate or in another ranking, must not count.
    of_row = dict.fromkeys(told, (1.0, 0.0)) | {one: (0.5, 0.1) for one in told if one[2] == "as_intended"}
    of_row |= {
        (10.0, "contrastive", "as_intended"): (0.9, 0.4),
        (10.0, "as_printed", "as_intended"): (0.3, 0.2),
    }
    values = iter([{"recall_at_5": of_row[one][0], "augrc, confidence": of_row[one][1]} for one in told])
    monkeypatch.setattr(pecm, "_validated", lambda *_: next(values))
    monkeypatch.setattr(pecm, "fit_variant", lambda *_, **__: (None, ()))
    monkeypatch.setattr(pecm, "score_pairs", lambda *_: ranked([0.9, 0.8]))
    pairs = dict.fromkeys(("train", "validation"), drawn_pairs())
    config, training, _ = pecm.choose(pecm._parse(toy.arguments), pairs, reports_of("validation", 2))
    assert (training.weights_rate, config.conf_loss) == (10, "as_printed")


def test_confidence_has_every_measure_of_every_method(report: dict[str, Any]) -> None:
    others = {pecm.COSINE, pecm.FULL, pecm.AT_PRINTED_RATE, pecm.PRINTED}
    assert others <= set(report["confidence"]) <= others | {pecm.WITHOUT_NEGATIVES}
    for (entry,) in report["confidence"].values():
        assert set(entry["measures"]) == set(MEASURES)
        for name, measure in entry["measures"].items():
            assert set(measure) >= {"augrc", "minus_plain_cosine", "aurc", "accuracy_of_the_surest_half"}
            assert (measure["minus_own_cosine"] is None) == (name == "cosine")
            assert measure["augrc"]["num_groups"] == 6
        assert entry["answer_sets"]["gallery"] == 12
    (plain,) = report["confidence"][pecm.COSINE]
    assert plain["measures"]["cosine"]["minus_plain_cosine"]["value"] == 0


def reports_of(split: str, num_patients: int) -> FilmReports:
    """One film of each patient, all of other texts."""
    numbers = np.arange(num_patients)
    names = [f"{split}{number}" for number in numbers]
    return FilmReports(
        split=split, section="excerpt", views="all", rows=numbers, texts=names, report=numbers, patients=names,
        studies=names, num_films=num_patients, num_other_views=0, num_label_texts=0, left_out=(),
    )  # fmt: skip


def ranked(right: list[float]) -> Scores:
    """The film's own text has the score given, every other one 0.5."""
    scores = torch.full((len(right), len(right)), 0.5)
    scores.fill_diagonal_(0).add_(torch.diag(torch.tensor(right)))
    return Scores(scores, scores, scores)


def test_answer_sets_need_calibration_patients_and_keep_what_the_threshold_keeps() -> None:
    # The lowest of nine calibration patients is at 0.6: two of four test films reach it, and no wrong text does.
    test = ranked([0.9, 0.7, 0.4, 0.3])
    known = [0.6, 0.7, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99]
    for num_patients in (9, 8):
        scored = Scored(ranked(known[:num_patients]), test, 0.1)
        reports = {"validation": reports_of("validation", num_patients), "test": reports_of("test", 4)}
        ((entry,),) = confidences({"toy": [scored]}, scored, reports).values()
        # The third and the fourth film are answered with another text.
        assert entry["wrong"] == 0.5
        assert entry["measures"]["final score"]["accuracy_of_the_surest_half"]["value"] == 1
        # All calibration films are right, which leaves nothing to fit a probability to.
        assert "calibration_error" not in entry["measures"]["final score"]
        if num_patients == 8:
            assert entry["answer_sets"] is None
        else:
            sets = entry["answer_sets"]
            assert (sets["promised"], sets["kept_mean_over_patients"]["value"]) == (0.9, 0.5)
            assert (sets["size"], sets["median_size"], sets["share_empty"]) == (0.5, 0.5, 0.5)


def test_calibration_is_told_where_some_calibration_films_are_wrong() -> None:
    scored = Scored(ranked([0.9, 0.4, 0.8, 0.7]), ranked([0.9, 0.7, 0.4, 0.3]), 0.1)
    reports = {split: reports_of(split, 4) for split in ("validation", "test")}
    ((entry,),) = confidences({"toy": [scored]}, scored, reports).values()
    # The score that tells right from wrong on the validation films does so on the test films.
    assert 0 <= entry["measures"]["final score"]["calibration_error"] < 0.3


def test_fine_tuning_is_compared_with_fine_tuning(toy: Toy) -> None:
    report = written(toy, measure_fine_tuning)
    full, none, before = f"fine-tuned, {pecm.FULL}", "fine-tuned, none", "cosine before fine-tuning"
    rows = rows_of(report)
    assert {direction for direction, _, _ in rows} == set(DIRECTIONS)
    assert all(methods == [none, full, before] for methods in rows.values())
    for entry in report["recall"]:
        assert (entry["difference"] is None) == (entry["method"] == none)
    assert [(run["variant"], run["seed"]) for run in report["runs"]] == [("none", 0), (pecm.FULL, 0)]
    assert report["films"] == {"train": 24, "test": 12}
    # "none" has no prototypes beside the global one, whose weights nothing moves.
    assert report["runs"][0]["fraction_of_the_global_prototype"] == pytest.approx(1 / 5)
