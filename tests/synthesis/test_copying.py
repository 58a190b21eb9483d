"""Copies of triplets with drawn films: what is kept, what is not, what is refused; and what a kill leaves."""

import csv
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import DatasetDict

from pedclip.data import load
from pedclip.synthesis import OtherCopy, film_seeds, synthetic_copy
from pedclip.triplets.arrays import film_digests, qualified_patients
from pedclip.triplets.decoding import decode
from pedclip.triplets.schema import FEATURES, OPTIONAL
from pedclip.triplets.storage import load_triplets, make_split, save_triplets
from tests.synthesis.generators import BrokenGenerator, NoiseGenerator
from tests.triplets.triplet_rows import triplet


class Named(NoiseGenerator):
    """Noise under another name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


KEPT = [
    *("text", "region", "laterality", "patient_id", "study_id", "image_id", "age_months", "sex", "findings"),
    *("uncertain", "severity", "text_source"),
]


def triplets(**values: Any) -> DatasetDict:
    parts = {"train": range(5), "validation": range(5, 7), "test": range(7, 9)}
    return DatasetDict({split: make_split([triplet(n, **values) for n in rows]) for split, rows in parts.items()})


def manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def films_of(folder: Path, split: str = "train") -> list[str]:
    return film_digests(load_triplets(folder)[split])


def test_rows_stay_and_films_are_drawn(tmp_path: Path) -> None:
    real = triplets(bone_age_months=20.0, severity=[0.5], uncertain=["effusion"])
    copy = synthetic_copy(real, NoiseGenerator(), tmp_path / "copy", seed=3, batch_size=2)
    drawn = load(copy.folder)
    assert {split: len(rows) for split, rows in drawn.items()} == {"train": 5, "validation": 0, "test": 0}
    assert drawn["train"].features == FEATURES
    for name in KEPT:
        assert drawn["train"][name][:] == real["train"][name][:], name
    # True of the real film alone.
    for name in ("boxes", "mask", "structures", "bone_age_months"):
        assert drawn["train"][name][:] == [None] * 5, name
    assert drawn["train"]["view"][:] == [""] * 5
    assert drawn["train"]["source"][:] == ["synthetic:noise:made"] * 5
    # The patients of both sets are the same ones.
    assert qualified_patients(drawn["train"]) == qualified_patients(real["train"])
    seeds = film_seeds([f"made/i{number}" for number in range(5)], seed=3)
    expected = NoiseGenerator().generate(real["train"]["text"][:], seeds=seeds)
    found = [np.asarray(film) for film in drawn["train"]["image"]]
    assert (np.stack(found) == expected).all()


def test_the_manifest_has_a_line_per_film_and_the_head_what_made_them(tmp_path: Path) -> None:
    real = triplets(text="Left knee: no fracture, é.")
    copy = synthetic_copy(real, NoiseGenerator(longest=3), tmp_path / "copy", seed=3, revision="abc")
    lines = manifest(copy.folder)
    assert [line["image_sha256"] for line in lines] == films_of(copy.folder)
    assert lines[1] | {"image_sha256": ""} == {
        "image_id": "i1",
        "source": "made",
        "split": "train",
        "prompt": "Left knee: no fracture, é.",
        "prompt_sha256": hashlib.sha256("Left knee: no fracture, é.".encode()).hexdigest(),
        "is_cut": True,
        "seed": film_seeds(["made/i1"], seed=3)[0],
        "image_sha256": "",
    }
    assert copy.head["generator"] == {"name": "noise", "image_size": 16, "kind": "noise", "version": 1}
    assert copy.head["options"]["seed"] == 3
    assert (copy.head["num_films"], copy.head["num_cut"], copy.head["revision"]) == (5, 5, "abc")
    assert json.loads((copy.folder / "synthetic.json").read_text()) == copy.head
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_what_gets_no_film_is_listed_and_cut_prompts_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts = ["", "One two three four.", "blank", "Normal.", "Impression: Clear lungs."]
    real = triplets()
    real["train"] = make_split([triplet(number, text=text) for number, text in enumerate(texts)])
    with caplog.at_level(logging.INFO, "pedclip.synthesis"):
        copy = synthetic_copy(real, NoiseGenerator(longest=3), tmp_path / "copy")
    assert "1 of 4 prompts (25.0 %) are longer than noise reads" in caplog.text
    assert (copy.num_films, copy.num_cut, copy.num_left_out) == (3, 1, 2)
    assert load(copy.folder)["train"]["image_id"][:] == ["i1", "i3", "i4"]
    with (copy.folder / "left_out.csv").open(encoding="utf-8") as file:
        rows = [(row["source"], row["file"], row["reason"], row["detail"]) for row in csv.DictReader(file)]
    constant = "the generator drew one grey level only"
    assert rows == [("made", "i0", "no-text", "no text"), ("made", "i2", "bad-image", constant)]
    assert set(copy.reasons) == {"1 × no-text (no text)", f"1 × bad-image ({constant})"}
    impressions = synthetic_copy(real, NoiseGenerator(), tmp_path / "impressions", prompt="impression")
    assert [line["prompt"] for line in manifest(impressions.folder)] == ["Clear lungs."]
    assert "3 × no-text" in "; ".join(impressions.reasons) or impressions.num_left_out == 4
    long = synthetic_copy(real, NoiseGenerator(), tmp_path / "long", min_words=3)
    assert [line["image_id"] for line in manifest(long.folder)] == ["i1", "i4"]


def test_a_generator_is_told_what_it_is_meant_to_be_told(tmp_path: Path) -> None:
    real, asked = triplets(text="No fracture.", region="wrist", laterality="left"), NoiseGenerator()
    asked.prompt = "named"
    named = synthetic_copy(real, asked, tmp_path / "named")
    assert {line["prompt"] for line in manifest(named.folder)} == {"Left wrist radiograph. No fracture."}
    assert named.head["options"]["prompt"] == "named"
    # Unless somebody knows better.
    plain = synthetic_copy(real, asked, tmp_path / "plain", prompt="excerpt")
    assert {line["prompt"] for line in manifest(plain.folder)} == {"No fracture."}


def test_the_same_film_whatever_order_batch_and_company(tmp_path: Path) -> None:
    real = triplets()
    whole = synthetic_copy(real, NoiseGenerator(), tmp_path / "whole", batch_size=2)
    backwards = DatasetDict({**real, "train": real["train"].select([4, 2, 1])})
    part = synthetic_copy(backwards, NoiseGenerator(), tmp_path / "part", batch_size=3)
    assert films_of(part.folder) == [films_of(whole.folder)[row] for row in (4, 2, 1)]
    fixed = synthetic_copy(real, NoiseGenerator(), tmp_path / "fixed", seed=9, seed_mode="fixed_each")
    assert {line["seed"] for line in manifest(fixed.folder)} == {9}


def test_validation_and_test_films_are_drawn_only_by_name(tmp_path: Path) -> None:
    generator = NoiseGenerator()
    copy = synthetic_copy(triplets(), generator, tmp_path / "copy", splits=("test",))
    assert {split: len(rows) for split, rows in load(copy.folder).items()} == {"train": 0, "validation": 0, "test": 2}
    assert [text for call in generator.calls for text in call] == ["Fracture 7.", "Fracture 8."]


def test_films_of_two_sources_with_one_name_are_two(tmp_path: Path) -> None:
    real = triplets()
    real["train"] = make_split([triplet(1), triplet(1, source="other"), triplet(2)])
    copy = synthetic_copy(real, NoiseGenerator(), tmp_path / "copy")
    assert load(copy.folder)["train"]["source"][:] == [f"synthetic:noise:{one}" for one in ("made", "other", "made")]
    assert len(set(films_of(copy.folder))) == 3


def test_a_finished_copy_is_returned_without_drawing(tmp_path: Path) -> None:
    first = synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy")
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    generator = NoiseGenerator()
    assert synthetic_copy(triplets(), generator, tmp_path / "copy") == first
    assert generator.calls == []
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "options.seed was 0, is 1"),
        ({"prompt": "named"}, "options.prompt was 'excerpt', is 'named'"),
        ({"batch_size": 3}, "options.batch_size was 8, is 3"),
        ({"splits": ("train", "test")}, r"options.splits was \['train'\], is"),
        ({"generator": NoiseGenerator(version=2)}, "generator.version was 1, is 2"),
        ({"triplets": triplets(text="Other.")}, "reports was '[0-9a-f]+', is"),
    ],
)
def test_another_copy_in_the_same_folder_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    given = {"triplets": triplets(), "generator": NoiseGenerator(), "output": tmp_path / "copy"}
    first = synthetic_copy(**given)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    with pytest.raises(OtherCopy, match=words):
        synthetic_copy(**given | change)
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_real_films_are_never_overwritten(tmp_path: Path) -> None:
    save_triplets(triplets(), tmp_path / "real")
    before = films_of(tmp_path / "real")
    generator = NoiseGenerator()
    with pytest.raises(FileExistsError, match=r"is no synthetic copy; it holds test-00000-of-00001.parquet, train-"):
        synthetic_copy(triplets(), generator, tmp_path / "real")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file"):
        synthetic_copy(triplets(), generator, tmp_path / "file")
    assert (generator.calls, films_of(tmp_path / "real")) == ([], before)


def test_what_appears_in_the_folder_meanwhile_is_kept(tmp_path: Path) -> None:
    def change(films: Any) -> Any:
        save_triplets(triplets(), tmp_path / "copy")
        return films

    with pytest.raises(FileExistsError, match="is not replaced"):
        synthetic_copy(triplets(), BrokenGenerator(change), tmp_path / "copy")
    assert films_of(tmp_path / "copy") == film_digests(triplets()["train"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"splits": ()}, r"splits=\(\) is not allowed"),
        ({"splits": ("train", "train")}, "each once"),
        ({"splits": ("training",)}, "some of"),
        ({"batch_size": 0}, "batch_size=0 is not allowed: a whole number, at least 1"),
        ({"min_words": True}, "min_words=True"),
        ({"seed": -1}, "seed -1"),
        ({"prompt": "x"}, "prompt='x'"),
        ({"seed_mode": "x"}, "seed_mode='x'"),
        ({"triplets": triplets(text=" ")}, "no triplet of train has a prompt; 5 were left out"),
        ({"triplets": triplets(image_id="one")}, "4 identifiers occur twice"),
        ({"triplets": triplets(text="blank")}, "all 5 films are of one grey level"),
        ({"generator": BrokenGenerator(lambda films: films[:, :8])}, "noise gave"),
        ({"generator": Named("a:b")}, "a generator named 'a:b': expected letters"),
    ],
)
def test_bad_input_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    given = {"triplets": triplets(), "generator": NoiseGenerator(), "output": tmp_path / "copy"} | change
    with pytest.raises(ValueError, match=words):
        synthetic_copy(**given)
    assert not (tmp_path / "copy").exists()


def test_black_films_do_not_bar_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all 5 films are of one grey level"):
        synthetic_copy(triplets(), BrokenGenerator(np.zeros_like), tmp_path / "copy")
    assert synthetic_copy(triplets(), NoiseGenerator(version=2), tmp_path / "copy").num_films == 5


def test_older_sets_and_numbers_of_numpy_are_taken(tmp_path: Path) -> None:
    real = triplets()
    older = DatasetDict({split: rows.remove_columns(list(OPTIONAL)) for split, rows in real.items()})
    copies = [
        synthetic_copy(data, NoiseGenerator(), tmp_path / name, seed=seed, seed_mode="fixed_each")
        for name, data, seed in (("older", older, np.int64(3)), ("newer", real, 3))
    ]
    assert load(copies[0].folder)["train"].features == FEATURES
    assert manifest(copies[0].folder) == manifest(copies[1].folder)
    assert copies[0].head == copies[1].head


def interrupted(number: int) -> Callable[[Any], Any]:
    """A change of films that fails in the call of this number."""
    calls = []

    def change(films: Any) -> Any:
        calls.append(films)
        if len(calls) == number:
            raise RuntimeError("out of memory")
        return films

    return change


def begun(tmp_path: Path) -> Path:
    """The work folder of a copy that failed in its third batch of two."""
    with pytest.raises(RuntimeError, match="out of memory"):
        synthetic_copy(triplets(), BrokenGenerator(interrupted(3)), tmp_path / "copy", batch_size=2)
    return tmp_path / ".copy.drawing"


def test_a_copy_goes_on_where_it_stopped(tmp_path: Path) -> None:
    work = begun(tmp_path)
    assert sorted(path.name for path in work.glob("*/*")) == [f"{number:09d}.png" for number in range(4)]
    generator = NoiseGenerator()
    copy = synthetic_copy(triplets(), generator, tmp_path / "copy", batch_size=2)
    assert generator.calls == [["Fracture 4."]]
    whole = synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "whole", batch_size=2)
    assert films_of(copy.folder) == films_of(whole.folder)
    assert manifest(copy.folder) == manifest(whole.folder)
    assert not work.exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "other", "journal", "torn"])
def test_a_damaged_film_is_made_again_with_its_batch(tmp_path: Path, damage: str) -> None:
    work = begun(tmp_path)
    film, journal = work / "000000" / "000000002.png", work / "journal.jsonl"
    content, lines = film.read_bytes(), journal.read_bytes().splitlines(keepends=True)
    if damage == "gone":
        film.unlink()
    elif damage in ("cut", "other"):
        film.write_bytes(content[:-9] if damage == "cut" else (work / "000000" / "000000001.png").read_bytes())
    else:
        # A line without its end is what a kill leaves; one of rubbish what a bad disk does.
        journal.write_bytes(b"".join(lines[:2]) + (b"\0\0\0\n" + lines[3] if damage == "journal" else lines[2][:-4]))
    generator = NoiseGenerator()
    copy = synthetic_copy(triplets(), generator, tmp_path / "copy", batch_size=2)
    assert generator.calls == [["Fracture 2.", "Fracture 3."], ["Fracture 4."]]
    whole = synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "whole", batch_size=2)
    assert films_of(copy.folder) == films_of(whole.folder)


def test_a_begun_copy_is_not_mixed_with_another(tmp_path: Path) -> None:
    work = begun(tmp_path)
    before = {path: path.read_bytes() for path in work.glob("**/*") if path.is_file()}
    with pytest.raises(OtherCopy, match=r"was begun in .*copy.drawing that differs: options.seed was 0, is 4"):
        synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy", batch_size=2, seed=4)
    assert {path: path.read_bytes() for path in work.glob("**/*") if path.is_file()} == before


def test_a_copy_without_a_film_yet_may_begin_anew(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        synthetic_copy(triplets(), BrokenGenerator(interrupted(1)), tmp_path / "copy")
    copy = synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy", batch_size=1)
    assert copy.num_films == 5


def test_a_copy_that_lost_a_shard_says_so(tmp_path: Path) -> None:
    copy = synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy", splits=("train", "test"))
    next(copy.folder.glob("test-*")).unlink()
    with pytest.raises(OtherCopy, match="holds 5 films, not 7: delete it, make it again"):
        synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy", splits=("train", "test"))


def test_drawn_films_can_be_decoded_and_hold_no_path(tmp_path: Path) -> None:
    copy = synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy")
    shard = next(copy.folder.glob("train-*"))
    assert str(tmp_path).encode() not in shard.read_bytes()
    assert decode(load_triplets(copy.folder)["train"].with_format("arrow")[0]["image"][0].as_py()["bytes"]).shape == (
        16,
        16,
    )


def test_a_copy_that_lost_its_manifest_is_told(tmp_path: Path) -> None:
    synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy")
    (tmp_path / "copy" / "manifest.jsonl").unlink()
    with pytest.raises(OtherCopy, match=r"has lost manifest\.jsonl: delete it, make it again"):
        synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy")


def test_what_somebody_keeps_where_films_are_drawn_stays(tmp_path: Path) -> None:
    kept = tmp_path / ".copy.drawing" / "precious.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds precious\.txt; move it away first"):
        synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "copy")
    assert kept.read_text() == "mine"


def test_a_name_or_one_split_instead_of_what_is_asked_for_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"pass pedclip.synthesis.named_generator\('embedded'\)"):
        synthetic_copy(triplets(), "embedded", tmp_path / "copy")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="choose among them by splits="):
        synthetic_copy(triplets()["train"], NoiseGenerator(), tmp_path / "copy")
