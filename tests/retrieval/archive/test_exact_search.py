"""Exact search: the same answer as the search of all items, whatever the data, and fewer items scored where it can."""

import dataclasses
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from pedclip.retrieval.archive import exact_search
from pedclip.retrieval.archive.exact_search import ConfidenceBound, OtherIndex, search_exact
from pedclip.retrieval.archive.index import ArchiveIndex, DamagedIndex
from pedclip.retrieval.archive.search import query_of, search_all
from pedclip.retrieval.vectors import PairVectors
from tests.retrieval.drawn_vectors import drawn

NAMES = ("directions", "reduced", "residual")
RERANKS = ("as_intended", "as_printed", "sum")


def assert_same(found, exact):
    assert np.array_equal(found.rows, exact.rows)
    assert np.array_equal(found.scores, exact.scores)
    assert np.array_equal(found.similarity, exact.similarity)
    assert np.array_equal(found.confidence, exact.confidence)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    clusters=st.sampled_from([None, 1, 4, 40]),
    noise=st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    is_short=st.booleans(),
    num_components=st.sampled_from([1, 3, 20, 48]),
    num_sampled=st.sampled_from([2, 30, 400]),
    k=st.sampled_from([1, 5, 50]),
    copies=st.booleans(),
)
def test_the_answer_is_that_of_the_search_of_all_items(
    tmp_path_factory, seed, clusters, noise, is_short, num_components, num_sampled, k, copies
):
    rng = np.random.default_rng(seed)
    items = drawn(rng, 400, clusters=clusters, noise=noise, is_short=is_short)[0]
    if copies:  # every item three times, far apart
        items = PairVectors(*(np.tile(part, (3, 1)) for part in (items.similarity, items.confidence)))
    index = ArchiveIndex.create(tmp_path_factory.mktemp("index") / "index", [items], model="m")
    bound = ConfidenceBound.fit(index, num_components=num_components, num_sampled=num_sampled, seed=seed)
    queries = drawn(rng, 3, clusters=clusters, noise=noise, is_short=is_short)[0]
    for rerank in RERANKS:
        found = search_exact(index, bound, queries, k=k, rerank=rerank)
        exact = search_all(index, queries, k=k, rerank=rerank)
        assert_same(found, exact)
        assert (found.num_scored <= len(items)).all()
        for row in range(3):
            # No item can score above its ceiling.
            ceiling = bound.ceiling(index, query_of(queries, row), rerank)
            assert (exact.scores[row] <= ceiling[exact.rows[row]]).all()


def test_no_item_scores_above_its_ceiling_and_the_ceiling_falls_with_more_directions(tmp_path):
    rng = np.random.default_rng(0)
    index = ArchiveIndex.create(tmp_path / "index", [drawn(rng, 600, is_short=True)[0]], model="m")
    queries = drawn(rng, 4, is_short=True)[0]
    for rerank in RERANKS:
        everything = search_all(index, queries, k=600, rerank=rerank)
        gaps = []
        for num_components in (1, 4, 16, 48):
            bound = ConfidenceBound.fit(index, num_components=num_components)
            ceilings = np.stack([bound.ceiling(index, query_of(queries, row), rerank) for row in range(4)])
            gap = np.take_along_axis(ceilings, everything.rows, 1) - everything.scores
            assert gap.min() >= 0
            gaps.append(gap.mean())
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[-1] < 1e-4  # all 48 directions leave nothing over but rounding


def test_few_items_are_scored_where_the_archive_has_structure_and_most_where_it_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(exact_search, "_CHUNK", 16)
    rng = np.random.default_rng(1)
    numbers = []
    for is_random in (False, True):
        items, queries = drawn(rng, 3000, noise=0.1)[0], drawn(rng, 5, noise=0.1)[0]
        if is_random:  # no direction is better than another, and the similarity says nothing
            items, queries = (
                PairVectors(*(unit_rows(rng, number, width) for width in (16, 48))) for number in (3000, 5)
            )
        index = ArchiveIndex.create(tmp_path / "index", [items], model="m")
        found = search_exact(index, ConfidenceBound.fit(index, num_components=6), queries, k=5)
        numbers.append(np.median(found.num_scored))
    assert numbers[0] < 150 < 1000 < numbers[1]


