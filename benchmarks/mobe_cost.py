"""Cost of one forward and backward pass: plain ViT, literal Eq. 2 in the last block, and ours.

    python -m benchmarks.mobe_cost --json benchmarks/results/mobe_cost_cpu.json

The three are interleaved, so that a machine whose speed drifts treats them alike; the ratio to the plain ViT of the
same round is what counts.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.report import describe, write_report
from pedclip.models.cost import EveryRow
from pedclip.models.image import ImageEncoder, build_vit

NUM_EXPERTS = 23


def build(architecture: str, mobe_layers: tuple[int, ...], implementation: str = "auto") -> ImageEncoder:
    torch.manual_seed(0)
    vit = build_vit(architecture, image_size=224, weights="")
    return ImageEncoder(vit, mobe_layers=mobe_layers, num_experts=NUM_EXPERTS, implementation=implementation)


def variants(architecture: str) -> dict[str, Callable[[Tensor], Tensor]]:
    plain, literal, ours = build(architecture, ()), build(architecture, (-1,), "loop"), build(architecture, (-1,))
    return {
        "plain ViT": lambda pixels: plain(pixels)[0],
        "literal Eq. 2": EveryRow(literal),
        "ours": lambda pixels: ours(pixels)[0],
    }


def seconds(step: Callable[[Tensor], Tensor], pixels: Tensor) -> float:
    begin = time.perf_counter()
    step(pixels).square().mean().backward()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="vit_small_patch16_224")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    steps = variants(options.architecture)
    pixels = torch.randn(options.batch, 3, 224, 224)
    for step in steps.values():
        seconds(step, pixels)  # warm-up
    rounds = [{name: seconds(step, pixels) for name, step in steps.items()} for _ in range(options.rounds)]
    rows = {
        name: {
            "median_ms": 1e3 * statistics.median(r[name] for r in rounds),
            "median_ratio_to_plain": statistics.median(r[name] / r["plain ViT"] for r in rounds),
        }
        for name in steps
    }
    with torch.no_grad():
        literal, ours = (
            variants(options.architecture)["literal Eq. 2"](pixels),
            variants(options.architecture)["ours"](pixels),
        )
    report = describe() | {
        "what": f"forward + backward, {options.architecture}, 224², batch {options.batch}, {NUM_EXPERTS} experts",
        "largest_difference_of_outputs": float((literal - ours).abs().max()),
        "rows": rows,
    }
    for name, row in rows.items():
        print(f"{name:14s} {row['median_ms']:8.1f} ms   {row['median_ratio_to_plain']:.2f} × plain")
    if options.json:
        write_report(options.json, report)


if __name__ == "__main__":
    main()
