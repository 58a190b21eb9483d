"""The whole report on synthetic films: each number of theirs between that of real films and those of bad ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from pedclip.evaluation.metrics.bootstrap import Record
from pedclip.evaluation.tasks.patient_split import PatientLeak
from pedclip.synthesis.quality.agreement import learnable_findings
from pedclip.synthesis.quality.arms import CEILING, DualEncoder, Seeds, measure_arm, real_films
from pedclip.synthesis.quality.encoders import FilmEncoder, Resolution, film_encoder, resolution
from pedclip.synthesis.quality.entries import Entry, Role
from pedclip.synthesis.quality.floors import floor_films
from pedclip.synthesis.quality.memorisation import Memorisation
from pedclip.synthesis.quality.settings import QualitySettings
from pedclip.triplets.arrays import TripletArrays


@dataclass(frozen=True)
class QualityReport(Record):
    """All numbers of all arms.

    Args:
        entries: One per number.
        memorisation: By arm, one per space, with the near copies.
        resolution: Sizes of the films of each generator, and the one at which all films were compared.
        encoders: Name of each encoder to its fingerprint.
        shared_texts: By generator, share of its films whose text is that of a real training film.
        num_constant: By generator, films of one grey level, which no encoder can tell anything of.
        num_compared: Films of each arm in the distances and in precision to coverage, the same for all.
        num_training: Real training films, with which they are compared.
    """

    entries: tuple[Entry, ...]
    memorisation: Mapping[str, tuple[Memorisation, ...]]
    resolution: Mapping[str, Resolution]
    encoders: Mapping[str, str]
    shared_texts: Mapping[str, float]
    num_constant: Mapping[str, int]
    num_compared: int
    num_training: int

    def table(self) -> pd.DataFrame:
        """One row per number, with the columns of `Entry`."""
        columns = [field.name for field in fields(Entry)]
        return pd.DataFrame([entry.to_dict() for entry in self.entries], columns=columns)


def quality_report(
    real_train: TripletArrays,
    real_test: TripletArrays,
    synthetic: Mapping[str, Seeds],
    *,
    model: DualEncoder,
    model_name: str,
    neutral: FilmEncoder | None = None,
    settings: QualitySettings | None = None,
) -> QualityReport:
    """Numbers of synthetic films, of real test films in their place, and of films that are bad in known ways.

    All are compared with the real training films. The real test films are what a perfect generator would get if the
    synthetic films are of the same reports; films of training reports have what those reports share with the training
    films, and may pass them without being better. A distance below that of the real test films is no triumph: of equal
    reports it says that films are nearer to the training films than real ones; see the near copies. All are reduced to
    the size of the smallest first. Distances, and precision to coverage, are of equally many films of every arm, as
    they depend on the number. The ceiling of memorisation holds one half of the test patients against the other.

    Args:
        real_train: Real films that the generator was trained on, with findings where these are to be asked.
        real_test: Real films of other patients.
        synthetic: By name of the generator, its films for each generation seed: all seeds have the same rows.
        model: The encoder of the project, which must not have been trained on synthetic films.
        model_name: As it is reported.
        neutral: A second encoder, as from `neutral_encoder`.
        settings: None takes the defaults.

    Raises:
        PatientLeak: A patient is in both real sets.
        ValueError: No generator, one with the name of another arm, seeds of other rows, one set only with findings, or
            too few films for the kernel distance or the neighbours.
    """
    # Refused before an encoder is started, which takes minutes.
    options = settings or QualitySettings()
    _check(real_train, real_test, synthetic, options)
    # Written down for each generator, as they may differ.
    sizes = {name: resolution(real_train.images, seeds[0].images) for name, seeds in synthetic.items()}
    # One size for all arms: a ceiling of sharper films would be another comparison.
    smallest = min(one.compared_at for one in sizes.values())
    # The smallest arm decides; every other is cut to it where numbers depend on the number of films.
    fewest = min(len(real_test), *(len(seeds[0]) for seeds in synthetic.values()))
    # The own encoder first: agreement with texts is of it alone.
    encoders = [film_encoder(model_name, model), *([neutral] if neutral else [])]
    real = real_films(
        real_train,
        real_test,
        model=model,
        encoders=encoders,
        finding_regions=learnable_findings(real_train, min_patients=options.min_patients)
        if len(real_train.findings)
        else {},
        compared_at=smallest,
        settings=options,
    )
    entries: list[Entry] = []
    memories: dict[str, tuple[Memorisation, ...]] = {}
    # One arm after the other, so that only the features of one are in memory.
    for name, role, seeds in _arms(real_test, synthetic, options):
        found, memories[name] = measure_arm(real, name, role, seeds, num_compared=fewest)
        entries += found
    # Films of training texts are nearer to training films without any copying; the report says how many are.
    known = set(real_train.texts)
    return QualityReport(
        entries=tuple(entries),
        memorisation=memories,
        resolution={name: Resolution(one.real, one.synthetic, smallest) for name, one in sizes.items()},
        encoders={one.name: one.fingerprint for one in encoders},
        shared_texts={name: float(np.mean([text in known for text in s[0].texts])) for name, s in synthetic.items()},
        num_constant={name: sum(_num_constant(one) for one in seeds) for name, seeds in synthetic.items()},
        num_compared=fewest,
        num_training=len(real_train),
    )


def _arms(
    real_test: TripletArrays, synthetic: Mapping[str, Seeds], options: QualitySettings
) -> list[tuple[str, Role, Seeds]]:
    arms: list[tuple[str, Role, Seeds]] = [(name, "synthetic", seeds) for name, seeds in synthetic.items()]
    # What a perfect generator would get.
    arms.append((CEILING, "ceiling", [real_test]))
    # Each of them must fail somewhere.
    arms += [(kind, "floor", [floor_films(real_test, kind, seed=options.seed)]) for kind in options.floors]
    return arms


def _num_constant(films: TripletArrays) -> int:
    # A generator that fails often gives black films, which a mean over films hides.
    pixels = np.asarray(films.images).reshape(len(films), -1)
    return int((pixels.min(axis=1) == pixels.max(axis=1)).sum())


def _check(
    real_train: TripletArrays, real_test: TripletArrays, synthetic: Mapping[str, Seeds], options: QualitySettings
) -> None:
    if not synthetic or not all(len(seeds) for seeds in synthetic.values()):
        raise ValueError("expected films of at least one generator, each with at least one generation seed")
    # Two arms of one name would be one in every table.
    if taken := set(synthetic) & {CEILING, *options.floors}:
        raise ValueError(f"another arm is called {', '.join(sorted(taken))}; give the generator another name")
    # Test films of training patients are nearer to training films than those of a stranger.
    if num_shared := len(set(real_train.patients) & set(real_test.patients)):
        raise PatientLeak(f"{num_shared} patients are in both the training and the test films; split by patient first")
    everything: Sequence[TripletArrays] = [
        real_train,
        real_test,
        *(one for seeds in synthetic.values() for one in seeds),
    ]
    if len({bool(len(films.findings)) for films in everything}) > 1:
        raise ValueError("some of the films carry findings and some do not; read all of them in one way")
    for name, seeds in synthetic.items():
        # Pairs of one text are found by their row.
        if any(list(one.texts) != list(seeds[0].texts) for one in seeds):
            raise ValueError(f"{name}: the films of all generation seeds must be of the same texts in the same order")
        # Seeds of two sizes would be two generators.
        sizes = {one.images.shape[1:] for one in seeds}
        if len(sizes) > 1:
            raise ValueError(f"{name}: the films of all generation seeds must have one size, got {sorted(sizes)}")
