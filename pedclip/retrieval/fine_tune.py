"""Training of PECM together with the encoders of a PedCLIP: what `train_pecm` does on frozen prototypes, end to end."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from pedclip.evaluation.downstream.fit import seeded
from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.epochs import (
    Epoch,
    PECMTraining,
    check_patients,
    check_prototypes,
    check_rate,
    mean_loss,
    run_epochs,
)
from pedclip.retrieval.losses import Losses, pecm_losses
from pedclip.retrieval.pairs import FilmReports
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import PatchLayer, encode_films, encode_reports, film_prototypes, report_prototypes
from pedclip.retrieval.report_groups import Group, split_groups


@dataclass(frozen=True)
class FineTuning(PECMTraining):
    """Optimization of PECM and of the encoders behind it.

    Attributes:
        encoder_rate: Step size of the encoders, as a multiple of PECM's own, at least 0. With 0 they stay as they are,
            in evaluation mode. 1 is printed; encoders that are aligned already want less than fresh projections do.

    Source: PECM, section 3.4. Differs: see `PECMTraining`; the text gives one rate for all.
    """

    encoder_rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate("encoder_rate", self.encoder_rate)


@dataclass(frozen=True, eq=False)
class _Split:
    films: NDArray[np.uint8]  # (M, R, R)
    reports: FilmReports
    groups: Sequence[Sequence[Group]]  # of each text, split once for all epochs


def fine_tune_pecm(
    model: PedCLIP,
    pecm: PECM,
    films: NDArray[np.uint8],
    reports: FilmReports,
    *,
    generator: torch.Generator,
    training: FineTuning | None = None,
    validation: tuple[NDArray[np.uint8], FilmReports] | None = None,
    layer: PatchLayer = "final",
    device: str = "cpu",
) -> tuple[Epoch, ...]:
    """Training of a PECM and of the encoders that make its prototypes, both in place.

    Prototypes, losses, order of films and schedule are those of `extract_pairs` and `train_pecm`. Parameters that ask
    for no gradient stay as they are, and so do all statistics of batch normalization: a film's features do not depend
    on its batch. Dropout is drawn from the generator's seed. Results are not bit-equal across devices.

    Nothing here holds the gates of the experts to the regions, as pre-training does. Freezing their parameters slows
    the drift; what they read still moves.

    Args:
        model: Left on `device` in evaluation mode.
        pecm: With its first projections; its configuration gives the grid and what becomes of short reports. Left
            likewise.
        films: (M, R, R) uint8, all films of the training split.
        reports: Of the same split.
        generator: Of the order of films, on the CPU.
        training: Optimization; None for the defaults.
        validation: Films and reports of other patients, whose loss is told after each epoch.
        layer: See `film_prototypes`.
        device: To compute on.

    Returns:
        One record per epoch.

    Raises:
        ValueError: The report prototypes are doc2vec, which learns nothing here; films of another split; fewer than two
            different reports; K or a width is not PECM's; a patient is in both splits; or the loss or
            the weights stop being finite.

    Source: PECM, section 3.4. Differs: the encoders are those of PedCLIP.
    """
    training = training or FineTuning()
    splits = [_split(pecm, *data) for data in ((films, reports), *((validation,) if validation else ()))]
    for split in splits:
        _check(model, pecm, split, layer, device)
    if validation is not None:
        check_patients(reports.patients, validation[1].patients)
    learned = [value for value in model.parameters() if value.requires_grad] if training.encoder_rate else []
    pecm.to(device).train()
    losses_of = [partial(_losses, model, pecm, split, layer, bool(learned)) for split in splits]

    def validate() -> float:
        model.eval()
        loss = mean_loss(losses_of[1], len(splits[1].reports), training.batch_size)
        _set_mode(model, is_learning=bool(learned))
        return loss

    # Dropout draws from the global generator. The seed is read, not drawn: the order of films is that of train_pecm.
    with seeded(generator.initial_seed()):
        _set_mode(model, is_learning=bool(learned))
        history = run_epochs(
            pecm,
            losses_of[0],
            len(reports),
            generator=generator,
            training=training,
            validate=None if validation is None else validate,
            others=(learned, training.encoder_rate),
        )
    model.eval()
    pecm.eval()
    return history


def _split(pecm: PECM, films: NDArray[np.uint8], reports: FilmReports) -> _Split:
    return _Split(films, reports, split_groups(reports.texts, pecm.num_prototypes - 1, short=pecm.config.short))


def _set_mode(model: PedCLIP, *, is_learning: bool) -> None:
    model.train(is_learning)
    for module in model.modules():
        # Also in a stem that learned its statistics in pre-training: they are part of what is tuned here.
        if isinstance(module, _BatchNorm):
            module.eval()


def _check(model: PedCLIP, pecm: PECM, split: _Split, layer: PatchLayer, device: str) -> None:
    reports, config = split.reports, pecm.config
    if config.text_proto == "doc2vec":
        raise ValueError("text_proto='doc2vec' is not allowed: its vectors are fixed; use 'bert', or train_pecm")
    if len(split.films) != reports.num_films:
        raise ValueError(
            f"{len(split.films)} films for a {reports.split} split of {reports.num_films}: give all of them"
        )
    if len(reports.texts) < 2:
        raise ValueError("fewer than two different reports have films: a pair needs a negative")
    # One film and one report tell K and both widths before the first step.
    image = film_prototypes(model, split.films[reports.rows[:1]], grid=config.grid, layer=layer, device=device)
    text = report_prototypes(model, reports.texts[:1], num_groups=pecm.num_prototypes - 1, device=device)
    check_prototypes(pecm, image, text.values)


def _losses(model: PedCLIP, pecm: PECM, split: _Split, layer: PatchLayer, is_learning: bool, numbers: Tensor) -> Losses:
    device, reports = pecm.theta.device, split.reports
    rows = numbers.numpy()  # (B,)
    report = torch.from_numpy(reports.report[rows])
    # Each different report of the batch is encoded once: (U,) texts, and which of them each film has.
    texts, place = torch.unique(report, return_inverse=True)  # type: ignore[no-untyped-call]
    # A copy: films may be a read-only memory map.
    stored = torch.from_numpy(np.array(split.films[reports.rows[rows]])).to(device)
    with nullcontext() if is_learning else torch.no_grad():
        image = encode_films(model, stored, grid=pecm.config.grid, layer=layer)  # (B, K, D)
        text = encode_reports(
            model, [reports.texts[row] for row in texts.tolist()], [split.groups[row] for row in texts.tolist()]
        )
    place = place.to(device)
    return pecm_losses(
        pecm,
        image,
        text.values[place],
        text_mask=text.mask[place],
        distinct=text.distinct[place],
        same_text=(report[:, None] == report).to(device),
    )
