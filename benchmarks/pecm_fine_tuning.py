"""PECM with encoders that train along, against the bare contrastive loss from the same weights.

    python -m benchmarks.pecm_fine_tuning --json benchmarks/results/pecm_fine_tuning_phantom.json

Both rows of Table 4 that matter, none of the components and all of them, fine-tuned from three seeds with the default
step sizes (`FineTuning`); the test films are scored once. The reference is "none": what PECM adds to fine-tuning
itself. The cosine of the encoders before fine-tuning stands beside them. Differences are paired by query, with 95 %
intervals over patients.
"""

import argparse
import time
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.downstream import provenance
from benchmarks.pecm import FULL, learned_weights, show
from benchmarks.report import describe
from benchmarks.retrieval_run import parser, report_options, run, seeds
from pedclip.evaluation.inputs import open_probe_inputs
from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval import PECM, PECMConfig, extract_pairs, film_reports
from pedclip.retrieval.fine_tune import FineTuning, fine_tune_pecm
from pedclip.retrieval.measures.comparison import compare_recall, comparison_table, cosine_scores, score_pairs
from pedclip.retrieval.measures.variants import component_variants
from pedclip.retrieval.scores import Scores

NONE: Final = "fine-tuned, none"


def main(arguments: list[str] | None = None) -> None:
    run(_parse(arguments), measure)


def measure(options: argparse.Namespace, folder: Path, kept: Path) -> dict[str, Any]:
    """Recall of the test films after fine-tuning; `kept` holds decoded films."""
    inputs = open_probe_inputs(folder, data=options.data, root="", studies=options.studies, run=kept)
    films = {split: inputs.films[split].images for split in ("train", "test")}
    reports = {split: film_reports(inputs.triplets, split, **report_options(options)) for split in films}
    before = extract_pairs(inputs.encoders, films["test"], reports["test"], grid=options.grid, cache=kept)
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
        **report_options(options),
        "runs": runs,
        "recall": [one.to_dict() for one in found],
    }


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--epochs", type=int, default=4)
    found.add_argument("--seeds", type=seeds, default=[0, 1, 2])
    return found.parse_args(arguments)


if __name__ == "__main__":
    main()
