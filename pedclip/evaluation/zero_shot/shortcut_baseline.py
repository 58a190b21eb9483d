"""The baseline that a claim must beat: what an 8×8 thumbnail and the aspect ratio give away.

Collections of films differ in size, crop and exposure, and a label that follows the collection can be read off such
differences without any anatomy. So every classification result on real films stands beside logistic regression on
these 65 numbers, fitted on the training patients and scored on the test patients.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pedclip.evaluation.downstream.logistic import INVERSE_PENALTIES
from pedclip.evaluation.metrics.bootstrap import Floats, Groups, can_resample
from pedclip.evaluation.result import Result, Scoring
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.tasks.task import Task
from pedclip.evaluation.zero_shot.results import finding_result, region_candidates, region_result

THUMBNAIL: Final = 8  # pixels per side


NUM_FEATURES: Final = THUMBNAIL**2 + 1


NUM_FOLDS: Final = 5


Rows = Iterable[Row | Mapping[str, Any]]


def shortcut_features(images: Iterable[Any]) -> Floats:
    """Thumbnail and aspect ratio of images as they were stored, before any padding.

    Args:
        images: N gray images of any size: (H, W) uint8 arrays, PIL images, or rows with such an `image` (a
            `datasets.Dataset`).

    Returns:
        (N, 65) the 64 mean gray values of the thumbnail row by row, in [0, 1], then width / height.

    Raises:
        ValueError: No image, or an image that is not (H, W) with values 0 to 255.
    """
    if hasattr(images, "select_columns"):
        images = images.select_columns(["image"])  # masks would be decoded too
    # One film at a time: stored films are large and differ in size.
    features = [_features(item, position) for position, item in enumerate(images)]
    if not features:
        raise ValueError("shortcut features need at least one image, got none")
    return np.stack(features)  # (N, 65)


def shortcut_scores(
    train_features: NDArray[Any],
    train_labels: Sequence[int] | NDArray[Any],
    test_features: NDArray[Any],
    *,
    seed: int,
    train_groups: Groups = None,
) -> Floats:
    """Scores of logistic regression for a binary label.

    Features are standardized; the penalty is chosen by cross-validated AUC inside the training patients.

    Args:
        train_features: (N, 65).
        train_labels: (N,) 0 or 1.
        test_features: (M, 65).
        seed: Of the folds.
        train_groups: (N,) patient of each training image, kept within one fold; None folds by image.

    Returns:
        (M,) log-odds of label 1.

    Raises:
        ValueError: The training labels have one class, or too few images or patients for two folds.
    """
    labels = np.asarray(train_labels)
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise ValueError(f"the shortcut baseline needs training labels 0 and 1, got {np.unique(labels)[:5].tolist()}")
    # The penalty is chosen by what the baseline is scored by.
    model = _fit(train_features, labels, train_groups, seed, scoring="roc_auc")
    return np.asarray(model.decision_function(test_features), dtype=np.float64)  # (M,)


def shortcut_labels(
    train_features: NDArray[Any],
    train_labels: Sequence[str] | NDArray[Any],
    test_features: NDArray[Any],
    *,
    seed: int,
    train_groups: Groups = None,
) -> list[str]:
    """Predicted classes of multinomial logistic regression; otherwise as `shortcut_scores`.

    Args:
        train_features: (N, 65).
        train_labels: (N,) names of the classes, at least 2 distinct.
        test_features: (M, 65).
        seed: Of the folds.
        train_groups: (N,) patient of each training image; None folds by image.

    Returns:
        (M,) names; a class without training images is never among them.

    Raises:
        ValueError: The training labels have one class.
    """
    labels = np.asarray(train_labels)
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"the shortcut baseline needs at least 2 classes to train on, got {np.unique(labels).tolist()}"
        )
    # Regions are scored by accuracy, so the penalty is chosen by it.
    model = _fit(train_features, labels, train_groups, seed, scoring="accuracy")
    return [str(label) for label in model.predict(test_features)]


def shortcut_findings(
    train_features: NDArray[Any],
    train_rows: Rows,
    test_features: NDArray[Any],
    test_rows: Rows,
    tasks: Sequence[Task],
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """The baseline beside `zero_shot_findings`: same tasks, same test images, same bootstrap.

    Args:
        train_features: (N, 65).
        train_rows: N rows of the triplet schema, of other patients than the test rows.
        test_features: (M, 65).
        test_rows: M rows of the triplet schema.
        tasks: What `discover_findings` returned for the test rows.
        num_resamples: Of the bootstrap over patients.
        seed: Of the folds and the bootstrap.

    Returns:
        One result per task that the training rows can teach; those with one class or one patient of a class there
        are missing.

    Raises:
        ValueError: A patient is in both, features do not match the rows, or a task has too few training patients to
            choose a penalty.
    """
    train, test = _read_parts(train_features, train_rows, test_features, test_rows)
    results = []
    for task in tasks:
        # The rule was bound to the test images; here it labels the training images in the same regions and source.
        chosen, (fitted, labels) = task.rows["test"], task.require_rule().select(train)
        patients = np.array([train[row].patient for row in fitted])
        # Folds by patient need two patients of each answer.
        if not all(can_resample(patients[labels == label]) for label in (0, 1)):
            continue
        scores = shortcut_scores(
            train_features[fitted], labels, test_features[chosen], seed=seed, train_groups=patients
        )
        tested = np.array([test[row].patient for row in chosen])
        results.append(finding_result(task, scores, tested, Scoring(task.name, "shortcut", num_resamples, seed)))
    return results


def shortcut_regions(
    train_features: NDArray[Any],
    train_rows: Rows,
    test_features: NDArray[Any],
    test_rows: Rows,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Result:
    """The baseline beside `zero_shot_regions`; arguments as `shortcut_findings`.

    Args:
        train_features: (N, 65).
        train_rows: N rows of the triplet schema, of other patients than the test rows.
        test_features: (M, 65).
        test_rows: M rows of the triplet schema.
        num_resamples: Of the bootstrap over patients.
        seed: Of the folds and the bootstrap.

    Returns:
        Accuracy and confusion; the candidates are the regions of the training rows.

    Raises:
        ValueError: A patient is in both, or fewer than two regions in one of them.
    """
    train, test = _read_parts(train_features, train_rows, test_features, test_rows)
    predicted = shortcut_labels(
        train_features,
        [row.region for row in train],
        test_features,
        seed=seed,
        train_groups=[row.patient for row in train],
    )
    return region_result(
        [row.region for row in test],
        predicted,
        # It can only answer what it was taught.
        region_candidates(train),
        [row.patient for row in test],
        Scoring("body region", "shortcut", num_resamples, seed),
    )


def _fit(features: NDArray[Any], labels: NDArray[Any], groups: Groups, seed: int, *, scoring: str) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    # The scaler is inside, so that it is fitted on the training part of each fold alone.
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    search = GridSearchCV(
        model,
        {"logisticregression__C": list(INVERSE_PENALTIES)},
        scoring=scoring,
        cv=_folds(features, labels, groups, seed),
        # sklearn would score a failed fit as NaN and go on.
        error_score="raise",
    )
    # Threads that wait for each other on matrices this small made a fit of 2 s take 70 s on two busy cores.
    with threadpool_limits(limits=1):
        return search.fit(features, labels)


def _folds(
    features: NDArray[Any], labels: NDArray[Any], groups: Groups, seed: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Folds by patient that have every class to score: a fold without it would make the AUC undefined."""
    from sklearn.model_selection import GroupKFold

    # Copies of one film on both sides of a fold would reward learning it by heart.
    patients = np.arange(len(labels)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    num_patients = len(np.unique(patients))
    if num_patients < 2:
        raise ValueError(f"the shortcut baseline needs training images of at least 2 patients, got {num_patients}")
    # Fewer folds where there are fewer patients than folds.
    splitter = GroupKFold(min(NUM_FOLDS, num_patients), shuffle=True, random_state=seed)
    folds = [
        (fitted, held_out)
        for fitted, held_out in splitter.split(features, labels, patients)
        if len(np.unique(labels[fitted])) > 1 and len(np.unique(labels[held_out])) > 1
    ]
    if not folds:
        raise ValueError("the shortcut baseline needs more training patients: no fold has two classes on both sides")
    return folds


def _features(item: Any, position: int) -> Floats:
    image = item["image"] if isinstance(item, Mapping) else item
    # Stored pictures may be of a palette or of colours.
    if isinstance(image, Image.Image):
        image = image.convert("L")
    pixels = np.asarray(image)
    if pixels.ndim != 2 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(
            f"image {position} must be (H, W) uint8 with values 0 to 255, got {pixels.shape} {pixels.dtype}"
        )
    # The aspect ratio is that of the stored film: squaring would hide it.
    height, width = pixels.shape
    thumbnail = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)  # the mean of each cell
    # 64 means, row by row, then the ratio: (65,).
    return np.append(np.asarray(thumbnail, dtype=np.float64).ravel() / 255, width / height)


def _read_parts(
    train_features: NDArray[Any], train_rows: Rows, test_features: NDArray[Any], test_rows: Rows
) -> tuple[list[Row], list[Row]]:
    # Rows read before come back as they are.
    train, test = read_labels(train_rows), read_labels(test_rows)
    for part, features, rows in (("training", train_features, train), ("test", test_features, test)):
        if features.shape != (len(rows), NUM_FEATURES):
            raise ValueError(f"expected {part} features ({len(rows)}, {NUM_FEATURES}), got {features.shape}")
    # The baseline must not know the test patients either.
    num_shared = len({row.patient for row in train} & {row.patient for row in test})
    if num_shared:
        raise ValueError(f"{num_shared} patients are in both the training and the test rows; split by patient first")
    return train, test
