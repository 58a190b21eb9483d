"""The embedded generator: a rectified flow from report texts to films, small enough to be trained on a CPU.

Imports triplets, data, models and training; `generic` draws the captioned pictures of its non-medical control.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.synthesis.flow.captions import CaptionEncoder as CaptionEncoder
    from pedclip.synthesis.flow.checkpoint import embedded_generator as embedded_generator
    from pedclip.synthesis.flow.checkpoint import open_generator as open_generator
    from pedclip.synthesis.flow.checkpoint import save_generator as save_generator
    from pedclip.synthesis.flow.config import FlowConfig as FlowConfig
    from pedclip.synthesis.flow.config import FlowRun as FlowRun
    from pedclip.synthesis.flow.config import FlowTraining as FlowTraining
    from pedclip.synthesis.flow.config import Sampling as Sampling
    from pedclip.synthesis.flow.config import load_flow_profile as load_flow_profile
    from pedclip.synthesis.flow.cost import flow_cost as flow_cost
    from pedclip.synthesis.flow.generator import FlowGenerator as FlowGenerator
    from pedclip.synthesis.flow.generic.films import generic_films as generic_films
    from pedclip.synthesis.flow.train import FlowResult as FlowResult
    from pedclip.synthesis.flow.train import train_flow as train_flow

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CaptionEncoder": "captions",
        "embedded_generator": "checkpoint",
        "open_generator": "checkpoint",
        "save_generator": "checkpoint",
        "FlowConfig": "config",
        "FlowRun": "config",
        "FlowTraining": "config",
        "Sampling": "config",
        "load_flow_profile": "config",
        "flow_cost": "cost",
        "FlowGenerator": "generator",
        "generic_films": "generic.films",
        "FlowResult": "train",
        "train_flow": "train",
    },
)
