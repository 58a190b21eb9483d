"""Curate from a shell: ``python -m pedclip.curation --archive films/ --reports reports.csv --output curated/``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from pedclip.curation.archive import read_archive
from pedclip.curation.curate import curate


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Command line as values."""
    parser = argparse.ArgumentParser(prog="python -m pedclip.curation", description="From an archive to triplets.")
    parser.add_argument("--archive", type=Path, required=True, help="folder with DICOM, PNG, JPEG or TIFF films")
    parser.add_argument(
        "--reports", type=Path, help="table of reports: .csv, .jsonl or .parquet (default: in --archive)"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write triplets/ and the lists into")
    parser.add_argument("--source", default="", help="name of the data set (default: name of the archive folder)")
    parser.add_argument(
        "--salt", type=Path, help="key of the pseudonyms, kept secret (default: OUTPUT.salt, made once)"
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help="name of a column of the table, such as report=note or patient_id=case; repeatable",
    )
    parser.add_argument(
        "--acknowledge-identifiers", action="store_true", help="write although excerpts hold dates, names or the like"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 on success, 2 with one clear line on what cannot be done."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote values of the header
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        archive = read_archive(options.archive, options.reports, columns=_columns(options.column))
        result = curate(
            archive,
            output=options.output,
            acknowledge_identifiers=options.acknowledge_identifiers,
            source=options.source,
            salt=options.salt,
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sheet = result.datasheet
    print(f"{sheet['triplets']} triplets of {sheet['patients']} patients: {result.triplets}")
    print(f"{result.num_rejected} files, rows or films left out: {result.triplets.with_name('rejected.csv')}")
    return 0


def _columns(pairs: Sequence[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ValueError(f"--column {wrong[0]!r} is not understood: write ROLE=NAME, such as report=note.")
    return dict(pair.split("=", maxsplit=1) for pair in pairs)


if __name__ == "__main__":
    sys.exit(main())
