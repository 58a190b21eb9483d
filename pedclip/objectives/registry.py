"""Objectives by name, as a configuration asks for them."""

import inspect
from collections.abc import Mapping
from typing import Any, Final

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.base import Objective
from pedclip.objectives.carzero import CARZeroObjective
from pedclip.objectives.clip import CLIPObjective
from pedclip.objectives.convirt import ConVIRTObjective
from pedclip.objectives.gloria import GLoRIAObjective
from pedclip.objectives.medclip import MedCLIPObjective
from pedclip.objectives.mgca import MGCAObjective
from pedclip.objectives.pedclip import PedCLIPObjective
from pedclip.objectives.prior import PriorObjective

# A published rival is one file of this folder and one line here.
OBJECTIVES: Final[Mapping[str, type[Objective]]] = {
    "pedclip": PedCLIPObjective,
    "clip": CLIPObjective,
    "convirt": ConVIRTObjective,
    "gloria": GLoRIAObjective,
    "mgca": MGCAObjective,
    "medclip": MedCLIPObjective,
    "prior": PriorObjective,
    "carzero": CARZeroObjective,
}


def names() -> tuple[str, ...]:
    """Names that ``build`` takes and that ``training.objective`` may have.

    Example:
        >>> names()[:2]
        ('pedclip', 'clip')
    """
    return tuple(OBJECTIVES)


def option_names(name: str) -> tuple[str, ...]:
    """Options of an objective, all of them with a default: the keyword arguments of its class.

    Raises:
        ValueError: There is no such objective.

    Example:
        >>> option_names("pedclip")
        ('mask_equal_texts', 'schedule')
    """
    return tuple(option_defaults(name))


def option_defaults(name: str) -> dict[str, Any]:
    """Default of each option of an objective, in the order of ``option_names``.

    Raises:
        ValueError: There is no such objective.

    Example:
        >>> option_defaults("gloria")["variant"]
        'paper'
    """
    parameters = inspect.signature(_find(name)).parameters.values()
    # Read from the signature, so that an option is written down once, where it is used.
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def build(name: str, model: PedCLIP, **options: Any) -> Objective:
    """An objective with fresh heads.

    Args:
        name: One of ``names()``.
        model: The dual encoder whose features it will read.
        **options: See ``option_names``; what is left out takes its default.

    Raises:
        ValueError: There is no such objective, or it has no such option.
    """
    objective, known = _find(name), option_names(name)
    # A misspelt option must not pass for its default.
    if unknown := sorted(options.keys() - set(known)):
        raise ValueError(f"objective {name!r} has no option {unknown[0]!r}; known: {', '.join(known)}")
    return objective(model, **options)


def _find(name: str) -> type[Objective]:
    if name not in OBJECTIVES:
        raise ValueError(f"objective={name!r} is not allowed: one of {names()}")
    return OBJECTIVES[name]
