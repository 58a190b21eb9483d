"""Film-report pairs of a small phantom: which words are a report, what is left out, and prototypes from the cache."""

import tempfile
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import DatasetDict

from pedclip.data import load
from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval import pairs as pairs_module
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.measures.evaluate import report_recall
from pedclip.retrieval.measures.protocols import protocol_of
from pedclip.retrieval.pairs import FilmReports, extract_pairs, film_reports, pairs_key
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import film_prototypes, report_prototypes
from pedclip.retrieval.train import PECMTraining, train_pecm
from pedclip.triplets import to_arrays
from pedclip.triplets.left_out import LeftOut, Reason
from tests.objectives.tiny_features import tiny_model

model = cache(tiny_model)


@cache
def phantom() -> DatasetDict:
    return load("phantom", studies=20, seed=0, size=32)


def changed(column: str, values: dict[int, object]) -> DatasetDict:
    """The phantom with other values in some rows of the training split."""

    def change(row: dict[str, object], number: int) -> dict[str, object]:
        return {column: values.get(number, row[column])}

    train = phantom()["train"]
    return DatasetDict({"train": train.map(change, with_indices=True, features=train.features, keep_in_memory=True)})


@cache
def films() -> np.ndarray:
    # Copied into memory, so that the folder may go.
    with tempfile.TemporaryDirectory() as folder:
        return np.array(to_arrays(phantom()["train"], Path(folder), size=model().preprocess.resize).images)


def test_every_film_of_the_phantom_has_its_excerpt() -> None:
    train, reports = phantom()["train"], film_reports(phantom(), "train")
    assert (len(reports), reports.num_films, len(reports.left_out)) == (len(train), len(train), 0)
    for row in range(len(train)):
        assert reports.texts[reports.report[row]] == " ".join(train[row]["text"].split())
        assert reports.patients[row].endswith(train[row]["patient_id"])
    assert len(set(reports.texts)) == len(reports.texts)


def test_a_study_is_its_different_excerpts_in_order() -> None:
    train, reports = phantom()["train"], film_reports(phantom(), "train", section="study")
    found: dict[str, list[str]] = {}
    for study, text in zip(train["study_id"], train["text"], strict=True):
        if text not in found.setdefault(study, []):
            found[study].append(text)
    assert max(map(len, found.values())) > 1  # or the phantom would show nothing here
    for row in range(len(train)):
        report = reports.texts[reports.report[row]]
        assert report == " ".join(" ".join(found[train[row]["study_id"]]).split())
    # Films of one study have one report.
    assert max(Counter(reports.report.tolist()).values()) > 1


def test_a_stop_keeps_joined_excerpts_apart() -> None:
    study = Counter(phantom()["train"]["study_id"]).most_common(1)[0][0]
    rows = [row for row, name in enumerate(phantom()["train"]["study_id"]) if name == study]
    texts = {row: f"Film {number} normal" for number, row in enumerate(rows)}
    texts[rows[-1]] = ""
    reports = film_reports(changed("text", texts), "train", section="study")
    joined = ". ".join(f"Film {number} normal" for number in range(len(rows) - 1))
    # The film without words of its own has the report of its study.
    place = reports.rows.tolist().index(rows[-1])
    assert reports.texts[reports.report[place]] == joined
    assert not reports.left_out


def test_films_without_a_report_are_listed_with_the_reason() -> None:
    triplets = changed("text", {0: "", 2: " \n", 3: "…", 5: None})
    reports = film_reports(triplets, "train")
    names, source = triplets["train"]["image_id"], triplets["train"]["source"][0]
    assert list(reports.left_out) == [
        LeftOut(names[0], Reason.NO_REPORT, source=source),
        LeftOut(names[2], Reason.NO_REPORT, source=source),
        LeftOut(names[3], Reason.EMPTY_REPORT, "a text without a sentence", source=source),
        LeftOut(names[5], Reason.NO_REPORT, source=source),
    ]
    assert reports.rows.tolist() == [row for row in range(len(names)) if row not in (0, 2, 3, 5)]
    assert len(reports) + len(reports.left_out) == reports.num_films


def test_sentences_made_of_labels_are_counted_or_left_out() -> None:
    triplets = changed("text_source", {1: "label-prompt", 4: "label-prompt"})
    assert film_reports(triplets, "train").num_label_texts == 2
    without = film_reports(triplets, "train", label_text="skip")
    assert without.num_label_texts == 0
    assert [one.file for one in without.left_out] == [triplets["train"]["image_id"][row] for row in (1, 4)]
    # Neither do they enter the report of the study.
    labels = changed("text_source", dict.fromkeys(range(27), "label-prompt"))
    with pytest.raises(ValueError, match="leaves no film: 0 of other views, 27 without a report"):
        film_reports(labels, "train", section="study", label_text="skip")


def test_frontal_views_are_counted_out() -> None:
    reports, views = film_reports(phantom(), "train", views="frontal"), phantom()["train"]["view"]
    assert {views[row] for row in reports.rows} <= {"AP", "PA"}
    assert reports.num_other_views == sum(view not in ("AP", "PA") for view in views) > 0
    assert len(reports) + reports.num_other_views == len(views)


