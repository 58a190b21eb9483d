"""The experiment on drawn films: arms, trainings at equal steps, downstream scores, differences to the real arm.

Imports triplets, training and evaluation.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.synthesis.experiment.arms import ARMS as ARMS
    from pedclip.synthesis.experiment.arms import Arm as Arm
    from pedclip.synthesis.experiment.arms import film_sets as film_sets
    from pedclip.synthesis.experiment.arms import impossible_arms as impossible_arms
    from pedclip.synthesis.experiment.comparison import compare_arms as compare_arms
    from pedclip.synthesis.experiment.comparison import printed_cells as printed_cells
    from pedclip.synthesis.experiment.downstream import DownstreamOptions as DownstreamOptions
    from pedclip.synthesis.experiment.downstream import DownstreamScorer as DownstreamScorer
    from pedclip.synthesis.experiment.train import ArmRun as ArmRun
    from pedclip.synthesis.experiment.train import arm_config as arm_config
    from pedclip.synthesis.experiment.train import film_size as film_size
    from pedclip.synthesis.experiment.train import initial_model as initial_model
    from pedclip.synthesis.experiment.train import train_arm as train_arm

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ARMS": "arms",
        "Arm": "arms",
        "film_sets": "arms",
        "impossible_arms": "arms",
        "compare_arms": "comparison",
        "printed_cells": "comparison",
        "DownstreamScorer": "downstream",
        "DownstreamOptions": "downstream",
        "ArmRun": "train",
        "arm_config": "train",
        "film_size": "train",
        "initial_model": "train",
        "train_arm": "train",
    },
)
