"""The losses: one file per published objective.

Imports models; each objective owns its heads.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.objectives.assignment import expert_assignment as expert_assignment
    from pedclip.objectives.contrastive import gathered_info_nce as gathered_info_nce
    from pedclip.objectives.contrastive import info_nce as info_nce

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "expert_assignment": "assignment",
        "gathered_info_nce": "contrastive",
        "info_nce": "contrastive",
    },
)
