"""Cost of a flow's network, counted and not estimated."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from pedclip.synthesis.flow.config import FlowConfig, Sampling
from pedclip.synthesis.flow.network import FlowNetwork


@dataclass(frozen=True)
class FlowCost:
    """Size and work of a network.

    Attributes:
        parameters: Number of weights.
        gflop_per_pass: One film, once through the network, in 10⁹ additions and multiplications.
        gflop_per_film: From noise to film.
        gflop_per_step: One step of the training with one film, forward and backward.
    """

    parameters: int
    gflop_per_pass: float
    gflop_per_film: float
    gflop_per_step: float


def flow_cost(
    config: FlowConfig, *, text_width: int = 128, text_tokens: int = 48, sampling: Sampling | None = None
) -> FlowCost:
    """Cost of a network; nothing is computed.

    Args:
        config: Sizes.
        text_width: C of the text encoder.
        text_tokens: L, its longest text.
        sampling: Way from noise to film; None for the default.
    """
    sampling = sampling or Sampling()
    # Tensors without memory: shapes are all that counts.
    with torch.device("meta"):
        network = FlowNetwork(config, text_width=text_width)
        films, times = torch.empty(1, 1, config.image_size, config.image_size), torch.empty(1)
        tokens, mask = torch.empty(1, text_tokens, text_width), torch.empty(1, text_tokens)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        network(films, times, tokens, mask)
    # Without no_grad, the counter sees the way back as well.
    with FlopCounterMode(display=False) as both:
        network(films, times, tokens, mask).sum().backward()
    one = float(forward.get_total_flops()) / 1e9
    # Guidance asks twice, Heun's method twice again.
    passes = sampling.steps * (1 + (sampling.solver == "heun")) * (1 + (sampling.guidance not in (0, 1)))
    parameters = sum(value.numel() for value in network.parameters())
    return FlowCost(parameters, one, one * passes, float(both.get_total_flops()) / 1e9)
