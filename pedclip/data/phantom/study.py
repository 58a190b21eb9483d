"""One study from plan to triplets: scenes posed, images drawn, boxes and masks measured, text written."""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pedclip.data.phantom import findings, reports
from pedclip.data.phantom.anatomy_shapes import ZOOM, build
from pedclip.data.phantom.population import StudyPlan, plan_study
from pedclip.data.phantom.render import Exposure, RenderSpec, attenuation, marker_rows, render
from pedclip.data.phantom.scene import Scene
from pedclip.data.phantom.shapes import Pose, Rows, project, stack

_MASK_FROM: Final = 0.05  # share of the thickness at which the extent of a finding begins
_MARKER_SHARE: Final = 0.85  # of the images carry a side marker
_STREAMS: Final = {"anatomy": 4, "pose": 5, "text": 6}  # keeps random streams of a study apart


def draw_study(number: int, *, seed: int, size: int) -> list[dict[str, Any]]:
    """The triplets of one study.

    Args:
        number: Index of the study, 0 or more.
        seed: Of the whole set.
        size: Side of the images, pixels.

    Returns:
        One row per image in the format of `pedclip.data.schema`, images as PNG bytes.
    """
    plan = plan_study(number, seed)
    scenes, sites = [], []
    for view in plan.views:
        # Equal generators: all views show one person.
        anatomy = np.random.default_rng([seed, _STREAMS["anatomy"], number])
        scene = build(plan.region, age=plan.age, sex=plan.sex, view=view, rng=anatomy)
        sites.append([findings.apply(scene, finding) for finding in plan.findings])
        scenes.append(scene)
    rng = np.random.default_rng([seed, _STREAMS["pose"], number])
    poses = [_pose(plan, scene, rng) for scene in scenes]
    specs = [_spec(plan, scene, pose, rng) for scene, pose in zip(scenes, poses, strict=True)]
    images = render(specs, size)
    text = reports.excerpt(plan, sites[0], np.random.default_rng([seed, _STREAMS["text"], number]))
    rows = []
    for order, (scene, pose, spec) in enumerate(zip(scenes, poses, specs, strict=True)):
        boxes, mask = _annotate(scene, pose, spec.exposure, size)
        rows.append(_triplet(plan, order, images[order], boxes, mask, text))
    return rows


def _triplet(
    plan: StudyPlan,
    order: int,
    image: NDArray[np.uint8],
    boxes: list[dict[str, Any]],
    mask: NDArray[np.uint8] | None,
    text: str,
) -> dict[str, Any]:
    return {
        "image": _png(image),
        "text": text,
        "region": plan.region,
        "laterality": plan.laterality,
        "view": plan.views[order],
        "patient_id": plan.patient_id,
        "study_id": plan.study_id,
        "image_id": f"{plan.study_id}-{order}",
        "age_months": plan.age * 12,
        "sex": plan.sex,
        "findings": [finding.name for finding in plan.findings],
        "boxes": boxes,
        "mask": None if mask is None else _png(mask),
        "text_source": "phantom",
        "source": "phantom",
    }


def _png(image: NDArray[np.uint8]) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=3)
    return {"bytes": buffer.getvalue(), "path": None}


def _pose(plan: StudyPlan, scene: Scene, rng: np.random.Generator) -> Pose:
    """Left limbs as laid out, right ones mirrored; young patients fill less of the detector."""
    return Pose(
        turn=scene.turn + rng.normal(0, 0.05),
        tilt=rng.normal(0, 0.05),
        mirror=plan.laterality == "right",
        scale=ZOOM.get(plan.region, 1.0) * (0.84 + 0.006 * plan.age) * rng.uniform(0.95, 1.06),
        dx=rng.normal(0, 0.02),
        dy=rng.normal(0, 0.02),
    )


def _spec(plan: StudyPlan, scene: Scene, pose: Pose, rng: np.random.Generator) -> RenderSpec:
    rows = project(stack(scene.shapes), pose)
    left, right = -1 + rng.gamma(1.2, 0.02), 1 - rng.gamma(1.2, 0.02)
    corner = rng.uniform(0.74, 0.82), rng.uniform(-0.86, -0.76), rng.uniform(0.045, 0.065)
    if rng.random() < _MARKER_SHARE:
        rows = np.concatenate([rows, _marker(plan, *corner)])
    exposure = Exposure(
        dose=float(np.exp(rng.uniform(np.log(2500), np.log(12000)))),
        blur=float(rng.uniform(0.004, 0.010)),
        gamma=float(rng.uniform(0.85, 1.15)),
        low=float(rng.uniform(-0.02, 0.04)),
        grain=float(rng.uniform(0.01, 0.035)),
        left=float(left),
        right=float(right),
        top=float(-1 + rng.gamma(1.2, 0.015)),
        bottom=float(1 - rng.gamma(1.2, 0.015)),
        seed=int(rng.integers(2**62)),
    )
    return RenderSpec(rows, exposure)


def _marker(plan: StudyPlan, x: float, y: float, height: float) -> Rows:
    """L or R: the side of a limb, or of the patient where the image shows both (right is then on the left)."""
    side = plan.laterality or "left"
    return marker_rows(side, -x if side == "right" else x, y, height)


def _annotate(
    scene: Scene, pose: Pose, exposure: Exposure, size: int
) -> tuple[list[dict[str, Any]], NDArray[np.uint8] | None]:
    """Boxes of all findings, and the mask of the lesions among them, within the collimated field."""
    if not scene.extents:
        return [], None
    names = list(dict.fromkeys(name for name, _ in scene.extents))
    groups = [project(stack([shape for other, shape in scene.extents if other == name]), pose) for name in names]
    areas = (attenuation(groups, size) > _MASK_FROM).numpy()
    centre = (np.arange(size) + 0.5) * (2.0 / size) - 1.0
    open_x = (centre > exposure.left) & (centre < exposure.right)
    open_y = (centre > exposure.top) & (centre < exposure.bottom)
    areas &= open_y[:, None] & open_x[None, :]
    boxes = [_box(area, name) for area, name in zip(areas, names, strict=True) if area.any()]
    lesions = [area for area, name in zip(areas, names, strict=True) if name in findings.LESIONS and area.any()]
    mask = np.any(lesions, axis=0).astype(np.uint8) * np.uint8(255) if lesions else None
    return boxes, mask


def _box(area: NDArray[np.bool_], label: str) -> dict[str, Any]:
    columns, rows = np.flatnonzero(area.any(0)), np.flatnonzero(area.any(1))
    return {
        "x": float(columns[0]),
        "y": float(rows[0]),
        "width": float(columns[-1] - columns[0] + 1),
        "height": float(rows[-1] - rows[0] + 1),
        "label": label,
    }
