"""Scores of the comparison of objectives: all measures of a model, joined over seeds, with their differences."""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.rivals_cells import Method
from pedclip.evaluation.compared import has_own_score
from pedclip.evaluation.downstream.run import DownstreamSettings, run_probes
from pedclip.evaluation.embeddings import embed, embed_texts
from pedclip.evaluation.features import extract_features
from pedclip.evaluation.macro import Measure, difference, interval, mean_of, of_queries, of_result
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.discover import discover_tasks
from pedclip.evaluation.tasks.findings import discover_findings
from pedclip.evaluation.tasks.labels import read_labels
from pedclip.evaluation.zero_shot.own_score import own_findings, own_regions, pair_score_matrix
from pedclip.evaluation.zero_shot.recall import ranked_queries
from pedclip.evaluation.zero_shot.scoring import cosines, unit_vectors, zero_shot_findings, zero_shot_regions
from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features, shortcut_findings, shortcut_regions
from pedclip.objectives.trained import ObjectiveModel
from pedclip.training.preparation import PreparedData
from pedclip.triplets.arrays import to_arrays
from pedclip.triplets.splits import SPLITS

START: Final = "start"
UNTRAINED: Final = "untrained"
THUMBNAIL: Final = "thumbnail"
RECALLS: Final = (("image to text", 1), ("image to text", 5), ("text to image", 1), ("text to image", 5))

Measures = dict[str, Measure]  # by name of the measure


def joined_seeds(cells: Sequence[Measures]) -> Measures:
    """Each measure as the mean over seeds."""
    return {name: mean_of([cell[name] for cell in cells]) for name in cells[0]}


def entry(
    joined: Mapping[str, Measures], method: str, name: str, num_patients: int, cells: Sequence[Measures]
) -> dict[str, Any]:
    """One measure of one method: interval, value of each seed, differences to the two references."""
    everyone = np.ones((1, num_patients))
    found: dict[str, Any] = {
        "score": interval(joined[method][name]).to_dict(),
        "seeds": [float(cell[name](everyone)[0]) for cell in cells],
    }
    plain = method if method in (START, UNTRAINED, THUMBNAIL) else Method.parse(method).plain
    for base in ("clip", "pedclip", START, THUMBNAIL, plain):
        if base != method and name in joined.get(base, {}):
            apart = difference(joined[method][name], joined[base][name])
            found[f"minus {base}"] = apart.to_dict()
    return found


class Scorer:
    """All measures of a model on the test films of one set of triplets.

    Args:
        films: Of all cells.
        options: Names the cache.
    """

    def __init__(self, films: PreparedData, options: argparse.Namespace) -> None:
        self.triplets = films.triplets
        cache = Path(options.runs) / options.label / "films"
        size = films.train.images.shape[1]
        self.arrays = {
            split: films.train
            if split == "train"
            else to_arrays(films.triplets[split], cache / f"of-{split}", size=size)
            for split in SPLITS
        }
        self.cache = cache / "features"
        self.split = options.split
        self.rows = read_labels(films.triplets[self.split])
        self.owners = {split: np.asarray(arrays.patients) for split, arrays in self.arrays.items()}
        self.tasks = discover_findings(self.rows)
        self.patients = np.unique([row.patient for row in self.rows])
        # Those that are scored by AUC, as a mean needs one metric.
        self.probes = [task for task in discover_tasks(films.triplets) if task.kind == "multi-label"]
        self.probe_tasks = [task.name for task in self.probes]
        texts = self.arrays[self.split].texts
        # (U,) first film with each text, and (N,) the text of each film.
        self.first, self.answer = np.unique(np.asarray(texts), return_index=True, return_inverse=True)[1:]

    def measure(self, model: Any) -> Measures:
        """Zero-shot, retrieval and probes of one model."""
        asked = self.arrays[self.split]
        found = embed(model, asked.images, asked.texts)
        speak = partial(embed_texts, model)
        regions = zero_shot_regions(found.image, self.rows, speak)
        findings = zero_shot_findings(found.image, self.rows, speak, self.tasks)
        similarity = cosines(unit_vectors(found.image, "image"), unit_vectors(found.text[self.first], "text").T)
        by_cosine = self.zero_shot(regions, findings) | self.recall(similarity)
        if not has_own_score(model):
            return by_cosine | self.probe(model)
        # The score that its authors use is the method's; what its cosine alone would give stands beside it.
        return self.own(model) | {f"{name}, cosine": one for name, one in by_cosine.items()} | self.probe(model)

    def own(self, model: ObjectiveModel) -> Measures:
        """Zero-shot and retrieval by the objective's own score of a pair."""
        asked = self.arrays[self.split]
        score = partial(pair_score_matrix, model, asked.images)
        texts = [asked.texts[row] for row in self.first]
        regions, findings = own_regions(score, self.rows), own_findings(score, self.rows, self.tasks)
        return self.zero_shot(regions, findings) | self.recall(score(texts))

    def zero_shot(self, regions: Result, findings: Sequence[Result]) -> Measures:
        """Region accuracy, and the mean AUC over findings."""
        found = {"region accuracy": of_result(regions, self.patients)}
        # Few films may hold no finding that can be scored.
        if findings:
            found["zero-shot AUC"] = mean_of([of_result(one, self.patients) for one in findings])
        return found

    def recall(self, similarity: Any) -> Measures:
        """Recall of (N, U) scores in both directions."""
        queries = ranked_queries(similarity, self.answer, [row.patient for row in self.rows])
        return {
            f"Recall@{k}, {direction}": of_queries(one, k, self.patients)
            for one in queries
            for direction, k in RECALLS
            if one.direction == direction and one.metric == "recall"
        }

    def probe(self, model: Any) -> Measures:
        """Mean AUC over linear probes of frozen features; nothing on validation films, which choose their penalties."""
        if self.split != "test":
            return {}
        inputs = {
            split: extract_features(model, arrays.images, cache=self.cache).inputs("both")
            for split, arrays in self.arrays.items()
        }
        return self.fitted(inputs)

    def fitted(self, inputs: Mapping[str, Any]) -> Measures:
        """Mean AUC over linear probes of features (N, C) by split."""
        found = run_probes(self.probes, {"probe": inputs}, self.owners, DownstreamSettings(num_resamples=100))
        scored = [of_result(one, self.patients) for one in found.values()]
        return {"probe AUC": mean_of(scored)} if scored else {}

    def shortcut(self) -> Measures:
        """The same questions answered by a thumbnail and the labels of the training films."""
        learned = read_labels(self.triplets["train"])
        features = {split: shortcut_features(self.triplets[split]) for split in SPLITS}
        asked = features[self.split]
        regions = shortcut_regions(features["train"], learned, asked, self.rows)
        findings = shortcut_findings(features["train"], learned, asked, self.rows, self.tasks)
        return self.zero_shot(regions, findings) | (self.fitted(features) if self.split == "test" else {})
