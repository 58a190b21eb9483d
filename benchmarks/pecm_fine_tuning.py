"""PECM with encoders that train along, against the bare contrastive loss from the same weights.

    python -m benchmarks.pecm_fine_tuning --json benchmarks/results/pecm_fine_tuning_phantom.json

Both rows of Table 4 that matter, none of the components and all of them, fine-tuned from three seeds with the default
step sizes (`FineTuning`); the test films are scored once. The reference is "none": what PECM adds to fine-tuning
itself. The cosine of the encoders before fine-tuning stands beside them. Differences are paired by query, with 95 %
intervals over patients.
"""

import argparse
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.downstream import provenance
from benchmarks.pecm import FULL, learned_weights, show
from benchmarks.report import describe, write_report
from pedclip.evaluation.inputs import open_probe_inputs
from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval import PECM, PECMConfig, extract_pairs, film_reports
from pedclip.retrieval.comparison import compare_recall, comparison_table, cosine_scores, score_pairs
from pedclip.retrieval.fine_tune import FineTuning, fine_tune_pecm
from pedclip.retrieval.scores import Scores
from pedclip.retrieval.variants import component_variants
from pedclip.weights import SHIPPED, shipped_folder

NONE: Final = "fine-tuned, none"


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    folder = shipped_folder(options.checkpoint) if options.checkpoint in SHIPPED else Path(options.checkpoint)
    with tempfile.TemporaryDirectory() as run:
        report = measure(options, folder, options.cache or Path(run))
    if options.json:
        write_report(options.json, report)


def measure(options: argparse.Namespace, folder: Path, run: Path) -> dict[str, Any]:
    """Recall of the test films after fine-tuning; `run` keeps decoded films."""
    inputs = open_probe_inputs(folder, data=options.data, root="", studies=options.studies, run=run)
    films = {split: inputs.films[split].images for split in ("train", "test")}
    reports = {split: film_reports(inputs.triplets, split, label_text=options.label_text) for split in films}
    before = extract_pairs(inputs.model, films["test"], reports["test"], grid=options.grid, cache=run)
    width = before.image.shape[2]
    base = PECMConfig(image_width=width, text_width=width, proj_dim=width, grid=options.grid)
    variants = {one.name: one.config for one in component_variants(base)}
    training = FineTuning(epochs=options.epochs)
    scores: dict[str, list[Scores]] = {}
    runs: list[dict[str, Any]] = []
    for name, seed in product(("none", FULL), options.seeds):
        begin = time.time()
        # Every run from the same weights: the last one has changed its own.
        model = PedCLIP.from_pretrained(folder)
        generator = torch.Generator().manual_seed(seed)
        pecm = PECM(before.image.shape[1], config=variants[name], generator=generator)
        history = fine_tune_pecm(model, pecm, films["train"], reports["train"], generator=generator, training=training)
        after = extract_pairs(model, films["test"], reports["test"], grid=options.grid)
        scores.setdefault(f"fine-tuned, {name}", []).append(score_pairs(pecm, after))
        facts = {"variant": name, "seed": seed, "seconds": round(time.time() - begin, 1)}
        losses = {"first_loss": history[0].total, "last_loss": history[-1].total}
        runs.append(facts | losses | learned_weights([pecm]))
        print(runs[-1], flush=True)
    scores["cosine before fine-tuning"] = [cosine_scores(before)]
    found = compare_recall(scores, reports["test"], reference=NONE)
    show(comparison_table(found))
    return describe() | {
        "what": "PECM with encoders that train along against the bare contrastive loss",
        "encoder": provenance(folder),
        "films": {split: len(one) for split, one in reports.items()},
        "training": vars(training),
        "label_text": options.label_text,
        "runs": runs,
        "recall": [one.to_dict() for one in found],
    }


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="what the checkpoint goes with; or a folder, several with commas")
    parser.add_argument("--checkpoint", default="pedclip-phantom-small")
    parser.add_argument("--studies", type=int, default=1200, help="of the phantom")
    parser.add_argument("--label-text", default="template", help="skip leaves out sentences made of labels")
    parser.add_argument("--grid", default="adaptive5")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, help="of decoded films and prototypes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
