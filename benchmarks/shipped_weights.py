"""The weights that come with the package: pre-train on drawn films, measure on other patients, write the folder.

    python -m benchmarks.shipped_weights train --run runs/shipped
    python -m benchmarks.shipped_weights ship --run runs/shipped

`train` is the profile "small"; a killed run continues. It needs torch, timm, transformers and lightning only, so it can
run on a machine that has a GPU and nothing else. `ship` measures the checkpoint and writes pedclip/weights/.
"""

import argparse
import dataclasses
import io
import json
import math
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.report import describe, write_report
from pedclip.anatomy import REGIONS
from pedclip.data.phantom import iterate_studies
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.models.pedclip import WEIGHTS_FILE, PedCLIP, default_preprocess
from pedclip.training.config import RunConfig, load_config, replace_fields
from pedclip.training.loop import pretrain
from pedclip.training.profiles import load_profile, starting_points
from pedclip.triplets.arrays import TripletArrays, qualified_patient
from pedclip.triplets.seen_patients import PATIENTS_FILE, salt_file
from pedclip.triplets.splits import split_of
from pedclip.weights import SHIPPED, shipped_folder

COMMAND = "python -m benchmarks.shipped_weights"
TEST_SEED = 0  # of the phantom for the measurement; the profile trains on another one


def configure(*, studies: int | None = None, epochs: int | None = None) -> RunConfig:
    """The profile "small", with another number of studies or epochs where given."""
    config = load_profile("small")
    training = replace_fields(config.training, {"epochs": epochs or config.training.epochs})
    return dataclasses.replace(config, studies=studies or config.studies, training=training)


def draw(config: RunConfig, *, workers: int) -> tuple[TripletArrays, TripletArrays]:
    """Training and validation split of the phantom of a configuration, without `datasets`."""
    size = default_preprocess(config.model.image_size, None).resize
    if size != config.phantom_size:
        raise ValueError(f"phantom_size is {config.phantom_size}, but the model's cache has films of {size} pixels")
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
    for study in iterate_studies(config.studies, config.training.seed, config.phantom_size, workers=workers):
        for row in study:
            rows[split_of(row["patient_id"])].append(row)
    return _arrays(rows["train"]), _arrays(rows["validation"])


def _arrays(rows: Sequence[dict[str, Any]]) -> TripletArrays:
    films = np.stack([np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows])
    regions = np.array([REGIONS.index(row["region"]) for row in rows], dtype=np.int64)
    patients = [qualified_patient(row["source"], row["patient_id"]) for row in rows]
    return TripletArrays(films, [row["text"] for row in rows], regions, patients)


def train(run: Path, config: RunConfig, *, workers: int) -> None:
    """Draw the films and pre-train; ``run/checkpoint`` and the history stay."""
    training, validation = draw(config, workers=workers)
    print(f"{len(training)} films for training, {len(validation)} for validation", flush=True)
    result = pretrain(training, validation, config=config, run=run)
    counts = {"train": len(training), "validation": len(validation)}
    starts = {start.encoder: str(start) for start in starting_points(config)}
    final = {name: value for record in result.history[-20:] for name, value in record.items()}
    write_report(
        run / "report.json",
        describe()
        | {
            "films": counts,
            "starting_points": starts,
            "seconds": result.seconds,
            "resumed_from": result.resumed_from,
            "final": final,
        },
    )


def measure(model: PedCLIP, *, studies: int) -> dict[str, Any]:
    """Zero-shot results on the test patients of another phantom, beside the untrained model."""
    from pedclip.data import load
    from pedclip.evaluation.embeddings import embed, embed_texts
    from pedclip.evaluation.tasks.findings import discover_findings
    from pedclip.evaluation.tasks.labels import read_labels
    from pedclip.evaluation.zero_shot.results import finding_entry, region_entry, retrieval_entry
    from pedclip.evaluation.zero_shot.scoring import retrieval, zero_shot_findings, zero_shot_regions

    size = model.preprocess.resize
    test = load("phantom", studies=studies, seed=TEST_SEED, size=size)["test"]
    images, rows = np.stack([np.asarray(image) for image in test["image"]]), read_labels(test)
    patients = [row.patient for row in rows]
    found: dict[str, Any] = {"films": len(rows), "patients": len(set(patients))}
    for method, encoder in (("zero-shot", model), ("untrained", model.untrained(0))):
        points = embed(encoder, images, test["text"])
        speak = partial(embed_texts, encoder)
        tasks = discover_findings(rows, min_positives=5)
        found[method] = {
            "region": region_entry(zero_shot_regions(points.image, rows, speak, method=method)),
            "tasks": [
                finding_entry(one) for one in zero_shot_findings(points.image, rows, speak, tasks, method=method)
            ],
            "retrieval": [
                retrieval_entry(one)
                for one in retrieval(points.image, points.text, test["text"], patients, method=method)
            ],
        }
    return found


