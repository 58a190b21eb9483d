"""The stream of studies: splits by patient, the same triplets however they are made, reports alone."""

from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict

from pedclip.anatomy import REGIONS
from pedclip.data.phantom import generate, generate_reports
from pedclip.triplets.storage import load_triplets, save_triplets
from tests.data.phantom.conftest import SIZE


def test_workers_and_number_of_studies_change_nothing(rows: list[dict[str, Any]]) -> None:
    few = generate(studies=70, seed=0, size=SIZE, workers=2)
    many = {row["image_id"]: row for row in rows}
    assert sum(len(split) for split in few.values()) > 70
    for row in (row for split in few.values() for row in split):
        other = many[row["image_id"]]
        for name in ("image", "mask", "structures"):
            assert (row[name] is None) == (other[name] is None)
            assert row[name] is None or row[name].tobytes() == other[name].tobytes()
        assert {k: v for k, v in row.items() if k not in ("image", "mask", "structures")} == {
            k: v for k, v in other.items() if k not in ("image", "mask", "structures")
        }


def test_texts_are_the_excerpts_of_the_reports(rows: list[dict[str, Any]]) -> None:
    reports = {record["report_id"]: record for record in generate_reports(200, 0)}
    for row in rows:
        record = reports[row["study_id"]]
        assert row["text"]
        sentences = record["excerpts"][REGIONS[row["region"]]]
        left = row["text"]
        for sentence in dict.fromkeys(sentences):
            left = left.replace(sentence, "", 1)
        assert not left.strip()


def test_no_patient_is_in_two_splits(phantom: DatasetDict) -> None:
    patients = [set(split["patient_id"]) for split in phantom.values()]
    assert all(patients)
    assert len(set.union(*patients)) == sum(len(split) for split in patients)


def test_triplets_survive_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    made = generate(studies=24, seed=1, size=32)
    loaded = load_triplets(save_triplets(made, tmp_path / "set"))
    for split in made:
        assert loaded[split].with_format("arrow")[:].to_pylist() == made[split].with_format("arrow")[:].to_pylist()


@pytest.mark.parametrize(
    ("name", "value", "least"), [("studies", 0, "1"), ("size", 8, "32"), ("seed", -1, "0"), ("workers", -1, "0")]
)
def test_arguments_out_of_range(name: str, value: int, least: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be at least {least}.*got {value}"):
        generate(**{"studies": 1, name: value})
