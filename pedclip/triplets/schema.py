"""The triplet: one radiograph, the text about its body region, and the region."""

from typing import Final

from datasets import ClassLabel, Dataset, Features, Image, List, Value

from pedclip.anatomy import REGIONS

LATERALITIES: Final = ("", "left", "right", "both")
TEXT_SOURCES: Final = ("rules", "llm-select", "llm-rewrite", "caption", "label-prompt", "phantom")

BOX: Final = {
    "x": Value("float32"),  # left edge, pixels of the stored image
    "y": Value("float32"),  # top edge
    "width": Value("float32"),
    "height": Value("float32"),
    "label": Value("string"),
}

FEATURES: Final = Features(
    {
        "image": Image(),  # one channel, 8 bits
        "text": Value("string"),  # the excerpt for this region
        "region": ClassLabel(names=list(REGIONS)),
        "laterality": Value("string"),  # one of LATERALITIES
        "view": Value("string"),  # "AP", "PA", "lateral", "oblique", … or ""
        "patient_id": Value("string"),
        "study_id": Value("string"),
        "image_id": Value("string"),  # unique within a triplet set
        "age_months": Value("float32"),  # None where unknown
        "sex": Value("string"),  # "F", "M" or ""
        # None: nobody labelled this image. []: labelled, and nothing was found. The difference decides who may
        # serve as a negative in an evaluation.
        "findings": List(Value("string")),
        "uncertain": List(Value("string")),  # findings that may be there; None where nobody would have said so
        "boxes": List(BOX),
        "mask": Image(),  # None where there is none
        "severity": List(Value("float32")),  # of each of `findings`, 0 to 1, below 1/3 subtle; None where unknown
        "bone_age_months": Value("float32"),  # maturity of the skeleton; None where unknown
        # Label image of the normal anatomy: bit flags of pedclip.triplets.annotations, both where ribs cover lung.
        "structures": Image(),
        "text_source": Value("string"),  # one of TEXT_SOURCES
        "source": Value("string"),  # the name of the data set
    }
)

# Sets made before these columns existed are read too.
OPTIONAL: Final = ("uncertain", "severity", "bone_age_months", "structures")


def with_optional(dataset: Dataset) -> Dataset:
    """The same triplets with all columns of the schema in its order; absent optional ones are None."""
    for name in OPTIONAL:
        if name not in dataset.column_names:
            dataset = dataset.add_column(name, [None] * len(dataset), feature=FEATURES[name])
    return dataset.select_columns([name for name in FEATURES if name in dataset.column_names])
