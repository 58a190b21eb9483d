"""Which findings occur where, what they share, and how a scene gets one.

Shared findings are drawn by one function, so that they look alike on different anatomy. Each records its extent, from
which boxes and masks are made, and returns the words for its place.
"""

from collections.abc import Callable
from typing import Final

from pedclip.data.phantom import bone_findings, trunk_findings
from pedclip.data.phantom.finding import Finding
from pedclip.data.phantom.scene import Scene

_LIMBS: Final = (
    "hip", "femur", "knee", "tibia_fibula", "ankle", "foot", "toe",
    "clavicle", "shoulder", "humerus", "elbow", "forearm", "wrist", "hand", "finger",
)  # fmt: skip
_JOINTS: Final = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_DIGITS: Final = ("hand", "finger", "foot", "toe")
_SHAFTS: Final = ("femur", "tibia_fibula", "humerus", "forearm")

FINDINGS: Final[dict[str, tuple[str, ...]]] = {
    "fracture": (*_LIMBS, "pelvis", "skull", "facial_bones"),
    "dislocation": ("hip", "shoulder", "elbow", *_DIGITS),
    "joint effusion": _JOINTS,
    "soft tissue swelling": (*_LIMBS[1:7], *_LIMBS[9:], "facial_bones"),
    "erosion": (*_DIGITS, "wrist", "knee", "ankle"),
    "joint space narrowing": (*_JOINTS, "pelvis", *_DIGITS),
    "periosteal reaction": (*_SHAFTS, "knee", "clavicle"),
    "lytic lesion": (*_SHAFTS, "hip", "knee", "shoulder", "clavicle", "pelvis", "skull", "thoracic_spine"),
    "sclerotic lesion": (*_SHAFTS, "knee", "ankle", "pelvis", "lumbar_spine", "cervical_spine"),
    "foreign body": ("chest", "abdomen", "foot", "hand", "finger", "toe", "cervical_spine", "facial_bones"),
    "consolidation": ("chest",),
    "pleural effusion": ("chest",),
    "pneumothorax": ("chest",),
    "cardiomegaly": ("chest",),
    "constipation": ("abdomen",),
    "bowel obstruction": ("abdomen",),
    "scoliosis": ("thoracic_spine", "lumbar_spine"),
    "compression fracture": ("cervical_spine", "thoracic_spine", "lumbar_spine"),
}

# Findings whose extent is an area of its own: these have a mask as well as a box.
LESIONS: Final = (
    "joint effusion", "soft tissue swelling", "lytic lesion", "sclerotic lesion", "foreign body", "consolidation",
    "pleural effusion", "pneumothorax",
)  # fmt: skip

# Relative frequency within a region; 1 where not listed.
WEIGHTS: Final = {"fracture": 4.0, "consolidation": 2.0, "compression fracture": 1.5, "scoliosis": 1.5}


_DRAW: Final[dict[str, Callable[[Scene, Finding], str]]] = {
    "fracture": bone_findings.fracture,
    "dislocation": bone_findings.dislocation,
    "joint effusion": bone_findings.joint_effusion,
    "soft tissue swelling": bone_findings.swelling,
    "erosion": bone_findings.erosion,
    "joint space narrowing": bone_findings.narrowing,
    "periosteal reaction": bone_findings.periosteal_reaction,
    "lytic lesion": bone_findings.lytic_lesion,
    "sclerotic lesion": bone_findings.sclerotic_lesion,
    "foreign body": trunk_findings.foreign_body,
    "consolidation": trunk_findings.consolidation,
    "pleural effusion": trunk_findings.pleural_effusion,
    "pneumothorax": trunk_findings.pneumothorax,
    "cardiomegaly": trunk_findings.cardiomegaly,
    "constipation": trunk_findings.constipation,
    "bowel obstruction": trunk_findings.bowel_obstruction,
    "scoliosis": trunk_findings.scoliosis,
    "compression fracture": trunk_findings.compression_fracture,
}


def apply(scene: Scene, finding: Finding) -> str:
    """Draw a finding into a scene, in place, and return the words for where it is ("distal radius")."""
    return _DRAW[finding.name](scene, finding)
