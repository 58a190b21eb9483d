"""Tiny checkpoints of two towers in their published layouts, and their embeddings by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import transforms
from transformers import SwinConfig, SwinModel

from tests.models.released.tiny_networks import (
    CLIP_MEAN,
    CLIP_STD,
    IMAGENET,
    WIDTH,
    Tiny,
    Weights,
    alone,
    bert,
    dinov2,
    gray,
    half_area,
    maps,
    named,
    open_clip_pair,
    open_clip_text,
    original_dinov2,
    padded,
    prefixed,
    published,
    random_weights,
    resnet,
    store,
)


def biomedclip(folder: Path) -> Tiny:
    vision = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
    model = random_weights(open_clip.CustomTextCLIP(32, vision, open_clip_text(folder)), 3)
    weights = dict(model.state_dict())
    # What files of older versions hold besides.
    weights["text.transformer.embeddings.position_ids"] = torch.arange(256)[None]
    return Tiny(store(folder, "open_clip_pytorch_model.bin", weights), *open_clip_pair(model))


def unimed_clip(folder: Path) -> Tiny:
    vision = {"layers": 2, "width": WIDTH, "patch_size": 32, "image_size": 224}
    model = random_weights(open_clip.CustomTextCLIP(32, vision, open_clip_text(folder), quick_gelu=True), 4)
    weights = {f"module.{name}": value for name, value in model.state_dict().items()}
    path = store(folder, "unimed_clip_vit_b16.pt", weights, lambda tensors: {"epoch": 10, "state_dict": tensors})
    return Tiny(path, *open_clip_pair(model))


def chexzero(folder: Path) -> Tiny:
    vision = {"layers": 2, "width": WIDTH, "patch_size": 32, "image_size": 224}
    text = {"layers": 2, "width": WIDTH, "heads": 1, "context_length": 77, "vocab_size": 49408}
    model = random_weights(open_clip.CLIP(32, vision, text, quick_gelu=True), 5)

    def image(values: NDArray[np.uint8]) -> Tensor:
        canvas = Image.new("L", (320, 320))
        canvas.paste(Image.fromarray(values).resize((240, 320), Image.Resampling.LANCZOS), (40, 0))
        pixels = torch.tensor(np.array(canvas), dtype=torch.float32).expand(1, 3, 320, 320)
        resize = transforms.Resize(224, transforms.InterpolationMode.BICUBIC, antialias=False)
        return model.encode_image(resize(pixels - 101.48761).div(83.43944), normalize=True)[0]

    def embed(sentence: str) -> Tensor:
        return model.encode_text(open_clip.tokenize([sentence]), normalize=True)[0]

    path = folder / "chexzero.pt"
    torch.save(dict(model.state_dict()), path)
    return Tiny(path, image, embed)


def swin(folder: Path) -> tuple[SwinModel, Weights]:
    config = SwinConfig(embed_dim=32, depths=[2, 1], num_heads=[1, 2], window_size=7, image_size=224)
    model = random_weights(SwinModel(config), 6)
    weights = published(model, folder)
    # Files of older versions hold the numbers of the offsets within a window.
    weights["encoder.layers.0.blocks.0.attention.self.relative_position_index"] = torch.zeros(49, 49).long()
    return model, weights


def medclip_text(head: nn.Linear, text: str) -> Tensor:
    states = alone(bert(), text, 77)
    return F.normalize(head(torch.stack([states[1], states[2], states[-1]]).mean((0, 1))), dim=0)


def medclip(folder: Path) -> Tiny:
    network, weights = swin(folder)
    image_head, text_head = (nn.Linear(WIDTH, 32, bias=False) for _ in range(2))
    random_weights(nn.Sequential(image_head, text_head), 7)
    weights = prefixed("vision_model.model.", weights) | named("vision_model.projection_head.", image_head)
    weights |= named("text_model.model.", bert()) | named("text_model.projection_head.", text_head)
    weights |= {"logit_scale": torch.tensor(2.6), "text_model.model.embeddings.position_ids": torch.arange(256)[None]}

    def image(values: NDArray[np.uint8]) -> Tensor:
        mean, std = [0.5862785803043838] * 3, [0.27950088968644304] * 3
        pixels = gray(padded(values), 224, Image.Resampling.BICUBIC, mean, std)
        return F.normalize(image_head(network(pixels).pooler_output[0]), dim=0)

    path = store(folder, "pytorch_model.bin", weights)
    return Tiny(path, image, lambda text: medclip_text(text_head, text))


def medclip_resnet50(folder: Path) -> Tiny:
    network, head = resnet(), random_weights(nn.Linear(WIDTH, 32, bias=False), 7)
    network.fc = random_weights(nn.Linear(2048, 32, bias=False), 8)
    weights = named("vision_model.model.", network) | named("text_model.model.", bert())
    weights |= named("text_model.projection_head.", head) | {"logit_scale": torch.tensor(2.6)}

    def image(values: NDArray[np.uint8]) -> Tensor:
        mean, std = [0.5862785803043838] * 3, [0.27950088968644304] * 3
        pixels = gray(padded(values), 224, Image.Resampling.BICUBIC, mean, std)
        return F.normalize(network(pixels)[0], dim=0)

    return Tiny(store(folder, "pytorch_model.bin", weights), image, lambda text: medclip_text(head, text))


def gloria(folder: Path) -> Tiny:
    network, text_model = resnet(), bert()
    head, region_head = (
        random_weights(nn.Linear(2048, WIDTH), 9),
        random_weights(nn.Conv2d(1024, WIDTH, 1, bias=False), 20),
    )
    weights = named("gloria.img_encoder.model.", network) | named("gloria.text_encoder.model.", text_model)
    weights |= named("gloria.img_encoder.global_embedder.", head)
    weights |= named("gloria.img_encoder.local_embedder.", region_head)
    weights["gloria.text_encoder.model.pooler.dense.weight"] = torch.zeros(WIDTH, WIDTH)

    def image(values: NDArray[np.uint8]) -> Tensor:
        pixels = nn.Upsample((299, 299), mode="bilinear", align_corners=True)(half_area(values))
        return F.normalize(head(maps(network, pixels)[1].mean((2, 3))[0]), dim=0)

    def text(sentence: str) -> Tensor:
        # The sum over tokens has the direction of the published mean over all slots.
        return F.normalize(sum(state.sum(0) for state in alone(text_model, sentence, 97)[-4:]), dim=0)

    path = store(folder, "chexpert_resnet50.ckpt", weights, lambda tensors: {"epoch": 3, "state_dict": tensors})
    return Tiny(path, image, text)


def mgca_head(channels: int, seed: int) -> nn.Sequential:
    layers = nn.Linear(channels, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 32), nn.BatchNorm1d(32, affine=False)
    return random_weights(nn.Sequential(*layers), seed)


def mgca(folder: Path, *, is_resnet: bool = False) -> Tiny:
    text_model, text_head = bert(num_layers=6), mgca_head(WIDTH, 10)
    network: Any = resnet() if is_resnet else None
    if network is None:
        network = timm.create_model("vit_tiny_patch16_224", depth=2, num_classes=0)
        random_weights(network, 11)
    head = mgca_head(2048 if is_resnet else 192, 12)
    weights = named("img_encoder_q.model.", network) | named("img_encoder_q.global_embed.head.", head)
    weights |= named("text_encoder_q.model.", text_model) | named("text_encoder_q.global_embed.head.", text_head)
    weights |= {"prototype_layer.weight": torch.zeros(5, 32), "img_encoder_q.local_embed.head.0.bias": torch.zeros(48)}

    def image(values: NDArray[np.uint8]) -> Tensor:
        pixels = half_area(values)
        if is_resnet:
            pixels = nn.Upsample((299, 299), mode="bilinear", align_corners=True)(pixels)
        return F.normalize(head(network(pixels)), dim=1)[0]

    def text(sentence: str) -> Tensor:
        return F.normalize(text_head(alone(text_model, sentence, 112)[-1][:1]), dim=1)[0]

    name = "resnet_50.ckpt" if is_resnet else "vit_base.ckpt"
    return Tiny(store(folder, name, weights, lambda tensors: {"state_dict": tensors}), image, text)


def convirt(folder: Path) -> Tiny:
    network, text_model = resnet(), bert(num_layers=6)
    head, text_head = mgca_head(2048, 13), mgca_head(WIDTH, 21)
    weights = named("img_encoder.model.", network) | named("img_encoder.global_embed.head.", head)
    weights |= named("text_encoder.model.", text_model) | named("text_encoder.global_embed.head.", text_head)
    # What its loss does not use, and what BERT of that time stored.
    for part in ("img_encoder", "text_encoder"):
        weights[f"{part}.local_embed.head.0.weight"] = torch.zeros(48, 1024, 1)
    weights["text_encoder.model.embeddings.position_ids"] = torch.arange(256)[None]

    def image(values: NDArray[np.uint8]) -> Tensor:
        pixels = gray(values, 224, Image.Resampling.BILINEAR, *IMAGENET)
        pixels = nn.Upsample((299, 299), mode="bilinear", align_corners=True)(pixels)
        return F.normalize(head(network(pixels)), dim=1)[0]

    def text(sentence: str) -> Tensor:
        return F.normalize(text_head(alone(text_model, sentence, 112)[-1][:1]), dim=1)[0]

    path = store(folder, "convirt.pth", weights, lambda tensors: {"model": tensors, "optimizer": {}, "epoch": 49})
    return Tiny(path, image, text)


def shortest(values: NDArray[np.uint8], size: int, by: Any, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(1, 3, size, size): the shorter side resized by torchvision, the middle cut out, 0 to 1, normalized."""
    steps = transforms.Resize(size, by), transforms.CenterCrop(size), transforms.ToTensor()
    return transforms.Compose([*steps, transforms.Normalize(mean, std)])(Image.fromarray(values).convert("RGB"))[None]


