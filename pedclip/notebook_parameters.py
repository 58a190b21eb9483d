"""The parameters of each notebook: their types, defaults and allowed values.

The parameter cell of a notebook and its model here hold the same names and defaults; the style test compares them.
"""

import os
from collections.abc import Callable
from difflib import get_close_matches
from itertools import pairwise
from typing import Annotated, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo

from pedclip.anatomy import REGIONS
from pedclip.notebook_errors import ParameterError


def _zero_or_at_least(smallest: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if value != 0 and value < smallest:
            raise ValueError
        return value

    return check


def _known_regions(regions: list[str]) -> list[str]:
    for region in regions:
        if region not in REGIONS:
            close = get_close_matches(region, REGIONS, n=1)
            raise ValueError(
                f"'{region}' is none of the 23 regions" + (f"; did you mean '{close[0]}'?" if close else "")
            )
    if len(set(regions)) < len(regions):
        raise ValueError("a region stands there twice")
    return regions


def _block_numbers(layers: list[int]) -> list[int]:
    if any(layer < 0 for layer in layers) or sorted(set(layers)) != layers:
        raise ValueError
    return layers


def _expand_each(places: str) -> str:
    return ",".join(os.path.expanduser(place.strip()) for place in places.split(","))


def _with_archive(place: str, info: ValidationInfo) -> str:
    if place and not info.data.get("archive"):
        raise ValueError("it goes with an archive of yours, and archive is ''")
    return os.path.expanduser(place)


def _endpoint(address: str, info: ValidationInfo) -> str:
    parts = urlsplit(address)
    if address and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("it is no http or https address")
    is_needed = info.data.get("extractor") == "llm"
    if not address and is_needed:
        raise ValueError("extractor is 'llm': name the server that may read the reports")
    if address and not is_needed:
        raise ValueError("extractor is 'rules', which asks no server")
    return address


def _root(folder: str, info: ValidationInfo) -> str:
    """The folder of a data card, which `data` names."""
    if folder and not info.data.get("data"):
        raise ValueError("root is the folder of a data card: name the card with data, such as 'grazpedwri-dx'")
    return os.path.expanduser(folder)


def _rising_shares(shares: list[float]) -> list[float]:
    rises = all(low < high for low, high in pairwise(shares))
    if not shares or not rises or shares[0] <= 0 or shares[-1] != 1.0:
        raise ValueError("the last is all of the training patients")
    return shares


NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
# 0 stands for "as the profile says" in all three.
ProfileCount = Annotated[int, Field(ge=0, description="0 (as the profile says) or an integer, at least 1")]
ProfileBatch = Annotated[
    int, AfterValidator(_zero_or_at_least(2)), Field(description="0 (as the profile says) or an integer, at least 2")
]
ProfileSide = Annotated[
    int, AfterValidator(_zero_or_at_least(32)), Field(description="0 (as the profile says) or pixels, at least 32")
]
ProfileRate = Annotated[float, Field(ge=0, le=1, description="0 (as the profile says) or a number above 0, at most 1")]
Place = Annotated[str, AfterValidator(os.path.expanduser)]
Places = Annotated[str, AfterValidator(_expand_each)]
RunName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="a folder name: letters, digits, '.', '_' and '-', the first a letter or digit, at most 100",
    ),
]
Regions = Annotated[list[str], AfterValidator(_known_regions), Field(description="a list of names from REGIONS")]
Layers = Annotated[
    list[int],
    AfterValidator(_block_numbers),
    Field(description="a list of block numbers from 0, each once, in rising order"),
]