def unit_rows(rng, number, width):
    rows = rng.normal(size=(number, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_bound_that_knows_the_upper_limit_alone_would_be_wrong_as_printed(tmp_path, monkeypatch):
    # Half of the items are the opposite of the others: as printed these rank first too.
    items = drawn(np.random.default_rng(2), 300, noise=0.2)[0]
    turned = PairVectors(
        np.concatenate([items.similarity, -items.similarity]), np.concatenate([items.confidence, -items.confidence])
    )
    index = ArchiveIndex.create(tmp_path / "index", [turned], model="m")
    bound, queries = ConfidenceBound.fit(index, num_components=3), drawn(np.random.default_rng(3), 6, noise=0.2)[0]
    exact = search_all(index, queries, rerank="as_printed")
    assert (exact.similarity < 0).any()
    assert_same(search_exact(index, bound, queries, rerank="as_printed"), exact)
    both_limits = exact_search.score_ceiling
    monkeypatch.setattr(
        exact_search, "score_ceiling", lambda similarity, low, high, **rest: both_limits(similarity, high, high, **rest)
    )
    monkeypatch.setattr(exact_search, "_CHUNK", 16)
    assert not np.array_equal(search_exact(index, bound, queries, rerank="as_printed").rows, exact.rows)


def test_a_residual_that_is_too_short_gives_another_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(exact_search, "_CHUNK", 16)
    rng = np.random.default_rng(4)
    index = ArchiveIndex.create(tmp_path / "index", [drawn(rng, 2000, noise=2.0)[0]], model="m")
    bound, queries = ConfidenceBound.fit(index, num_components=4), drawn(rng, 8, noise=2.0)[0]
    exact = search_all(index, queries)
    assert_same(search_exact(index, bound, queries), exact)
    broken = dataclasses.replace(bound, residual=0 * bound.residual)
    assert not np.array_equal(search_exact(index, broken, queries).rows, exact.rows)


@pytest.fixture
def fitted(tmp_path):
    index = ArchiveIndex.create(tmp_path / "index", [drawn(np.random.default_rng(5), 200)[0]], model="m")
    return index, ConfidenceBound.fit(index, num_components=5)


def test_a_bound_is_saved_loaded_and_extended(tmp_path, fitted):
    index, bound = fitted
    loaded = ConfidenceBound.load(bound.save(tmp_path / "bound.safetensors"))
    assert loaded.checksums == bound.checksums
    for name in ("directions", "reduced", "residual"):
        assert np.array_equal(getattr(loaded, name), getattr(bound, name))
    longer = index.extend([drawn(np.random.default_rng(6), 100)[0]])
    queries = drawn(np.random.default_rng(7), 4)[0]
    with pytest.raises(OtherIndex, match=r"the bound is of 200 items, .*index has 300; use bound.extended\(index\)"):
        search_exact(longer, loaded, queries)
    extended = loaded.extended(longer)
    assert np.array_equal(extended.reduced[:200], bound.reduced)
    assert np.array_equal(extended.directions, bound.directions)
    assert_same(search_exact(longer, extended, queries), search_all(longer, queries))
    assert_same(search_exact(index, loaded, queries), search_all(index, queries))


def test_a_bound_of_another_index_is_refused(tmp_path, fitted):
    _, bound = fitted
    other = ArchiveIndex.create(tmp_path / "other", [drawn(np.random.default_rng(8), 200)[0]], model="m")
    with pytest.raises(OtherIndex, match=r"the bound is of 200 items, .*other has 200; fit a bound of this index"):
        search_exact(other, bound, drawn(np.random.default_rng(9), 1)[0])
    with pytest.raises(OtherIndex, match=r"made of another index than .*other; fit it again"):
        bound.extended(other)


def test_a_damaged_bound_is_refused_by_name(tmp_path, fitted):
    path = fitted[1].save(tmp_path / "bound.safetensors")
    os.truncate(path, path.stat().st_size - 5)
    with pytest.raises(DamagedIndex, match=r"bound\.safetensors is damaged"):
        ConfidenceBound.load(path)
    save_file({name: np.zeros(1, np.float32) for name in ("directions", "reduced", "residual")}, path)
    with pytest.raises(DamagedIndex, match=r"bound\.safetensors is no 'pedclip confidence bound, version 2'"):
        ConfidenceBound.load(path)
    marked = {"format": "pedclip confidence bound, version 2", "checksums": "[]"}
    shapes = {"directions": (4, 2), "reduced": (5, 3), "residual": (5,)}
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, path, metadata=marked)
    with pytest.raises(DamagedIndex, match=r"bound\.safetensors is damaged \(arrays whose shapes or kinds do not fit"):
        ConfidenceBound.load(path)
    save_file({"weights": np.zeros(1, np.float32)}, path, metadata=marked)
    with pytest.raises(DamagedIndex, match=r"bound\.safetensors is damaged"):
        ConfidenceBound.load(path)
    with pytest.raises(FileNotFoundError, match="is no file; save a bound there"):
        ConfidenceBound.load(tmp_path / "none")


def test_no_flipped_bit_of_a_bound_goes_unnoticed(tmp_path, fitted):
    path = fitted[1].save(tmp_path / "bound.safetensors")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    # All of the header, where the checksums are, and some of each array.
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in (*range(8, start, 3), *rng.integers(start, len(whole), 200)):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(7))
        path.write_bytes(changed)
        try:
            loaded = ConfidenceBound.load(path)
        except DamagedIndex:
            continue
        else:  # spaces behind the header mean nothing
            assert loaded.checksums == fitted[1].checksums
            assert all(np.array_equal(getattr(loaded, name), getattr(fitted[1], name)) for name in NAMES)
            assert place < start


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_a_bound_that_are_not_finite_are_refused(tmp_path, fitted, name):
    values = getattr(fitted[1], name).copy()
    values.flat[3] = np.nan
    # Saved so, its checksum is right.
    path = dataclasses.replace(fitted[1], **{name: values}).save(tmp_path / "bound.safetensors")
    with pytest.raises(DamagedIndex, match=r"bound\.safetensors is damaged \(numbers that are not finite\); fit"):
        ConfidenceBound.load(path)


