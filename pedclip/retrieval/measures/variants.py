"""Variants of PECM that its tables compare: components, losses, and each contradiction as it is printed."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import compress, product
from typing import Any, Final

from pedclip.retrieval.config import PECMConfig

COMPONENTS: Final = ("PER", "DSCE", "ARR")  # of Table 4
LOSSES: Final = ("sim", "conf", "div")  # of Table 5
_NONE: Final = "none"
# Contradictions that show in training and scores; the others are about which prototypes there are.
_CONTRADICTIONS: Final = {
    "proj_init": "E15",
    "norm_z": "E14",
    "w_norm": "E5",
    "rerank": "E9",
    "sim_loss": "E8",
    "equal_texts": "E8",
    "conf_loss": "E19",
    "div_loss": "E3",
    "div_reduce": "E4",
}


@dataclass(frozen=True)
class Variant:
    """One row of a comparison.

    Attributes:
        name: Of the row; components and losses as the paper's tables name them.
        config: What is trained.
    """

    name: str
    config: PECMConfig


def component_variants(config: PECMConfig) -> tuple[Variant, ...]:
    """The eight combinations of PER, DSCE and ARR, from none to all (Table 4; its second ✗✗✓ is E17).

    Args:
        config: Everything else.

    Returns:
        In the order of the printed rows, with PER+ARR in the place of the second ✗✗✓.
    """
    found = []
    # With True first, a stable sort leaves equal numbers of components as they are printed: PER, DSCE, ARR.
    for switches in product((True, False), repeat=len(COMPONENTS)):
        names: dict[str, Any] = dict(zip(("per", "dsce", "arr"), switches, strict=True))
        found.append(Variant(_joined(COMPONENTS, switches), replace(config, **names)))
    return tuple(sorted(found, key=lambda one: (one.name != _NONE, one.name.count("+"))))


def loss_variants(config: PECMConfig) -> tuple[Variant, ...]:
    """The seven combinations of the three losses (Table 5).

    Args:
        config: Its weights of the losses stay where a loss is on, and are above 0.

    Returns:
        In the order of the printed rows.

    Raises:
        ValueError: A loss has weight 0, so that two rows would be the same and one would train nothing.
    """
    if missing := [name for name in LOSSES if getattr(config, f"{name}_weight") == 0]:
        raise ValueError(f"{missing[0]}_weight=0 leaves rows without their loss: give a weight above 0")
    found = []
    # In the order of print as above.
    for switches in product((True, False), repeat=len(LOSSES)):
        # Without any loss nothing is trained, and nothing is printed.
        if any(switches):
            off: dict[str, Any] = {
                f"{name}_weight": 0.0 for name, is_on in zip(LOSSES, switches, strict=True) if not is_on
            }
            found.append(Variant(_joined(LOSSES, switches), replace(config, **off)))
    return tuple(sorted(found, key=lambda one: one.name.count("+")))


def printed_variants(config: PECMConfig) -> tuple[Variant, ...]:
    """The configuration with one contradiction after the other as it is printed, and with all of them.

    Args:
        config: As intended in every field that `PECMConfig.as_printed` changes, or that one makes no difference.

    Returns:
        One variant per field, named "E5: w_norm=free", then "as printed".
    """
    changes = dict(_printed(config))
    found = [
        Variant(f"{_CONTRADICTIONS[name]}: {name}={value}", replace(config, **{name: value}))
        for name, value in changes.items()
    ]
    return (*found, Variant("as printed", replace(config, **changes)))


def _printed(config: PECMConfig) -> Iterator[tuple[str, Any]]:
    printed = PECMConfig.as_printed()
    for one in fields(PECMConfig):
        # Where both readings agree there is nothing to compare.
        if one.name in _CONTRADICTIONS and getattr(printed, one.name) != getattr(config, one.name):
            yield one.name, getattr(printed, one.name)


def _joined(names: tuple[str, ...], switches: tuple[bool, ...]) -> str:
    return "+".join(compress(names, switches)) or _NONE