class Parameters(BaseModel):
    """What every notebook has. Types are strict: "true" is a text, 1 is a number and not a bool."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    profile: Literal["demo", "paper"] = "demo"
    seed: NonNegative = 0
    name: RunName = "demo"
    output: Place = ""


class CurationParameters(Parameters):
    """Notebook 01: from an archive to triplets."""

    archive: Place = ""
    reports: Annotated[
        str, AfterValidator(_with_archive), Field(description="'' or a table of reports (.csv, .jsonl, .parquet)")
    ] = ""
    columns: Annotated[
        dict[str, str], Field(description="a mapping of role to name of a column, such as {'report': 'note'}")
    ] = {}
    studies: Annotated[int, Field(ge=20)] = 100
    extractor: Literal["rules", "llm"] = "rules"
    endpoint: Annotated[
        str,
        AfterValidator(_endpoint),
        Field(
            validate_default=True,
            description="'' with the extractor 'rules', an address such as 'http://localhost:8000/v1' with 'llm'",
        ),
    ] = ""
    model: Annotated[str, Field(min_length=1, description="the name that the server knows the model by")] = (
        "meta-llama/Llama-3.1-8B-Instruct"
    )
    mode: Literal["select", "rewrite"] = "select"
    gold: Place = ""
    gold_reports: Annotated[int, Field(ge=50, le=5000)] = 400
    acknowledge_identifiers: bool = False
    show_records: bool = False


class MobeParameters(Parameters):
    """Notebook 02: the expert block explained."""

    data: Places = "phantom"
    studies: Annotated[int, Field(ge=20)] = 120


class PretrainParameters(Parameters):
    """Notebook 03: pre-training."""

    data: Places = "phantom"
    studies: Annotated[
        int,
        AfterValidator(_zero_or_at_least(20)),
        Field(description="0 (as the profile says) or an integer, at least 20"),
    ] = 0
    epochs: ProfileCount = 0
    batch_size: ProfileBatch = 0
    learning_rate: ProfileRate = 0.0
    regions: Regions = []
    image_size: ProfileSide = 0
    mobe_layers: Layers = []
    temperature: ProfileRate = 0.0
    precision: Literal["", "32-true", "bf16-mixed", "16-mixed"] = ""
    accumulate: ProfileCount = 0
    devices: Positive = 1
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    num_workers: NonNegative = 0
    resume: bool = True
    pretrained: Literal["", "yes", "no"] = ""
    image_weights: Place = ""
    text_weights: Place = ""
    logger: Literal["csv", "tensorboard"] = "csv"


class ZeroShotParameters(Parameters):
    """Notebook 04: zero-shot evaluation."""

    data: Places = ""
    checkpoint: Place = "pedclip-phantom-small"
    split: Literal["test", "validation"] = "test"
    num_bootstrap: Annotated[int, Field(ge=100)] = 1000
    min_positives: Positive = 5
    max_points: Annotated[int, Field(ge=10, le=2500)] = 100
    batch_size: Positive = 64
    device: Literal["auto", "cpu", "cuda"] = "auto"


class ProbeParameters(Parameters):
    """Notebook 05: probes, segmentation, regression."""

    data: Places = ""
    root: Annotated[
        str, AfterValidator(_root), Field(description="'' or the folder of the data card that data names")
    ] = ""
    checkpoint: Place = "pedclip-phantom-small"
    studies: Annotated[int, Field(ge=200)] = 1500
    features: Literal["embedding", "pooled", "both"] = "both"
    shares: Annotated[
        list[float],
        AfterValidator(_rising_shares),
        Field(description="a list of rising shares above 0, the last 1.0, such as [0.01, 0.1, 1.0]"),
    ] = [0.01, 0.1, 1.0]
    draws: Positive = 3
    num_bootstrap: Annotated[int, Field(ge=100)] = 500
    min_positives: Positive = 5
    head_images: Annotated[int, Field(ge=20)] = 160
    head_epochs: Positive = 10
    network: Literal["decoder", "unet"] = "decoder"
    box_classes: NonNegative = 4
    fine_tune: bool = False
    batch_size: Positive = 64
    device: Literal["auto", "cpu", "cuda"] = "auto"


PARAMETERS: Final[dict[str, type[Parameters]]] = {
    "01_curation": CurationParameters,
    "02_mobe": MobeParameters,
    "03_pretrain": PretrainParameters,
    "04_zero_shot": ZeroShotParameters,
    "05_probes": ProbeParameters,
}


def validate(values: dict[str, object], notebook: str) -> Parameters:
    """Turn the values of a parameter cell into the frozen model of its notebook.

    Args:
        values: Every parameter by name; what is missing takes the default.
        notebook: Name without the ending, such as "03_pretrain".

    Returns:
        The parameters; reading a wrong attribute is an error, and so is setting any.

    Raises:
        ParameterError: One line about the first name or value that is not allowed.

    Example:
        >>> validate({"epochs": 2}, "03_pretrain").epochs
        2
        >>> validate({"devices": "abc"}, "03_pretrain")
        Traceback (most recent call last):
        pedclip.notebook_errors.ParameterError: devices='abc' is not allowed: an integer, at least 1
    """
    if notebook not in PARAMETERS:
        raise ParameterError(f"no notebook is called '{notebook}'; there are: {', '.join(PARAMETERS)}")
    model = PARAMETERS[notebook]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
    # An unknown name explains the rest: whoever misspelt `epochs` should not read about another parameter first.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        close = get_close_matches(name, model.model_fields, n=1)
        hint = f" did you mean '{close[0]}'?" if close else ""
        raise ParameterError(f"unknown parameter '{name}';{hint} allowed: {', '.join(model.model_fields)}")
    own_words = str(first.get("ctx", {}).get("error", ""))
    expected = describe(model.model_fields[name]) + (f" ({own_words})" if own_words else "")
    given = values.get(name, model.model_fields[name].default)
    raise ParameterError(f"{name}={_shorten(given)} is not allowed: {expected}")


def describe(field: FieldInfo) -> str:
    """What a parameter may be, in words: "an integer, at least 1"."""
    if field.description:
        return field.description
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(field.annotation))
    kind = {int: "an integer", float: "a number", str: "a text", bool: "True or False"}[field.annotation]  # type: ignore[index]
    for limit, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        for constraint in field.metadata:
            if (bound := getattr(constraint, limit, None)) is not None:
                kind += f", {words} {bound}"
    return kind


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
