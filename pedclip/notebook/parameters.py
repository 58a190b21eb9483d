"""The parameters of each notebook: their types, defaults and allowed values.

The parameter cell of a notebook and its model here hold the same names and defaults; the style test compares them.
"""

from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from pedclip.notebook.errors import ParameterError
from pedclip.notebook.parameter_types import (
    ArchiveSizes,
    Layers,
    NonNegative,
    ObjectiveName,
    Place,
    Places,
    Positive,
    ProfileBatch,
    ProfileCount,
    ProfileRate,
    ProfileSize,
    Regions,
    RunName,
    Runs,
    Shares,
    describe,
    endpoint_of_extractor,
    even,
    model_of_extractor,
    none_or_enough,
    root_of_card,
    with_archive,
    with_words,
    zero_or_at_least,
)
from pedclip.triplets.columns import Patients


class Parameters(BaseModel):
    """Parameters of every notebook. Types are strict: "true" is a text, 1 is a number and not a bool."""

    # Strict, because "3" for 3 is a slip in a YAML file; no NaN and no infinity, which JSON cannot hold.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    profile: Literal["demo", "paper"] = "demo"
    seed: NonNegative = 0
    name: RunName = "demo"  # of the run folder
    output: Place = ""  # "" is the folder for runs of the project


class CurationParameters(Parameters):
    """Notebook 01: from an archive to triplets."""

    archive: Place = ""
    reports: Annotated[
        str, AfterValidator(with_archive), Field(description="'' or a table of reports (.csv, .jsonl, .parquet)")
    ] = ""
    columns: Annotated[  # an empty mapping: the names are found
        dict[str, str],
        Field(
            description="a mapping of role to name of a column, such as {'report': 'note'}",
            examples=["{report: note}"],
        ),
    ] = {}
    studies: Annotated[int, Field(ge=20)] = 100
    extractor: Literal["rules", "llm"] = "rules"
    endpoint: Annotated[
        str,
        AfterValidator(endpoint_of_extractor),
        Field(
            validate_default=True,
            description="'', or with the extractor 'llm' an address such as 'http://localhost:8000/v1'",
        ),
    ] = ""
    model: Annotated[
        str,
        AfterValidator(model_of_extractor),
        Field(
            validate_default=True,
            min_length=1,
            description="the name that the server knows the model by, or without an endpoint its folder or GGUF file, "
            "or 'installed'",
        ),
    ] = "meta-llama/Llama-3.1-8B-Instruct"
    mode: Literal["select", "rewrite"] = "select"
    gold: Place = ""
    gold_reports: Annotated[int, Field(ge=50, le=5000)] = 400
    acknowledge_identifiers: bool = False  # texts with suspected identifiers are written only then
    show_records: bool = False


class MobeParameters(Parameters):
    """Notebook 02: the expert block explained."""

    data: Places = "phantom"
    studies: Annotated[int, Field(ge=20)] = 120  # drawn, where `data` is the phantom


class PretrainParameters(Parameters):
    """Notebook 03: pre-training."""

    data: Places = "phantom"
    patients: Patients = "column"
    studies: Annotated[
        int,
        AfterValidator(zero_or_at_least(20)),
        Field(description="0 (as the profile says) or an integer, at least 20"),
    ] = 0
    epochs: ProfileCount = 0
    batch_size: ProfileBatch = 0
    learning_rate: ProfileRate = 0.0
    regions: Regions = []
    image_size: ProfileSize = 0
    mobe_layers: Layers = []
    temperature: ProfileRate = 0.0
    precision: Literal["", "32-true", "bf16-mixed", "16-mixed"] = ""
    accumulate: ProfileCount = 0
    devices: Positive = 1
    num_workers: NonNegative = 0  # 0 loads in this process
    resume: bool = True
    pretrained: Literal["", "yes", "no"] = ""  # not a bool: "" is "as the profile says"
    image_weights: Place = ""
    text_weights: Place = ""
    stem_training: Literal["", "frozen", "slow", "full"] = ""
    objective: ObjectiveName = "pedclip"
    # Which options there are depends on the objective; the configuration of the run checks them.
    objective_options: Annotated[
        dict[str, Any],
        Field(
            description="a mapping of options of the objective, such as {'variant': 'code'}",
            examples=["{variant: code}"],
        ),
    ] = {}


class ZeroShotParameters(Parameters):
    """Notebook 04: zero-shot evaluation."""

    data: Places = ""
    patients: Patients = "column"
    checkpoint: Place = "pedclip-phantom-small"
    compare: Runs = []
    split: Literal["test", "validation"] = "test"  # never the films that were trained on
    num_bootstrap: Annotated[int, Field(ge=100)] = 1000
    min_positives: Positive = 5
    max_points: Annotated[int, Field(ge=10, le=2500)] = 80  # of the map of embeddings
    batch_size: Positive = 64
    device: Literal["auto", "cpu", "cuda"] = "auto"


class FrozenParameters(Parameters):
    """Notebooks 05, 05b, 06 and 07: the films, and the frozen encoder that reads them."""

    data: Places = ""
    root: Annotated[
        str, AfterValidator(root_of_card), Field(description="'' or the folder of the data card that data names")
    ] = ""
    patients: Patients = "column"
    checkpoint: Place = "pedclip-phantom-small"
    studies: Annotated[int, Field(ge=200)] = 1500  # of the phantom; others have as many as they have
    num_bootstrap: Annotated[int, Field(ge=100)] = 500
    batch_size: Positive = 64
    device: Literal["auto", "cpu", "cuda"] = "auto"


