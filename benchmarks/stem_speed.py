"""Speed of the hybrid image encoder against the convolutional stem of old and a plain ViT-S/16.

    OMP_NUM_THREADS=1 python -m benchmarks.stem_speed --json benchmarks/results/stem_speed_cpu.json

One step is forward and backward of the image encoder (training) or forward alone (evaluation). The variants take turns,
so that a machine whose speed drifts treats them alike; the ratio to the convolutional stem of the same round counts.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from benchmarks.report import describe, write_report
from pedclip.models.image import ImageEncoder, build_vit
from pedclip.models.stem import HybridStem
from pedclip.training.profiles import load_profile

REFERENCE = "convolutional 112"


def encoder(stem: str, size: int, *, frozen: bool = False) -> ImageEncoder:
    """The demo's image encoder with another stem or side; "plain" is ViT-S/16 without experts."""
    torch.manual_seed(0)
    if stem == "plain":
        return ImageEncoder(build_vit("vit_small_patch16_224", image_size=size), mobe_layers=(), num_experts=1)
    model = load_profile("demo").model
    sizes = {"patch_size": model.image_patch_size, "embed_dim": model.image_width}
    sizes |= {"depth": model.image_depth, "num_heads": model.image_heads}
    vit = build_vit(model.image_architecture, image_size=size, stem=stem, backbone=model.image_backbone, **sizes)
    if isinstance(vit.patch_embed, HybridStem):
        vit.patch_embed.backbone.requires_grad_(not frozen)
    return ImageEncoder(vit, mobe_layers=model.mobe_layers, num_experts=len(model.regions))


def variants() -> dict[str, ImageEncoder]:
    """Encoders by name; the number is the input side."""
    return {
        REFERENCE: encoder("convolutional", 112),
        "hybrid, frozen 112": encoder("hybrid", 112, frozen=True),
        "hybrid 112": encoder("hybrid", 112),
        "plain ViT-S 112": encoder("plain", 112),
        "hybrid, frozen 224": encoder("hybrid", 224, frozen=True),
        "hybrid 224": encoder("hybrid", 224),
        "plain ViT-S 224": encoder("plain", 224),
    }


def images_per_second(model: ImageEncoder, batch: int, *, is_training: bool) -> float:
    """Rate of one step."""
    side = model.vit.patch_embed.img_size[0] if hasattr(model.vit.patch_embed, "img_size") else 112
    pixels = torch.randn(batch, 3, side, side)
    model.train(is_training)
    begin = time.perf_counter()
    with torch.set_grad_enabled(is_training):
        image_token = model(pixels)[0]  # (B, C)
        if is_training:
            image_token.square().mean().backward()
    return batch / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    models = variants()
    rows = {}
    for kind, is_training in (("training", True), ("evaluation", False)):
        for model in models.values():
            images_per_second(model, options.batch, is_training=is_training)  # warm-up
        rounds = [
            {name: images_per_second(model, options.batch, is_training=is_training) for name, model in models.items()}
            for _ in range(options.rounds)
        ]
        for name in models:
            rate = statistics.median(one[name] for one in rounds)
            ratio = statistics.median(one[name] / one[REFERENCE] for one in rounds)
            rows[f"{kind}, {name}"] = {"images_per_second": round(rate, 1), "ratio": round(ratio, 3)}
            print(f"{kind:12s}{name:22s}{rate:10.1f} images/s{ratio:8.3f} of {REFERENCE}")
    if options.json:
        what = f"image encoder, batch {options.batch}, median of {options.rounds} rounds"
        write_report(options.json, describe() | {"what": what, "rows": rows})


if __name__ == "__main__":
    main()
