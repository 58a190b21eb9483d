"""First stages: faiss finds what the matrix product finds, and its absence is said."""

import sys

import numpy as np
import pytest

from pedclip.retrieval.archive.index import ArchiveIndex, DamagedIndex
from pedclip.retrieval.archive.stages import FaissStage, NumpyStage, first_stage
from tests.retrieval.drawn_vectors import drawn


@pytest.fixture
def index(tmp_path):
    rng = np.random.default_rng(0)
    made = ArchiveIndex.create(tmp_path / "index", [drawn(rng, 500)[0]], model="m")
    return made.extend([drawn(rng, 300)[0]])


QUERIES = drawn(np.random.default_rng(1), 5)[0].similarity


def test_all_similarities_are_compared(index):
    stage = first_stage(index, "numpy")
    for query in QUERIES:
        order = sorted(range(800), key=lambda item: (-float(index.similarity[item] @ query), item))
        assert set(stage.top(query, 20).tolist()) == set(order[:20])
    assert sorted(stage.top(QUERIES[0], 5000).tolist()) == list(range(800))


def test_ties_at_the_border_go_to_the_lower_numbers():
    stage = NumpyStage(np.array([[0.0], [1], [0], [1], [0]], np.float32), ("a",))
    assert stage.top(np.ones(1, np.float32), 3).tolist() == [1, 3, 0]


@pytest.mark.parametrize(("kind", "options"), [("flat", {}), ("ivf", {"num_lists": 8, "num_probes": 8})])
def test_faiss_finds_the_same_items(index, kind, options):
    pytest.importorskip("faiss", reason="needs pedclip[archive]")
    literal, stage = first_stage(index, "numpy"), first_stage(index, kind, **options)
    for query in QUERIES:
        assert set(stage.top(query, 20).tolist()) == set(literal.top(query, 20).tolist())
    assert stage.num_items == literal.num_items == 800


def test_similarities_that_are_not_finite_are_refused_by_every_stage(index):
    path = index.folder / "part-00001" / "similarity.f16"
    values = np.fromfile(path, np.float16)
    values[5] = np.nan
    values.tofile(path)
    opened = ArchiveIndex.open(index.folder)
    with pytest.raises(DamagedIndex, match="index is damaged: it holds numbers that are not finite"):
        first_stage(opened, "numpy")
    pytest.importorskip("faiss", reason="needs pedclip[archive]")
    with pytest.raises(DamagedIndex, match="index is damaged: it holds numbers that are not finite"):
        first_stage(opened, "flat")


def test_few_lists_miss_items_and_many_find_more(index):
    pytest.importorskip("faiss", reason="needs pedclip[archive]")
    literal = first_stage(index, "numpy")
    fractions = []
    for probes in (1, 4, 16):
        stage = first_stage(index, "ivf", num_lists=16, num_probes=probes)
        found = [len(set(stage.top(query, 20)) & set(literal.top(query, 20))) / 20 for query in QUERIES]
        fractions.append(np.mean(found))
    assert fractions[0] < fractions[1] <= fractions[2] == 1
    assert -1 not in first_stage(index, "ivf", num_lists=16, num_probes=1).top(QUERIES[0], 800)


def test_lists_are_chosen_for_the_size(index, capfd):
    faiss = pytest.importorskip("faiss", reason="needs pedclip[archive]")
    searcher = faiss.downcast_index(first_stage(index, "ivf").searcher)
    assert (searcher.nlist, searcher.nprobe) == (20, 8)  # 800 // 39, fewer than 4 √800
    assert capfd.readouterr().err == ""


def test_without_faiss_auto_is_numpy_and_the_others_say_what_to_install(index, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert isinstance(first_stage(index), NumpyStage)
    for kind in ("flat", "ivf"):
        with pytest.raises(ModuleNotFoundError, match=r"need faiss: pip install 'pedclip\[archive\]'"):
            first_stage(index, kind)


def test_auto_takes_faiss_where_it_is(index):
    pytest.importorskip("faiss", reason="needs pedclip[archive]")
    assert isinstance(first_stage(index), FaissStage)


def test_other_stages_are_refused(index):
    with pytest.raises(ValueError, match="kind='hnsw' is not allowed: choose from auto, numpy, flat, ivf"):
        first_stage(index, "hnsw")
    pytest.importorskip("faiss", reason="needs pedclip[archive]")
    with pytest.raises(ValueError, match="num_lists=0, num_probes=8: both must be at least 1"):
        first_stage(index, "ivf", num_lists=0)
    for wrong in ({"num_lists": 2.5}, {"num_lists": True}, {"num_probes": "3"}):
        with pytest.raises(ValueError, match="both must be at least 1, and whole numbers"):
            first_stage(index, "ivf", **wrong)
    with pytest.raises(ValueError, match=r"num_lists=801 is not allowed: .*index has 800 items"):
        first_stage(index, "ivf", num_lists=801)
