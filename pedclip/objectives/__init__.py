"""The losses: one file per published objective, found by name.

Imports models; each objective owns its heads and its views.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.objectives.assignment import expert_assignment as expert_assignment
    from pedclip.objectives.base import FeatureBatch as FeatureBatch
    from pedclip.objectives.base import Objective as Objective
    from pedclip.objectives.contrastive import gathered_info_nce as gathered_info_nce
    from pedclip.objectives.contrastive import info_nce as info_nce
    from pedclip.objectives.local_alignment import local_similarities as local_similarities
    from pedclip.objectives.registry import build as build
    from pedclip.objectives.registry import names as names
    from pedclip.objectives.tokens import Tokens as Tokens
    from pedclip.objectives.tokens import tokenize as tokenize
    from pedclip.objectives.trained import ObjectiveModel as ObjectiveModel
    from pedclip.objectives.trained import open_model as open_model

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "expert_assignment": "assignment",
        "FeatureBatch": "base",
        "Objective": "base",
        "gathered_info_nce": "contrastive",
        "info_nce": "contrastive",
        "local_similarities": "local_alignment",
        "build": "registry",
        "names": "registry",
        "Tokens": "tokens",
        "tokenize": "tokens",
        "ObjectiveModel": "trained",
        "open_model": "trained",
    },
)
