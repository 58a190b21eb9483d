"""Search of all items against a loop, ties, and a first stage that must be wide enough before the cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.retrieval.archive import search as search_module
from pedclip.retrieval.archive.exact_search import ConfidenceBound, search_exact
from pedclip.retrieval.archive.index import ArchiveIndex, DamagedIndex, OtherIndex, OtherModel
from pedclip.retrieval.archive.search import search_all, search_two_stage
from pedclip.retrieval.archive.stages import first_stage
from pedclip.retrieval.reranking import final_score, rounding
from pedclip.retrieval.vectors import PairVectors
from tests.retrieval.drawn_vectors import drawn

RERANKS = ("as_intended", "as_printed", "sum")
SAME = 1e-12  # a few dozen products in double precision, added in another order


def by_loop(index, queries, row, rerank):
    """Every item's score in double precision, and the order of items: best first, then by number."""
    similarity, confidence = index.take(np.arange(len(index)))
    scores = []
    for item in range(len(index)):
        sim = sum(float(a) * float(b) for a, b in zip(similarity[item], queries.similarity[row], strict=True))
        conf = sum(float(a) * float(b) for a, b in zip(confidence[item], queries.confidence[row], strict=True))
        conf /= min(float(index.weight[item]), float(queries.weight[row]))
        scores.append(float(final_score(np.array([sim]), np.array([conf]), rerank)[0]))
    return np.array(scores), sorted(range(len(index)), key=lambda item: (-scores[item], item))


@pytest.mark.parametrize("rerank", RERANKS)
def test_all_items_are_ranked_as_by_a_loop(tmp_path, rerank):
    rng = np.random.default_rng(1)
    index = ArchiveIndex.create(tmp_path / "index", [drawn(rng, 40, is_short=True)[0]], model="m")
    index = index.extend([drawn(rng, 30, is_short=True)[0]])
    queries = drawn(rng, 3, is_short=True)[0]
    found = search_all(index, queries, k=12, rerank=rerank)
    for row in range(3):
        scores, order = by_loop(index, queries, row, rerank)
        assert found.rows[row].tolist() == order[:12]
        assert found.scores[row] == pytest.approx(scores[order[:12]], abs=SAME)
        again = final_score(found.similarity[row], found.confidence[row], rerank)
        assert np.array_equal(again, found.scores[row])
    assert found.num_scored.tolist() == [70, 70, 70]


def test_equal_items_rank_by_number(tmp_path):
    items = drawn(np.random.default_rng(2), 4)[0]
    copies = PairVectors(*(np.tile(part, (6, 1)) for part in (items.similarity, items.confidence)))
    index = ArchiveIndex.create(tmp_path / "index", [copies], model="m")
    found = search_all(index, items, k=8)
    for query in range(4):
        assert found.rows[query, :6].tolist() == [query, query + 4, query + 8, query + 12, query + 16, query + 20]
        assert len(set(found.scores[query, :6])) == 1


def test_scores_do_not_depend_on_blocks_or_company(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    index = ArchiveIndex.create(tmp_path / "index", [drawn(rng, 300)[0]], model="m")
    queries = drawn(rng, 5)[0]
    whole = search_all(index, queries, k=300)
    monkeypatch.setattr("pedclip.retrieval.archive.index.BLOCK_ELEMENTS", 7 * 64)
    monkeypatch.setattr(search_module, "_QUERIES_AT_ONCE", 2)
    monkeypatch.setattr(search_module, "_ROWS_AT_ONCE", 1)
    pieces = search_all(index, queries, k=300)
    assert np.array_equal(whole.rows, pieces.rows)
    assert np.array_equal(whole.scores, pieces.scores)
    few = search_all(index, queries, k=3)
    assert np.array_equal(few.scores, whole.scores[:, :3])


def test_more_results_than_items_are_all_of_them(tmp_path):
    items = drawn(np.random.default_rng(4), 5)[0]
    index = ArchiveIndex.create(tmp_path / "index", [items], model="m")
    assert sorted(search_all(index, items, k=10).rows[0].tolist()) == [0, 1, 2, 3, 4]
    assert search_two_stage(index, first_stage(index, "numpy"), items, k=10).rows.shape == (5, 5)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 12), st.sampled_from(RERANKS))
