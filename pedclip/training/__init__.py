"""Pre-training: configuration, batches, the loop, and runs that survive being killed.

Imports data and objectives; the shell enters by ``python -m pedclip.training``.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.training.config import RunConfig as RunConfig
    from pedclip.training.launcher import launch as launch
    from pedclip.training.loop import build_model as build_model
    from pedclip.training.loop import pretrain as pretrain
    from pedclip.training.model_card import checkpoint_card as checkpoint_card
    from pedclip.training.preparation import prepare as prepare
    from pedclip.training.profiles import configure as configure
    from pedclip.training.profiles import load_profile as load_profile
    from pedclip.training.profiles import starting_points as starting_points
    from pedclip.training.recipes import with_recipe as with_recipe
    from pedclip.training.schedule import expert_schedule as expert_schedule

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "RunConfig": "config",
        "configure": "profiles",
        "load_profile": "profiles",
        "starting_points": "profiles",
        "launch": "launcher",
        "build_model": "loop",
        "pretrain": "loop",
        "checkpoint_card": "model_card",
        "prepare": "preparation",
        "with_recipe": "recipes",
        "expert_schedule": "schedule",
    },
)
