"""Everything that needs a GPU, in one call under ten minutes: correctness first, then throughput and memory.

    python -m benchmarks.gpu_all --json benchmarks/results/gpu_all.json --weights runs/shipped_gpu

With ``--weights`` the small weights of the package are trained too, at the end; ``benchmarks.shipped_weights ship``
makes them into a folder elsewhere. Runs with torch, timm, transformers, lightning and nothing else. On a machine
without a GPU it checks the same code on the CPU at toy size (``--toy``), which is how the tests keep it working.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import shipped_weights
from benchmarks.gpu_objectives import check_objectives, objective_steps
from benchmarks.phantom_speed import on_gpu, prepare
from benchmarks.report import describe, write_report
from pedclip.data.phantom import render
from pedclip.models.config import PedCLIPConfig
from pedclip.models.cost import EveryRow
from pedclip.models.mobe import (
    MixtureOfBodyExperts,
    mobe_batched,
    mobe_grouped,
    mobe_reference,
    route_gates,
    route_labels,
)
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import train_tokenizer
from pedclip.objectives.assignment import expert_assignment
from pedclip.objectives.contrastive import info_nce
from pedclip.triplets.transforms import Preprocess, to_pixels

# Largest accepted relative difference to the float64 reference, in units of the largest value.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 3e-2}


def relative(actual: list[Tensor], expected: list[Tensor]) -> float:
    return max(
        float((a.double() - e).abs().max() / e.abs().max().clamp(min=1e-12))
        for a, e in zip(actual, expected, strict=True)
    )


def regimes(tokens: Tensor, gates: Tensor, labels: Tensor, weights: list[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Each regime's output beside the mixture weights that the reference needs for it."""
    num_experts = gates.shape[1]
    one_hot = F.one_hot(labels, num_experts).to(gates.dtype)
    kept = torch.where(gates >= 1 / num_experts, gates, 0)
    return {
        "loop": (mobe_reference(tokens, gates, *weights), gates),
        "batched": (mobe_batched(tokens, gates, *weights), gates),
        "grouped, soft": (mobe_grouped(tokens, route_gates(gates, threshold=0.0), *weights), gates),
        "grouped, truncated": (mobe_grouped(tokens, route_gates(gates, threshold=1 / num_experts), *weights), kept),
        "grouped, labels": (
            mobe_grouped(tokens, route_labels(labels, num_experts, dtype=gates.dtype), *weights),
            one_hot,
        ),
    }


def check_regimes(device: str, size: dict[str, int]) -> list[dict[str, Any]]:
    rows = []
    for dtype in TOLERANCE:
        for length in (1, size["tokens"]):
            mobe = MixtureOfBodyExperts(size["width"], 4 * size["width"], 23).double()
            sources = [torch.randn(size["batch"], length, size["width"], dtype=torch.float64)]
            sources += [p.detach() for p in (mobe.w1, mobe.b1 + 0.1, mobe.w2, mobe.b2 + 0.1)]
            gates = (torch.randn(size["batch"], 23, dtype=torch.float64) * 3).softmax(-1)
            labels = torch.randint(23, (size["batch"],))
            exact = [source.to(device).requires_grad_() for source in sources]
            cast = [source.to(device, dtype).requires_grad_() for source in sources]
            outputs = regimes(cast[0], gates.to(device, dtype), labels.to(device), cast[1:])
            for name, (output, mixture) in outputs.items():
                reference = mobe_reference(exact[0], mixture.double(), *exact[1:])
                values = relative([output.detach()], [reference.detach()])
                gradients = relative(
                    list(torch.autograd.grad(output.sin().sum(), cast)),
                    list(torch.autograd.grad(reference.sin().sum(), exact)),
                )
                # Gradients sum over many rounded terms: they get three times the room of values.
                is_right = values <= TOLERANCE[dtype] and gradients <= 3 * TOLERANCE[dtype]
                rows.append(
                    {
                        "regime": name,
                        "dtype": str(dtype),
                        "tokens": length,
                        "values": values,
                        "gradients": gradients,
                        "ok": is_right,
                    }
                )
    return rows


def check_pixels(device: str) -> dict[str, Any]:
    films = torch.randint(0, 256, (4, 64, 64), dtype=torch.uint8)
    preprocess = Preprocess(size=56, resize=64, augment="affine")
    here, there = (
        to_pixels(films.to(d), preprocess, generator=torch.Generator().manual_seed(1)).cpu() for d in ("cpu", device)
    )
    difference = float((here - there).abs().max())
    return {"what": "to_pixels, affine, against the CPU", "largest_difference": difference, "ok": difference < 1e-4}


def check_phantom(device: str, count: int) -> dict[str, Any]:
    specs = prepare(count)
    here, there = (torch.from_numpy(render(specs, 224, device=d)).int() for d in ("cpu", device))
    far = float(((here - there).abs() > 2).float().mean())
    return {
        "what": "films of the phantom, share of pixels 3 or more grey levels from the CPU",
        "far": far,
        "ok": far < 1e-3,
    }


def train_weights(run: Path, epochs: int, studies: int, workers: int) -> dict[str, Any]:
    config = shipped_weights.configure(studies=studies, epochs=epochs)
    shipped_weights.train(run, config, workers=workers)
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    return report


def build(size: dict[str, int], device: str, **changes: Any) -> PedCLIP:
    torch.manual_seed(0)
    config = PedCLIPConfig(
        image_size=size["image"], image_width=size["width"], image_depth=size["depth"], image_heads=size["heads"],
        text_width=size["width"], text_depth=size["depth"], text_heads=size["heads"], **changes,
    )  # fmt: skip
    words = [f"word{number}" for number in range(200)]
    return PedCLIP(config, tokenizer=train_tokenizer(words, vocab_size=30_522)).to(device)