@pytest.mark.parametrize("checksums", ["3", '"text"', "[1]", "{}", "null", "[", ""])
def test_checksums_that_are_no_list_of_texts_are_refused(tmp_path, fitted, checksums):
    arrays = {name: getattr(fitted[1], name) for name in NAMES}
    marked = {"format": "pedclip confidence bound, version 2", "checksums": checksums}
    save_file(arrays, path := tmp_path / "bound.safetensors", metadata=marked)
    with pytest.raises(DamagedIndex, match=r"bound\.safetensors is damaged"):
        ConfidenceBound.load(path)


def test_a_bound_of_other_sizes_is_refused_although_its_checksums_fit(fitted):
    index, bound = fitted
    narrow = dataclasses.replace(bound, directions=bound.directions[:-1])
    short = dataclasses.replace(bound, reduced=bound.reduced[:-1], residual=bound.residual[:-1])
    for wrong, sizes in ((narrow, "width 47 with 200"), (short, "width 48 with 199")):
        for use in (lambda one: search_exact(index, one, drawn(np.random.default_rng(0), 1)[0]), index_extended(index)):
            with pytest.raises(OtherIndex, match=f"the bound is of {sizes} coordinates .*index has width 48 and 200"):
                use(wrong)


def index_extended(index):
    return lambda bound: bound.extended(index)


def test_equal_seeds_give_equal_bounds(fitted):
    index, _ = fitted
    first, second, other = (
        ConfidenceBound.fit(index, num_components=2, num_sampled=20, seed=seed).reduced for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_what_cannot_be_fitted_is_refused(fitted):
    for options in ({"num_components": 0}, {"num_sampled": 0}):
        with pytest.raises(ValueError, match="both must be at least 1"):
            ConfidenceBound.fit(fitted[0], **options)
