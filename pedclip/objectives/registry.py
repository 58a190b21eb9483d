"""Objectives by name, as a configuration asks for them."""

import inspect
import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

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
        ValueError: There is no such objective, it has no such option, or an option has another type.
    """
    check_options(name, options)
    return _find(name)(model, **options)


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Make sure that options exist and have their annotated types; needs no model, so that it can come first.

    Args:
        name: One of ``names()``.
        options: By name, such as from a file.

    Raises:
        ValueError: There is no such objective, it has no such option, or a value has another type or is not finite.

    Example:
        >>> check_options("gloria", {"variant": "code", "local_weight": 1})
    """
    known = option_names(name)
    # A misspelt option must not pass for its default.
    if unknown := sorted(options.keys() - set(known)):
        raise ValueError(f"objective {name!r} has no option {unknown[0]!r}; known: {', '.join(known)}")
    hints = get_type_hints(_find(name).__init__)
    for option, value in options.items():
        if not _fits(value, hint := hints.get(option, object)):
            raise ValueError(f"{option}={value!r} is not allowed: objective {name!r} takes {_words(hint)}")


def _fits(value: Any, hint: Any) -> bool:
    """True where a value from a file has the type of an option."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inner and isinstance(value, str)
    if origin is Sequence:
        return isinstance(value, (list, tuple)) and all(_fits(one, inner[0]) for one in value)
    if inner and NoneType in inner:
        return value is None or any(_fits(value, one) for one in inner if one is not NoneType)
    # True is an int to Python, but no width; NaN and infinity would train to nothing.
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is hint if hint in (int, bool, str) else True


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {get_args(hint)}"
    known = {float: "a finite number", int: "a whole number", bool: "true or false", str: "a text"}
    if get_origin(hint) is Sequence:
        return "a list of finite numbers"
    if NoneType in get_args(hint):
        return " or ".join([*(_words(one) for one in get_args(hint) if one is not NoneType), "null"])
    return known.get(hint, str(hint))


def _find(name: str) -> type[Objective]:
    if name not in OBJECTIVES:
        raise ValueError(f"objective={name!r} is not allowed: one of {names()}")
    return OBJECTIVES[name]
