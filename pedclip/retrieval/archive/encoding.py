"""Vectors of films and reports for an index: prototypes of a frozen PedCLIP, projected and weighted by a trained PECM.

One item at a time, as is the default, an item has the same vectors to the last bit whatever it is computed with: an
archive may be encoded at once, in pieces, or by several machines of one kind. Larger batches are faster on a GPU, and
change the last digits, as matrix products of another size add up in another order.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.curation.report.sentences import split_sentences
from pedclip.evaluation.features import add_weights
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import tokenizer_rules
from pedclip.retrieval.config import check_layer
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import PatchLayer, film_prototypes, report_prototypes
from pedclip.retrieval.vectors import PairVectors
from pedclip.triplets.left_out import Reason

VERSION: Final = 1  # of the vectors: raise it when the same models and items give others
ITEMS_AT_ONCE: Final = 256  # in memory: 14 MB of vectors where K·D is 13,312
REASONS: Final = {reason.value: reason for reason in Reason}  # to read them again from a file or a table
# Fields of PECMConfig that vectors are made by; the others act on losses, on the start of a training or on scores.
OF_VECTORS: Final = (
    "image_width", "text_width", "proj_dim", "grid", "text_proto", "short",
    "norm_z", "w_norm", "w_mode", "match", "per", "dsce",
)  # fmt: skip
_OF_LOSSES: Final = "log_temperature"  # the one weight of PECM that no vector reads
_OF_BERT: Final = ("num_attention_heads", "hidden_act", "layer_norm_eps")  # no weight shows these


@dataclass(frozen=True)
class Omission:
    """An item that has no vectors; `BuiltIndex.left_out` lists them as `LeftOut`.

    Args:
        number: Among the items given, from 0 on.
        reason: Why.
        detail: More in words, "" where the reason says all; never text of a report.
    """

    number: int
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Vectors of n given items, in order, without those that cannot be encoded.

    Args:
        num_given: n, at least 1.
        vectors: Of n − m items; None where nothing is left.
        omitted: The other m, numbered within these n.
    """

    num_given: int
    vectors: PairVectors | None
    omitted: tuple[Omission, ...] = ()


