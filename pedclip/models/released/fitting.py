"""Strict loading: every tensor of a module is found under its published name, and none is left over.

A layer that stays random answers without an error, only worse; so nothing here is loaded "as far as it fits".
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import logging

from pedclip.models.released.files import some

# A counter that only training reads; older files lack it.
_COUNTER = "num_batches_tracked"
# Whole numbers that transformers counts by itself in newer versions.
_WHOLE = ("position_ids", "token_type_ids", "relative_position_index", _COUNTER)


@dataclass
class Fit:
    """Names, as published, of the tensors that do not fit.

    Attributes:
        missing: Needed, and not in the file.
        left_over: In the file, and not needed.
        other_shape: In the file with another shape.
        other_type: In the file as whole numbers, where the model has floats.
    """

    missing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    other_shape: list[str] = field(default_factory=list)
    other_type: list[str] = field(default_factory=list)

    def add(self, other: "Fit") -> None:
        """Put the names of another part behind those of this one."""
        self.missing += other.missing
        self.left_over += other.left_over
        self.other_shape += other.other_shape
        self.other_type += other.other_type

    def check(self, path: Path, layout: str, advice: str = "") -> None:
        """Make sure that everything fits.

        Args:
            path: The file.
            layout: Names that it should have, in words.
            advice: Next step, on a line of its own.

        Raises:
            ValueError: Something does not; the message holds the first names of each kind.
        """
        # Sorted below, so that a message is the same on every machine.
        kinds = {"missing": self.missing, "left over": self.left_over, "of another shape": self.other_shape}
        kinds["of another type"] = self.other_type
        lines = [f"  {kind}: {some(sorted(names))}" for kind, names in kinds.items() if names]
        if lines:
            raise ValueError(
                "\n".join([f"{path} does not have the expected layout ({layout})", *lines, advice]).strip()
            )


def fit_module(module: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> Fit:
    """Load a module of ours or of timm.

    Args:
        module: Its tensors have the published names.
        weights: Tensors (…,) without the prefix.
        prefix: Of the published names, for the report.
    """
    own = module.state_dict()
    # Both ways: what the module needs, and what the file has.
    fit = Fit(
        [prefix + name for name in own if name not in weights and not name.endswith(_COUNTER)],
        [prefix + name for name in weights if name not in own and not name.endswith(_COUNTER)],
    )
    # A shape that differs would raise in torch with all names at once and without the file's prefix.
    for name in own.keys() & weights.keys():
        if own[name].shape != weights[name].shape:
            fit.other_shape.append(f"{prefix}{name} {tuple(weights[name].shape)} for {tuple(own[name].shape)}")
        # torch would convert, say, 8-bit weights whose scale lies elsewhere.
        if own[name].is_floating_point() and not weights[name].is_floating_point():
            fit.other_type.append(f"{prefix}{name} {weights[name].dtype} for floats")
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    module.load_state_dict(fitting, strict=False)  # what does not fit is in the report, which its reader raises
    return fit


def fit_transformers(kind: Any, config: Any, weights: Mapping[str, Tensor], prefix: str = "", **options: Any) -> Any:
    """Build and load a model of transformers, which renames its own layers from version to version.

    Args:
        kind: Class of the model.
        config: Its sizes.
        weights: Tensors (…,) with the names of any version, without the prefix.
        prefix: Of the published names, for the report.
        options: More arguments of the class.

    Returns:
        The model in evaluation mode, and the `Fit`.
    """
    # By name, as only the model knows its types, and it renames. Floats first: the library refuses others in its way.
    whole = [name for name, value in weights.items() if not value.is_floating_point() and not name.endswith(_WHOLE)]
    weights = {name: value.float() if name in whole else value for name, value in weights.items()}
    with _quiet():
        # Without a name nothing is fetched; the library translates old names, which loading by ourselves would not.
        model, report = kind.from_pretrained(
            None,
            config=config,
            state_dict=dict(weights),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported, and raised by us with all the rest
            dtype=torch.float32,
            **options,
        )
    # The report has three lists with names of its own; ours are those of the file.
    shapes = [f"{prefix}{name} {tuple(found)} for {tuple(own)}" for name, found, own in report["mismatched_keys"]]
    missing, left_over = ([prefix + name for name in report[part]] for part in ("missing_keys", "unexpected_keys"))
    types = [f"{prefix}{name} whole numbers for floats" for name in whole if prefix + name not in left_over]
    return model.eval(), Fit(missing, left_over, shapes, types)


@contextmanager
def _quiet() -> Iterator[None]:
    # It prints a bar and a table of what does not fit; both are in our report.
    verbosity, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
