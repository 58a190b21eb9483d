"""One study from plan to triplets: scenes posed, images drawn, boxes and masks measured, text written."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pedclip.data.phantom.body.layouts import build
from pedclip.data.phantom.body.posing import sample_pose
from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.findings import equipment
from pedclip.data.phantom.findings import registry as findings
from pedclip.data.phantom.imaging.develop import open_field, sample_exposure
from pedclip.data.phantom.imaging.markers import sample_marker
from pedclip.data.phantom.imaging.render import RenderSpec, attenuation, draw
from pedclip.data.phantom.imaging.shapes import ADDED, Pose, Rows, Shape, project, stack
from pedclip.data.phantom.population import Part, StudyPlan, plan_study
from pedclip.data.phantom.random_streams import stream
from pedclip.data.phantom.report.compose import StudyReport, study_report
from pedclip.triplets.annotations import BONE, LUNG

_MASK_FROM: Final = 0.05  # fraction of the thickness at which the extent of a finding begins
_LUNG_FROM: Final = 0.15  # likewise of a lung
# Per device: studies of 1 to 4 images drawn together, as many as fill it (`render` says why).
_STUDIES_AT_ONCE: Final = {"cpu": 16, "cuda": 128}
_LUNGS: Final = ("left lung", "right lung")
_IN_FRONT_OF_LUNG: Final = ("heart", "mediastinum", "diaphragm")


@dataclass(frozen=True, slots=True)
class _Film:
    part: int
    view: str
    scene: Scene
    pose: Pose
    spec: RenderSpec


@dataclass(frozen=True, slots=True)
class Described:
    """Words of a report that only the drawing knows.

    Args:
        sites: Places of the findings, in their order.
        equipment: Names of what lies on the part.
    """

    sites: tuple[str, ...]
    equipment: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Areas:
    """Areas that were measured on a film, each (S, S)."""

    findings: dict[str, NDArray[np.bool_]]
    structures: NDArray[np.uint8]


def draw_study(number: int, *, seed: int, size: int) -> list[dict[str, Any]]:
    """The triplets of one study.

    Args:
        number: Index of the study, 0 or more.
        seed: Of the whole set.
        size: Height and width of the images, pixels.

    Returns:
        One row per image in the format of `pedclip.triplets.schema`, images as PNG bytes.
    """
    return draw_studies([number], seed=seed, size=size)[0]


def draw_studies(
    numbers: Sequence[int], *, seed: int, size: int, device: str | torch.device = "cpu"
) -> list[list[dict[str, Any]]]:
    """The triplets of several studies, drawn together.

    Args:
        numbers: Indices of the studies.
        seed: Of the whole set.
        size: Height and width of the images, pixels.
        device: Where to draw. On a CPU a study does not depend on those drawn with it; devices differ by rounding.

    Returns:
        For each study one row per image, as from `draw_study`.
    """
    return draw_plans([plan_study(number, seed) for number in numbers], seed=seed, size=size, device=device)


def draw_plans(
    plans: Sequence[StudyPlan], *, seed: int, size: int, device: str | torch.device = "cpu"
) -> list[list[dict[str, Any]]]:
    """The triplets of planned studies, drawn together.

    Args:
        plans: Contents of the studies; their numbers and `seed` choose everything else.
        seed: Of anatomy, pose, exposure and words.
        size: Height and width of the images, pixels.
        device: "cpu" or "cuda": where to draw.

    Returns:
        For each study one row per image, as from `draw_study`.
    """
    studies: list[list[dict[str, Any]]] = []
    at_once = _STUDIES_AT_ONCE[torch.device(device).type]
    for begin in range(0, len(plans), at_once):
        some = plans[begin : begin + at_once]
        laid_out = [_lay_out(plan, seed) for plan in some]
        films = [film for _, films in laid_out for film in films]
        drawing = draw([film.spec for film in films], size, device=device)
        areas = _measure(films, drawing.bones, size, device)
        # Films of all studies in one row, handed out in that order.
        drawn = iter(zip(drawing.images, areas, strict=True))
        for plan, (report, own) in zip(some, laid_out, strict=True):
            rows = [_triplet(plan, film, order, report, *next(drawn)) for order, film in enumerate(own)]
            studies.append(rows)
    return studies


def report_of(number: int, *, seed: int) -> StudyReport:
    """The report of one study, the same as with its images, without drawing these."""
    plan = plan_study(number, seed)
    # The first view is enough: sites and equipment are the same in all.
    described = [_scene(plan, part, plan.parts[part].views[0], seed)[1] for part in range(len(plan.parts))]
    return _report(plan, described, seed)


def _report(plan: StudyPlan, described: Sequence[Described], seed: int) -> StudyReport:
    rng = stream("text", seed, plan.number)
    return study_report(plan, [found.sites for found in described], rng, equipment=[one.equipment for one in described])


def _scene(plan: StudyPlan, order: int, view: str, seed: int) -> tuple[Scene, Described]:
    # Equal generators for each view: all of them show one person.
    names = ("anatomy", "incidental", "equipment")
    anatomy, incidental, worn = (stream(name, seed, plan.number, order) for name in names)
    return scene_in(plan, order, view, anatomy=anatomy, incidental=incidental, worn=worn)


def scene_in(
    plan: StudyPlan,
    order: int,
    view: str,
    *,
    anatomy: np.random.Generator,
    incidental: np.random.Generator,
    worn: np.random.Generator,
) -> tuple[Scene, Described]:
    """A part of a study in one view, and the words for what is on it.

    Args:
        plan: The study.
        order: Of the part in the plan.
        view: Of the part.
        anatomy: Chooses the body.
        incidental: Chooses what no report mentions.
        worn: Chooses what lies on the part.
    """
    part = plan.parts[order]
    bones = {"age": plan.age, "bone_age": plan.bone_age}
    scene = build(part.region, **bones, sex=plan.sex, view=view, rng=anatomy)
    sites = tuple(findings.apply(scene, finding) for finding in part.findings)
    if not part.findings:
        findings.incidental(scene, incidental)
    return scene, Described(sites, equipment.apply(scene, part.region, worn))


def film_spec(
    plan: StudyPlan, part: Part, view: str, scene: Scene, rng: np.random.Generator
) -> tuple[Pose, RenderSpec]:
    """The pose in which a scene is filmed, and what is drawn.

    Args:
        plan: The study.
        part: Of the plan.
        view: Of the part.
        scene: Of the part in this view.
        rng: Chooses pose, marker and exposure.
    """
    pose = sample_pose(part.region, view=view, age=plan.age, laterality=part.laterality, rng=rng)
    # The turn of the view and the small error of positioning add up.
    pose = replace(pose, turn=pose.turn + scene.turn)
    # The marker lies on the detector: the pose of the patient does not move it.
    rows = np.concatenate([project(stack(scene.shapes), pose), sample_marker(part.laterality, rng)])
    return pose, RenderSpec(rows, sample_exposure(rng))


def _lay_out(plan: StudyPlan, seed: int) -> tuple[StudyReport, list[_Film]]:
    rng = stream("pose", seed, plan.number)
    films, described = [], []
    for order, part in enumerate(plan.parts):
        scenes = [_scene(plan, order, view, seed) for view in part.views]
        described.append(scenes[0][1])
        for view, (scene, _) in zip(part.views, scenes, strict=True):
            films.append(_Film(order, view, scene, *film_spec(plan, part, view, scene, rng)))
    return _report(plan, described, seed), films


def _measure(films: Sequence[_Film], bones: NDArray[np.bool_], size: int, device: str | torch.device) -> list[_Areas]:
    """Extents of findings and structures within the collimated fields, all measured at once."""
    groups: list[tuple[int, str, float, Rows]] = []
    for index, film in enumerate(films):
        # One group per film and finding: shapes of one finding are measured together.
        for name in dict.fromkeys(name for name, _ in film.scene.extents):
            shapes = [shape for other, shape in film.scene.extents if other == name]
            groups.append((index, name, _MASK_FROM, project(stack(shapes), film.pose)))
        # A slash keeps the two areas of structures apart from findings of these names.
        for key, names in (("lung", _LUNGS), ("in front", _IN_FRONT_OF_LUNG)):
            shapes = [_filled(shape) for shape in film.scene.shapes if shape.name in names]
            if shapes and any(shape.name in _LUNGS for shape in film.scene.shapes):
                groups.append((index, f"/{key}", _LUNG_FROM, project(stack(shapes), film.pose)))
    depths = attenuation([rows for *_, rows in groups], size, device=device).cpu().numpy()  # (groups, S, S)
    fields = (open_field([film.spec.exposure for film in films], size) > 0.5).numpy()
    found: list[dict[str, NDArray[np.bool_]]] = [{} for _ in films]
    for (index, name, least, _), depth in zip(groups, depths, strict=True):
        # What the collimator hides is not in the film, so it has no box either.
        found[index][name] = (depth > least) & fields[index]
    measured = []
    for areas, bone, field in zip(found, bones, fields, strict=True):
        # The visible lung: without heart, mediastinum and diaphragm.
        lung = areas.pop("/lung", np.zeros_like(bone)) & ~areas.pop("/in front", np.zeros_like(bone))
        structures = (bone & field) * np.uint8(BONE) + lung * np.uint8(LUNG)  # bits of `triplets.annotations`
        measured.append(_Areas({name: area for name, area in areas.items() if area.any()}, structures))
    return measured


def _filled(shape: Shape) -> Shape:
    """The outline of a shape as something to be measured, whatever it is made of."""
    return replace(shape, density=1.0, cortex=0.0, hollow=0.0, layer=ADDED)


def _triplet(
    plan: StudyPlan, film: _Film, order: int, report: StudyReport, image: NDArray[np.uint8], areas: _Areas
) -> dict[str, Any]:
    part = plan.parts[film.part]
    # One mask for all lesions; their boxes stay apart.
    lesions = [area for name, area in areas.findings.items() if name in findings.LESIONS]
    return {
        "image": _png(image),
        "text": " ".join(report.part_excerpts[film.part]),
        "region": part.region,
        "laterality": part.laterality,
        "view": film.view,
        "patient_id": plan.patient_id,
        "study_id": plan.study_id,
        "image_id": f"{plan.study_id}-{order}",
        "age_months": plan.age * 12,
        "sex": plan.sex,
        "findings": [finding.name for finding in part.findings],
        "boxes": [_box(area, name) for name, area in areas.findings.items()],
        "mask": _png(np.any(lesions, axis=0) * np.uint8(255)) if lesions else None,
        "severity": [finding.severity for finding in part.findings],
        "bone_age_months": plan.bone_age * 12,
        "structures": _png(areas.structures),
        "text_source": "phantom",
        "source": "phantom",
    }


def _png(image: NDArray[np.uint8]) -> dict[str, Any]:
    buffer = io.BytesIO()
    # Level 1: noise hardly compresses, and the slower levels gain little.
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return {"bytes": buffer.getvalue(), "path": None}


def _box(area: NDArray[np.bool_], label: str) -> dict[str, Any]:
    columns, rows = np.flatnonzero(area.any(0)), np.flatnonzero(area.any(1))  # pixels, both ends included
    return {
        "x": float(columns[0]),
        "y": float(rows[0]),
        "width": float(columns[-1] - columns[0] + 1),
        "height": float(rows[-1] - rows[0] + 1),
        "label": label,
    }
