"""Search of archives of growing size: latency, items scored and recall of every search against the search of all items.

    OMP_NUM_THREADS=2 python -m benchmarks.archive_search --json benchmarks/results/archive_search.json
    OMP_NUM_THREADS=2 python -m benchmarks.archive_search --million --block-width 64

Items are drawn with the statistics of prototypes of films and reports (`Archive`): all of them lie in a cone, the
prototypes of one item share what the item shows, each has something of its own of low rank, and the rest is noise. A
query is the other half of a pair: it shares the findings of one item, has noise of its own, and lies in a shifted cone.
An archive is written in half precision and memory-mapped: 26.6 kB per item at 26 blocks of 512, so that a million take
28 GB on disk; with blocks of 64 they take 3.5 GB. Every search takes one query at a time; the ratio is that of the
median latency of the search of all items in the same run. Beside it stands the time of one half-precision product of
torch over all confidence vectors, which promises no digits and ranks nothing: the least that reading them all can cost.
"""

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import describe, write_report
from pedclip.retrieval import PairVectors
from pedclip.retrieval.archive import (
    ArchiveIndex,
    ConfidenceBound,
    Found,
    first_stage,
    search_all,
    search_exact,
    search_two_stage,
)

Rng = np.random.Generator
Singles = NDArray[np.float32]

K: Final = 10
BATCH: Final = 500  # items drawn at a time, 27 MB per array at full width
MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Archive:
    """How items are drawn; the shares of the squared length of a prototype add up to 1.

    Args:
        blocks: Prototypes of an item: 25 regions or sentence groups, and the global one.
        block_width: Width of each, and of the global vector.
        cone: Share of the direction that all items have in common at this position; the mean cosine of two items.
        shared: Share of what the item shows, of rank `shared_rank`, seen at every position.
        local: Share of what it shows at one position alone, of rank `local_rank` at each.
        shared_rank: Rank of the findings of an archive.
        local_rank: Rank at one position.
        gap: Cosine of the cones of films and of reports.
        agreement: Correlation of what film and report of one pair show.
        templates: Share of items that are near-copies of one another, as normal reports are.
    """

    blocks: int = 26
    block_width: int = 512
    cone: float = 0.35
    shared: float = 0.35
    local: float = 0.15
    shared_rank: int = 32
    local_rank: int = 8
    gap: float = 0.7
    agreement: float = 0.8
    templates: float = 0.3


@dataclass(frozen=True, eq=False)
class Directions:
    """Fixed directions of an archive: (K, d), (R, K, d) and (r, d)."""

    cone: Singles
    shared: Singles
    local: Singles
    weights: Singles


def directions(archive: Archive) -> Directions:
    """The same for every archive of the same numbers."""
    rng = np.random.default_rng(7)

    def draw(*shape: int) -> Singles:
        return rng.normal(size=shape).astype(np.float32)

    cone = draw(archive.blocks, archive.block_width)
    # What an item shows looks alike at every position, but not the same.
    shared = draw(archive.shared_rank, 1, archive.block_width) + draw(
        archive.shared_rank, archive.blocks, archive.block_width
    )
    weights = rng.dirichlet(np.full(archive.blocks, 5)).astype(np.float32)  # of a softmax that learned a little
    return Directions(
        cone / np.linalg.norm(cone, axis=1, keepdims=True),
        shared / np.sqrt(2 * archive.shared_rank * archive.block_width, dtype=np.float32),
        draw(archive.local_rank, archive.block_width)
        / np.sqrt(archive.local_rank * archive.block_width, dtype=np.float32),
        weights,
    )


def findings(archive: Archive, rng: Rng, number: int) -> tuple[Singles, Singles]:
    """Latent numbers of items: (n, R) everywhere and (n, K, r) at each position, with near-copies among them."""
    everywhere = rng.normal(size=(number, archive.shared_rank)).astype(np.float32)
    somewhere = rng.normal(size=(number, archive.blocks, archive.local_rank)).astype(np.float32)
    is_template = rng.uniform(size=number) < archive.templates
    for values in (everywhere, somewhere):
        # All templates show the same: the first item of a fixed generator, with a tenth of the spread.
        typical = np.random.default_rng(11).normal(size=values.shape[1:]).astype(np.float32)
        values[is_template] = typical + 0.1 * values[is_template]
    return everywhere, somewhere