def train_step(
    model: PedCLIP, batch: int, size: dict[str, int], device: str, *, forced: bool, literal: bool
) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=device == "cuda")
    pixels = torch.randn(batch, 3, size["image"], size["image"], device=device)
    ids = torch.randint(5, 100, (batch, 120 if device == "cuda" else 12), device=device)
    mask = torch.ones_like(ids)
    regions = torch.randint(len(model.config.regions), (batch,), device=device)
    every_row = EveryRow(model.image_encoder) if literal else None

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16):
            text = model.encode_text(ids, mask).embedding
            if every_row is not None:
                loss = info_nce(every_row(pixels).float(), text, temperature=0.07)
            else:
                image = model.encode_image(pixels, regions if forced else None)
                loss = info_nce(image.embedding, text, temperature=0.07)
                if image.gate_logits:
                    loss = loss + expert_assignment(image.gate_logits, regions)
        loss.backward()
        optimizer.step()

    return step


def timed(step: Callable[[], None], device: str, rounds: int) -> dict[str, float]:
    def synchronize() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        step()
    synchronize()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        step()
        synchronize()
        seconds.append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    return {"seconds": statistics.median(seconds), "peak_gib": peak}


def throughput(size: dict[str, int], device: str, rounds: int) -> list[dict[str, Any]]:
    rows = []
    variants = {
        "plain ViT": ({"mobe_layers": ()}, False, False),
        "ours, gate": ({}, False, False),
        "ours, teacher forcing": ({}, True, False),
        "literal Eq. 2": ({"mobe_implementation": "loop"}, False, True),
    }
    for batch in (size["batch"] * 4, size["batch"]):
        for name, (changes, forced, literal) in variants.items():
            try:
                model = build(size, device, **changes)
                row = timed(train_step(model, batch, size, device, forced=forced, literal=literal), device, rounds)
                row["images_per_second"] = batch / row["seconds"]
            except torch.OutOfMemoryError:
                row = {"out_of_memory": True}
            model = None
            if device == "cuda":
                torch.cuda.empty_cache()
            rows.append({"variant": name, "batch": batch, **row})
            print(rows[-1], flush=True)
    return rows


def implementations(size: dict[str, int], device: str, rounds: int) -> list[dict[str, Any]]:
    """Forward and backward of MoBE alone on all tokens: which implementation should 'auto' choose?"""
    rows = []
    for length in (1, size["tokens"]):
        for name in ("loop", "batched", "grouped"):
            for forced in (False, True):
                torch.manual_seed(0)
                mobe = MixtureOfBodyExperts(size["width"], 4 * size["width"], 23, name).to(device)
                tokens = torch.randn(size["batch"], length, size["width"], device=device, requires_grad=True)
                labels = torch.randint(23, (size["batch"],), device=device) if forced else None

                def step(mobe: Any = mobe, tokens: Tensor = tokens, labels: Tensor | None = labels) -> None:
                    with torch.autocast(device, dtype=torch.bfloat16):
                        mobe(tokens, labels)[0].float().square().sum().backward()

                try:
                    row = timed(step, device, rounds)
                except torch.OutOfMemoryError:
                    row = {"out_of_memory": True}
                rows.append({"implementation": name, "labels": forced, "tokens": length, **row})
                print(rows[-1], flush=True)
    return rows


SIZES = {
    "full": {"batch": 64, "tokens": 197, "width": 768, "depth": 12, "heads": 12, "image": 224},
    "toy": {"batch": 4, "tokens": 5, "width": 32, "depth": 2, "heads": 2, "image": 32},
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--toy", action="store_true", help="tiny sizes, on whatever device there is")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--weights", type=Path, help="folder for a training run of the weights of the package")
    parser.add_argument("--epochs", type=int, default=30, help="of that run")
    parser.add_argument("--studies", type=int, default=40_000, help="of that run")
    options = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not options.toy:
        parser.error("there is no GPU here; pass --toy to check the script itself on the CPU")
    torch.backends.cuda.matmul.allow_tf32 = False
    size, begin = SIZES["toy" if options.toy else "full"], time.perf_counter()
    torch.manual_seed(0)
    report: dict[str, Any] = describe() | {"size": size}
    films = check_phantom(device, 8 if options.toy else 64)
    objectives = check_objectives(device, size)
    report["correctness"] = [*check_regimes(device, size), check_pixels(device), films, *objectives]
    wrong = [row for row in report["correctness"] if not row["ok"]]
    print(f"correctness: {len(report['correctness'])} checks, {len(wrong)} wrong {wrong}", flush=True)
    sections: dict[str, Callable[[], Any]] = {
        "implementations": lambda: implementations(size, device, options.rounds),
        "training_step": lambda: throughput(size, device, options.rounds),
        "objectives": lambda: objective_steps(size | {"batch": min(size["batch"], 64)}, device, options.rounds),
    }
    if device == "cuda":
        sections["phantom"] = lambda: on_gpu(224, options.rounds)
    if options.weights:
        workers = 0 if options.toy else max(1, (os.cpu_count() or 2) - 2)
        sections["weights"] = lambda: train_weights(options.weights, options.epochs, options.studies, workers)
    for name, section in sections.items():
        report[name] = section()
        report["seconds"] = time.perf_counter() - begin
        if options.json:
            write_report(options.json, report)  # after every section: a lost machine loses one section
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
