"""The measurements of the phantom: what can be learned from it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

import benchmarks.phantom_films as phantom_films
from benchmarks.phantom_films import Films, draw
from benchmarks.phantom_learning import main as measure_learning
from benchmarks.phantom_learning import score, table, thumbnails
from benchmarks.phantom_reports import main as measure_reports
from benchmarks.small_cnn import predict, train
from pedclip.anatomy import REGIONS
from pedclip.data.phantom import FINDINGS
from pedclip.triplets.splits import SPLITS

FINDING = "scoliosis"  # any that does not occur everywhere
COLUMN = list(FINDINGS).index(FINDING)
INSIDE = REGIONS.index(FINDINGS[FINDING][0])
OUTSIDE = next(number for number, region in enumerate(REGIONS) if region not in FINDINGS[FINDING])


def squares(count: int, seed: int) -> Films:
    """Noise; a bright half tells the region, a bright square the finding; all known bone ages are 60 months."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 40, (count, 40, 40), dtype=np.uint8)
    regions = rng.choice([OUTSIDE, INSIDE], count)
    findings = np.zeros((count, len(FINDINGS)), np.float32)
    findings[:, COLUMN] = (rng.random(count) < 0.5) & (regions == INSIDE)
    images[regions == OUTSIDE, :20] += 80
    images[findings[:, COLUMN] == 1, 24:36, 24:36] += 120
    severity = np.where(findings == 1, np.float32(0.5), np.float32(np.nan))
    ages = np.where(rng.random(count) < 0.5, 60, np.nan).astype(np.float32)
    return Films(images, regions, findings, severity, ages, np.array([f"{seed}-{row}" for row in range(count)]))


def test_the_network_learns_all_three_heads() -> None:
    films, test = squares(128, 0), squares(64, 1)
    regions, logits, months = predict(train(films, epochs=16, seed=0), test)
    inside = test.regions == INSIDE
    is_right = (logits[inside, COLUMN] > 0) == (test.findings[inside, COLUMN] == 1)
    assert (regions == test.regions).mean() > 0.9
    assert is_right.mean() > 0.9
    assert np.abs(months - 60).mean() < 24  # untrained: 48; by seed 3 to 11


def test_severity_selects_positives_and_the_region_selects_films() -> None:
    """Subtle findings score below the negatives, marked ones above; films of other regions must not count."""
    regions = np.array([INSIDE] * 6 + [OUTSIDE] * 4)
    findings, severity = np.zeros((10, len(FINDINGS)), np.float32), np.full((10, len(FINDINGS)), np.nan, np.float32)
    findings[:4, COLUMN], severity[:4, COLUMN] = 1, [0.1, 0.2, 0.8, 1.0]
    scores = np.zeros((10, len(FINDINGS)))
    scores[:, COLUMN] = [0, 0, 3, 3, 1, 1, 9, 9, 9, 9]
    ages = np.full(10, np.nan, np.float32)
    ages[:2] = [50, 70]
    films = Films(np.zeros((10, 8, 8), np.uint8), regions, findings, severity, ages, np.arange(10).astype(str))
    made = {"region": regions, "findings": scores, "bone_age": np.full(10, 55.0)}
    scored = score({"CNN many": made, "CNN few": made}, films, films, seed=0)
    found = scored["findings"][FINDING]
    assert found["num_positives"] == {"all": 4, "subtle": 2, "moderate": 0, "marked": 2}
    assert found["num_negatives"] == 2
    values = {name: found[name]["CNN many"]["value"] for name in ("all", "subtle", "marked")}
    assert values == {"all": 0.5, "subtle": 0.0, "marked": 1.0}
    assert found["moderate"] == {}
    assert scored["bone_age"]["CNN many"]["value"] == 10  # |50 - 55| and |70 - 55|
    assert scored["bone_age"]["mean"]["value"] == 10
    assert scored["region"]["CNN many"]["value"] == 1
    assert scored["region"]["majority"]["value"] == pytest.approx(0.6)
    line = next(row for row in table(scored | {"test_films": 10}).splitlines() if row.startswith(FINDING))
    assert line.split() == [FINDING, "4", "–", "–", "0.50", "0.50", "0.00"]


