"""The measures of a report on one arm: films of a generator, real test films in their place, or bad ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.embeddings import Encoder, embed_texts
from pedclip.evaluation.features import ImageModel
from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.synthesis.quality.agreement import (
    FindingRegions,
    finding_agreement,
    finding_labels,
    text_agreement,
    zero_shot_scores,
)
from pedclip.synthesis.quality.classifiers import RealClassifiers, fit_classifiers
from pedclip.synthesis.quality.coverage import ball_radii, manifold_coverage
from pedclip.synthesis.quality.diversity import Diversity, pair_diversity, prompt_pairs, region_pairs
from pedclip.synthesis.quality.encoders import PIXELS, FilmEncoder, pixel_features, resized
from pedclip.synthesis.quality.entries import (
    Entry,
    MeasuredArm,
    Role,
    coverage_entries,
    diversity_entries,
    finding_entries,
    frechet_entries,
    kernel_entries,
    memorisation_entries,
    region_entries,
    text_entries,
)
from pedclip.synthesis.quality.frechet import frechet_distance, kernel_distance
from pedclip.synthesis.quality.memorisation import KnownFilms, Memorisation, known_films, memorisation_of
from pedclip.synthesis.quality.settings import QualitySettings
from pedclip.triplets.arrays import TripletArrays

Seeds = Sequence[TripletArrays]  # films of the same rows, one entry per generation seed
CEILING: Final = "real test"


class DualEncoder(ImageModel, Encoder, Protocol):
    """A model that embeds films and texts; `pedclip.PedCLIP` is one."""


@dataclass(frozen=True, eq=False)
class RealFilms:
    """Real films of both parts with their features, and what was fitted on the training films.

    Args:
        train: Training films.
        test: Test films.
        model: The encoder of the project.
        encoders: That encoder first, then others.
        finding_regions: Findings that are asked for.
        compared_at: Height and width to which all films are reduced, pixels.
        settings: Of the report.
        features: Of the training films by encoder, (T, C).
        radii: Of the balls around them by encoder, (T,).
        classifiers: By encoder.
        known: What copies are told by, by space; the pixels are a space, too.
    """

    train: TripletArrays
    test: TripletArrays
    model: DualEncoder
    encoders: tuple[FilmEncoder, ...]
    finding_regions: FindingRegions
    compared_at: int
    settings: QualitySettings
    features: Mapping[str, Floats]
    radii: Mapping[str, Floats]
    classifiers: Mapping[str, RealClassifiers]
    known: Mapping[str, KnownFilms]


def real_films(
    train: TripletArrays,
    test: TripletArrays,
    *,
    model: DualEncoder,
    encoders: Sequence[FilmEncoder],
    finding_regions: FindingRegions,
    compared_at: int,
    settings: QualitySettings,
) -> RealFilms:
    """Features of real films, and the classifiers fitted on those for training; arguments as for `RealFilms`.

    Raises:
        ValueError: As `fit_classifiers` and `known_films`, or as many neighbours as training films.
    """
    # The test films and every arm are checked where they are measured.
    if settings.neighbours >= len(train):
        raise ValueError(f"neighbours must be fewer than the {len(train)} training films, got {settings.neighbours}")
    # Each film goes through each encoder once, whatever is measured afterwards.
    of_train = space_features(train, encoders, compared_at, settings)
    of_test = space_features(test, encoders, compared_at, settings)
    # Pixels have none: they are what they are.
    fingerprints = {one.name: f" ({one.fingerprint})" for one in encoders}
    known = {
        space: known_films(
            of_train[space],
            of_test[space],
            test_patients=test.patients,
            space=f"{space}{fingerprints.get(space, '')}",
            training_names=_names(train).tolist(),
        )
        for space in of_train
    }
    # Fitted on real films only, and before any synthetic film is looked at.
    classifiers = {
        one.name: fit_classifiers(
            of_train[one.name], train, finding_regions, seed=settings.seed, device=settings.device
        )
        for one in encoders
    }
    # Once for all arms: these are distances of all training films from each other.
    radii = {one.name: ball_radii(of_train[one.name], settings.neighbours) for one in encoders}
    return RealFilms(
        train, test, model, tuple(encoders), finding_regions, compared_at, settings, of_train, radii, classifiers, known
    )


def space_features(
    films: TripletArrays, encoders: Sequence[FilmEncoder], compared_at: int, settings: QualitySettings
) -> dict[str, Floats]:
    """Features of N films by space: (N, C) of each encoder, then of the pixels.

    Args:
        films: N films.
        encoders: In the order of the result.
        compared_at: Height and width to which all films are reduced, pixels.
        settings: Of the report.
    """
    found = {
        one.name: one.features(
            films.images,
            compared_at=compared_at,
            cache=settings.cache,
            batch_size=settings.batch_size,
            device=settings.device,
        )
        for one in encoders
    }
    # The pixels last: a copy that no encoder recognises is one all the same.
    return {**found, PIXELS: pixel_features(films.images, compared_at=compared_at)}


def measure_arm(
    real: RealFilms, name: str, role: Role, seeds: Seeds, *, num_compared: int
) -> tuple[list[Entry], tuple[Memorisation, ...]]:
    """All numbers of one arm.

    All but diversity and memorisation are of the films of the first seed.

    Args:
        real: What it is compared with.
        name: Of the arm.
        role: Of the arm.
        seeds: Its films.
        num_compared: Films in distances and coverage, at most as many as there are.

    Returns:
        The rows of the report, and the memorisation of each space.
    """
    features = [space_features(one, real.encoders, real.compared_at, real.settings) for one in seeds]
    films, rng = seeds[0], np.random.default_rng(real.settings.seed)  # the same films for all encoders
    # In the order of the films, so that taking all of them is taking them as they are.
    rows = np.sort(rng.choice(len(films), num_compared, replace=False))
    entries: list[Entry] = []
    # Each encoder for itself, as a generator may please one and not the other.
    for encoder in real.encoders:
        arm = MeasuredArm(name, role, encoder.name)
        entries += _distances(real, arm, films, features[0][encoder.name], rows)
        entries += _classified(real, arm, films, features[0][encoder.name])
    # Texts are embedded by the own model alone, so only its space knows both.
    entries += _agreement(
        real, MeasuredArm(name, role, real.encoders[0].name), films, features[0][real.encoders[0].name]
    )
    entries += _diversity(real, MeasuredArm(name, role, real.encoders[0].name), seeds, features)
    # All films of all seeds here: a copy is rare, and one of them is enough.
    memories = tuple(_memorisation(real, space, role, seeds, features) for space in real.known)
    for space, memory in zip(real.known, memories, strict=True):
        entries += memorisation_entries(MeasuredArm(name, role, "" if space == PIXELS else space), memory)
    return entries, memories


def _distances(
    real: RealFilms, arm: MeasuredArm, films: TripletArrays, features: Floats, rows: NDArray[np.intp]
) -> Iterator[Entry]:
    # The training films are the reference of every arm, real test films included.
    options, reference = real.settings, real.features[arm.encoder]
    chosen = features[rows]
    yield from frechet_entries(arm, frechet_distance(reference, chosen, seed=options.seed))
    kernel = kernel_distance(
        reference, chosen, subset_size=options.subset_size, num_subsets=options.num_subsets, seed=options.seed
    )
    yield from kernel_entries(arm, kernel, len(rows))
    found = manifold_coverage(
        reference,
        chosen,
        neighbours=options.neighbours,
        real_patients=real.train.patients,
        real_radii=real.radii[arm.encoder],
        synthetic_patients=np.asarray(films.patients)[rows],
        num_resamples=options.num_resamples,
        seed=options.seed,
    )
    yield from coverage_entries(arm, found)


def _classified(real: RealFilms, arm: MeasuredArm, films: TripletArrays, features: Floats) -> Iterator[Entry]:
    classifiers = real.classifiers[arm.encoder]
    resampling = {"num_resamples": real.settings.num_resamples, "seed": real.settings.seed}
    yield from region_entries(arm, classifiers.region_accuracy(features, films, **resampling))
    # Where the training films carry no findings, there is nothing to ask.
    if classifiers.findings is not None:
        found = classifiers.finding_agreement(features, films, **resampling)
        yield from finding_entries(arm, found, "AUC of findings, classifier of real films")


def _agreement(real: RealFilms, arm: MeasuredArm, films: TripletArrays, image: Floats) -> Iterator[Entry]:
    options, names = real.settings, list(real.finding_regions)
    resampling = {"num_resamples": options.num_resamples, "seed": options.seed}

    def encode(texts: Sequence[str]) -> NDArray[Any]:
        return embed_texts(real.model, texts, batch_size=options.batch_size, device=options.device)

    # Features have another length than embeddings, which a cosine does not see.
    yield from text_entries(arm, text_agreement(image, encode(films.texts), films, **resampling))
    if names:
        scores, labels = zero_shot_scores(image, names, encode), finding_labels(films, real.finding_regions)
        found = finding_agreement(scores, labels, names, films.patients, **resampling)
        yield from finding_entries(arm, found, "AUC of findings, zero-shot")


def _diversity(
    real: RealFilms, arm: MeasuredArm, seeds: Seeds, features: Sequence[Mapping[str, Floats]]
) -> Iterator[Entry]:
    # Small first: the similarity depends on the size.
    images = [resized(one.images, compared_at=real.compared_at, size=real.compared_at) for one in seeds]

    def diversity(films: NDArray[np.uint8], space: Floats, pairs: NDArray[np.intp], groups: Any) -> Diversity:
        return pair_diversity(
            films,
            pairs,
            features=space,
            groups=groups,
            num_resamples=real.settings.num_resamples,
            seed=real.settings.seed,
        )

    # Real films have one film per text, so films of a region are what all arms share.
    pairs = region_pairs(seeds[0].regions, seeds[0].patients, seed=real.settings.seed)
    found = diversity(images[0], features[0][arm.encoder], pairs, None)
    yield from diversity_entries(arm, found, "pairs of a region")
    if len(seeds) > 1:
        # Row r of every seed has one text: (S·N,) numbers of rows, seed by seed.
        pairs = prompt_pairs(np.tile(np.arange(len(seeds[0])), len(seeds)))
        owners = np.asarray(seeds[0].patients)[pairs[:, 0] % len(seeds[0])]
        space = np.concatenate([one[arm.encoder] for one in features])
        yield from diversity_entries(arm, diversity(np.concatenate(images), space, pairs, owners), "pairs of a text")


def _memorisation(
    real: RealFilms, space: str, role: Role, seeds: Seeds, features: Sequence[Mapping[str, Floats]]
) -> Memorisation:
    known, found = real.known[space], [one[space] for one in features]  # training and test films, and one set per seed
    patients, names = np.asarray(seeds[0].patients), _names(seeds[0])
    if role == "ceiling":
        # Test films cannot be held against themselves: one half of the patients stands for the synthetic films.
        is_first = _is_first_half(known.test_patients, real.settings.seed)
        known, found = known.take(is_first), [found[0][~is_first]]
        patients, names = patients[~is_first], names[~is_first]
    return memorisation_of(
        known,
        found,
        patients=patients.tolist(),
        names=names.tolist(),
        num_resamples=real.settings.num_resamples,
        seed=real.settings.seed,
    )


def _names(films: TripletArrays) -> NDArray[Any]:
    """(N,) digests of films, or their positions where nobody asked for digests."""
    return np.asarray(films.digests if len(films.digests) else [str(row) for row in range(len(films))])


def _is_first_half(owners: NDArray[Any], seed: int) -> NDArray[np.bool_]:
    # By patient, so that no child is on both sides.
    names = np.unique(owners)
    first = np.random.default_rng(seed).permutation(names)[: (len(names) + 1) // 2]
    return np.isin(owners, first)
