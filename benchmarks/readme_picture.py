"""The picture of the README: drawn films, and the zero-shot results of notebook 04 as a chart.

papermill notebooks/04_zero_shot.ipynb runs/04.ipynb
python -m benchmarks.readme_picture runs/04_zero_shot/demo/metrics.json
"""

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pedclip import plots
from pedclip.anatomy import display_name
from pedclip.data import finding_gallery, region_gallery

DESTINATION = Path(__file__).parents[1] / ".github" / "overview.png"
REGIONS = ("chest", "hand", "elbow", "hip")
FINDINGS = ("fracture", "consolidation", "scoliosis", "foreign body")
TASKS = ("wrist fracture", "arthritis", "fracture")
METHODS = ("zero-shot", "untrained", "shortcut")
FILM = 150  # pixels
GAP = 16


def films() -> Image.Image:
    """Four regions without a finding above four findings, each under its name."""
    normal = {film.region: film for film in region_gallery(ages=(9.0,), size=224) if film.region in REGIONS}
    shown = [normal[region] for region in REGIONS] + finding_gallery(FINDINGS, size=224)
    titles = [film.finding or f"{display_name(film.region)}, 9 years" for film in shown]
    return plots.contact_sheet([film.film for film in shown], titles, columns=4, size=FILM)


def chart(metrics: dict[str, Any]) -> Image.Image:
    """Region, three findings and retrieval, each beside an untrained model and the shortcut baseline."""
    scores = [("body region, accuracy", one["method"], one["accuracy"]) for one in metrics["regions"]]
    scores += [
        (f"{task['task']}, AUC", task["method"], task["auc"])
        for name in TASKS
        for task in metrics["tasks"]
        if task["task"] == name
    ]
    scores += [
        ("sentence for film, Recall@5", one["method"], one["score"])
        for one in metrics["retrieval"]
        if (one["direction"], one["metric"], one["k"]) == ("image to text", "recall", 5)
    ]
    rows = [
        {"row": row, "method": method} | {name: score[name] for name in ("value", "low", "high")}
        for row, method, score in scores
        if method in METHODS
    ]
    subtitle = (
        f"{metrics['num_images']} drawn test films of {metrics['num_patients']} patients; 95 % intervals over patients"
    )
    drawn = plots.intervals(
        pd.DataFrame(rows), title="Without any fitting, on drawn films", subtitle=subtitle, metric="score", chance=None
    )
    picture = io.BytesIO()
    drawn.save(picture, format="png", scale_factor=1.4)
    return Image.open(picture).convert("RGB")


def main() -> None:
    """Write the picture beside the workflow of the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics", type=Path, help="metrics.json of notebook 04, run as it stands")
    plots.use()
    left, right = films().convert("RGB"), chart(json.loads(parser.parse_args().metrics.read_text()))
    right = right.resize((round(right.width * left.height / right.height), left.height), Image.Resampling.LANCZOS)
    page = Image.fromarray(np.full((left.height, left.width + GAP + right.width, 3), 255, np.uint8))
    page.paste(left, (0, 0))
    page.paste(right, (left.width + GAP, 0))
    DESTINATION.parent.mkdir(exist_ok=True)
    page.quantize(256, kmeans=2).save(DESTINATION, optimize=True)
    print(f"{DESTINATION}: {page.width} x {page.height}, {DESTINATION.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
