"""A copy of triplets with every film replaced by one that a generator drew from the text.

The folder of a copy is a triplet directory with three more files: `synthetic.json` (generator, options, counts),
`manifest.jsonl` (one line per film, with its prompt) and `left_out.csv`. It is complete or absent. While it is being
made, films lie in a hidden folder beside it, and a killed run goes on from there.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pedclip.artefacts import atomic_folder, first_difference, read_json, without_link, write_file, write_json
from pedclip.synthesis.drawn_films import CONSTANT, OtherCopy, begin, draw_missing, film_path
from pedclip.synthesis.generator import Generator, SeedMode
from pedclip.synthesis.planning import CopyOptions, CopyPlan, PlannedFilm, plan_copy
from pedclip.synthesis.prompts import Prompt
from pedclip.training.run_lock import run_lock
from pedclip.triplets.left_out import LEFT_OUT_FILE, LeftOut, Reason, reason_counts, write_left_out
from pedclip.triplets.schema import FEATURES, with_optional
from pedclip.triplets.sources import synthetic_source
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.storage import load_triplets, make_split, save_triplets

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

HEAD: Final = "synthetic.json"
_COUNTS: Final = ("num_films", "num_cut", "num_left_out")
MANIFEST: Final = "manifest.jsonl"
_HELD: Final = (HEAD, MANIFEST, LEFT_OUT_FILE, "*-*-of-*.parquet")
# Measured on the real film, and not true of another one.
_OF_THE_FILM: Final = ("boxes", "mask", "structures", "bone_age_months")
_LARGE: Final = ("image", "mask", "structures", "boxes")  # columns of the real film that are never read
_PACKAGES: Final = ("pedclip", "torch", "diffusers", "transformers")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyntheticCopy:
    """Result of `synthetic_copy`.

    Attributes:
        folder: Triplet directory for `pedclip.data.load`.
        num_films: Films drawn.
        num_cut: Of these, films of whose prompt the generator read only the beginning.
        num_left_out: Rows of `left_out.csv`.
        reasons: How often each reason is in it, in words.
        head: Content of `synthetic.json`.
    """

    folder: Path
    num_films: int
    num_cut: int
    num_left_out: int
    reasons: tuple[str, ...]
    head: Mapping[str, Any]


def synthetic_copy(
    triplets: "DatasetDict",
    generator: Generator,
    output: str | Path,
    *,
    seed: int = 0,
    prompt: Prompt | None = None,
    seed_mode: SeedMode = "per_report",
    min_words: int = 1,
    batch_size: int = 8,
    splits: Sequence[str] = ("train",),
    revision: str = "",
) -> SyntheticCopy:
    """Copy triplets with the films drawn anew from their texts; started again after a kill, it goes on.

    A row keeps its identifiers, text, region, side, age, sex and findings, which are those of the report: whether the
    film shows them is for `pedclip.synthesis.quality` to measure. Boxes, masks, structures, bone age and view were read
    off the real film and are empty. The source becomes "synthetic:<generator>:<source>".

    Args:
        triplets: As `pedclip.data.load` gives them.
        generator: Draws the films.
        output: Folder of the copy: absent, empty, or of the same copy, which is then returned as it is.
        seed: Of the run, 0 to 2⁶³ - 1.
        prompt: See `prompt_of`; None takes what the generator is meant to be told.
        seed_mode: See `film_seeds`; the identifier of a report is that of its triplet.
        min_words: Shortest text that gets a film, at least 1; the paper drops reports of fewer than 3 tokens.
        batch_size: Films at a time, at least 1.
        splits: Which get films; the others are empty in the copy. Name "validation" or "test" only to judge the films
            themselves: a model must be evaluated on real ones.
        revision: Of the code, for `synthetic.json`; "" if unknown.

    Returns:
        The copy. Texts without a prompt, and films of one grey level, are left out and listed.

    Raises:
        OtherCopy: The folder holds a copy of other triplets, options or generator, or one was begun there.
        FileExistsError: The folder holds something else; nothing was changed.
        RunInUse: Another process makes the same copy.
        ValueError: A value out of its range, no triplet with a prompt, films that are not what the generator promised,
            or only films of one grey level.
        TypeError: The name of a generator instead of one, or one split instead of all.

    Source: one film per report, real reports kept (synthetic-data paper; methods/synthetic.md, §1).
    """
    if isinstance(generator, str):
        raise TypeError(f"generator={generator!r} is a name: pass pedclip.synthesis.named_generator({generator!r})")
    if not isinstance(triplets, Mapping):
        raise TypeError("triplets must be all splits, as pedclip.data.load gives them; choose among them by splits=")
    # Validated together, and written into the head as they are.
    options = CopyOptions(seed, prompt or generator.prompt, seed_mode, min_words, batch_size, tuple(splits))
    destination = without_link(Path(output))
    if not destination.name:
        raise ValueError(f"output={str(output)!r} is no name of a folder")
    # On the same disk, since the last step is a rename.
    work = destination.with_name(f".{destination.name}.drawing")
    _check_free(destination)  # before the texts are read, and long before the films are drawn
    plan = plan_copy(triplets, generator, options)
    result = _finished(destination, plan)
    if result is None:
        with run_lock(work):
            # Somebody else may have finished it while the texts were read.
            result = _finished(destination, plan)
            if result is None:
                begin(work, plan)
                digests = draw_missing(work, plan, generator, batch_size=batch_size)
                result = _publish(destination, work, triplets, plan, digests, revision)
    # Only now: until the copy stood in its place, a kill lost nothing.
    shutil.rmtree(work, ignore_errors=True)
    return result


def _check_free(destination: Path) -> None:
    if destination.exists() and not destination.is_dir():
        raise NotADirectoryError(f"{destination} is a file; a folder was to be written there. Move it away first.")
    names = sorted(entry.name for entry in destination.iterdir()) if destination.exists() else []
    # Real films above all: nothing that this function did not write is ever replaced.
    if names and HEAD not in names:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise FileExistsError(
            f"{destination} is no synthetic copy; it holds {listed}. Give a new folder as the output."
        )


def _finished(destination: Path, plan: CopyPlan) -> SyntheticCopy | None:
    """The copy that is complete already, None where there is none.

    Raises:
        OtherCopy: It is another one, or damaged.
    """
    if not (destination / HEAD).is_file():
        return None
    head = read_json(destination / HEAD)
    found = {key: head.get(key) for key in plan.identity} if isinstance(head, dict) else {}
    if words := first_difference(found, plan.identity):
        raise OtherCopy(f"{destination} holds a copy that differs: {words}. Give another output folder.")
    lost = [name for name in (MANIFEST, LEFT_OUT_FILE) if not (destination / name).is_file()]
    lost += [f"{HEAD}: {name}" for name in (*_COUNTS, "reasons") if name not in head]
    if lost:
        raise OtherCopy(f"{destination} has lost {', '.join(lost)}: delete it, make it again.")
    # Shards may have been lost since, and a training would take what is left.
    num_films = sum(len(split) for split in load_triplets(destination).values())
    if num_films != head.get("num_films"):
        raise OtherCopy(
            f"{destination} holds {num_films} films, not {head.get('num_films')}: delete it, make it again."
        )
    return _result(destination, head)


def _result(folder: Path, head: Mapping[str, Any]) -> SyntheticCopy:
    # From the head, so that a copy found and a copy made tell the same.
    counts = {name: head[name] for name in _COUNTS}
    return SyntheticCopy(folder, **counts, reasons=tuple(head["reasons"]), head=head)


def _publish(
    destination: Path,
    work: Path,
    triplets: "DatasetDict",
    plan: CopyPlan,
    digests: Mapping[int, str],
    revision: str,
) -> SyntheticCopy:
    from datasets import DatasetDict

    kept = [(number, film) for number, film in enumerate(plan.films) if digests[number] != CONSTANT]
    left_out = [*plan.left_out, *(_constant(film) for n, film in enumerate(plan.films) if digests[n] == CONSTANT)]
    if not kept:
        raise ValueError(f"all {len(plan.films)} films are of one grey level; in half precision try another dtype")
    name = plan.identity["generator"]["name"]
    # Only planned splits: the others would be real films under the name of a generator.
    films = {split: [(number, film) for number, film in kept if film.split == split] for split in SPLITS}
    copied = DatasetDict({split: _copied(triplets[split], films[split], work, name) for split in SPLITS})
    # What decides the films comes first; versions tell, and are not compared: a finished copy outlives an update.
    head = {
        **plan.identity,
        "num_films": len(kept),
        "num_cut": sum(film.is_cut for _, film in kept),
        "num_left_out": len(left_out),
        "reasons": list(reason_counts(left_out)),
        "versions": {package: found for package in _PACKAGES if (found := _version(package))},
        "revision": revision,
    }
    # The folder appears with all four or not at all.
    with atomic_folder(destination, holds=_HELD) as folder:
        save_triplets(copied, folder)
        write_file(folder / MANIFEST, lambda file: file.writelines(_lines(kept, digests)))
        write_left_out(folder / LEFT_OUT_FILE, left_out)
        write_json(folder / HEAD, head)
    _log.info("%s: %d films, %d left out", destination, len(kept), len(left_out))
    return _result(destination, head)


def _constant(film: PlannedFilm) -> LeftOut:
    return LeftOut(film.image_id, Reason.BAD_IMAGE, "the generator drew one grey level only", source=film.source)


def _lines(kept: Sequence[tuple[int, PlannedFilm]], digests: Mapping[int, str]) -> Iterator[bytes]:
    for number, film in kept:
        # The hash of the file as the shard holds it: a row and its line can be compared.
        record = {**film.record(), "image_sha256": digests[number]}
        yield (json.dumps(record, ensure_ascii=False) + "\n").encode()


def _copied(split: "Dataset", films: Sequence[tuple[int, PlannedFilm]], work: Path, name: str) -> "Dataset":
    """Rows of a split with the films drawn for them, and nothing of the real ones."""
    if not films:
        return make_split([])
    data = split.remove_columns([column for column in _LARGE if column in split.column_names])
    data = with_optional(data).select([film.row for _, film in films])
    changed: dict[str, list[Any]] = {column: [None] * len(films) for column in _OF_THE_FILM}
    # As files, so that the films of a large set are never in memory together; their bytes go into the shards.
    changed["image"] = [{"bytes": None, "path": str(film_path(work, number))} for number, _ in films]
    # Text tells the side, but not in which projection a film was drawn.
    changed["view"] = [""] * len(films)
    changed["source"] = [synthetic_source(name, film.source) for _, film in films]
    data = data.remove_columns([column for column in changed if column in data.column_names])
    for column, values in changed.items():
        data = data.add_column(column, values, feature=FEATURES[column])
    return data.select_columns(list(FEATURES))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
