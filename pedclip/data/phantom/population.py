"""Patients and their studies: the plan of study k, whatever the number of studies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pedclip.anatomy import REGIONS, is_paired
from pedclip.data.phantom.body.layouts import views_of
from pedclip.data.phantom.findings.finding import Finding
from pedclip.data.phantom.findings.registry import FINDINGS, WEIGHTS
from pedclip.data.phantom.random_streams import stream
from pedclip.data.phantom.resources import table

_STUDIES_OF: Final = (0, 1, 2, 2, 3, 4, 4, 4)  # patient of each of 8 studies in a row: 5 patients with 1 to 3 studies
_ARTHRITIS: Final = "juvenile arthritis"
_ARTHRITIS_RATE: Final = 0.04  # of the patients
# Films that are asked for their joints.
_JOINTS: Final = ("hip", "knee", "ankle", "foot", "elbow", "wrist", "hand", "finger", "shoulder")
_MULTI_PART: Final = 0.22  # fraction of studies with films of several parts
_THIRD_PART: Final = 0.12  # of these
_MAX_IMAGES: Final = 4
_ABNORMAL: Final = 0.5
_ABNORMAL_SECOND: Final = 0.4  # of the further parts of a study
_SECOND_FINDING: Final = 0.25
_IMAGES: Final = (0.45, 0.40, 0.15)  # probabilities of 1, 2 and 3 images of one part
_ADULT: Final = 18.0  # years
_SCATTER: Final = ((0.0, 12.0, 18.0), (0.2, 1.1, 0.9))  # ages and standard deviations of bone age there, years
_MATURITY_DISORDER: Final = 0.04  # fraction of patients with delayed or advanced bones


@dataclass(frozen=True, slots=True)
class Part:
    """The films of one body part.

    Args:
        region: One of `pedclip.anatomy.REGIONS`.
        laterality: "left", "right", or "" for parts in the midline.
        views: One per film, in the order in which they are taken.
        findings: What the part shows, in every view.
    """

    region: str
    laterality: str
    views: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A study before its images are drawn."""

    number: int
    patient_id: str
    study_id: str
    parts: tuple[Part, ...]  # 1 to 3, with 1 to 4 images in all
    age: float  # years, 0 to 18
    bone_age: float  # years, 0 to 18
    sex: str
    condition: str  # "juvenile arthritis", "viral pneumonia", … or ""

    @property
    def region(self) -> str:
        """Region of the first part."""
        return self.parts[0].region


@dataclass(frozen=True, slots=True)
class _Patient:
    patient_id: str
    sex: str
    age: float
    bone_age: float
    has_arthritis: bool


def deck() -> tuple[str, ...]:
    """First parts of 100 consecutive studies, not shuffled; every region at least once."""
    return tuple(region for region in REGIONS for _ in range(table("population")["deck"][region]))


def plan_study(number: int, seed: int) -> StudyPlan:
    """The plan of one study.

    Args:
        number: Index of the study, 0 or more.
        seed: Of the whole set.

    Returns:
        A plan that depends on `number` and `seed` only.
    """
    # A shuffled deck per hundred studies: each hundred has every region as often as the deck says.
    block, within = divmod(number, len(deck()))
    region = str(stream("deck", seed, block).permutation(deck())[within])
    patient = _patient(number, seed)
    rng = stream("study", seed, number)
    sided = _sided_regions(region, rng)
    condition = _condition([name for name, _ in sided], patient, rng)
    parts: list[Part] = []
    for order, (name, laterality) in enumerate(sided):
        # One image is kept back for each part that is still to come.
        most = _MAX_IMAGES - sum(len(part.views) for part in parts) - (len(sided) - order - 1)
        views = _views(name, patient.age, most, rng)
        parts.append(Part(name, laterality, views, _findings(name, condition, order, rng)))
    return StudyPlan(
        number=number,
        patient_id=patient.patient_id,
        study_id=f"phantom-{seed}-s{number:06d}",
        parts=tuple(parts),
        age=patient.age,
        bone_age=patient.bone_age,
        sex=patient.sex,
        condition=condition,
    )


