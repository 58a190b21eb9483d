"""The worker of `ray_vectors` without Ray, its rows in order again, and both with a local Ray where it is installed."""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.archive.build import BuiltIndex, build_film_index, build_index, build_report_index
from pedclip.retrieval.archive.distributed import Items, VectorWorker, encoded_in_order, ray_vectors
from pedclip.retrieval.archive.encoding import fingerprint
from pedclip.retrieval.checkpoint import load_pecm, save_pecm
from pedclip.retrieval.pecm import PECM
from tests.retrieval.archive.test_build import KEPT, MIXED, content
from tests.retrieval.archive.tiny_models import films, tiny_clip, tiny_pecm

Batch = dict[str, NDArray[Any]]


@cache
def models() -> tuple[PedCLIP, PECM]:
    return tiny_clip(), tiny_pecm()


@cache
def worker(items: Items) -> VectorWorker:
    return VectorWorker(models, items, "given", "number", "final", 1, "cpu")


def rows(values: Any, numbers: list[int]) -> Batch:
    given = np.array([values[number] for number in numbers], dtype=object if isinstance(values, list) else None)
    return {"given": given, "number": np.array(numbers)}


def built(folder: Path, batches: Iterator[Batch]) -> BuiltIndex:
    """Of nine items."""
    return build_index(folder, encoded_in_order(batches, num_items=9), model=fingerprint(*models()))


@pytest.mark.parametrize("pieces", [[[0, 1, 2, 3, 4, 5, 6, 7, 8]], [[6, 7, 8], [1], [5, 4, 0], [3, 2]]])
def test_bits_of_the_worker_are_those_of_one_machine(tmp_path: Path, pieces: list[list[int]]) -> None:
    alone = build_report_index(tmp_path / "alone", *models(), MIXED)
    several = built(tmp_path / "several", (worker("reports")(rows(MIXED, piece)) for piece in pieces))
    assert content(several.index) == content(alone.index)
    assert several.numbers.tolist() == alone.numbers.tolist() == KEPT
    assert several.left_out == alone.left_out
    alone = build_film_index(tmp_path / "alone", *models(), films(9))
    several = built(tmp_path / "several", (worker("films")(rows(films(9), piece)) for piece in pieces))
    assert content(several.index) == content(alone.index)


def test_rows_of_the_worker_are_halves_of_one_kind_and_shape() -> None:
    for numbers in ([0, 1], [1]):
        found = worker("reports")(rows(MIXED, numbers))
        assert {name: (values.dtype.kind, values.shape[1:]) for name, values in found.items()} == {
            "number": ("i", ()),
            "similarity": ("f", (24,)),
            "confidence": ("f", (120,)),
            "weight": ("f", ()),
            "reason": ("O", ()),
            "detail": ("O", ()),
        }
        assert found["confidence"].dtype == found["similarity"].dtype == np.float16
        # Plain texts, which every reader of a table knows.
        assert {type(reason) for reason in found["reason"]} == {str}
        assert found["reason"][-1] == "empty-report"
        assert not found["confidence"][-1].any()


def test_rows_wait_for_their_turn_and_no_longer() -> None:
    taken: list[int] = []

    def batches() -> Iterator[Batch]:
        yield {"number": np.zeros(0, np.int64)}  # of a worker that had nothing to do
        for number in (0, 2, 1, 3):
            taken.append(number)
            yield worker("reports")(rows(MIXED[2:5] + MIXED[7:8], [number]))

    found = encoded_in_order(batches(), num_items=4)
    assert next(found).num_given == 1
    assert taken == [0]
    assert next(found).num_given == 1
    assert taken == [0, 2, 1]


def test_a_number_that_was_there_is_refused_at_once() -> None:
    batch = worker("films")(rows(films(1), [0]))
    found = encoded_in_order([batch, batch, {}], num_items=5)
    assert next(found).num_given == 1
    with pytest.raises(ValueError, match="item 0 is there twice"):
        next(found)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([[0], [2]], "item 1 of 5 is missing"),
        ([[1, 2]], "item 0 of 5 is missing"),
        # Nothing waits, and the last ones are not there all the same.
        ([[0, 1], [2, 3]], "item 4 of 5 is missing"),
        ([], "item 0 of 5 is missing"),
        ([[4, 5]], "item 5 is none of 5"),
        ([[0], [-1]], "item -1 is none of 5"),
        ([[0, 1], [1]], "item 1 is there twice"),
        ([[3], [3]], "item 3 is there twice"),
        ([[2, 3, 4], [3], [0, 1]], "item 3 is there twice"),
        ([[0, 0]], "item 0 is there twice"),
    ],
)
def test_numbers_that_are_no_numbering_are_refused(pieces: list[list[int]], message: str) -> None:
    batches = (worker("films")(rows(films(6), piece)) for piece in pieces)
    with pytest.raises(ValueError, match=message):
        list(encoded_in_order(batches, num_items=5))


def test_items_that_never_came_leave_no_index(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="item 7 of 9 is missing"):
        built(tmp_path / "several", (worker("films")(rows(films(7), piece)) for piece in ([0, 1, 2], [3, 4, 5, 6])))
    assert not (tmp_path / "several").exists()


def test_films_of_several_sizes_are_refused() -> None:
    several = np.empty(2, dtype=object)
    several[:] = [films(1)[0], films(1)[0][:30]]
    with pytest.raises(ValueError, match=r"films of one size are needed, got \[\(30, 37\), \(37, 37\)\]"):
        worker("films")({"given": several, "number": np.arange(2)})


def test_misuse_and_a_missing_ray_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="items='texts', workers=2: expected one of"):
        ray_vectors(None, models, "texts", column="given")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="items='films', workers=0"):
        ray_vectors(None, models, "films", column="given", workers=0)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"several machines need Ray: pip install 'pedclip\[ray\]'"):
        ray_vectors(None, models, "films", column="given")


# Ray warns of its own deprecated settings, and leaves sockets and log files to the end of the process.
@pytest.mark.filterwarnings("ignore")
def test_bits_of_two_ray_workers_are_those_of_one_machine(tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason="needs Ray: pip install 'pedclip[ray]'")
    import ray

    # From a folder, as workers on other machines do.
    folder, (clip, pecm) = tmp_path / "models", models()
    clip.save_pretrained(folder / "clip")
    save_pecm(pecm, folder / "pecm")

    def make() -> tuple[PedCLIP, PECM]:
        return PedCLIP.from_pretrained(folder / "clip"), load_pecm(folder / "pecm")

    given: dict[Items, Any] = {"reports": MIXED, "films": films(9)}
    alone = {
        "reports": build_report_index(tmp_path / "reports", *models(), MIXED),
        "films": build_film_index(tmp_path / "films", *models(), films(9)),
    }
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        for items, values in given.items():
            table = [{"given": value, "number": number} for number, value in enumerate(values)]
            dataset = ray.data.from_items(table, override_num_blocks=4)
            result = ray_vectors(dataset, make, items, column="given")
            several = built(tmp_path / "several", result.iter_batches(batch_format="numpy"))
            assert content(several.index) == content(alone[items].index)
            assert several.numbers.tolist() == alone[items].numbers.tolist()
    finally:
        ray.shutdown()