def test_prototypes_are_those_of_each_film_and_text() -> None:
    reports = film_reports(changed("text", {1: ""}), "train")
    pairs = extract_pairs(model(), films(), reports, batch_size=5)
    image = film_prototypes(model(), films()[reports.rows])
    text = report_prototypes(model(), reports.texts, num_groups=image.shape[1] - 1)
    torch.testing.assert_close(pairs.image, image, rtol=1e-5, atol=1e-5)  # batches of another size
    torch.testing.assert_close(pairs.text.values, text.values, rtol=1e-5, atol=1e-5)
    assert torch.equal(pairs.text.mask, text.mask)
    assert torch.equal(pairs.text.distinct, text.distinct)
    assert pairs.report.tolist() == reports.report.tolist()
    assert list(pairs.patients) == list(reports.patients)


def test_pairs_are_what_is_trained_on_and_scored() -> None:
    reports = film_reports(phantom(), "train")
    pairs = extract_pairs(model(), films(), reports)
    num_prototypes, width = pairs.image.shape[1:]
    pecm = PECM(num_prototypes, config=PECMConfig(image_width=width, text_width=width, proj_dim=16))
    generator = torch.Generator().manual_seed(0)
    training = PECMTraining(epochs=100, batch_size=14, learning_rate=0.05, weights_rate=1.0)
    train_pecm(pecm, pairs, generator=generator, training=training)
    with torch.no_grad():
        results = report_recall(pecm(pairs.image, pairs.text.values, pairs.text.mask), reports, num_resamples=10)
    table = {(one.task, one.metric, one.settings["k"]): one for one in results}
    # It learned its own pairs, which is the least.
    assert table["image to text", "recall", 5].score.value > 2 * table["image to text", "recall", 5].baseline
    assert protocol_of(results[0]).gallery == len(reports.texts)


def test_films_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = film_reports(phantom(), "train")
    whole = extract_pairs(model(), films(), reports)
    monkeypatch.setattr(pairs_module, "_FILMS_AT_ONCE", 3)
    torch.testing.assert_close(extract_pairs(model(), films(), reports).image, whole.image, rtol=1e-5, atol=1e-5)


def test_the_cache_is_read_and_a_damaged_file_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = film_reports(phantom(), "train")
    first = extract_pairs(model(), films(), reports, cache=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    assert file.stem == pairs_key(model(), films(), reports)[:32]
    content = file.read_bytes()
    with monkeypatch.context() as patched:
        # Nothing is computed where the file is good.
        patched.setattr(pairs_module, "film_prototypes", None)
        again = extract_pairs(model(), films(), reports, cache=tmp_path)
    for one, other in ((first.image, again.image), (first.text.values, again.text.values)):
        assert torch.equal(one, other)
    assert torch.equal(first.text.distinct, again.text.distinct)
    for damaged in (content[: len(content) // 2], content.replace(file.stem.encode(), b"0" * 32)):
        file.write_bytes(damaged)
        assert torch.equal(extract_pairs(model(), films(), reports, cache=tmp_path).image, first.image)
        assert file.read_bytes() == content


def test_whatever_changes_the_prototypes_changes_the_key() -> None:
    reports = film_reports(phantom(), "train")
    other = films().copy()
    other[3, 4, 5] += 1
    trained = tiny_model()
    with torch.no_grad():
        trained.text_encoder.get_parameter(next(name for name, _ in trained.text_encoder.named_parameters())).add_(1e-3)
    keys = [
        pairs_key(model(), films(), reports),
        pairs_key(model(), other, reports),
        pairs_key(trained, films(), reports),
        pairs_key(model(), films(), film_reports(phantom(), "train", section="study")),
        pairs_key(model(), films(), film_reports(phantom(), "train", views="frontal")),
        # The same words with other films.
        pairs_key(model(), films(), replace(reports, rows=reports.rows[::-1].copy())),
        pairs_key(model(), films(), reports, layer="dense"),
        pairs_key(model(), films(), reports, short="repeat"),
    ]
    assert len(set(keys)) == len(keys)
    assert pairs_key(tiny_model(), films(), reports) == keys[0]


def test_misuse_is_refused() -> None:
    reports = film_reports(phantom(), "train")
    with pytest.raises(ValueError, match="section='findings' is not allowed: one of"):
        film_reports(phantom(), "train", section="findings")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="views='lateral' is not allowed"):
        film_reports(phantom(), "train", views="lateral")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="split='training' is not allowed: one of"):
        film_reports(phantom(), "training")
    empty = changed("text", dict.fromkeys(range(len(phantom()["train"])), ""))
    with pytest.raises(ValueError, match="the train split leaves no film: 0 of other views"):
        film_reports(empty, "train")
    with pytest.raises(ValueError, match=f"3 films for a train split of {reports.num_films}"):
        extract_pairs(model(), films()[:3], reports)
    with pytest.raises(ValueError, match="batch_size=0 is not allowed"):
        extract_pairs(model(), films(), reports, batch_size=0)


def test_texts_without_films_are_no_reports() -> None:
    rows, names = np.arange(2), ("a", "b")
    values = ("test", "excerpt", "all", rows, ("One.", "Two."), np.array([0, 0]), names, names, 2, 0, 0, ())
    with pytest.raises(ValueError, match="report must name each of 2 texts"):
        FilmReports(*values)
    with pytest.raises(ValueError, match=r"different lengths: \[1, 2\]"):
        FilmReports(*values[:6], ("a",), *values[7:])


def test_the_model_is_left_as_it_was() -> None:
    clip: PedCLIP = tiny_model().train()
    extract_pairs(clip, films(), film_reports(phantom(), "train"))
    assert clip.training