def vectors(archive: Archive, rng: Rng, shown: tuple[Singles, Singles], *, is_query: bool) -> PairVectors:
    """Items or queries that show these findings."""
    fixed, number = directions(archive), len(shown[0])
    cone = fixed.cone
    if is_query:
        other = np.random.default_rng(13).normal(size=cone.shape).astype(np.float32)
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        cone = archive.gap * cone + (1 - archive.gap**2) ** 0.5 * other
    noise = max(0.0, 1 - archive.cone - archive.shared - archive.local)
    rest = rng.standard_normal((number, archive.blocks, archive.block_width), dtype=np.float32)
    prototypes = (noise / archive.block_width) ** 0.5 * rest  # (n, K, d)
    prototypes += archive.cone**0.5 * cone
    prototypes += archive.shared**0.5 * np.tensordot(shown[0], fixed.shared, axes=1)
    prototypes += archive.local**0.5 * (shown[1] @ fixed.local)
    prototypes /= np.linalg.norm(prototypes, axis=2, keepdims=True)
    similarity = np.einsum("nkd,k->nd", prototypes, fixed.weights)  # h = Σ w_k z_k
    similarity /= np.linalg.norm(similarity, axis=1, keepdims=True)
    prototypes *= np.sqrt(fixed.weights)[:, None]
    return PairVectors(similarity, prototypes.reshape(number, -1))


def items(archive: Archive, number: int) -> Iterator[PairVectors]:
    """The items of an archive, a few at a time."""
    for start in range(0, number, BATCH):
        rng = np.random.default_rng([1, start])
        yield vectors(archive, rng, findings(archive, rng, min(BATCH, number - start)), is_query=False)


def queries(archive: Archive, num_items: int, number: int) -> PairVectors:
    """The other halves of items of the archive, drawn from all of it."""
    rng = np.random.default_rng(2)
    shown = []
    for _ in range(number):
        start = int(rng.integers((num_items + BATCH - 1) // BATCH)) * BATCH
        of_batch = findings(archive, np.random.default_rng([1, start]), min(BATCH, num_items - start))
        row = rng.integers(len(of_batch[0]))
        shown.append([values[row] for values in of_batch])
    pairs = [np.stack(values) for values in zip(*shown, strict=True)]
    spread = (1 - archive.agreement**2) ** 0.5
    seen = [archive.agreement * one + spread * rng.normal(size=one.shape).astype(np.float32) for one in pairs]
    return vectors(archive, rng, (seen[0], seen[1]), is_query=True)


def one_at_a_time(search: Callable[[PairVectors], Found], asked: PairVectors, number: int) -> tuple[list[Found], Any]:
    """Results and latencies (seconds) of single queries, after one that is not counted."""
    single = [
        PairVectors(asked.similarity[[row]], asked.confidence[[row]], asked.weight[[row]]) for row in range(number)
    ]
    search(single[0])
    found, seconds = [], []
    for query in single:
        begin = time.perf_counter()
        found.append(search(query))
        seconds.append(time.perf_counter() - begin)
    return found, np.array(seconds)


def half_product(index: ArchiveIndex, asked: PairVectors) -> float:
    """Median seconds of one product of torch with all confidence vectors in half precision."""
    vector, seconds = torch.from_numpy(asked.confidence[0]).half(), []
    for _ in range(4):
        begin = time.perf_counter()
        for part in index.parts:
            torch.mv(torch.from_numpy(part.confidence), vector)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[1:]))


