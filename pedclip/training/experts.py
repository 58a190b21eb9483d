"""Rule of who has experts: PedCLIP, and a rival where somebody asks for them."""

from collections.abc import Mapping
from typing import Any


def published_experts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which a rival is as its authors published it: without experts, unless layers for them are given.

    Args:
        given: Values that someone has asked for, by name of the field.

    Example:
        >>> published_experts({"objective": "clip"})["mobe_layers"]
        ()
        >>> published_experts({"objective": "clip", "mobe_layers": [3]})["mobe_layers"]
        [3]
    """
    # Of a stored configuration nothing is asked anew: what it says about experts stays.
    is_rival = given.get("objective", "pedclip") != "pedclip"
    return {"mobe_layers": (), **given} if is_rival else dict(given)