class ProbeParameters(FrozenParameters):
    """Notebook 05: linear probes, learning curves, regression, fine-tuning."""

    compare: Runs = []
    min_positives: Positive = 5
    features: Literal["embedding", "pooled", "both"] = "both"
    shares: Shares = [0.01, 0.1, 1.0]
    draws: Positive = 3
    fine_tune: bool = False


class HeadParameters(FrozenParameters):
    """Notebook 05b: heads for masks and boxes."""

    min_positives: Positive = 5
    head_images: Annotated[int, Field(ge=20)] = 160
    head_epochs: Positive = 10
    network: Literal["decoder", "unet"] = "decoder"  # for masks; boxes always come from patch tokens
    box_classes: NonNegative = 4  # 0 means all


class RetrievalParameters(FrozenParameters):
    """Notebook 06: retrieval with PECM."""

    studies: Annotated[int, Field(ge=200)] = 1200  # those of the demo
    section: Literal["excerpt", "study"] = "excerpt"
    label_text: Literal["template", "skip"] = "template"
    grid: Literal["adaptive5", "ceil5", "floor4"] = "adaptive5"
    rerank: Literal["as_intended", "as_printed", "sum"] = "as_intended"
    epochs: Positive = 5
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.001
    weights_rate: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0
    seeds: Positive = 3
    query: Annotated[str, AfterValidator(with_words), Field(description="'' or a text with words in it")] = ""
    results: Positive = 4
    coverage: Annotated[float, Field(ge=0.5, lt=1)] = 0.9
    archive_items: ArchiveSizes = [1000, 4000, 16000]


class SyntheticParameters(FrozenParameters):
    """Notebook 07: pre-training on drawn films."""

    studies: Annotated[int, Field(ge=200)] = 240  # those of the demo
    generator: Place = "embedded"
    generic: Place = "embedded-generic"
    prompt: Literal["", "excerpt", "named", "impression", "findings", "both"] = ""
    sampling_steps: Annotated[int, Field(ge=1, le=1000)] = 5
    copier_steps: Annotated[int, Field(ge=20)] = 150
    reports: Annotated[int, AfterValidator(none_or_enough), Field(description="0 or at least 100")] = 0
    grid: Literal["small", "full"] = "small"
    epochs: Annotated[int, AfterValidator(even), Field(description="an even number, at least 2")] = 6


class AblationParameters(FrozenParameters):
    """Notebook 08: ablations as grids."""

    studies: Annotated[int, Field(ge=200)] = 480  # of the phantom, for opening the experts
    grid: Annotated[str, AfterValidator(with_words), Field(description="the name of a grid, or a JSON file")] = "small"
    grid_epochs: Annotated[int, Field(ge=0)] = 0  # 0 takes those of the grid
    seeds: NonNegative = 0  # the first so many; 0 takes those of the grid
    workers: Positive = 2
    where: Literal["local", "ray"] = "local"
    orders: Annotated[int, Field(ge=0, le=1000)] = 50


PARAMETERS: Final[dict[str, type[Parameters]]] = {
    "01_curation": CurationParameters,
    "02_mobe": MobeParameters,
    "03_pretrain": PretrainParameters,
    "04_zero_shot": ZeroShotParameters,
    "05_probes": ProbeParameters,
    "05b_segmentation_detection": HeadParameters,
    "06_pecm_retrieval": RetrievalParameters,
    "07_synthetic_vlp": SyntheticParameters,
    "08_ablations": AblationParameters,
}


def validate(values: dict[str, object], notebook: str) -> Parameters:
    """Turn the values of a parameter cell into the frozen model of its notebook.

    A list or mapping may come as its text in YAML, because that is what `papermill -p` hands over.

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
        >>> validate({"regions": "[hand, wrist]"}, "03_pretrain").regions
        ['hand', 'wrist']
        >>> validate({"devices": "abc"}, "03_pretrain")
        Traceback (most recent call last):
        pedclip.notebook.errors.ParameterError: devices='abc' is not allowed: an integer, at least 1
    """
    if notebook not in PARAMETERS:
        raise ParameterError(f"no notebook is called '{notebook}'; there are: {', '.join(PARAMETERS)}")
    model = PARAMETERS[notebook]  # the class, not an instance
    # Texts become lists before strict validation, which takes no text for a list.
    given = {name: _parsed(value, model.model_fields.get(name)) for name, value in values.items()}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problems = error.errors()
    # An unknown name explains the rest: whoever misspelt `epochs` should not read about another parameter first.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        close = get_close_matches(name, model.model_fields, n=1)
        hint = f" did you mean '{close[0]}'?" if close else ""
        raise ParameterError(f"unknown parameter '{name}';{hint} allowed: {', '.join(model.model_fields)}")
    # Of a validator of `parameter_types`, where it raised with words.
    own_words = str(first.get("ctx", {}).get("error", ""))
    field = model.model_fields[name]
    expected = describe(field) + (f" ({own_words})" if own_words else "")
    if field.examples and isinstance(given.get(name), str):
        expected += f'; for papermill write  -p {name} "{field.examples[0]}"'
    raise ParameterError(f"{name}={_shorten(values.get(name, field.default))} is not allowed: {expected}")


def _parsed(value: object, field: FieldInfo | None) -> object:
    """The list or mapping that a text spells where one is expected; any other value as it came."""
    if field is None or not isinstance(value, str) or not isinstance(field.default, list | dict):
        return value
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    # "3" is YAML for a number: then the text stays, and the error shows what was written.
    return found if isinstance(found, type(field.default)) else value


def _shorten(value: object) -> str:
    text = repr(value)
    # A list of a thousand regions is no message.
    return text if len(text) <= 80 else f"{text[:77]}..."