def cxr_clip(folder: Path, *, is_resnet: bool = False) -> Tiny:
    text_model = bert()
    heads = [nn.Linear(width, 32) for width in (2048 if is_resnet else WIDTH, WIDTH)]
    random_weights(nn.Sequential(*heads), 14)
    network: Any = None
    if is_resnet:
        network = resnet()
        weights = named("image_encoder.resnet.", network)
    else:
        network, own = swin(folder)
        weights = prefixed("image_encoder.image_encoder.", own)
    weights |= named("text_encoder.text_encoder.", text_model) | {"logit_scale": torch.tensor(2.6)}
    weights["text_encoder.text_encoder.pooler.dense.weight"] = torch.zeros(WIDTH, WIDTH)
    weights |= named("image_projection.projection.", heads[0]) | named("text_projection.projection.", heads[1])

    def image(values: NDArray[np.uint8]) -> Tensor:
        mean, std = IMAGENET if is_resnet else ([0.5] * 3, [0.5] * 3)
        features = network(shortest(values, 224, transforms.InterpolationMode.BILINEAR, mean, std))
        # The first place of the map: the published code reads it as an image token.
        return F.normalize(heads[0](features if is_resnet else features.last_hidden_state[:, 0])[0], dim=0)

    def text(sentence: str) -> Tensor:
        return F.normalize(heads[1](alone(text_model, sentence, 256)[-1][-1]), dim=0)

    name = "r50_mcc.tar" if is_resnet else "swint_mcc.tar"
    path = store(folder, name, weights, lambda tensors: {"model": tensors, "config": {"base": {}}, "epoch": 15})
    return Tiny(path, image, text)


