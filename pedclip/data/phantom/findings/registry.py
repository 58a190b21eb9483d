"""Which findings occur where, what they share, and how a scene gets one.

Shared findings are drawn by one function, so that they look alike on different anatomy. Each records its extent, from
which boxes and masks are made, and returns the words for its place. The tables are in `findings.json`.
"""

from collections.abc import Callable
from typing import Final

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.findings import bone as bone_findings
from pedclip.data.phantom.findings import chest as chest_findings
from pedclip.data.phantom.findings import fractures, soft_tissue
from pedclip.data.phantom.findings import joint as joint_findings
from pedclip.data.phantom.findings import trunk as trunk_findings
from pedclip.data.phantom.findings.finding import Finding
from pedclip.data.phantom.findings.fractures import form
from pedclip.data.phantom.findings.soft_tissue import incidental
from pedclip.data.phantom.resources import table

__all__ = ["FINDINGS", "LESIONS", "WEIGHTS", "apply", "form", "incidental"]

_TABLES: Final = table("findings")

# Name of a finding -> regions in which it occurs.
FINDINGS: Final[dict[str, tuple[str, ...]]] = {name: tuple(where) for name, where in _TABLES["regions"].items()}
# Findings whose extent is an area of its own: these have a mask as well as a box.
LESIONS: Final[tuple[str, ...]] = tuple(_TABLES["lesions"])
# Relative frequency within a region; 1 where not listed.
WEIGHTS: Final[dict[str, float]] = dict(_TABLES["weights"])

# The words for the place come back, because only the drawing knows which bone was chosen.
_DRAW: Final[dict[str, Callable[[Scene, Finding], str]]] = {
    "fracture": fractures.fracture,
    "compression fracture": fractures.compression_fracture,
    "dislocation": joint_findings.dislocation,
    "joint effusion": joint_findings.joint_effusion,
    "soft tissue swelling": soft_tissue.swelling,
    "inflammation": joint_findings.inflammation,
    "bony changes": joint_findings.bony_changes,
    "erosion": joint_findings.erosion,
    "joint space narrowing": joint_findings.narrowing,
    "periosteal reaction": bone_findings.periosteal_reaction,
    "lytic lesion": bone_findings.lytic_lesion,
    "sclerotic lesion": bone_findings.sclerotic_lesion,
    "foreign body": trunk_findings.foreign_body,
    "consolidation": chest_findings.consolidation,
    "interstitial opacity": chest_findings.interstitial_opacity,
    "increased pulmonary vascularity": chest_findings.increased_vascularity,
    "pleural effusion": chest_findings.pleural_effusion,
    "pneumothorax": chest_findings.pneumothorax,
    "cardiomegaly": chest_findings.cardiomegaly,
    "constipation": trunk_findings.constipation,
    "bowel obstruction": trunk_findings.bowel_obstruction,
    "scoliosis": trunk_findings.scoliosis,
}


def apply(scene: Scene, finding: Finding) -> str:
    """Draw a finding into a scene.

    Args:
        scene: Changed in place; `scene.extents` grows by what covers the finding.
        finding: What to draw.

    Returns:
        The words for where it is ("distal radius"), never empty.

    Raises:
        KeyError: No finding has this name.
    """
    return _DRAW[finding.name](scene, finding)
