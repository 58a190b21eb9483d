"""The six concepts of inflammatory arthritis that the paper probes one by one."""

from typing import Final

# Concept as the paper names it -> finding as the vocabulary names it.
# Source: PedCLIP, Fig. 4 right (decision P27): an independent probe for each.
CONCEPTS: Final[dict[str, str]] = {
    "inflammation": "inflammation",
    "bony changes": "bony changes",
    "erosion": "erosion",
    "joint space narrowing": "joint space narrowing",
    "soft tissue swelling": "soft tissue swelling",
    "effusion": "joint effusion",
}
