"""Pre-train from a shell: ``python -m pedclip.training --config runs/03_pretrain/demo/training.json``.

Does what notebook 03 does, with the same configuration. Start it with ``torchrun`` for several devices.
"""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import distributed

from pedclip.training.checkpoints import NotFiniteError
from pedclip.training.config import RunConfig, load_config, parse_setting, replace_fields
from pedclip.training.experts import published_experts
from pedclip.training.launcher import check_launch, join_processes
from pedclip.training.loop import pretrain
from pedclip.training.model_card import checkpoint_card
from pedclip.training.preparation import prepare
from pedclip.training.profiles import PROFILES, available_profile, load_profile
from pedclip.training.recipes import RECIPES, recipe_of, with_recipe
from pedclip.training.run_lock import is_main, run_lock
from pedclip.triplets.columns import PATIENTS


def parse(arguments: list[str]) -> argparse.Namespace:
    """Command line as values."""
    parser = argparse.ArgumentParser(prog="python -m pedclip.training", description="Pre-train PedCLIP.")
    source = parser.add_mutually_exclusive_group()
    # A stored run or a profile, never both: two sources of one value could contradict each other.
    source.add_argument("--config", type=Path, help="training.json of a run of notebook 03, or one like it")
    source.add_argument("--profile", choices=PROFILES, default="demo", help="stored configuration (default: demo)")
    parser.add_argument("--data", help="'phantom', a folder, or several separated by commas")
    parser.add_argument(
        "--patients", choices=PATIENTS, help="'independent' states that a folder has one film of each patient"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/03_pretrain/shell"), help="folder of this run")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.NAME=VALUE",
        help="change one field, such as training.epochs=2 or model.mobe_layers=[5,11]; repeatable",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="'published': optimize as the authors of the objective did; what --set names wins over it",
    )
    parser.add_argument("--no-resume", action="store_true", help="start again instead of continuing a killed run")
    return parser.parse_args(arguments)


def configure(options: argparse.Namespace) -> RunConfig:
    """Configuration of the command line: profile or file, then the recipe, then what ``--set`` says.

    Raises:
        ValueError: A ``--set`` is not SECTION.NAME=VALUE, or names or values are not allowed; or no recipe is known.
    """
    if options.config:
        config = load_config(options.config)
    else:
        # Weights named by hand are wanted, whatever is installed.
        by_hand = any(
            change.startswith(("training.image_weights=", "training.text_weights=")) for change in options.set
        )
        config = load_profile(options.profile) if by_hand else available_profile(options.profile)
    changes = _changes(options.set)
    # Rivals come as published, without experts, unless layers for them are set.
    asked = published_experts(changes["training"] | changes["model"])
    model = changes["model"] | {name: asked[name] for name in ("mobe_layers",) if name in asked}
    config = dataclasses.replace(config, model=replace_fields(config.model, model))
    # Below what is set by hand: a recipe is a starting point like a profile.
    if options.recipe:
        config = with_recipe(config, given=changes["training"])
    else:
        config = dataclasses.replace(config, training=replace_fields(config.training, changes["training"]))
    named = {name: value for name in ("data", "patients") if (value := getattr(options, name))}
    return dataclasses.replace(config, **named)


def _changes(settings: Sequence[str]) -> dict[str, dict[str, object]]:
    """Values of ``--set`` by section and name. All of a section are set at once, for one may need another."""
    # A residual network, for one, needs sizes of 0 and no experts in the same breath.
    changes: dict[str, dict[str, object]] = {"model": {}, "training": {}}
    form = "training.NAME=VALUE or model.NAME=VALUE"
    for change in settings:
        section, name, value = parse_setting(change, form=form)
        if section not in changes:
            raise ValueError(f"--set {change!r} is not understood: write {form}")
        changes[section][name] = value
    return changes


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 on success, 2 with one clear line on a wrong argument."""
    # Bare messages: they are meant for the person who started it, not for a log collector.
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        config = configure(options)
        check_launch(config.training)
        return run(config, options)
    except (ValueError, OSError, NotFiniteError) as error:
        # What the person at the shell can mend is one line; anything else is a bug and keeps its traceback.
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(config: RunConfig, options: argparse.Namespace) -> int:
    """Prepare the data on rank 0 and train on every rank."""
    join_processes(config.training)
    # Held from the first file on: a second run in this folder must not even exchange the films.
    with run_lock(options.output):
        return _train(config, options)


def _train(config: RunConfig, options: argparse.Namespace) -> int:
    if not is_main():
        logging.getLogger().setLevel(logging.WARNING)  # rank 0 reports for all
        if distributed.is_initialized():
            distributed.barrier()  # rank 0 writes the cache that the others read
    if options.recipe:
        # What the recipe leaves out is said before hours are spent.
        for part in recipe_of(config.training.objective).not_expressed:
            logging.getLogger(__name__).info("recipe of %s, not expressed: %s", config.training.objective, part)
    prepared = prepare(config, options.output)  # on other ranks: reads what rank 0 has written
    if is_main() and distributed.is_initialized():
        distributed.barrier()
    card = checkpoint_card(config, prepared.train, prepared.validation, revision="")
    result = pretrain(
        prepared.train, prepared.validation, config=config, run=options.output, resume=not options.no_resume, card=card
    )
    if is_main():
        print(f"checkpoint: {result.checkpoint}  ({result.seconds:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
