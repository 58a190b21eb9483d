"""Published optimization of each objective, for runs that follow their authors and not one common plan.

A comparison at equal steps, batch and step size, which `benchmarks.rivals` makes, answers another question than one at
each method's own, for which these are.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pedclip.training.config import RunConfig, replace_fields

RECIPES: Final = ("published",)  # what a shell may ask for


@dataclass(frozen=True)
class Recipe:
    """Optimization of one objective.

    Attributes:
        source: Paper or file that the values are from.
        training: Values by name of a field of ``TrainingConfig``.
        not_expressed: Parts of the published training that no field can say, each with what is done instead.
    """

    source: str
    training: Mapping[str, Any]
    not_expressed: tuple[str, ...]


@cache
def recipes() -> dict[str, Recipe]:
    """Recipes by name of the objective."""
    # Data and not code: a value is looked up beside its source, and changed in one place.
    content = json.loads(files("pedclip.training").joinpath("recipes.json").read_text(encoding="utf-8"))
    return {
        name: Recipe(entry["source"], entry["training"], tuple(entry["not_expressed"]))
        for name, entry in content.items()
    }


def recipe_of(objective: str) -> Recipe:
    """The recipe of an objective.

    Raises:
        ValueError: None is known.
    """
    known = recipes()
    # A guess would be worse than nothing: it would pass for the authors' own.
    if objective not in known:
        raise ValueError(
            f"no published recipe is known for objective={objective!r}: there are {', '.join(known)}; leave the recipe "
            "out and set the fields of training one by one"
        )
    return known[objective]


def with_recipe(config: RunConfig, *, given: Mapping[str, Any] | None = None) -> RunConfig:
    """A configuration with the optimization that the authors of its objective published.

    Data, model, starting points, precision, devices and the seed stay as they are.

    Args:
        config: Its ``training.objective`` says whose recipe, unless ``given`` names another.
        given: Fields of ``TrainingConfig`` that are set by hand; they go before those of the recipe.

    Raises:
        ValueError: None is known, or a value does not fit the rest, such as a batch that the devices cannot share.

    Example:
        >>> with_recipe(RunConfig()).training.epochs
        50
    """
    by_hand = dict(given or {})
    # What is set by hand may be the objective itself, and then its recipe is meant.
    recipe = recipe_of(by_hand.get("objective", config.training.objective))
    # In one step: a batch of the recipe that the devices cannot share may be mended by hand.
    return dataclasses.replace(config, training=replace_fields(config.training, {**recipe.training, **by_hand}))
