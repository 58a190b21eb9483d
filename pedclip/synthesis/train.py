"""Train a generator from a shell: ``python -m pedclip.synthesis.train --profile demo --output runs/flow``.

A killed run continues where it was. ``--generic`` trains the control that has seen no film.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pedclip.synthesis.diffusers_pipeline import diffusers
from pedclip.synthesis.flow.captions import CaptionEncoder
from pedclip.synthesis.flow.checkpoint import EMBEDDED_NAMES, EmbeddedKind, embed, open_generator
from pedclip.synthesis.flow.config import GENERIC, PROFILES, FlowRun, load_flow_profile, load_flow_run
from pedclip.synthesis.flow.films import training_films
from pedclip.synthesis.flow.resume import check_run, has_state
from pedclip.synthesis.flow.train import device_of, train_flow
from pedclip.training.checkpoints import NotFiniteError
from pedclip.training.config import parse_setting
from pedclip.training.run_lock import run_lock

_GENERIC_FILMS = 20_000  # scenes, where the profile names no number


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Command line as values."""
    parser = argparse.ArgumentParser(prog="python -m pedclip.synthesis.train", description="Train a film generator.")
    source = parser.add_mutually_exclusive_group()
    # A stored run or a profile, never both: two sources of one value could contradict each other.
    source.add_argument("--config", type=Path, help="flow.json of a run, or one like it")
    source.add_argument("--profile", choices=PROFILES, default="demo", help="stored configuration (default: demo)")
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--data", help="'phantom', a folder, or several separated by commas")
    data.add_argument("--generic", action="store_true", help="captioned pictures without anything medical")
    parser.add_argument("--start", default="", help="'embedded' or a generator's folder: weights to begin with")
    parser.add_argument("--output", type=Path, default=Path("runs/flow"), help="folder of this run")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[SECTION.]NAME=VALUE",
        help="change one field, such as training.steps=500, model.channels=[32,64] or films=32; repeatable",
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that draw films; 0 draws in this one")
    parser.add_argument("--no-resume", action="store_true", help="start again instead of continuing a killed run")
    parser.add_argument("--embed", action="store_true", help="make it the generator that comes with the package")
    return parser.parse_args(list(arguments))


def configure(options: argparse.Namespace) -> FlowRun:
    """Configuration of the command line: profile or file, then the data, then what ``--set`` says.

    Raises:
        ValueError: A ``--set`` is not [SECTION.]NAME=VALUE, or names or values are not allowed.
    """
    config = load_flow_run(options.config) if options.config else load_flow_profile(options.profile)
    if options.generic:
        config = config.replace(
            {"name": f"{config.name}-{GENERIC}", "data": GENERIC, "films": config.films or _GENERIC_FILMS}
        )
    elif options.data:
        config = config.replace({"data": options.data})
    if options.start:
        config = config.replace({"start": options.start})
    # All at once, for one value may need another.
    return config.replace(_changes(options.set))


def _changes(settings: Sequence[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for setting in settings:
        section, name, value = parse_setting(setting, form="training.NAME=VALUE or NAME=VALUE")
        (sections.setdefault(section, {}) if section else changes)[name] = value
    # A section as a whole is no value: it is refused with those that have no name.
    return sections | changes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 on success, 2 with one clear line on a wrong argument."""
    # Bare messages: they are meant for the person who started it, not for a log collector.
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(configure(options), options)
    except (ValueError, OSError, ModuleNotFoundError, NotFiniteError) as error:
        # What the person at the shell can mend is one line; anything else is a bug and keeps its traceback.
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(config: FlowRun, options: argparse.Namespace) -> int:
    # Held while the films are drawn, too: a second run in this folder must not mix its films in.
    with run_lock(options.output):
        # All that can be wrong, before films are drawn for minutes or read into the folder.
        check_run(options.output, config, resume=not options.no_resume)
        device_of(config.training)
        diffusers()
        captions = CaptionEncoder.from_checkpoint(config.text_encoder)
        if config.start not in ("", *EMBEDDED_NAMES) and (options.no_resume or not has_state(options.output)):
            open_generator(config.start, text_encoder=captions)
        films = training_films(config, options.output, workers=options.workers)
        result = train_flow(
            films.images,
            films.captions,
            config=config,
            run=options.output,
            captions=captions,
            rows=films.rows,
            resume=not options.no_resume,
        )
    if result.num_cut:
        print(f"{result.num_cut} of {len(films.captions)} captions are cut at {config.text_encoder}'s limit")
    kind: EmbeddedKind = "generic" if config.data == GENERIC else "domain"
    folder = embed(result.checkpoint, kind) if options.embed else result.checkpoint
    print(f"generator: {folder}  ({result.seconds:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
