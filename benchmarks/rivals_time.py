"""One training step of any objective, for timing."""

from collections.abc import Callable
from itertools import cycle

import torch

from pedclip.objectives.tokens import tokenize
from pedclip.training.batches import EpochBatches, TokenizedTriplets
from pedclip.training.config import RunConfig
from pedclip.training.loop import build_model
from pedclip.training.module import batch_losses, build_objective
from pedclip.triplets.arrays import TripletArrays


def step_of(config: RunConfig, films: TripletArrays, *, device: str = "cpu") -> Callable[[], None]:
    """A function that does one whole step: views, both encoders, losses, gradients, optimizer.

    Args:
        config: Of the model and the objective.
        films: To train on.
        device: "cpu" or "cuda".
    """
    torch.manual_seed(config.training.seed)
    model = build_model(config, films).train().to(device)
    objective = build_objective(config.training, model).train().to(device)
    parameters = [one for part in (model, objective) for one in part.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.training.learning_rate)
    tokens = tokenize(model.tokenizer, films.texts, max_tokens=config.model.max_text_tokens)
    data = TokenizedTriplets(films, tokens, torch.from_numpy(films.regions))
    batches = cycle(EpochBatches(data.regions, config.training.batch_size, seed=0))
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        batch = {name: value.to(device) for name, value in data[next(batches)].items()}
        # Past the teacher forcing: what most steps of a run are.
        values = batch_losses(model, objective, batch, epoch=config.training.epochs - 0.5, generator=generator)
        optimizer.zero_grad(set_to_none=True)
        values["loss"].backward()
        optimizer.step()
        if device != "cpu":
            torch.cuda.synchronize()

    return step
