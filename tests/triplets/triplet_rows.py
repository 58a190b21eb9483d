"""Small triplets for tests."""

import io
from typing import Any

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (24, 20)) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def triplet(number: int, **values: Any) -> dict[str, Any]:
    """One row of the schema, as `make_split` takes it."""
    return {
        "image": picture(number),
        "text": f"Fracture {number}.",
        "region": number % 23,
        "laterality": "left",
        "view": "AP",
        "patient_id": f"p{number}",
        "study_id": f"s{number}",
        "image_id": f"i{number}",
        "age_months": 12.5,
        "sex": "F",
        "findings": ["fracture"],
        "boxes": [{"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "label": "fracture"}],
        "mask": picture(number + 1),
        "text_source": "caption",
        "source": "made",
    } | values
