"""Stored configurations of a pre-training run, and what becomes of them with a notebook's parameters."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pedclip.models.starting_points import (
    INSTALLED,
    StartingPoint,
    image_starting_point,
    installed_package,
    text_starting_point,
)
from pedclip.training.config import RunConfig, replace_fields
from pedclip.training.experts import published_experts

PROFILES: Final = ("demo", "small", "paper")
_logger = logging.getLogger(__name__)


def load_profile(profile: str, *, pretrained: bool = True) -> RunConfig:
    """One of the stored configurations.

    Args:
        profile: "demo" (small, minutes on two CPU cores), "small" (the demo's model on many more films: the weights
            that come with the package) or "paper" (the published values).
        pretrained: False for the values of the profile that serve random weights.

    Raises:
        ValueError: There is no such profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile={profile!r} is not allowed: one of {PROFILES}")
    values = json.loads(files("pedclip.training").joinpath("profiles.json").read_text())[profile]
    # What suits pretrained encoders need not suit random ones: stem, epochs, step size.
    changes = values.pop("random_weights")
    if not pretrained:
        values |= {section: values[section] | changes.get(section, {}) for section in ("model", "training")}
    return RunConfig.from_dict(values)


def configure(profile: str, settings: Mapping[str, Any]) -> RunConfig:
    """A profile with some values replaced, as the parameters of a notebook ask for.

    Args:
        profile: See ``load_profile``.
        settings: Values of fields of ``RunConfig``, ``PedCLIPConfig`` or ``TrainingConfig`` by name. 0, "" and []
            keep the profile's value (the seed is always taken). ``pretrained="no"`` starts from random weights
            whatever the profile names, "yes" insists on pretrained ones, and "" takes the profile's unless they are of
            a package that is not installed. Another objective than "pedclip" comes without experts: see
            ``published_experts``.

    Returns:
        The configuration; paths in ``data`` are absolute, so that it can be read from any folder.

    Raises:
        ValueError: A name is unknown or a value not allowed.
    """
    # A notebook's parameter cannot be absent, so "not given" is an empty value; a seed of 0 is a seed.
    given = published_experts({name: value for name, value in settings.items() if value or name == "seed"})
    pretrained = given.pop("pretrained", "")
    # Weights named by hand go before the switch.
    if pretrained or {"image_weights", "text_weights"} & given.keys():
        config = load_profile(profile, pretrained=pretrained != "no")
    else:
        config = available_profile(profile)
    if "data" in given:
        given["data"] = ",".join(_absolute(part.strip()) for part in given["data"].split(","))
    # Names are looked up in both sections; what is left over must belong to the run itself.
    for section in ("model", "training"):
        names = {item.name for item in dataclasses.fields(getattr(config, section))}
        part = replace_fields(getattr(config, section), {name: given.pop(name) for name in names & given.keys()})
        config = dataclasses.replace(config, **{section: part})
    return RunConfig.from_dict(config.to_dict() | given)


def starting_points(config: RunConfig) -> tuple[StartingPoint, StartingPoint]:
    """Starting points of the image and of the text encoder, on this disk.

    Raises:
        OSError: One is not there; see ``pedclip.models.starting_points``.
    """
    training = config.training
    image = image_starting_point(training.image_weights, config.model.pretrained_network)
    return image, text_starting_point(training.text_weights)


def available_profile(profile: str) -> RunConfig:
    """A profile, with its values for random weights where the package of its weights is not installed.

    Raises:
        ValueError: There is no such profile.
    """
    config = load_profile(profile)
    if package := missing_package(config):
        _logger.warning("%s is not installed: this run starts from random weights", package)
        return load_profile(profile, pretrained=False)
    return config


def missing_package(config: RunConfig) -> str:
    """Packages that pip has to install before a configuration's starting points are there, or ""."""
    training = config.training
    wanted = [
        installed_package("image", config.model.pretrained_network) if training.image_weights == INSTALLED else None,
        installed_package("text") if training.text_weights == INSTALLED else None,
    ]
    return " ".join(package.requirement for package in wanted if package and not package.is_installed)


def _absolute(place: str) -> str:
    # A name such as "phantom" stays as it is, unless there is a folder of that name.
    return str(Path(place).resolve()) if Path(place).exists() else place
