"""The benchmark of archive search: drawn items have the statistics that are claimed, and a run is written whole."""

import json

import numpy as np
import pytest

from benchmarks.archive_search import Archive, findings, items, main, queries, vectors

ARCHIVE = Archive(block_width=128)


def cosines(one, other):
    return (one.confidence @ other.confidence.T) / np.sqrt(np.outer(one.weight, other.weight))


def test_two_items_agree_as_much_as_the_cone_and_copies_more():
    rng = np.random.default_rng(0)
    different = vectors(
        Archive(block_width=128, templates=0), rng, findings(Archive(templates=0), rng, 200), is_query=False
    )
    off_diagonal = cosines(different, different)[~np.eye(200, dtype=bool)]
    assert off_diagonal.mean() == pytest.approx(ARCHIVE.cone, abs=0.02)
    copies = vectors(ARCHIVE, rng, findings(Archive(templates=1), rng, 50), is_query=False)
    assert cosines(copies, copies)[~np.eye(50, dtype=bool)].mean() > 0.75


def test_a_query_is_nearer_to_its_item_than_to_others():
    (everything,) = items(ARCHIVE, 300)
    asked = queries(ARCHIVE, 300, 40)
    scores = cosines(asked, everything)
    best = np.sort(scores, axis=1)
    assert np.median(best[:, -1] - best.mean(axis=1)) > 0.15
    assert scores.mean() == pytest.approx(ARCHIVE.gap * ARCHIVE.cone, abs=0.05)


def test_an_archive_has_a_low_rank_and_a_rest():
    (everything,) = items(ARCHIVE, 500)
    spectrum = np.linalg.svd(everything.confidence.astype(np.float64), compute_uv=False) ** 2
    share = spectrum.cumsum() / spectrum.sum()
    assert share[32] > 0.65  # the cone and the findings
    assert share[240] < 0.97  # noise in every direction


def test_a_run_is_written(tmp_path, capsys):
    path = tmp_path / "report.json"
    small = ["--sizes", "300", "--block-width", "16", "--components", "16", "--queries", "4", "--brute", "2"]
    main([*small, "--stages", "numpy", "--candidates", "20,300", "--folder", str(tmp_path), "--json", str(path)])
    report = json.loads(path.read_text())
    (size,) = report["sizes"]
    assert list(size["searches"]) == ["all", "exact", "numpy, 20 candidates", "numpy, 300 candidates"]
    # Both look at all that could be right; the others promise nothing.
    assert size["searches"]["exact"]["recall_at_10"] == size["searches"]["numpy, 300 candidates"]["recall_at_10"] == 1
    assert size["searches"]["numpy, 20 candidates"]["items_scored_p99"] == 20
    assert report["archive"]["block_width"] == 16
    assert "300 items" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path]