def test_films_are_drawn_once_for_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = draw(tmp_path, studies=6, seed=0, size=40)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(phantom_films, "generate", refuse)
    again = draw(tmp_path, studies=6, seed=0, size=40)
    np.testing.assert_array_equal(first["train"].images, again["train"].images)
    np.testing.assert_array_equal(first["train"].findings, again["train"].findings)
    assert not (first["train"].findings > first["train"].occurs).any()
    monkeypatch.setattr(phantom_films, "source_hash", lambda: "edited")
    with pytest.raises(AssertionError, match="drawn again"):
        draw(tmp_path, studies=6, seed=0, size=40)


def test_the_hash_of_the_source_sees_every_folder_and_no_compiled_file(tmp_path: Path) -> None:
    for name in ("a.py", "body/hip.py", "body/scene.py", "population.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    first = phantom_films.source_hash(tmp_path)
    (tmp_path / "body/__pycache__").mkdir()
    (tmp_path / "body/__pycache__/hip.pyc").write_bytes(b"1")
    assert phantom_films.source_hash(tmp_path) == first
    (tmp_path / "body/hip.py").write_text("edited")
    edited = phantom_films.source_hash(tmp_path)
    (tmp_path / "body/hip.py").rename(tmp_path / "hip.py")  # the same content elsewhere
    assert len({first, edited, phantom_films.source_hash(tmp_path), phantom_films.source_hash()}) == 4


def test_severity_and_bone_age_are_read_where_they_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = list(FINDINGS)[:2]
    columns: dict[str, list[Any]] = {
        "image": [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (1, 2, 3)],
        "region": [REGIONS.index(region) for region in ("knee", "hand", "hand")],
        "findings": [[second, first], [], [first]],
        "severity": [[0.25, 0.75], [], None],
        "bone_age_months": [90.0, 30.0, None],  # a knee shows no bone age
        "patient_id": ["a", "b", "c"],
    }
    split = Dataset.from_dict(columns)
    monkeypatch.setattr(phantom_films, "generate", lambda *_, **__: dict.fromkeys(SPLITS, split))
    films = draw(tmp_path, studies=1, seed=0, size=8)["test"]
    assert films.images[:, 0, 0].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(films.findings[:, :2], [[1, 1], [0, 0], [1, 0]])
    unknown = np.nan
    np.testing.assert_array_equal(films.severity[:, :2], [[0.75, 0.25], [unknown, unknown], [unknown, unknown]])
    np.testing.assert_array_equal(films.bone_age, [unknown, 30, unknown])


def test_learning_at_toy_size(tmp_path: Path) -> None:
    sizes = "--studies-few 8 --studies-many 30 --studies-test 20 --size 40 --epochs-few 1 --epochs-many 1".split()
    measure_learning([*sizes, "--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "report.json")])
    written = (tmp_path / "report.json").read_text()
    report = json.loads(written)
    assert set(report["region"]) == {"CNN few", "CNN many", "LR few", "LR many", "majority"}
    assert set(report["findings"]) == set(FINDINGS)
    assert str(tmp_path) not in written


def test_thumbnails_are_means() -> None:
    films = np.repeat(np.arange(0, 256, 8, dtype=np.uint8), 2)[None, None, :].repeat(64, axis=1)
    np.testing.assert_allclose(thumbnails(films)[0, :32], np.arange(0, 256, 8) / 255, rtol=1e-6)


def test_the_share_of_several_regions_is_read_where_a_pack_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Lungs are clear. No fracture."
    packs: dict[str, list[dict[str, Any]]] = {
        "said/reports.jsonl": [{"raw_text": text, "multi_body_part": number < 1} for number in range(4)],
        "silent/reports.jsonl": [{"raw_text": text}],
        "gold/gold.jsonl": [{"report_text": text, "filmed_regions": names} for names in (["knee"], ["knee", "foot"])],
    }
    for place, rows in packs.items():
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text("".join(json.dumps(row) + "\n" for row in rows))
    measure_reports(["--data", str(tmp_path), "--studies", "20", "--json", str(tmp_path / "report.json")])
    found = json.loads((tmp_path / "report.json").read_text())["packs"]
    shares = {name: found[name]["multi_part_share"] for name in ("said", "silent", "gold")}
    assert shares == {"said": 0.25, "silent": None, "gold": 0.5}
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["phantom", "gold", "said", "silent"]
    (line,) = (line for line in lines if line.startswith("multi_part_share"))
    assert line.split()[2:] == ["0.5", "0.25", "–"]
