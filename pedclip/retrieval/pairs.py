"""Film-report pairs of a triplet data set: which words are a film's report, and the frozen prototypes of both."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pedclip.artefacts import write_bytes
from pedclip.curation.report.sentences import split_sentences
from pedclip.evaluation.features import features_key
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import tokenizer_rules
from pedclip.retrieval.config import Grid, ShortReports
from pedclip.retrieval.prototypes import PatchLayer, Prototypes, film_prototypes, report_prototypes
from pedclip.retrieval.report_groups import unique_texts
from pedclip.retrieval.train import RetrievalPairs
from pedclip.triplets.arrays import qualified_patients
from pedclip.triplets.left_out import LeftOut, Reason

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Section = Literal["excerpt", "study"]
Views = Literal["all", "frontal"]
LabelText = Literal["template", "skip"]

VERSION: Final = 1  # of what is stored: raise it when the same model and data give other prototypes
_FRONTAL: Final = ("AP", "PA")
_OF_LABELS: Final = "label-prompt"  # text_source of a sentence that was made of labels
_FILMS_AT_ONCE: Final = 1024  # read from the cache of films together
_NAMES: Final = ("image", "values", "mask", "distinct")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FilmReports:
    """Films of one split with their reports; several films may have one report, several patients one text.

    Attributes:
        split: Such as "train".
        section: Which words stand for a report.
        views: Which films take part.
        rows: (N,) row of each film in the split, int64.
        texts: R different reports, equal up to white space.
        report: (N,) which of them each film has, int64.
        patients: N patients, unique over sources.
        studies: N studies, unique over sources.
        num_films: In the split, with those that do not take part.
        num_other_views: Films that do not take part because of their view.
        num_label_texts: Films, of the N, whose report is a sentence made of labels.
        left_out: Films without a usable report, each with the reason.

    Raises:
        ValueError: Lengths that differ, or a text that no film has.
    """

    split: str
    section: Section
    views: Views
    rows: NDArray[np.int64]
    texts: Sequence[str] = field(repr=False)
    report: NDArray[np.int64]
    patients: Sequence[str] = field(repr=False)
    studies: Sequence[str] = field(repr=False)
    num_films: int
    num_other_views: int
    num_label_texts: int
    left_out: Sequence[LeftOut]

    def __post_init__(self) -> None:
        lengths = {len(self.rows), len(self.report), len(self.patients), len(self.studies)}
        if len(lengths) != 1:
            raise ValueError(f"rows, report, patients and studies have different lengths: {sorted(lengths)}")
        # A text without a film would be a query without an answer.
        if set(self.report.tolist()) != set(range(len(self.texts))):
            raise ValueError(f"report must name each of {len(self.texts)} texts, and nothing else")

    def __len__(self) -> int:
        return len(self.rows)


def film_reports(
    triplets: "DatasetDict",
    split: str,
    *,
    section: Section = "excerpt",
    views: Views = "all",
    label_text: LabelText = "template",
) -> FilmReports:
    """Films of a split with their reports.

    Args:
        triplets: As `pedclip.data.load` gives them.
        split: "train", "validation" or "test".
        section: "excerpt" takes the words about the film's region, so that films of two regions of one study have two
            reports; "study" joins the different excerpts of a study in the order of its films.
        views: "frontal" keeps AP and PA films only.
        label_text: Data sets without reports have sentences made of labels; "skip" leaves these films out (E21).

    Returns:
        Films, texts and what was left out: films without text, and films whose text has no sentence.

    Raises:
        ValueError: Another section, views or split, or no film is left.
    """
    options = ("section", section, Section), ("views", views, Views), ("label_text", label_text, LabelText)
    for name, value, kind in options:
        if value not in get_args(kind):
            raise ValueError(f"{name}={value!r} is not allowed: one of {get_args(kind)}")
    if split not in triplets:
        raise ValueError(f"split={split!r} is not allowed: one of {tuple(triplets)}")
    data = triplets[split]
    studies = [f"{source}/{study}" for source, study in zip(data["source"], data["study_id"], strict=True)]
    texts = [text or "" for text in data["text"]]
    is_of_labels = [source == _OF_LABELS for source in data["text_source"]]
    if label_text == "skip":
        # Before anything is joined: the label of one film must not enter the report of its study.
        texts = ["" if skipped else text for text, skipped in zip(texts, is_of_labels, strict=True)]
    if section == "study":
        texts = _joined(texts, studies)
    kept, left_out, num_other_views = _usable(data, texts, views)
    if not kept:
        raise ValueError(
            f"the {split} split leaves no film: {num_other_views} of other views, {len(left_out)} without a report"
        )
    different, report = unique_texts([texts[row] for row in kept])
    patients = qualified_patients(data)
    return FilmReports(
        split=split,
        section=section,
        views=views,
        rows=np.array(kept, dtype=np.int64),
        texts=tuple(different),
        report=report.numpy(),
        patients=tuple(patients[row] for row in kept),
        studies=tuple(studies[row] for row in kept),
        num_films=len(data),
        num_other_views=num_other_views,
        num_label_texts=0 if label_text == "skip" else sum(is_of_labels[row] for row in kept),
        left_out=tuple(left_out),
    )


def _joined(texts: Sequence[str], studies: Sequence[str]) -> list[str]:
    # An excerpt that two films of one region share is there once: a dictionary is an ordered set.
    excerpts: dict[str, dict[str, None]] = {}
    for text, study in zip(texts, studies, strict=True):
        if words := " ".join(text.split()):
            excerpts.setdefault(study, {})[words] = None
    whole = {}
    for study, found in excerpts.items():
        *before, last = found
        # A stop between two of them, or their sentences would run into each other.
        whole[study] = " ".join([*(one if one[-1] in ".!?:" else f"{one}." for one in before), last])
    return [whole.get(study, "") for study in studies]


def _usable(data: "Dataset", texts: Sequence[str], views: Views) -> tuple[list[int], list[LeftOut], int]:
    """Rows of films with a report, films without, and the number of films of other views."""
    kept, left_out, num_other_views = [], [], 0
    has_sentence = {text: bool(split_sentences(text)) for text in set(texts)}
    columns = zip(data["image_id"], data["source"], data["view"], texts, strict=True)
    for row, (film, source, view, text) in enumerate(columns):
        if views == "frontal" and view not in _FRONTAL:
            num_other_views += 1
        elif not text.strip():
            left_out.append(LeftOut(film, Reason.NO_REPORT, source=source))
        elif not has_sentence[text]:
            # Such as "…": words that no sentence is made of have no group, and no prototype.
            left_out.append(LeftOut(film, Reason.EMPTY_REPORT, "a text without a sentence", source=source))
        else:
            kept.append(row)
    return kept, left_out, num_other_views


def extract_pairs(
    model: PedCLIP,
    films: NDArray[np.uint8],
    reports: FilmReports,
    *,
    grid: Grid = "ceil5",
    layer: PatchLayer = "final",
    short: ShortReports = "mask",
    cache: Path | None = None,
    batch_size: int = 64,
    device: str = "cpu",
) -> RetrievalPairs:
    """Frozen prototypes of films and reports, from the cache where it has them.

    A report has as many groups of sentences as a film has regions, each the mean of its tokens; for paragraph vectors
    put those of `DocumentVectors.prototypes(reports.texts, …)` in the place of the pairs' `text`. A result depends on
    the batch size and the device in the last digits only; the cache does not tell them apart.

    Args:
        model: Computes in evaluation mode, without gradients.
        films: (M, R, R) uint8, all films of the split as the cache of decoded images holds them.
        reports: Of the same split.
        grid: See `image_prototypes`.
        layer: See `film_prototypes`.
        short: See `sentence_groups`.
        cache: Folder of all cached prototypes, 2 kB per prototype of 512; None keeps them in memory only.
        batch_size: Films or texts at a time, at least 1.
        device: Where to compute.

    Returns:
        Pairs for training or scoring: (N, K, D) of the films, (R, K, D) of the unique texts.

    Raises:
        ValueError: Films of another split, a batch size below 1, or a grid that leaves no region.
    """
    if len(films) != reports.num_films:
        raise ValueError(f"{len(films)} films for a {reports.split} split of {reports.num_films}: give all of them")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} is not allowed: at least 1")
    key = pairs_key(model, films, reports, grid=grid, layer=layer, short=short)
    # 128 bits name the file; the whole key stands inside.
    path = None if cache is None else Path(cache) / f"{key[:32]}.safetensors"
    arrays = None if path is None else _read(path, key)
    if arrays is None:
        parts = [
            film_prototypes(
                model, np.asarray(films[rows]), grid=grid, layer=layer, batch_size=batch_size, device=device
            )
            for rows in np.split(reports.rows, range(_FILMS_AT_ONCE, len(reports), _FILMS_AT_ONCE))
        ]
        image = torch.cat(parts)  # (N, K, D)
        groups = image.shape[1] - 1
        text = report_prototypes(
            model, reports.texts, num_groups=groups, short=short, batch_size=batch_size, device=device
        )
        arrays = dict(zip(_NAMES, (image, text.values, text.mask, text.distinct), strict=True))
        if path is not None:
            write_bytes(path, save(arrays, metadata={"key": key}))
    text = Prototypes(arrays["values"], arrays["mask"], arrays["distinct"])
    return RetrievalPairs(arrays["image"], text, torch.from_numpy(reports.report), reports.patients)


def pairs_key(
    model: PedCLIP,
    films: NDArray[np.uint8],
    reports: FilmReports,
    *,
    grid: Grid = "ceil5",
    layer: PatchLayer = "final",
    short: ShortReports = "mask",
) -> str:
    """SHA-256 of all that the prototypes of these films (M, R, R) and reports depend on."""
    settings = {"version": VERSION, "grid": grid, "layer": layer, "short": short}
    # Weights, configuration, preprocessing and every pixel.
    digest = hashlib.sha256(features_key(model, films, with_tokens=False).encode())
    # The tokenizer is no weight, and the same words would be other numbers with another one.
    digest.update(
        json.dumps([settings, tokenizer_rules(model.tokenizer), list(reports.texts)], sort_keys=True).encode()
    )
    digest.update(reports.rows.tobytes())
    return digest.hexdigest()


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """Arrays of a cached file, None where there is none or it cannot be used."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") == key:
                return {name: file.get_tensor(name) for name in _NAMES}
    except SafetensorError:
        # Cut short by a full disk or a bad copy: what can be computed again is no reason to stop.
        pass
    _log.info("%s is damaged or of another model; computing its prototypes again", path)
    return None