def fingerprint(model: PedCLIP, pecm: PECM, *, layer: PatchLayer = "final") -> str:
    """SHA-256 of all that vectors depend on besides films and texts: the `model` of an index and of its queries.

    Weights and configuration of both models, preprocessing, tokenizer, grid, short reports and layer. Batch size and
    device change the last digits only and are not in it; nor is the final score, which is a choice of each search, nor
    what PECM's losses were.

    Args:
        model: As for `report_vectors`.
        pecm: As for `report_vectors`.
        layer: As for `film_vectors`.

    Raises:
        ValueError: Another layer.
    """
    check_layer(layer)
    bert = model.text_encoder.bert.config
    # Text, not Python objects: a process that loads the models from a folder finds the same.
    facts = {
        "version": VERSION,
        "layer": layer,
        "clip": repr(model.config),
        # A text encoder that was loaded keeps its sizes to itself; the configuration does not know them.
        "bert": [getattr(bert, name) for name in _OF_BERT],
        "preprocess": model.preprocess.to_json(),
        "tokenizer": tokenizer_rules(model.tokenizer),
        # Grid and short reports are in here: they are what PECM was trained with.
        "num_prototypes": pecm.num_prototypes,
        "pecm": {name: getattr(pecm.config, name) for name in OF_VECTORS},
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    add_weights(digest, model.state_dict())
    add_weights(digest, {name: value for name, value in pecm.state_dict().items() if name != _OF_LOSSES})
    return digest.hexdigest()


def report_vectors(
    model: PedCLIP, pecm: PECM, texts: Sequence[str], *, batch_size: int = 1, device: str = "cpu"
) -> PairVectors:
    """Reports as items of an index or as queries; a short report has the weight of its prototypes only.

    Args:
        model: Frozen; computes in evaluation mode.
        pecm: Trained on prototypes of this model; its configuration says what becomes of short reports.
        texts: N reports, each with a sentence; all their prototypes are held at once.
        batch_size: Texts at a time, at least 1; 1 gives the same bits in any company.
        device: Where the text encoder computes; PECM computes where it is.

    Returns:
        (N, D) similarity, (N, K·D) confidence and (N,) weights.

    Raises:
        TypeError: Something that is no text, or a single text.
        ValueError: No text, texts without a sentence or that are no Unicode, a batch size below 1, or a PECM of other
            prototypes.
    """
    _check_batch_size(batch_size)
    texts = _checked_texts(texts)
    # Both have K prototypes of any width, so that nothing else would tell.
    if pecm.config.text_proto != "bert":
        raise ValueError(
            f"text_proto={pecm.config.text_proto!r}: this PECM was trained on other report prototypes than the text "
            "encoder makes; give its own to PECM.text_vectors"
        )
    num_groups, short = pecm.num_prototypes - 1, pecm.config.short
    text = report_prototypes(model, texts, num_groups=num_groups, short=short, batch_size=batch_size, device=device)
    absent = torch.zeros(0, pecm.num_prototypes, pecm.config.image_width)  # no film takes part
    found = []
    # In the same batches again: the sums of a projection depend on their size, too.
    for values, mask in zip(*(torch.split(rows, batch_size) for rows in (text.values, text.mask)), strict=True):
        projected = _projected(pecm, absent, values)[1]  # (B, K, D)
        found.append(pecm.text_vectors(projected, text_mask=mask.to(projected.device)))
    return _joined(found)


def film_vectors(
    model: PedCLIP,
    pecm: PECM,
    films: NDArray[np.uint8],
    *,
    layer: PatchLayer = "final",
    batch_size: int = 1,
    device: str = "cpu",
) -> PairVectors:
    """Films as items of an index or as queries.

    Args:
        model: Frozen; computes in evaluation mode.
        pecm: Trained on prototypes of this model; its configuration gives the grid.
        films: (N, R, R) uint8; all their prototypes are held at once.
        layer: Patch tokens that PECM was trained on; see `film_prototypes`.
        batch_size: Films at a time, at least 1; 1 gives the same bits in any company.
        device: Where the image encoder computes; PECM computes where it is.

    Returns:
        (N, D) similarity, (N, K·D) confidence and weights (N,) of 1.

    Raises:
        TypeError: Something that is no array of numpy.
        ValueError: No film, films that are not (N, R, R) uint8 of the model's size, a batch size below 1, another
            layer, or a PECM of other prototypes.
    """
    _check_batch_size(batch_size)
    # Here and not at the first layer: floats of another scale or (N, 1, R, R) are what people have at hand.
    side = model.preprocess.resize
    if not isinstance(films, np.ndarray):
        raise TypeError(f"films is a {type(films).__name__}; expected a numpy array (N, {side}, {side}) of uint8")
    if films.dtype != np.uint8 or films.shape[1:] != (side, side) or len(films) == 0:
        raise ValueError(
            f"films must be (N, {side}, {side}) uint8 with at least one film, got {films.shape} {films.dtype}; "
            "decode them through pedclip.triplets.to_arrays"
        )
    # A copy: an array on disk may be read-only, which torch warns of.
    image = film_prototypes(
        model, np.array(films), grid=pecm.config.grid, layer=layer, batch_size=batch_size, device=device
    )
    absent = torch.zeros(0, pecm.num_prototypes, pecm.config.text_width)  # no report takes part
    pieces = torch.split(image, batch_size)  # (B, K, C) each
    return _joined([pecm.image_vectors(_projected(pecm, piece, absent)[0]) for piece in pieces])


def encode_usable_reports(
    model: PedCLIP, pecm: PECM, texts: Sequence[str | None], *, batch_size: int = 1, device: str = "cpu"
) -> Encoded:
    """`report_vectors` of those texts that have a sentence, and a list of the others.

    Args:
        model: As for `report_vectors`.
        pecm: As for `report_vectors`.
        texts: n of them, at least one; None where a table has a gap.
        batch_size: As for `report_vectors`.
        device: As for `report_vectors`.

    Raises:
        TypeError: Something that is neither a text nor None.
        ValueError: As for `report_vectors`.
    """
    kept, omitted = [], []
    for number, text in enumerate(texts):
        # A mistake of the whole column, such as NaN for a gap.
        if text is not None and not isinstance(text, str):
            raise TypeError(f"a report is a {type(text).__name__}; expected texts, and None where there is none")
        if (why := _unusable(text)) is None:
            kept.append(str(text))  # a text of numpy becomes one of Python
        else:
            omitted.append(Omission(number, *why))
    vectors = report_vectors(model, pecm, kept, batch_size=batch_size, device=device) if kept else None
    return Encoded(len(texts), vectors, tuple(omitted))


def _unusable(text: str | None) -> tuple[Reason, str] | None:
    if text is None or not text.strip():
        return Reason.EMPTY_REPORT, ""
    if not _is_unicode(text):
        return Reason.CORRUPT, "a text that is no Unicode"
    # Such as "…": without a sentence there is no group, and no prototype.
    return None if split_sentences(text) else (Reason.EMPTY_REPORT, "a text without a sentence")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a pair of UTF-16, which no tokenizer takes.
        return False
    return True


def _checked_texts(texts: Sequence[str]) -> list[str]:
    """Texts as a list, each of them one that a tokenizer takes."""
    # One text is a sequence of texts, too: its letters.
    if isinstance(texts, str):
        raise TypeError("texts is a single text; pass a list of one")
    # None, a number, or the whole table instead of a column.
    if not isinstance(texts, Iterable):
        raise TypeError(f"texts is a {type(texts).__name__}; expected a list of texts")
    listed = list(texts)
    for number, text in enumerate(listed):
        if not isinstance(text, str):
            raise TypeError(f"a report is a {type(text).__name__}; expected texts only, see item {number}")
        if not _is_unicode(text):
            raise ValueError(f"item {number} is a text that is no Unicode; leave it out, or read its file again")
    return [str(text) for text in listed]  # a text of numpy becomes one of Python


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} is not allowed: at least 1")


@torch.no_grad()
def _projected(pecm: PECM, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    # (B, K, C) and (N, K, C) to where PECM is; one of the two is empty, and its width the expected one.
    return pecm.project(image.to(pecm.theta.device), text.to(pecm.theta.device))


def _joined(parts: Sequence[PairVectors]) -> PairVectors:
    columns = ("similarity", "confidence", "weight")
    return PairVectors(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
