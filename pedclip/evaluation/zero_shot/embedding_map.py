"""A map of image and text embeddings in the plane."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from pedclip.anatomy import display_name
from pedclip.evaluation.embeddings import Embeddings
from pedclip.evaluation.tasks.labels import Row
from pedclip.triplets.arrays import TripletArrays

GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "chest and abdomen": ("chest", "abdomen"),
        "pelvis and hip": ("pelvis", "hip"),
        "leg": ("femur", "knee", "tibia_fibula"),
        "foot": ("ankle", "foot", "toe"),
        "shoulder and arm": ("clavicle", "shoulder", "humerus", "elbow", "forearm"),
        "hand": ("wrist", "hand", "finger"),
        "head and spine": ("skull", "facial_bones", "cervical_spine", "thoracic_spine", "lumbar_spine"),
    }
)


def project(
    embeddings: Embeddings, rows: Sequence[Row], films: TripletArrays, *, max_points: int, seed: int, folder: Path
) -> pd.DataFrame:
    """UMAP of films and their sentences, with what a chart shows on hovering.

    Coordinates are not equal across machines, and distances between clusters mean nothing. They are stored in
    ``folder/map.parquet``.

    Args:
        embeddings: Of N films and their N sentences.
        rows: N rows.
        films: N squared films and sentences.
        max_points: Films in the map, at least 2; drawn evenly when there are more.
        seed: Of UMAP.
        folder: Destination of the coordinates.

    Returns:
        Columns `x`, `y`, `region`, `group`, `modality` ("image" or "text"), `film` (position in `films`), `text`.

    Raises:
        ModuleNotFoundError: umap-learn is missing.
    """
    try:
        from umap import UMAP
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the map needs umap-learn: pip install 'pedclip[notebooks]'") from error

    # Evenly over the table, so that equal inputs give equal maps.
    chosen = np.linspace(0, len(rows) - 1, min(max_points, len(rows))).astype(int)
    # (2M, D): films and sentences are laid out together, or their distances could not be seen.
    points = np.concatenate([embeddings.image[chosen], embeddings.text[chosen]])
    # UMAP's default, where there are points enough.
    neighbors = min(15, len(points) - 1)
    with warnings.catch_warnings():
        # A fixed seed costs UMAP its threads, which is what we ask for; the other notes are on its own internals.
        warnings.simplefilter("ignore")
        plane = UMAP(n_neighbors=neighbors, metric="cosine", init="random", random_state=seed).fit_transform(points)
    # Twenty-three colours cannot be told apart; seven can.
    group_of = {region: group for group, regions in GROUPS.items() for region in regions}
    frame = pd.DataFrame(
        {
            "x": plane[:, 0],
            "y": plane[:, 1],
            "region": [display_name(rows[row].region) for row in chosen] * 2,
            "group": [group_of[rows[row].region] for row in chosen] * 2,
            "modality": ["image"] * len(chosen) + ["text"] * len(chosen),
            "film": list(chosen) * 2,
            # Long captions would fill the screen on hovering.
            "text": [films.texts[row][:120] for row in chosen] * 2,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    # The position of a film means nothing outside this run.
    frame.drop(columns="film").to_parquet(folder / "map.parquet")
    return frame
