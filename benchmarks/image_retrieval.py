"""Films by a film, and captions by the concepts that they share: PECM's descriptor against plain ones.

    python -m benchmarks.image_retrieval --json benchmarks/results/image_retrieval_phantom.json
    python -m benchmarks.image_retrieval --data /folder/of/sources --checkpoint runs/03_pretrain/real/checkpoint \
        --label-text skip --concepts /folder/of/sources/roco/pairs.jsonl \
        --json benchmarks/results/image_retrieval_real.json

The index holds the training films, the queries are the test films of other patients. Classes are body regions, or, of
films with exactly one finding, that finding in that region (normal films take no part). Third, the reading of MURA: the
test films among themselves by body region, without the query's own patient. Descriptors: "PECM" (h, trained on frozen
prototypes and reports of the training films), "embedding" (of the same frozen encoder), "ImageNet features"
(EfficientNet-Lite0 at 224², if its package is installed), "untrained" (the encoder's architecture), "thumbnail" (the
shortcut: 65 numbers, each scaled by the training films) and "raw thumbnail" (the same, not scaled). Micro values stand
with their difference to both thumbnails, paired by query.

CUI@K takes the test films of `--concepts` and the different captions of these films; a caption has the concepts of all
of its films. Scores of films and captions: PECM, the plain cosine of the encoders, and the shortcut (a ridge regression
from the thumbnail to the text). Films of several sources differ by source as well as by class, which the thumbnail sees
too; and an encoder that was pre-trained on sentences made of labels has read the labels of the index.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.downstream import provenance
from benchmarks.report import describe
from benchmarks.retrieval_run import parser, report_options, run
from pedclip.evaluation.features import extract_features
from pedclip.evaluation.inputs import ProbeInputs, open_probe_inputs
from pedclip.evaluation.metrics.bootstrap import Floats, Interval, can_resample
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.evaluation.metrics.retrieval import precision_at_k, query_interval, recall_at_k
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features
from pedclip.models.imagenet import IMAGENET, ImageNetEncoder
from pedclip.models.starting_points import installed_package
from pedclip.retrieval import (
    PECM,
    FilmReports,
    LabelledFilms,
    PECMConfig,
    PECMTraining,
    Scores,
    class_precision,
    concept_overlap,
    cosine_scores,
    extract_pairs,
    film_prototypes,
    film_reports,
    fit_variant,
    order_scores,
    read_concepts,
    region_precision,
    score_pairs,
    shortcut_scores,
)
from pedclip.retrieval.measures.concepts import Variant as Reading
from pedclip.retrieval.measures.image_retrieval import MURA_AT
from pedclip.retrieval.measures.variants import Variant
from pedclip.triplets.arrays import qualified_patients, to_arrays

THUMBNAIL: Final = "thumbnail"
RAW: Final = "raw thumbnail"
CLASSES_AT: Final = (1, 5, 10)
_NEVER: Final = -2.0  # below every cosine

Parts = dict[str, NDArray[Any]]  # by split: a row per film


def main(arguments: list[str] | None = None) -> None:
    run(_parse(arguments), measure)


def measure(options: argparse.Namespace, folder: Path, kept: Path) -> dict[str, Any]:
    """Every number of one encoder; `kept` holds decoded films, features and prototypes."""
    # Read first: a misspelt file should not cost a whole run.
    concepts = read_concepts(options.concepts) if options.concepts else {}
    inputs = open_probe_inputs(folder, data=options.data, root="", studies=options.studies, run=kept)
    named = report_options(options)
    reports = {split: film_reports(inputs.triplets, split, **named) for split in ("train", "test")}
    pairs = {
        split: extract_pairs(inputs.encoders, inputs.films[split].images, one, grid=options.grid, cache=kept)
        for split, one in reports.items()
    }
    width = pairs["train"].image.shape[2]
    config = PECMConfig(image_width=width, text_width=width, proj_dim=width, grid=options.grid)
    training = PECMTraining(epochs=options.epochs, learning_rate=options.learning_rate)
    pecm, history = fit_variant(Variant("", config), pairs["train"], seed=options.seed, training=training)
    print(f"PECM: loss {history[-1].total:.3f}", flush=True)
    rows = {split: read_labels(inputs.triplets[split]) for split in ("train", "test")}
    report = describe() | {
        "what": "films by a film, and captions by shared concepts: PECM's descriptor against plain ones",
        "encoder": provenance(folder),
        "films": {split: len(one) for split, one in rows.items()},
        "films_with_a_report": {split: len(one) for split, one in reports.items()},
        "patients": {split: len({row.patient for row in one}) for split, one in rows.items()},
        "films_dropped_as_seen_in_pretraining": inputs.num_dropped,
        "seed": options.seed,
        "epochs": options.epochs,
        **named,
    }
    report |= by_film(descriptors(inputs, pecm, options, kept), inputs, rows)
    if concepts:
        thumbnails = {
            split: shortcut_features(inputs.triplets[split].select(one.rows)) for split, one in reports.items()
        }
        scores = {
            "PECM": score_pairs(pecm, pairs["test"]),
            "cosine": cosine_scores(pairs["test"]),
            "shortcut": shortcut_scores(thumbnails["train"], pairs["train"], thumbnails["test"], pairs["test"]),
        }
        names = film_names(inputs.triplets["test"], reports["test"])
        report["concepts"] = by_concept(scores, reports["test"], names, concepts)
        for entry in report["concepts"]:
            print(f"{entry['question']}, {_line(entry)}", flush=True)
    return report


@torch.no_grad()
def descriptors(inputs: ProbeInputs, pecm: PECM, options: argparse.Namespace, kept: Path) -> dict[str, Parts]:
    """Descriptors (N, …) of all films, with a report or not, by name and split."""
    found: dict[str, Parts] = {"PECM": {}, "embedding": {}}
    encoders: dict[str, Any] = {"untrained": inputs.encoders.untrained(0)}
    if installed_package("image", IMAGENET).is_installed:
        encoders["ImageNet features"] = ImageNetEncoder().eval()
    thumbnails = {split: shortcut_features(inputs.triplets[split]) for split in ("train", "test")}
    for split in ("train", "test"):
        prototypes = film_prototypes(inputs.encoders, inputs.films[split].images, grid=options.grid)  # (N, K, D)
        # h needs no report; any text stands in for those that `project` takes beside the films.
        projected = pecm.project(prototypes, prototypes[:1])[0]
        found["PECM"][split] = pecm.image_vectors(projected).similarity
        found["embedding"][split] = prototypes[:, -1].numpy()
        for name, encoder in encoders.items():
            size = encoder.preprocess.resize
            films = to_arrays(inputs.triplets[split], kept / f"{size}-{split}", size=size).images
            features = extract_features(encoder, films, cache=kept / "features")
            found.setdefault(name, {})[split] = features.inputs("embedding")
        # The aspect ratio and the brightest places would outweigh the rest in a cosine of raw numbers.
        mean, spread = thumbnails["train"].mean(axis=0), thumbnails["train"].std(axis=0) + 1e-6
        found.setdefault(THUMBNAIL, {})[split] = (thumbnails[split] - mean) / spread
        found.setdefault(RAW, {})[split] = thumbnails[split]
    return found


def by_film(found: Mapping[str, Parts], inputs: ProbeInputs, rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """P@K of every descriptor: two kinds of classes against the training films, and the reading of MURA."""
    entries: dict[str, Any] = {}
    for task, name_of in (("region", region_class), ("finding", finding_class)):
        kept = {split: [number for number, row in enumerate(one) if name_of(row)] for split, one in rows.items()}
        sets = {
            name: {split: _labelled(parts, split, kept[split], name_of, inputs, rows) for split in ("train", "test")}
            for name, parts in found.items()
        }
        entries[task] = compared({name: (one["test"], one["train"]) for name, one in sets.items()}, CLASSES_AT)
        if task == "region":
            entries["mura"] = compared({name: (one["test"], None) for name, one in sets.items()}, MURA_AT)
    for task, results in entries.items():
        for entry in results:
            print(f"{task}, {_line(entry)}", flush=True)
    return entries


def region_class(row: Row) -> str:
    return row.region


def finding_class(row: Row) -> str:
    """Finding and region of a film with one finding, "" of every other film."""
    # A film that may show a second finding is no film of one.
    if row.findings is None or len(row.findings) != 1 or row.uncertain:
        return ""
    return f"{next(iter(row.findings))} of {row.region}"


def compared(
    sets: Mapping[str, tuple[LabelledFilms, LabelledFilms | None]], ks: Sequence[int], num_resamples: int = 1000
) -> list[dict[str, Any]]:
    """Results as plain values; without an index the queries search each other by the rule of MURA.

    Micro values stand with their difference to those of the thumbnails on the same queries. Nothing where fewer than
    two patients have a query with an answer.
    """
    entries: list[dict[str, Any]] = []
    for name, (queries, index) in sets.items():
        # Few films of one finding: what one patient shows has no interval, and is no result.
        if not can_resample(np.asarray(queries.patients)[~np.isnan(query_values(queries, index, 1))]):
            return []
        options: dict[str, Any] = {"ks": ks, "method": name, "num_resamples": num_resamples}
        # Nobody is in two splits; the exclusion holds for a person of two sources under one name too.
        results = (
            region_precision(queries, **options)
            if index is None
            else class_precision(queries, index, exclude_same_patient=True, **options)
        )
        for result in results:
            entry = _entry(result)
            bases = [base for base in (THUMBNAIL, RAW) if base in sets and base != name]
            if result.metric == "P@K (micro)":
                for base in bases:
                    difference = _difference((queries, index), sets[base], result.settings["k"], num_resamples)
                    entry[f"minus {base}"] = difference.to_dict()
            entries.append(entry)
    return entries


def query_values(queries: LabelledFilms, index: LabelledFilms | None, k: int) -> Floats:
    """(Q,) P@K of each query by the rules of `compared`, NaN where the index has no answer."""
    gallery = queries if index is None else index
    is_allowed = np.asarray(queries.patients)[:, None] != np.asarray(gallery.patients)  # (Q, N)
    relevant = is_allowed & (np.asarray(queries.classes)[:, None] == np.asarray(gallery.classes))
    has_answer = relevant.any(axis=1)
    cosines = np.where(is_allowed, queries.vectors @ gallery.vectors.T, _NEVER)
    metric = precision_at_k if index is None else recall_at_k
    values = np.full(len(queries), np.nan)
    values[has_answer] = metric.values(cosines[has_answer], relevant[has_answer], k)
    return values


def _difference(
    first: tuple[LabelledFilms, LabelledFilms | None],
    second: tuple[LabelledFilms, LabelledFilms | None],
    k: int,
    num_resamples: int,
) -> Interval:
    # Of one query both saw the same film, so that what is hard about it cancels.
    away = query_values(*first, k) - query_values(*second, k)
    is_known = ~np.isnan(away)
    patients = np.asarray(first[0].patients)[is_known]
    return query_interval(away[is_known], patients, num_resamples=num_resamples, scale="difference of shares")


def film_names(triplets: Any, reports: FilmReports) -> list[str]:
    """Image ids of the films with a report as their source has them, without the name that a union puts before."""
    columns = list(zip(triplets["image_id"], triplets["source"], strict=True))
    return [columns[row][0].removeprefix(f"{columns[row][1]}/") for row in reports.rows]


def by_concept(
    scores: Mapping[str, Scores],
    reports: FilmReports,
    names: Sequence[str],
    concepts: Mapping[str, frozenset[str]],
    num_resamples: int = 1000,
) -> list[dict[str, Any]]:
    """CUI@K from film to caption in three readings, with the own caption in the gallery and without.

    Args:
        scores: By method, of all films of `reports` (N,) and all of its texts (R,).
        reports: Of the test split.
        names: N image ids.
        concepts: By image id.
        num_resamples: Of the bootstrap.
    """
    films = [row for row, name in enumerate(names) if name in concepts]
    if not films:
        raise SystemExit(f"--concepts: none of {len(names)} test films with a report is in that file")
    captions = sorted({int(reports.report[row]) for row in films})
    place = {caption: number for number, caption in enumerate(captions)}
    own = [place[int(reports.report[row])] for row in films]
    # Two films of one caption may have been annotated apart.
    gallery: list[set[str]] = [set() for _ in captions]
    for row, number in zip(films, own, strict=True):
        gallery[number] |= concepts[names[row]]
    entries = []
    for (method, one), reading, is_excluded in product(scores.items(), get_args(Reading), (True, False)):
        results = concept_overlap(
            order_scores(one)[np.ix_(films, captions)],
            [concepts[names[row]] for row in films],
            gallery,
            variant=reading,
            own=own if is_excluded else None,
            patients=[reports.patients[row] for row in films],
            unique_texts=len(captions),
            method=method,
            num_resamples=num_resamples,
        )
        question = f"CUI, own caption {'excluded' if is_excluded else 'included'}"
        entries += [{"question": question} | _entry(result) for result in results]
    return entries


def _labelled(
    parts: Parts, split: str, kept: Sequence[int], name_of: Any, inputs: ProbeInputs, rows: Mapping[str, Sequence[Row]]
) -> LabelledFilms:
    patients = qualified_patients(inputs.triplets[split])
    return LabelledFilms(
        parts[split][kept], [name_of(rows[split][row]) for row in kept], [patients[row] for row in kept]
    )


def _entry(result: Result) -> dict[str, Any]:
    kept = {"method": result.method, "metric": result.metric, "score": result.score.to_dict()}
    return kept | {"random_ranking": result.baseline} | dict(result.settings)


def _line(entry: Mapping[str, Any]) -> str:
    shown = "".join(f"  {name} {entry_text(value)}" for name, value in entry.items() if name.startswith("minus"))
    score = f"{entry_text(entry['score'])}  random {entry['random_ranking']:.3f}"
    return f"{entry['metric']:14} K={entry['k']:<3}{entry['method']:18}{score}{shown}"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--concepts", default="", help="file of CUIs by image id, for CUI@K; see read_concepts")
    found.add_argument("--epochs", type=int, default=5, help="of PECM")
    found.add_argument("--learning-rate", type=float, default=1e-3)
    found.add_argument("--seed", type=int, default=0)
    return found.parse_args(arguments)


if __name__ == "__main__":
    main()