def test_all_candidates_are_an_exhaustive_search(tmp_path_factory, seed, k, rerank):
    rng = np.random.default_rng(seed)
    items = drawn(rng, 60, is_short=True, clusters=5)[0]
    index = ArchiveIndex.create(tmp_path_factory.mktemp("index") / "index", [items], model="m")
    queries = drawn(rng, 2)[0]
    exact = search_all(index, queries, k=k, rerank=rerank)
    found = search_two_stage(index, first_stage(index, "numpy"), queries, k=k, num_candidates=60, rerank=rerank)
    assert np.array_equal(found.rows, exact.rows)
    assert np.array_equal(found.scores, exact.scores)


@pytest.fixture
def reversed_index(tmp_path):
    """Items whose confidence rises as their similarity falls: the best is the seventh by similarity."""
    angles = np.linspace(0, 0.6, 10)
    similarity = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gains = np.where(np.arange(10) <= 6, np.linspace(0, 1, 10), 0)
    confidence = np.stack([gains, np.sqrt(1 - gains**2)], axis=1)
    index = ArchiveIndex.create(tmp_path / "index", [PairVectors(similarity, confidence)], model="m")
    return index, PairVectors(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]))


def test_ranking_again_before_the_cut_changes_the_set_and_after_it_only_the_order(reversed_index):
    index, query = reversed_index
    stage = first_stage(index, "numpy")
    assert search_all(index, query, k=3).rows[0].tolist() == [6, 5, 4]
    before = search_two_stage(index, stage, query, k=3, num_candidates=8)
    assert before.rows[0].tolist() == [6, 5, 4]
    assert before.num_scored.tolist() == [8]
    # Cut to three first: the order among them changes, and none of the three right ones is there.
    after = search_two_stage(index, stage, query, k=3, num_candidates=3)
    assert sorted(stage.top(query.similarity[0], 3).tolist()) == [0, 1, 2]
    assert after.rows[0].tolist() == [2, 1, 0]


def test_short_runs_of_sums_are_the_whole_product_and_closer_to_it():
    rng = np.random.default_rng(6)
    rows, vectors = (unit_rows(rng, number, 13_312) for number in (30, 4))
    exact = rows.astype(np.float64) @ vectors.astype(np.float64).T
    assert np.abs(search_module.product(rows, vectors.T) - exact).max() < 1.01 * rounding(512 + 26)
    assert np.abs(search_module.product(rows, vectors[0]) - exact[:, 0]).max() < 1.01 * rounding(512 + 26)
    assert [search_module.num_sums(width) for width in (16, 512, 513, 13_312)] == [17, 513, 514, 538]


def unit_rows(rng, number, width):
    rows = rng.normal(size=(number, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("rerank", RERANKS)
def test_single_precision_is_off_by_no_more_than_the_errors_say(tmp_path, rerank):
    rng = np.random.default_rng(8)
    items, queries = drawn(rng, 200, is_short=True)[0], drawn(rng, 5, is_short=True)[0]
    index = ArchiveIndex.create(tmp_path / "index", [items], model="m")
    rows = np.arange(200)
    for row in range(5):
        query = search_module.query_of(queries, row)
        off = np.abs(query.scores(index, rows, rerank) - by_loop(index, queries, row, rerank)[0])
        assert (off <= query.errors(index, rows)).all()


@pytest.mark.parametrize("rerank", RERANKS)
def test_rounding_within_the_errors_changes_nothing(tmp_path, rerank):
    rng = np.random.default_rng(9)
    one, queries = drawn(rng, 1)[0], drawn(rng, 1)[0]
    # Near-copies, so that single precision cannot tell many of them apart.
    near = [np.tile(getattr(one, name), (400, 1)) for name in ("similarity", "confidence")]
    near = [rows + 1e-4 * rng.normal(size=rows.shape) for rows in near]
    near = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in near]
    index = ArchiveIndex.create(tmp_path / "index", [PairVectors(*near)], model="m")
    exact, query, rows = search_all(index, queries, rerank=rerank), search_module.query_of(queries, 0), np.arange(400)
    scores, errors = query.scores(index, rows, rerank), query.errors(index, rows)
    for _ in range(20):
        moved = scores + (rng.choice([-0.5, 0.5], size=400) * errors).astype(np.float32)
        found = search_module.best(index, query, rows, moved, k=10, rerank=rerank)
        assert np.array_equal(found.rows, exact.rows)
        assert np.array_equal(found.scores, exact.scores)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["similarity.f16", "confidence.f16"])