def _patient(number: int, seed: int) -> _Patient:
    group, visit = divmod(number, len(_STUDIES_OF))
    person = group * (max(_STUDIES_OF) + 1) + _STUDIES_OF[visit]
    earlier = _STUDIES_OF[:visit].count(_STUDIES_OF[visit])  # studies of the same patient before this one
    rng = stream("patient", seed, person)
    sex = str(rng.choice(["F", "M"]))
    # Follow-up after about seven months.
    age = min(_ADULT, float(rng.uniform(0.05, _ADULT)) + 0.6 * earlier)
    ahead = float(rng.normal())  # standard deviations that the bones are ahead of the age
    if rng.random() < _MATURITY_DISORDER:
        ahead = float(rng.choice([-1, 1]) * rng.uniform(2.2, 3.5))
    spread = float(np.interp(age, _SCATTER[0], _SCATTER[1]))
    bone_age = float(np.clip(age + ahead * spread, 0.0, _ADULT))
    has_arthritis = bool(rng.random() < _ARTHRITIS_RATE) and age > 1
    return _Patient(f"phantom-{seed}-p{person:06d}", sex, age, bone_age, has_arthritis)


def _sided_regions(region: str, rng: np.random.Generator) -> list[tuple[str, str]]:
    """The parts of a study: region and side, neighbours on one side of the body."""
    side = str(rng.choice(["left", "right"]))
    # The other side is taken only where both are compared.
    other = "right" if side == "left" else "left"
    sided = [(region, side if is_paired(region) else "")]
    wanted = 1 + int(rng.random() < _MULTI_PART) * (1 + int(rng.random() < _THIRD_PART))
    while len(sided) < wanted:
        last = sided[-1][0]
        companions = table("population")["companions"][last]
        weights = np.array(list(companions.values()), dtype=float)
        name = str(rng.choice(list(companions), p=weights / weights.sum()))
        part = (last, other) if name == "both" else (name, side if is_paired(name) else "")
        # A third part may be one of the first two again; then there is none.
        if part in sided:
            break
        sided.append(part)
    return sided


def _views(region: str, age: float, most: int, rng: np.random.Generator) -> tuple[str, ...]:
    offered = views_of(region)
    count = min(len(offered), most, 1 + int(rng.choice(3, p=_IMAGES)))
    views = list(offered[:count])
    # Lateral and oblique films also occur alone.
    if count == 1 and rng.random() < 0.2:
        views = [offered[-1]]
    if region == "chest" and age < 3:  # infants lie
        views = ["AP" if view == "PA" else view for view in views]
    return tuple(views)


def _condition(regions: Sequence[str], patient: _Patient, rng: np.random.Generator) -> str:
    ticket = rng.random()
    if patient.has_arthritis and any(region in _JOINTS for region in regions):
        return _ARTHRITIS
    if "chest" in regions:
        for name, rate in table("population")["chest_conditions"].items():
            if ticket < rate:
                return str(name)
            ticket -= rate
    return ""


def _findings(region: str, condition: str, order: int, rng: np.random.Generator) -> tuple[Finding, ...]:
    names = _names_of_condition(region, condition, rng) if condition else []
    if not names and rng.random() < (_ABNORMAL_SECOND if order else _ABNORMAL):
        possible = [name for name, regions in FINDINGS.items() if region in regions]
        weights = np.array([WEIGHTS.get(name, 1.0) for name in possible])
        count = min(len(possible), 1 + int(rng.random() < _SECOND_FINDING))
        names = [str(name) for name in rng.choice(possible, size=count, replace=False, p=weights / weights.sum())]
    return tuple(
        Finding(
            name=name,
            # Mostly moderate; 0.02 at least, for a finding of no severity would be a wrong label.
            severity=float(max(rng.beta(1.6, 1.4), 0.02)),
            pick=float(rng.random()),
            along=float(rng.random()),
            sign=int(rng.choice([-1, 1])),
            variant=float(rng.random()),
        )
        for name in names
    )


def _names_of_condition(region: str, condition: str, rng: np.random.Generator) -> list[str]:
    rates: dict[str, float] = table("population")["conditions"][condition]
    drawn = [name for name, rate in rates.items() if rng.random() < rate and region in FINDINGS.get(name, ())]
    return drawn[:4]
