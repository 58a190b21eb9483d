"""The phantom as a generator: other patients with the facts of a report."""

from functools import cache

import numpy as np
import pytest
from datasets import DatasetDict

from pedclip.anatomy import REGIONS
from pedclip.data.phantom import generate
from pedclip.synthesis import Generator, PhantomGenerator, draw_films

SIZE = 32


@cache
def phantom() -> DatasetDict:
    return generate(12, seed=3, size=SIZE)


def generator() -> PhantomGenerator:
    return PhantomGenerator(phantom()["train"]["study_id"], image_size=SIZE)


def test_every_text_of_its_studies_can_be_drawn_and_the_films_are_new() -> None:
    train = phantom()["train"]
    perfect = generator()
    assert isinstance(perfect, Generator)
    assert set(train["text"]) == set(perfect.texts)
    films = draw_films(perfect, train["text"][:], seeds=list(range(len(train))))
    real = np.stack([np.asarray(film) for film in train["image"]])
    assert not any((film == other).all() for film in films for other in real)
    assert len({film.tobytes() for film in films}) == len(films)


def test_a_film_depends_on_text_and_seed_alone() -> None:
    texts = phantom()["train"]["text"][:6]
    films = generator().generate(texts, seeds=[5] * 6)
    for row in (4, 1):
        assert (generator().generate([f" {texts[row]}\n"], seeds=[5])[0] == films[row]).all()
    assert (generator().generate(texts[::-1], seeds=[5] * 6)[::-1] == films).all()
    assert (generator().generate(texts[:1], seeds=[6])[0] != films[0]).any()
    # More studies change no film, as their reports have other texts.
    more = PhantomGenerator([*phantom()["train"]["study_id"], "phantom-9-s000000"], image_size=SIZE)
    assert (more.generate(texts, seeds=[5] * 6) == films).all()
    assert more.describe() != generator().describe()


def test_what_is_drawn_are_the_facts_of_the_triplet() -> None:
    perfect = generator()
    for row in phantom()["train"].remove_columns(["image", "mask", "structures"]):
        for seed in range(3):
            taken = perfect._retake(row["text"], seed)
            part = taken.plan.parts[taken.part]
            assert REGIONS[row["region"]] == part.region
            assert row["laterality"] == part.laterality
            assert row["findings"] == [finding.name for finding in part.findings]
            assert row["severity"] == pytest.approx([finding.severity for finding in part.findings])
            assert (row["sex"], row["age_months"]) == (taken.plan.sex, pytest.approx(taken.plan.age * 12))
            assert taken.view in part.views
            assert taken.body == seed


def test_other_texts_are_refused_by_number() -> None:
    text = phantom()["train"]["text"][0]
    with pytest.raises(
        ValueError, match=r"1 of 2 texts \(the first is number 1\) are in no report of these \d+ studies"
    ):
        generator().generate([text, "A dog on a bicycle."], seeds=[1, 2])
    # Nor part of a text: it may be true of another film.
    with pytest.raises(ValueError, match="1 of 1 texts"):
        generator().generate([text.partition(".")[0]], seeds=[1])


def test_a_union_writes_its_folder_before_the_identifiers() -> None:
    studies = [f"phantom/{study}" for study in phantom()["train"]["study_id"]]
    assert PhantomGenerator(studies, image_size=SIZE).describe() == generator().describe()


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="study 's1' is none of the phantom"):
        PhantomGenerator(["phantom-0-s000000", "s1"])
    with pytest.raises(ValueError, match="no studies"):
        PhantomGenerator([])
    with pytest.raises(ValueError, match="image_size=16 is not allowed: at least 32 pixels"):
        PhantomGenerator(["phantom-0-s000000"], image_size=16)
    assert generator().is_cut(["x" * 9999]) == [False]