def ship(run: Path, output: Path, *, studies: int) -> None:
    """Write the half-precision folder with its card, measured as it will be loaded."""
    header = describe()  # before the folder of the package changes
    model = PedCLIP.from_pretrained(run / "checkpoint")
    model.save_pretrained(output, half=True)
    metrics = measure(PedCLIP.from_pretrained(output), studies=studies)
    report = json.loads((run / "report.json").read_text())
    for name in ("training.json", PATIENTS_FILE):
        shutil.copy(run / name, output / name)
    # The patients are drawn: their key may go with the weights.
    shutil.copy(salt_file(run), salt_file(output))
    size = (output / WEIGHTS_FILE).stat().st_size / 1e6
    config, revision = load_config(run / "training.json"), str(header["git_revision"])
    (output / "README.md").write_text(card(config, report, metrics, revision=revision))
    write_report(output / "metrics.json", header | {"training": report, "evaluation": metrics, "weights_MB": size})
    print(f"{output}: {size:.1f} MB")


def card(config: RunConfig, report: dict[str, Any], metrics: dict[str, Any], *, revision: str) -> str:
    """Model card in Markdown; `revision` is that of the code that measured."""
    rows = []
    ours = metrics["zero-shot"]
    for name, pick, chance in (
        ("region recognition, accuracy", lambda found: found["region"]["accuracy"], ours["region"]["chance_majority"]),
        ("Recall@5, film to sentence", lambda found: _recall(found)["score"], _recall(ours)["chance"]),
        *(
            (f"{task['task']}, AUC", partial(lambda found, row: found["tasks"][row]["auc"], row=row), 0.5)
            for row, task in enumerate(ours["tasks"])
        ),
    ):
        shown = [_shown(pick(metrics[method])) for method in ("zero-shot", "untrained")]
        rows.append(f"| {name} | {' | '.join(shown)} | {chance:.3f} |")
    table = "\n".join(rows)
    films, minutes, training, model = report["films"], report["seconds"] / 60, config.training, config.model
    final, starts = report["final"], report["starting_points"]
    gallery = min(training.validation_rows, films["validation"])
    stem = f", as first stages, {training.stem_training}" if model.image_stem == "hybrid" else ""
    return f"""---
license: apache-2.0
library_name: pedclip
tags: [radiography, pediatrics, vision-language, mixture-of-experts]
---

# {SHIPPED[0]}

A small PedCLIP, trained on drawn films of this project only, its first stages before that on ImageNet. For teaching
and for trying the notebooks; it has seen no child's film, and nothing it says about one means anything. Never for
diagnosis.

- **Load**: `pedclip.PedCLIP.from_pretrained("{SHIPPED[0]}")`, offline.
- **Data**: phantom, {config.studies} studies of seed {training.seed}, split by patient:
  {films["train"]} films for training, {films["validation"]} for validation.
- **Model**: ViT of width {model.image_width} and {model.image_depth} blocks at {model.image_size}²,
  {len(model.regions)} experts; BERT of width {model.text_width} and {model.text_depth} layers.
- **Started from**: image encoder: {starts["image"]}{stem}; text encoder: {starts["text"]}.
- **Training**: {training.epochs} epochs, batch {training.batch_size}, AdamW {training.learning_rate};
  {minutes:.0f} min on {report["device"]}, threads: {report["torch_threads"]}. Contrastive loss at the end
  {final["train/contrastive"]:.2f} nats on training films ({math.log(training.batch_size):.2f} by chance) and
  {final["val/contrastive"]:.2f} on validation films ({math.log(gallery):.2f} by chance, as all {gallery} are compared).
- **Made by**: `{COMMAND} train` at revision {report["git_revision"]}, then `{COMMAND} ship` at
  {revision}. Where the phantom differs between the two, the model has learned from the older films and
  is measured on the newer.
- **Files**: 16-bit weights (safetensors), `preprocess.json`, tokenizer, `training.json`, `metrics.json`, and
  `patients.json` with keys of the patients it was trained on. Prompts: `pedclip/evaluation/tasks/prompts.json`.

## Measured

Zero-shot on {metrics["films"]} films of {metrics["patients"]} patients of another phantom (seed {TEST_SEED}), with 95 %
bootstrap intervals over patients. Chance is the commonest region, a random sentence of all that occur, or an AUC of one
half.

| task | this model | untrained | chance |
|---|---|---|---|
{table}
"""


def _recall(found: dict[str, Any]) -> dict[str, Any]:
    wanted = ("recall", "image to text", 5)
    return next(one for one in found["retrieval"] if (one["metric"], one["direction"], one["k"]) == wanted)


def _shown(interval: dict[str, float | None]) -> str:
    return entry_text(interval)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    training = steps.add_parser("train", help="draw the films and pre-train")
    training.add_argument("--workers", type=int, default=0, help="processes that draw")
    training.add_argument("--studies", type=int, help="instead of the profile's number")
    training.add_argument("--epochs", type=int, help="instead of the profile's number")
    shipping = steps.add_parser("ship", help="measure the checkpoint and write the folder of the package")
    shipping.add_argument("--output", type=Path, default=shipped_folder(SHIPPED[0]))
    shipping.add_argument("--studies", type=int, default=3000, help="of the phantom that the test films come from")
    for step in (training, shipping):
        step.add_argument("--run", type=Path, default=Path("runs/shipped"))
    options = parser.parse_args()
    if options.step == "ship":
        return ship(options.run, options.output, studies=options.studies)
    config = configure(studies=options.studies, epochs=options.epochs)
    return train(options.run, config, workers=options.workers)


if __name__ == "__main__":
    main()
