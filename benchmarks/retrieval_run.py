"""Command line that the benchmarks of retrieval share: one encoder, its data, and where the JSON goes."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import write_report
from pedclip.weights import SHIPPED, shipped_folder

Measure = Callable[[argparse.Namespace, Path, Path], dict[str, Any]]  # options, checkpoint, folder to keep things in


def parser(description: str | None) -> argparse.ArgumentParser:
    """Parser with the options that all of them take."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--data", default="", help="what the checkpoint goes with; or a folder, several with commas")
    found.add_argument("--checkpoint", default="pedclip-phantom-small")
    found.add_argument("--studies", type=int, default=1200, help="of the phantom")
    found.add_argument("--section", default="excerpt")
    found.add_argument("--views", default="all")
    found.add_argument("--label-text", default="template", help="skip leaves out sentences made of labels")
    found.add_argument("--grid", default="adaptive5")
    found.add_argument("--cache", type=Path, help="of decoded films, features and prototypes")
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--json", type=Path)
    return found


def seeds(text: str) -> list[int]:
    """Seeds separated by commas."""
    return [int(one) for one in text.split(",")]


def run(options: argparse.Namespace, measure: Measure) -> None:
    """One measurement, written where the options say."""
    torch.set_num_threads(options.threads)
    folder = shipped_folder(options.checkpoint) if options.checkpoint in SHIPPED else Path(options.checkpoint)
    with tempfile.TemporaryDirectory() as kept:
        report = measure(options, folder, options.cache or Path(kept))
    if options.json:
        write_report(options.json, report)


def report_options(options: argparse.Namespace) -> dict[str, Any]:
    """Which films and words take part, as `film_reports` takes them."""
    return {"label_text": options.label_text, "section": options.section, "views": options.views}
