"""Films of other patients that a report of the phantom describes just as well: the same facts in another body."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.imaging.render import RenderSpec, draw
from pedclip.data.phantom.population import StudyPlan
from pedclip.data.phantom.random_streams import stream
from pedclip.data.phantom.study import Described, film_spec, scene_in

_ATTEMPTS: Final = 32  # bodies that are tried in one view; 19 of 20 fit at once


@dataclass(frozen=True, slots=True)
class Retake:
    """A film to be taken of another patient.

    Age, bone age, sex, findings with their severities, and equipment are those of the study, because its words may
    depend on any of them; anatomy, pose, exposure and noise are new. A body in which a finding would lie in another
    place than the report says is passed over. Where 32 in a row do not fit, another view of the part is taken, and
    after these the first view of the patient himself in a new pose: about one film in a hundred.

    Args:
        plan: The study that the report is about.
        part: Of the plan.
        view: Of the part.
        seed: Of the set that the study belongs to.
        body: Number of the other patient, 0 to 2⁶³ - 1; none is the patient of the study.
    """

    plan: StudyPlan
    part: int
    view: str
    seed: int
    body: int


def draw_retakes(retakes: Sequence[Retake], size: int) -> NDArray[np.uint8]:
    """Films of other patients.

    Args:
        retakes: B films; none depends on the others.
        size: Height and width, at least 32 pixels.

    Returns:
        (B, size, size) grey levels, 0 to 255.
    """
    return draw([_spec(*_fitting(retake)) for retake in retakes], size).images


def _fitting(retake: Retake) -> tuple[Retake, Scene, np.random.Generator]:
    """The view that was taken, a scene that the report describes, and what chooses the pose."""
    views = retake.plan.parts[retake.part].views
    told = _own_scene(retake, views[0])[1]  # the report is about the first view
    for view in (retake.view, *(other for other in views if other != retake.view)):
        for attempt in range(_ATTEMPTS):
            rng = stream("retake", retake.seed, retake.plan.number, retake.part, retake.body, attempt)
            anatomy, incidental, pose = rng.spawn(3)
            scene, described = _scene(retake, view, anatomy, incidental)
            if described == told:
                return replace(retake, view=view), scene, pose
    # Rare forms of a body, such as a finger that is drawn alone: only the patient himself is known to have it.
    return replace(retake, view=views[0]), _own_scene(retake, views[0])[0], pose


def _own_scene(retake: Retake, view: str) -> tuple[Scene, Described]:
    place = (retake.seed, retake.plan.number, retake.part)
    return _scene(retake, view, stream("anatomy", *place), stream("incidental", *place))


def _scene(
    retake: Retake, view: str, anatomy: np.random.Generator, incidental: np.random.Generator
) -> tuple[Scene, Described]:
    # Equipment as in the study, whose report names it, wherever the other body has room for it.
    worn = stream("equipment", retake.seed, retake.plan.number, retake.part)
    return scene_in(retake.plan, retake.part, view, anatomy=anatomy, incidental=incidental, worn=worn)


def _spec(retake: Retake, scene: Scene, rng: np.random.Generator) -> RenderSpec:
    return film_spec(retake.plan, retake.plan.parts[retake.part], retake.view, scene, rng)[1]
