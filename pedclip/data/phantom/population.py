"""Who is examined and what is found: the plan of study k, whatever the number of studies."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pedclip.anatomy import REGIONS
from pedclip.data.phantom.anatomy_shapes import MIDLINE, views_of
from pedclip.data.phantom.finding import Finding
from pedclip.data.phantom.findings import FINDINGS, WEIGHTS

# Cards of a deck of 200 studies. The paper gives 46 % for chest, wrist and forearm together; the rest is ours.
DECK: Final = {
    "chest": 48, "wrist": 26, "forearm": 18, "elbow": 10, "hand": 9, "ankle": 9, "foot": 8, "knee": 8, "finger": 7,
    "abdomen": 8, "pelvis": 6, "hip": 5, "tibia_fibula": 5, "thoracic_spine": 4, "lumbar_spine": 4, "skull": 4,
}  # fmt: skip
_RARE: Final = 3  # cards of every other region
_STUDIES_OF: Final = (
    0,
    1,
    2,
    2,
    3,
    4,
    4,
    4,
)  # patient of each of 8 consecutive studies: 5 patients with 1 to 3 studies
_ABNORMAL: Final = 0.5
_SECOND: Final = 0.25  # share of abnormal studies with another finding
_IMAGES: Final = (0.45, 0.40, 0.15)  # probabilities of 1, 2 and 3 images
_ADULT: Final = 18.0  # years


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What is known of a study before its images are drawn."""

    number: int
    patient_id: str
    study_id: str
    region: str
    laterality: str
    age: float  # years
    sex: str
    views: tuple[str, ...]
    findings: tuple[Finding, ...]


def deck() -> tuple[str, ...]:
    """Regions of 200 consecutive studies, not shuffled: 46 % chest, wrist and forearm, every region at least 1.5 %."""
    return tuple(region for region in REGIONS for _ in range(DECK.get(region, _RARE)))


def plan_study(number: int, seed: int) -> StudyPlan:
    """The plan of one study.

    Args:
        number: Index of the study, 0 or more.
        seed: Of the whole set.

    Returns:
        A plan that depends on `number` and `seed` only.
    """
    # The second word keeps the streams of decks, patients and studies apart.
    block, within = divmod(number, len(deck()))
    region = str(np.random.default_rng([seed, 1, block]).permutation(deck())[within])
    group, visit = divmod(number, len(_STUDIES_OF))
    person = group * (max(_STUDIES_OF) + 1) + _STUDIES_OF[visit]
    earlier = _STUDIES_OF[:visit].count(_STUDIES_OF[visit])
    patient = np.random.default_rng([seed, 2, person])
    sex = str(patient.choice(["F", "M"]))
    age = min(_ADULT, float(patient.uniform(0.05, _ADULT)) + 0.6 * earlier)

    rng = np.random.default_rng([seed, 3, number])
    laterality = "" if region in MIDLINE else str(rng.choice(["left", "right"]))
    offered = views_of(region)
    count = min(len(offered), 1 + int(rng.choice(3, p=_IMAGES)))
    views = list(offered[:count])
    if count == 1 and rng.random() < 0.2:
        views = [offered[-1]]
    if region == "chest" and age < 3:  # infants lie
        views = ["AP" if view == "PA" else view for view in views]
    return StudyPlan(
        number=number,
        patient_id=f"phantom-{seed}-p{person:06d}",
        study_id=f"phantom-{seed}-s{number:06d}",
        region=region,
        laterality=laterality,
        age=age,
        sex=sex,
        views=tuple(views),
        findings=_findings(region, rng),
    )


def _findings(region: str, rng: np.random.Generator) -> tuple[Finding, ...]:
    if rng.random() >= _ABNORMAL:
        return ()
    names = [name for name, regions in FINDINGS.items() if region in regions]
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    count = min(len(names), 1 + int(rng.random() < _SECOND))
    chosen = rng.choice(names, size=count, replace=False, p=weights / weights.sum())
    return tuple(
        Finding(
            name=str(name),
            severity=float(rng.beta(2.0, 1.3)),
            pick=float(rng.random()),
            along=float(rng.random()),
            sign=int(rng.choice([-1, 1])),
            variant=float(rng.random()),
        )
        for name in chosen
    )