def measure(archive: Archive, number: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Every search of one archive."""
    begin = time.perf_counter()
    index = ArchiveIndex.create(folder / str(number), items(archive, number), model="drawn")
    built = time.perf_counter()
    bound = ConfidenceBound.fit(index, num_components=options.components)
    fitted = time.perf_counter()
    asked = queries(archive, number, options.queries)
    searches: dict[str, Callable[[PairVectors], Found]] = {
        "exact": lambda query: search_exact(index, bound, query, k=K, rerank=options.rerank)
    }
    for kind in options.stages.split(","):
        stage = first_stage(index, kind, num_probes=options.probes)
        for candidates in map(int, options.candidates.split(",")):
            searches[f"{kind}, {candidates} candidates"] = lambda query, stage=stage, candidates=candidates: (  # type: ignore[misc]
                search_two_stage(
                    index, stage, query, k=K, num_candidates=min(candidates, number), rerank=options.rerank
                )
            )
    # The truth for all queries in one pass; the latency from some of them, one at a time.
    truth = search_all(index, asked, k=K, rerank=options.rerank)
    _, of_all = one_at_a_time(
        lambda query: search_all(index, query, k=K, rerank=options.rerank), asked, min(options.brute, len(asked))
    )
    rows = {"all": row(of_all, of_all) | {"items_scored_p50": number, "recall_at_10": 1.0}}
    for name, search in searches.items():
        found, seconds = one_at_a_time(search, asked, len(asked))
        scored = np.concatenate([one.num_scored for one in found])
        hits = [len(set(one.rows[0]) & set(right)) / len(right) for one, right in zip(found, truth.rows, strict=True)]
        rows[name] = row(seconds, of_all) | {
            "items_scored_p50": int(np.median(scored)),
            "items_scored_p99": int(np.percentile(scored, 99)),
            "recall_at_10": round(float(np.mean(hits)), 4),
        }
    return {
        "items": number,
        "gigabytes": round(sum(file.stat().st_size for file in index.folder.rglob("*")) / 1e9, 3),
        "build_s": round(built - begin, 1),
        "bound_s": round(fitted - built, 1),
        "half_product_ms": round(1e3 * half_product(index, asked), 2),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "searches": rows,
    }


def row(seconds: Any, of_all: Any) -> dict[str, Any]:
    """Latencies in milliseconds, and how many times faster than the search of all items."""
    return {
        "p50_ms": round(1e3 * float(np.median(seconds)), 3),
        "p99_ms": round(1e3 * float(np.percentile(seconds, 99)), 3),
        "ratio": round(float(np.median(of_all) / np.median(seconds)), 2),
    }


def show(report: dict[str, Any]) -> None:
    """One archive as text."""
    print(f"{report['items']} items, {report['gigabytes']} GB, half product {report['half_product_ms']} ms")
    for name, one in report["searches"].items():
        print(
            f"  {name:24s}{one['p50_ms']:10.2f} ms (p99 {one['p99_ms']:.2f}){one['ratio']:8.1f} times"
            f"{one['items_scored_p50']:10d} scored, recall@10 {one['recall_at_10']:.3f}",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000", help="numbers of items, separated by commas")
    parser.add_argument("--million", action="store_true", help="a million items too, 28 GB on disk at full width")
    parser.add_argument("--block-width", type=int, default=512)
    parser.add_argument(
        "--noise", type=float, default=0.15, help="share of noise, at most 0.3; the rest of 0.3 is local"
    )
    parser.add_argument("--components", type=int, default=256, help="directions of the exact search")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--brute", type=int, default=20, help="queries that the search of all items is timed on")
    parser.add_argument("--stages", default="flat,ivf", help="numpy, flat, ivf; the last two need faiss")
    parser.add_argument("--probes", type=int, help="lists that ivf looks at; a quarter of them")
    parser.add_argument("--candidates", default="100,500", help="of the first stage, separated by commas")
    parser.add_argument("--rerank", default="as_intended")
    parser.add_argument("--folder", type=Path, help="where the archives are written; deleted afterwards")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    archive = Archive(block_width=options.block_width, local=0.3 - options.noise)
    sizes = [int(number) for number in options.sizes.split(",")] + [MILLION] * options.million
    reports = []
    for number in sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            needed = 2 * number * (archive.blocks + 1) * archive.block_width
            if shutil.disk_usage(folder).free < 1.1 * needed:
                raise OSError(f"{number} items need {needed / 1e9:.0f} GB in {folder}; use --folder or --block-width")
            reports.append(measure(archive, number, Path(folder), options))
        show(reports[-1])
    if options.json:
        drawn = {name: getattr(archive, name) for name in archive.__dataclass_fields__}
        facts = {
            "archive": drawn,
            "components": options.components,
            "probes": options.probes,
            "rerank": options.rerank,
            "k": K,
        }
        write_report(options.json, describe() | facts | {"queries": options.queries, "sizes": reports})


if __name__ == "__main__":
    main()
