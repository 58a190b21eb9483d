"""Vectors of films and reports made by several machines with Ray Data, and put in order again for one index."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.archive.encoding import (
    ITEMS_AT_ONCE,
    REASONS,
    Encoded,
    Omission,
    encode_usable_reports,
    film_vectors,
)
from pedclip.retrieval.archive.items import Items as Items
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import PatchLayer
from pedclip.retrieval.vectors import PairVectors

if TYPE_CHECKING:
    from ray.data import Dataset

Columns = Mapping[str, NDArray[Any]]  # of a batch of rows, by name


class VectorWorker:
    """One process of `ray_vectors`; needs no Ray itself.

    Args:
        make_models: Called once, here.
        items: "films" or "reports".
        column: Column of the films or texts.
        number_column: Column of their numbers.
        layer: As for `film_vectors`.
        batch_size: As for `film_vectors`.
        device: As for `film_vectors`.
    """

    def __init__(
        self,
        make_models: Callable[[], tuple[PedCLIP, PECM]],
        items: Items,
        column: str,
        number_column: str,
        layer: PatchLayer,
        batch_size: int,
        device: str,
    ) -> None:
        # Loaded where they are used, since weights are slow to send and a GPU cannot be sent.
        self.model, self.pecm = make_models()
        self.items, self.column, self.number_column = items, column, number_column
        self.layer, self.batch_size, self.device = layer, batch_size, device

    def __call__(self, batch: Columns) -> dict[str, NDArray[Any]]:
        """Rows of vectors from rows of items, in the same order.

        Args:
            batch: Columns of B rows: films (B, R, R) or texts (B,), and numbers (B,).

        Returns:
            `number` (B,), `similarity` (B, D) and `confidence` (B, K·D) in half precision, as the index holds them,
            `weight` (B,), `reason` (B,) and `detail` (B,); vectors are zero where there is a reason to leave an item
            out, which is "" otherwise.
        """
        encoded = self._encode(batch[self.column])
        # Known without vectors: a batch may have none, and all blocks of a table need one shape.
        dimension = self.pecm.config.proj_dim or self.pecm.config.text_width
        widths = dimension, dimension * self.pecm.num_prototypes
        similarity, confidence = (np.zeros((encoded.num_given, width), np.float16) for width in widths)
        weight = np.zeros(encoded.num_given, np.float32)
        omitted = {one.number: one for one in encoded.omitted}
        if encoded.vectors is not None:
            # Rounded here as the index would: half the traffic, and no other bits.
            kept = [row for row in range(encoded.num_given) if row not in omitted]
            similarity[kept], confidence[kept] = encoded.vectors.similarity, encoded.vectors.confidence
            weight[kept] = encoded.vectors.weight
        # Plain texts: a reason is a class that not every reader of a table knows.
        words = {
            name: np.array([str(getattr(omitted.get(row), name, "")) for row in range(encoded.num_given)], dtype=object)
            for name in ("reason", "detail")
        }
        return {
            "number": np.asarray(batch[self.number_column], dtype=np.int64),
            "similarity": similarity,
            "confidence": confidence,
            "weight": weight,
            **words,
        }

    def _encode(self, values: NDArray[Any]) -> Encoded:
        if self.items == "reports":
            settings: dict[str, Any] = {"batch_size": self.batch_size, "device": self.device}
            return encode_usable_reports(self.model, self.pecm, list(values), **settings)
        if values.dtype == object:
            # Films of one shape arrive as one array; others as a list of them.
            shapes = sorted({np.shape(film) for film in values})
            raise ValueError(f"films of one size are needed, got {shapes}; decode them through pedclip.triplets")
        settings = {"layer": self.layer, "batch_size": self.batch_size, "device": self.device}
        return Encoded(len(values), film_vectors(self.model, self.pecm, values, **settings))


def ray_vectors(
    dataset: "Dataset",
    make_models: Callable[[], tuple[PedCLIP, PECM]],
    items: Items,
    *,
    column: str,
    number_column: str = "number",
    layer: PatchLayer = "final",
    batch_size: int = 1,
    device: str = "cpu",
    workers: int = 2,
) -> "Dataset":
    """Vectors over several machines: a Ray dataset of films or reports to one of rows for an index.

    `encoded = encoded_in_order(result.iter_batches(batch_format="numpy"), num_items=dataset.count())` and then
    `build_index(folder, encoded, model=fingerprint(…), items=items)` write the index, the same one as on one machine
    if the batch size is 1 and workers compute with as many threads.

    Args:
        dataset: One row per item.
        make_models: Called once in each worker, such as a function that loads both from a shared folder.
        items: "films" or "reports".
        column: Column of films (R, R) uint8 or of texts.
        number_column: Column of the numbers of the items, 0 to N − 1, in any order; rows do not keep theirs.
        layer: As for `film_vectors`.
        batch_size: As for `film_vectors`.
        device: As for `film_vectors`; a worker on "cuda" has a GPU for itself.
        workers: Processes over all machines, at least 1.

    Returns:
        One row per item, with the columns of `VectorWorker`. Nothing has run yet; Ray computes it where it is read.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ValueError: Neither films nor reports, or no worker.
    """
    if items not in get_args(Items) or workers < 1:
        raise ValueError(f"items={items!r}, workers={workers}: expected one of {get_args(Items)}, and at least 1")
    try:
        import ray.data
    except ModuleNotFoundError as error:  # an extra that few need
        raise ModuleNotFoundError("several machines need Ray: pip install 'pedclip[ray]'") from error
    return dataset.map_batches(
        VectorWorker,
        fn_constructor_args=(make_models, items, column, number_column, layer, batch_size, device),
        batch_format="numpy",
        batch_size=ITEMS_AT_ONCE,
        # Ray hides the GPUs from whoever has not asked for one.
        num_gpus=1 if device.startswith("cuda") else 0,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )


def encoded_in_order(batches: Iterable[Columns], *, num_items: int) -> Iterator[Encoded]:
    """Rows of `ray_vectors` in the order of their numbers, for `build_index`.

    Whatever comes early is held until its turn: as much as the workers are ahead of each other.

    Args:
        batches: Columns of some rows each, as `VectorWorker` makes them, in any order.
        num_items: N, such as `dataset.count()`; without it, nobody would miss the last ones.

    Yields:
        Runs of items with consecutive numbers, from 0 to N − 1.

    Raises:
        ValueError: A number is missing, there twice, or none of 0 to N − 1.
    """
    waiting: dict[int, Columns] = {}  # runs by their first number
    following = 0  # number of the next item
    for batch in batches:
        if not len(batch["number"]):
            continue
        numbers = batch["number"]  # (B,)
        # As early as it can be known, since more may take hours.
        if len(strange := numbers[(numbers < 0) | (numbers >= num_items)]):
            raise ValueError(f"item {strange[0]} is none of {num_items}; number the items 0 to N − 1")
        # Blocks may be joined on the way, so that a batch holds several runs; a run ends where the next number is not
        # one more.
        for rows in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) != 1) + 1):
            first = int(numbers[rows[0]])
            if first < following or first in waiting:
                raise ValueError(f"item {first} is there twice; number the items 0 to N − 1")
            waiting[first] = {name: values[rows] for name, values in batch.items()}
        while (run := waiting.pop(following, None)) is not None:
            following += len(run["number"])
            yield _encoded(run)
    if waiting or following < num_items:
        # A run that begins before what has been yielded overlaps with another.
        first = min(waiting, default=num_items)
        what = f"item {first} is there twice" if first < following else f"item {following} of {num_items} is missing"
        raise ValueError(f"{what}; number the items 0 to N − 1")


def _encoded(run: Columns) -> Encoded:
    # Back to what one machine would have encoded.
    is_kept = np.array([not reason for reason in run["reason"]])
    omitted = tuple(
        Omission(int(row), REASONS[str(run["reason"][row])], str(run["detail"][row]))
        for row in np.flatnonzero(~is_kept)
    )
    if not is_kept.any():
        return Encoded(len(is_kept), None, omitted)
    vectors = PairVectors(*(run[name][is_kept] for name in ("similarity", "confidence", "weight")))
    return Encoded(len(is_kept), vectors, omitted)