def chexficient(folder: Path) -> Tiny:
    network, text_model = dinov2(378, 54), bert()
    heads = [random_weights(nn.Linear(WIDTH, 32), seed) for seed in (16, 17)]
    weights = prefixed("image_encoder.model.", original_dinov2(published(network, folder)))
    weights |= named("text_encoder.model.", text_model)
    weights |= named("image_projection.projection.", heads[0]) | named("text_projection.projection.", heads[1])
    weights["text_encoder.model.pooler.dense.weight"] = torch.zeros(WIDTH, WIDTH)
    # What its choice of training data remembers.
    for name in ("prototype_usage", "step_count", "batch_prototype_updates", "batch_update_weight_stats"):
        weights[name] = torch.zeros(2)
    weights |= {"pending_ema_features": torch.zeros(0, 64), "pending_ema_similarities": torch.zeros(0, 2)}
    weights |= {"logit_scale": torch.tensor(4.6), "prototypes": torch.ones(2, 64)}

    def image(values: NDArray[np.uint8]) -> Tensor:
        pixels = shortest(values, 378, transforms.InterpolationMode.BICUBIC, CLIP_MEAN, CLIP_STD)
        return F.normalize(heads[0](network(pixels).last_hidden_state[0, 0]), dim=0)

    def text(sentence: str) -> Tensor:
        return F.normalize(heads[1](alone(text_model, sentence, 256)[-1][-1]), dim=0)

    path = store(folder, "pytorch_model.pth", weights, lambda tensors: {"model": tensors, "subset": ["a.png"]})
    return Tiny(path, image, text)
