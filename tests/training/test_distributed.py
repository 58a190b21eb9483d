"""Two processes (gloo) against one process on the joined batch: total loss and the gradient of every weight."""

from pathlib import Path

import torch
from torch import Tensor, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives import FeatureBatch, build
from pedclip.training.batches import EpochBatches
from pedclip.training.datamodule import TripletDataModule
from pedclip.training.loop import build_model
from pedclip.triplets.transforms import to_pixels
from tests.training.tiny import tiny_arrays, tiny_config


class TotalLoss(torch.nn.Module):
    """Model and objective as one module, so that DDP can wrap it."""

    def __init__(self, model: PedCLIP) -> None:
        super().__init__()
        self.model = model
        self.objective = build("pedclip", model, mask_equal_texts=True)

    def forward(self, rows: list[int], dataset: object) -> Tensor:
        batch = dataset[rows]
        pixels = to_pixels(batch["images"], self.model.preprocess).double()
        features = FeatureBatch(
            image=self.model.encode_image(pixels, batch["regions"]),
            text=self.model.encode_text(batch["input_ids"], batch["attention_mask"]),
            attention_mask=batch["attention_mask"],
            regions=batch["regions"],
            text_ids=batch["text_ids"],
            temperature=self.model.temperature,
            epoch=0.0,
        )
        return self.objective(features)["loss"]


def _prepare() -> tuple[TotalLoss, object]:
    config = tiny_config({"learn_temperature": True})
    torch.manual_seed(0)
    arrays = tiny_arrays(8)
    model = (
        build_model(config, arrays).double().eval()
    )  # without dropout: its noise differs between processes on purpose
    return TotalLoss(model), TripletDataModule(arrays, tiny_arrays(0), model, config.training).train


def _one_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2, store=store)
    loss_module, dataset = _prepare()
    wrapped = DistributedDataParallel(loss_module)
    batches = EpochBatches(dataset.regions, 4, seed=0, rank=rank, world_size=2)
    loss = wrapped(next(iter(batches)), dataset)
    loss.backward()
    joined = loss.detach().clone()
    torch.distributed.all_reduce(joined)
    gradients = {name: p.grad for name, p in loss_module.named_parameters() if p.grad is not None}
    torch.save({"loss": joined / 2, "gradients": gradients}, f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_one_rank, args=(str(tmp_path),), nprocs=2)
    loss_module, dataset = _prepare()
    loss = loss_module(next(iter(EpochBatches(dataset.regions, 8, seed=0))), dataset)
    loss.backward()
    expected = {name: p.grad for name, p in loss_module.named_parameters() if p.grad is not None}
    assert "model.log_temperature" in expected
    for rank in range(2):
        actual = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(actual["loss"], loss.detach(), rtol=1e-6, atol=1e-6)
        assert actual["gradients"].keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(actual["gradients"][name], gradient, rtol=1e-6, atol=1e-6, msg=name)
