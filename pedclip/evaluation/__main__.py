"""Print the zero-shot table of a run: ``python -m pedclip.evaluation runs/04_zero_shot/demo/metrics.json``."""

import json
import sys
from pathlib import Path
from typing import Any

from pedclip.evaluation.metrics.interval import entry_text

METHODS = ("zero-shot", "untrained", "shortcut")


def table(metrics: dict[str, Any]) -> str:
    """Text table of regions, findings and retrieval with 95 % intervals.

    Args:
        metrics: ``metrics.json`` of notebook 04.
    """
    rows: dict[str, dict[str, str]] = {}
    chance: dict[str, str] = {}
    # A row per question and a column per method; a method that could not answer leaves a dash.
    for region in metrics["regions"]:
        name = f"region, accuracy ({region['num_images']} films)"
        rows.setdefault(name, {})[region["method"]] = _interval(region["accuracy"])
        # Always answering the commonest region is harder to beat than a guess.
        chance[name] = f"{region['chance_majority']:.3f}"
    for task in metrics["tasks"]:
        name = f"{task['task']}, AUC ({task['num_positives']} + {task['num_negatives']}; {task['source']})"
        rows.setdefault(name, {})[task["method"]] = _interval(task["auc"])
        chance[name] = "0.500"
    # Runs made before captions were looked at alone lack that key.
    scored = [("", score) for score in metrics["retrieval"]]
    scored += [("written captions, ", score) for score in metrics.get("captions", [])]
    for prefix, score in scored:
        name = f"{prefix}{score['direction']}, {score['metric']}@{score['k']}"
        rows.setdefault(name, {})[score["method"]] = _interval(score["score"])
        chance[name] = f"{score['chance']:.3f}"
    if not rows:
        return "nothing could be measured: no finding, one region, one sentence"
    # Columns line up in a terminal, whatever the names.
    width = max(len(name) for name in rows)
    lines = [f"{'':{width}}  " + "  ".join(f"{method:24}" for method in METHODS) + "  chance"]
    for name, values in rows.items():
        lines.append(f"{name:{width}}  " + "  ".join(f"{values.get(m, '–'):24}" for m in METHODS) + f"  {chance[name]}")
    counts = f"{metrics['num_images']} films of {metrics['num_patients']} patients, {metrics['split']} split"
    return "\n".join([*lines, f"{counts}; 95 % bootstrap intervals over patients."])


def _interval(interval: dict[str, float | None]) -> str:
    return entry_text(interval, between="–")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: python -m pedclip.evaluation METRICS.JSON   (made by notebook 04)")
    print(table(json.loads(Path(sys.argv[1]).read_text())))