@pytest.mark.parametrize("rerank", RERANKS)
def test_a_number_that_is_not_finite_is_damage_and_not_a_missing_result(tmp_path, number, name, rerank):
    index = ArchiveIndex.create(tmp_path / "index", [drawn(np.random.default_rng(10), 30)[0]], model="m")
    whole, queries = ConfidenceBound.fit(index), drawn(np.random.default_rng(11), 2)[0]
    path = index.folder / "part-00000" / name
    values = np.fromfile(path, np.float16)
    values[len(values) // 30 * 7] = number  # of item 7
    values.tofile(path)
    opened = ArchiveIndex.open(index.folder)
    searches = [
        lambda: search_all(opened, queries, k=3, rerank=rerank),
        lambda: search_two_stage(opened, first_stage(opened, "numpy"), queries, k=3, rerank=rerank),
        lambda: search_exact(opened, whole, queries, k=3, rerank=rerank),
        lambda: search_exact(opened, ConfidenceBound.fit(opened), queries, k=3, rerank=rerank),
    ]
    for search in searches:
        with pytest.raises(DamagedIndex, match=r"index is damaged: .* not finite.*check_contents\(\) names the file"):
            search()
    with pytest.raises(DamagedIndex, match=name):
        opened.check_contents()


def test_what_cannot_be_searched_is_refused(reversed_index):
    index, query = reversed_index
    stage = first_stage(index, "numpy")
    with pytest.raises(ValueError, match="k=0 is not allowed"):
        search_all(index, query, k=0)
    with pytest.raises(ValueError, match="rerank='best' is not allowed"):
        search_all(index, query, rerank="best")
    with pytest.raises(ValueError, match="num_candidates=2 is not allowed: 3 results need a whole number, at least 3"):
        search_two_stage(index, stage, query, k=3, num_candidates=2)
    for number in (2.0, "2", True, None, np.float32(3)):
        with pytest.raises(ValueError, match=r"k=.* is not allowed: a whole number of results is wanted"):
            search_all(index, query, k=number)
        with pytest.raises(ValueError, match=r"num_candidates=.* is not allowed: 1 results need a whole number"):
            search_two_stage(index, stage, query, k=1, num_candidates=number)
    assert search_two_stage(index, stage, query, k=np.int64(3), num_candidates=np.int32(8)).rows.shape == (1, 3)
    with pytest.raises(OtherModel, match=r"queries of widths \(3, 2\) do not fit an index of widths \(2, 2\)"):
        search_all(index, PairVectors(np.eye(1, 3), np.eye(1, 2)))

    longer = index.extend([query])
    with pytest.raises(OtherIndex, match=r"the first stage is of 10 items, .*index has 11; build it again"):
        search_two_stage(longer, stage, query, k=3)

    class Blind:
        num_items, checksums = 10, index.checksums

        def top(self, query, count):
            return np.array([4])

    with pytest.raises(ValueError, match="the first stage found 1 items for 3 results"):
        search_two_stage(index, Blind(), query, k=3)


@pytest.mark.parametrize("kind", ["numpy", "flat"])
def test_a_first_stage_of_another_index_with_as_many_items_is_refused(tmp_path, kind):
    if kind == "flat":
        pytest.importorskip("faiss", reason="needs pedclip[archive]")
    rng = np.random.default_rng(12)
    one, other = (ArchiveIndex.create(tmp_path / name, [drawn(rng, 20)[0]], model="m") for name in ("one", "other"))
    queries, stage = drawn(rng, 2)[0], first_stage(other, kind)
    with pytest.raises(OtherIndex, match=r"was built of another index than .*one; build one of this index"):
        search_two_stage(one, stage, queries)
    # The same files, opened again, are the same index.
    assert search_two_stage(ArchiveIndex.open(other.folder), stage, queries).rows.shape == (2, 10)
