"""PECM against the plain cosine of the same frozen encoders: components, losses, contradictions, confidence.

    python -m benchmarks.pecm --json benchmarks/results/pecm_phantom.json
    python -m benchmarks.pecm --data /folder/of/sources --checkpoint runs/03_pretrain/real/checkpoint \
        --label-text skip --json benchmarks/results/pecm_real.json

Every variant is trained on the training pairs from three seeds. What the paper leaves open is chosen on the validation
patients (`choice`); the test patients are scored once, with every row of Tables 4 and 5, each contradiction as it is
printed, and all of them together. Differences are to the plain cosine, paired by query, with 95 % intervals over
patients that are not adjusted for the number of rows. Beside them stands the shortcut: a ridge regression from a
thumbnail to the text, which needs no encoder of films. Confidence is judged on first answers (film to report).
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import pandas as pd
import torch

from benchmarks.answer_confidence import Scored, confidences
from benchmarks.downstream import provenance
from benchmarks.report import describe
from benchmarks.retrieval_run import parser, report_options, run, seeds
from pedclip.evaluation.inputs import ProbeInputs, open_probe_inputs
from pedclip.evaluation.metrics.selective import augrc
from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features
from pedclip.retrieval import PECM, PECMConfig, PECMTraining, extract_pairs, film_reports
from pedclip.retrieval.config import ConfidenceLoss, Match
from pedclip.retrieval.measures.comparison import (
    compare_recall,
    comparison_table,
    cosine_scores,
    fit_variant,
    score_pairs,
    shortcut_scores,
)
from pedclip.retrieval.measures.confidence import first_answers, wrong_answers
from pedclip.retrieval.measures.variants import Variant, component_variants, loss_variants, printed_variants
from pedclip.retrieval.pairs import FilmReports
from pedclip.retrieval.reranking import Rerank, final_score
from pedclip.retrieval.scores import Scores
from pedclip.retrieval.train import RetrievalPairs

COSINE: Final = "cosine"
SHORTCUT: Final = "shortcut"
FULL: Final = "PER+DSCE+ARR"
PRINTED: Final = "as printed"
AT_PRINTED_RATE: Final = "w at the printed rate"
WITHOUT_NEGATIVES: Final = "E19: conf_loss=as_printed"

PRINTED_TRAINING: Final = PECMTraining(epochs=30, batch_size=32, learning_rate=1e-4, weights_rate=1.0)

Pairs = dict[str, RetrievalPairs]
Fitted = dict[str, list[Any]]


def main(arguments: list[str] | None = None) -> None:
    run(_parse(arguments), measure)


def measure(options: argparse.Namespace, folder: Path, kept: Path) -> dict[str, Any]:
    """Everything that is asked of one encoder; `kept` holds decoded films and prototypes."""
    inputs = open_probe_inputs(folder, data=options.data, root="", studies=options.studies, run=kept)
    named = report_options(options)
    reports = {split: film_reports(inputs.triplets, split, **named) for split in inputs.triplets}
    pairs, printed = (_pairs(inputs, reports, options, short, kept) for short in ("mask", "repeat"))
    shortcut = _shortcut(inputs, reports, pairs)
    report = describe() | {
        "what": "PECM on frozen prototypes against the cosine of the same encoders",
        "encoder": provenance(folder),
        "films": {split: len(one) for split, one in reports.items()},
        "texts": {split: len(one.texts) for split, one in reports.items()},
        "patients": {split: len(set(one.patients)) for split, one in reports.items()},
        "films_left_out": {split: len(one.left_out) for split, one in reports.items()},
        "films_dropped_as_seen_in_pretraining": inputs.num_dropped,
        "prototypes": pairs["train"].image.shape[1],
        "sentence_groups_per_report": float(pairs["test"].text.mask[:, :-1].sum(1).float().mean()),
        "seeds": options.seeds,
        **named,
    }
    config, training, report["choice"] = choose(options, pairs, reports["validation"])
    report["chosen"] = {"config": asdict(config), "training": asdict(training)}
    begin = time.time()
    fitted = fit_all(options, config, training, pairs, printed)
    report["training_s"] = round(time.time() - begin, 1)
    report["weights"] = {name: learned_weights([pecm for pecm, _, _ in runs]) for name, runs in fitted.items()}
    scores = {name: [score_pairs(pecm, used["test"]) for pecm, _, used in runs] for name, runs in fitted.items()}
    plain = {COSINE: [cosine_scores(pairs["test"])], SHORTCUT: [shortcut["test"]]}
    found = compare_recall(plain | scores, reports["test"], reference=COSINE)
    report["recall"] = [one.to_dict() for one in found]
    show(comparison_table(found))
    report["confidence"] = confidences(scored(fitted, pairs), plain_cosine(pairs), reports)
    report["collapse"] = collapse(config, pairs, options)
    return report


def choose(
    options: argparse.Namespace, pairs: Pairs, reports: FilmReports
) -> tuple[PECMConfig, PECMTraining, list[dict[str, Any]]]:
    """Step size of the weights and loss of the confidence, on the validation patients.

    The step size by the mean Recall@5 of both directions; the loss of the confidence by the AUGRC of the confidence,
    which is what it is for. Other final scores are told beside them, and the intended one is kept. Prototypes are
    paired by index, the one pairing that an archive index holds; grid, epochs and learning rate are not chosen here.
    """
    width = pairs["train"].image.shape[2]
    base = PECMConfig(image_width=width, text_width=width, proj_dim=width, grid=options.grid)
    rows = []
    for weights_rate, conf_loss in product((1.0, 10.0, 100.0), get_args(ConfidenceLoss)):
        variant = Variant("", replace(base, conf_loss=conf_loss))
        training = _training(options, weights_rate)
        pecms = [fit_variant(variant, pairs["train"], seed=seed, training=training)[0] for seed in options.seeds]
        scores = [score_pairs(pecm, pairs["validation"]) for pecm in pecms]
        for rerank in get_args(Rerank):
            ranked = [replace(one, final=final_score(one.initial, one.confidence, rerank)) for one in scores]
            switches = {"weights_rate": weights_rate, "conf_loss": conf_loss, "rerank": rerank}
            rows.append(switches | _validated(ranked, pecms, reports))
            print(rows[-1], flush=True)
    intended = [row for row in rows if row["rerank"] == base.rerank]
    rate = max(intended, key=lambda row: row["recall_at_5"])["weights_rate"]
    surest = min((row for row in intended if row["weights_rate"] == rate), key=lambda row: row["augrc, confidence"])
    return replace(base, conf_loss=surest["conf_loss"]), _training(options, rate), rows


def _validated(scores: Sequence[Scores], pecms: Sequence[Any], reports: FilmReports) -> dict[str, float]:
    table = comparison_table(compare_recall({"": scores}, reports, reference="", num_resamples=1))
    at_five = table[(table.k == 5) & (table.metric == "recall")]
    areas: dict[str, list[float]] = {}
    for one, pecm in zip(scores, pecms, strict=True):
        answers = first_answers(one, temperature=float(pecm.temperature.detach()))
        for name, values in answers.measures.items():
            areas.setdefault(f"augrc, {name}", []).append(augrc(wrong_answers(answers, reports), values))
    means = {name: round(float(np.mean(values)), 5) for name, values in areas.items()}
    return {"recall_at_5": round(float(at_five.value.mean()), 5)} | means


def fit_all(
    options: argparse.Namespace, config: PECMConfig, training: PECMTraining, pairs: Pairs, printed: Pairs
) -> Fitted:
    """Every variant from every seed, with the pairs that it was trained on."""
    rows: dict[str, tuple[Variant, PECMTraining, Pairs]] = {}
    for one in component_variants(config):
        rows[one.name] = one, training, pairs
    for one in loss_variants(config):
        # The last row of Table 5 is that of Table 4.
        if one.name != "sim+conf+div":
            rows[f"losses {one.name}"] = one, training, pairs
    # Table 5 again with the printed losses: one of the confidence without negatives, one that pulls together.
    as_printed = replace(config, conf_loss="as_printed", div_loss="as_printed")
    for one in loss_variants(as_printed):
        if one.name != "sim":
            rows[f"printed losses {one.name}"] = Variant("", one.config), training, pairs
    for one in printed_variants(config)[:-1]:
        rows[one.name] = one, training, pairs
    rows["E12: short=repeat"] = Variant("", replace(config, short="repeat")), training, printed
    rows[AT_PRINTED_RATE] = Variant("", config), replace(training, weights_rate=1.0), pairs
    for match in get_args(Match)[1:]:
        rows[f"E13: match={match}"] = Variant("", replace(config, match=match)), training, pairs
    rows["E6: w_mode=per_pair"] = Variant("", replace(config, w_mode="per_pair")), training, pairs
    # Each of the two is harmless alone: the sum makes the wrong sign outweigh everything else.
    both = replace(config, div_loss="as_printed", div_reduce="sum")
    rows["E3 and E4 as printed"] = Variant("", both), training, pairs
    # Printed formulas, printed step size of w and repeated sentences together; the text encoder is the given one.
    whole = printed_variants(replace(config, short="repeat"))[-1]
    rows[PRINTED] = whole, replace(training, weights_rate=1.0), printed
    mended = replace(whole.config, div_loss=config.div_loss, div_reduce=config.div_reduce)
    rows[f"{PRINTED}, but E3 and E4"] = Variant("", mended), replace(training, weights_rate=1.0), printed
    # What random projections and no temperature do to one another, and the printed optimization.
    rows["E8 and E15 as printed"] = (
        Variant("", replace(config, sim_loss="as_printed", proj_init="own")), training, pairs
    )  # fmt: skip
    rows[f"{PRINTED}, printed steps"] = whole, PRINTED_TRAINING, printed
    rows[f"{FULL}, printed steps"] = Variant("", config), PRINTED_TRAINING, pairs
    fitted: Fitted = {}
    for name, (variant, own, used) in rows.items():
        fitted[name] = [(*fit_variant(variant, used["train"], seed=seed, training=own), used) for seed in options.seeds]
        print(f"{name}: loss {fitted[name][0][1][-1].total:.3f}", flush=True)
    return fitted


def scored(fitted: Fitted, pairs: Pairs) -> dict[str, list[Scored]]:
    """Scores of the methods whose confidence is looked at."""
    found = {COSINE: [plain_cosine(pairs)]}
    for name in (FULL, WITHOUT_NEGATIVES, AT_PRINTED_RATE, PRINTED):
        # With negatives chosen, the printed loss is a row of its own; else it is the whole method's.
        for pecm, _, used in fitted.get(name, []):
            parts = score_pairs(pecm, used["validation"]), score_pairs(pecm, used["test"])
            found.setdefault(name, []).append(Scored(*parts, float(pecm.temperature.detach())))
    return found


def plain_cosine(pairs: Pairs) -> Scored:
    """The cosine of the frozen encoders, with the temperature that PECM starts from."""
    return Scored(cosine_scores(pairs["validation"]), cosine_scores(pairs["test"]), PECMConfig().temperature)


def collapse(config: PECMConfig, pairs: Pairs, options: argparse.Namespace) -> dict[str, Any]:
    """Mean cosine between the prototypes of one test film and report, before and after training by L_div alone."""
    found: dict[str, Any] = {}
    for kind in ("as_printed", "orthogonal", "hinge"):
        only = replace(config, div_loss=kind, sim_weight=0.0, conf_weight=0.0)
        pecm, _ = fit_variant(
            Variant("", only), pairs["train"], seed=options.seeds[0], training=_training(options, 1.0)
        )
        found[kind] = _likeness(pecm, pairs["test"])
    num_prototypes = pairs["train"].image.shape[1]
    fresh = PECM(num_prototypes, config=config, generator=torch.Generator().manual_seed(options.seeds[0]))
    return {"before": _likeness(fresh, pairs["test"])} | found


@torch.no_grad()
def _likeness(pecm: Any, pairs: RetrievalPairs) -> dict[str, float]:
    image, text = pecm.project(pairs.image, pairs.text.values)
    found = {}
    for name, values, mask in (
        ("films", image, torch.ones(image.shape[:2], dtype=torch.bool)),
        ("reports", text, pairs.text.distinct),
    ):
        unit = torch.nn.functional.normalize(values, dim=-1) * mask[..., None]
        cosines, both = unit @ unit.transpose(1, 2), mask[:, :, None] & mask[:, None, :]
        both &= ~torch.eye(mask.shape[1], dtype=torch.bool)
        found[name] = round(float(cosines[both].mean()), 4)
    return found


def _pairs(
    inputs: ProbeInputs, reports: Mapping[str, FilmReports], options: argparse.Namespace, short: Any, kept: Path
) -> Pairs:
    return {
        split: extract_pairs(
            inputs.encoders, inputs.films[split].images, one, grid=options.grid, layer=options.layer, short=short,
            cache=kept,
        )
        for split, one in reports.items()
    }  # fmt: skip


def _shortcut(inputs: ProbeInputs, reports: Mapping[str, FilmReports], pairs: Pairs) -> dict[str, Scores]:
    seen = shortcut_features(inputs.triplets["train"])[reports["train"].rows]
    asked = shortcut_features(inputs.triplets["test"])[reports["test"].rows]
    return {"test": shortcut_scores(seen, pairs["train"], asked, pairs["test"])}


def _training(options: argparse.Namespace, weights_rate: float) -> PECMTraining:
    return PECMTraining(epochs=options.epochs, learning_rate=options.learning_rate, weights_rate=weights_rate)


def learned_weights(pecms: Sequence[Any]) -> dict[str, float]:
    """Fraction of the global prototype and entropy (nats) of w, means over models."""
    fractions = [(pecm.weights / pecm.weights.sum()).detach() for pecm in pecms]
    return {
        "fraction_of_the_global_prototype": round(float(np.mean([float(one[-1]) for one in fractions])), 4),
        "entropy": round(float(np.mean([float(pecm.entropy.detach()) for pecm in pecms])), 4),
    }


def show(table: pd.DataFrame) -> None:
    """Recall of every method as text."""
    kept = table[table.metric == "recall"]
    for (direction, k), part in kept.groupby(["direction", "k"], sort=False):
        print(f"\n{direction}, Recall@{k}")
        row: Any
        for row in part.to_dict("records"):
            value = f"{row['value']:.3f} ({row['low']:.3f}, {row['high']:.3f})"
            # NaN for the reference itself.
            away = f"{row['difference']:+.3f} ({row['difference_low']:+.3f}, {row['difference_high']:+.3f})"
            print(f"  {row['method']:32s}{value}  sd {row['seeds_sd']:.3f}  {away}")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--layer", default="final")
    found.add_argument("--epochs", type=int, default=5)
    found.add_argument("--learning-rate", type=float, default=1e-3)
    found.add_argument("--seeds", type=seeds, default=[0, 1, 2])
    return found.parse_args(arguments)


if __name__ == "__main__":
    main()
