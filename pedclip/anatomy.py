"""The 23 body regions (stub, replaced by the real module)."""

REGIONS: tuple[str, ...] = (
    "chest", "abdomen", "pelvis", "hip", "femur", "knee", "tibia_fibula", "ankle", "foot", "toe",
    "clavicle", "shoulder", "humerus", "elbow", "forearm", "wrist", "hand", "finger",
    "skull", "facial_bones", "cervical_spine", "thoracic_spine", "lumbar_spine",
)  # fmt: skip
