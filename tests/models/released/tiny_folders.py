"""Tiny folders of transformers, and their embeddings by its own models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision import transforms
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from tests.models.released.tiny_networks import (
    CLIP_MEAN,
    CLIP_STD,
    TEXTS,
    WIDTH,
    Tiny,
    dinov2,
    gray,
    published,
    random_weights,
    tokenizer,
)


def preprocessor(folder: Path, **changes: Any) -> None:
    content = {"do_resize": True, "size": {"shortest_edge": 224}, "resample": 3, "do_center_crop": True}
    content |= {"crop_size": {"height": 224, "width": 224}, "do_rescale": True, "rescale_factor": 1 / 255}
    content |= {"do_normalize": True, "image_mean": CLIP_MEAN, "image_std": CLIP_STD, **changes}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))


def transformers_clip(folder: Path, *, patch_size: int = 32) -> Tiny:
    words = tokenizer()
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 96}
    end = {"eos_token_id": words.sep_token_id, "bos_token_id": words.cls_token_id, "pad_token_id": words.pad_token_id}
    text_config = {**sizes, **end, "vocab_size": len(words), "max_position_embeddings": 77}
    vision_config = {**sizes, "image_size": 224, "patch_size": patch_size}
    model = random_weights(
        CLIPModel(CLIPConfig(text_config=text_config, vision_config=vision_config, projection_dim=32)), 18
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    preprocessor(folder)

    def image(values: NDArray[np.uint8]) -> Tensor:
        # The film is (512, 384): shorter side to 224, then the middle of 298 rows.
        small = np.array(Image.fromarray(values).resize((224, 298), Image.Resampling.BICUBIC))[37:261]
        whole = transforms.Normalize(CLIP_MEAN, CLIP_STD)(transforms.ToTensor()(small).expand(3, -1, -1))
        return F.normalize(model(input_ids=torch.tensor([[1, 3]]), pixel_values=whole[None]).image_embeds[0], dim=0)

    def text(sentence: str) -> Tensor:
        ids = words(sentence, return_tensors="pt")["input_ids"]
        hidden = model.text_model(input_ids=ids).last_hidden_state[0, -1]
        return F.normalize(model.text_projection(hidden), dim=0)

    return Tiny(folder, image, text)


def transformers_siglip(folder: Path, *, image_size: int, patch_size: int, by_tensorflow: bool) -> Tiny:
    words = tokenizer()
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 96}
    end = {"eos_token_id": words.sep_token_id, "bos_token_id": words.cls_token_id, "pad_token_id": words.pad_token_id}
    text_config = {**sizes, **end, "vocab_size": len(words), "max_position_embeddings": 64, "projection_size": WIDTH}
    vision_config = {**sizes, "image_size": image_size, "patch_size": patch_size}
    model = random_weights(SiglipModel(SiglipConfig(text_config=text_config, vision_config=vision_config)), 19)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    size = {"height": image_size, "width": image_size}
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    preprocessor(folder, size=size, do_center_crop=False, **half)

    def image(values: NDArray[np.uint8]) -> Tensor:
        pixels = gray(values, image_size, Image.Resampling.BICUBIC, *half.values())
        if by_tensorflow:
            # Half-pixel centres, two neighbours in each direction, nothing averaged away: 512 x 384 to 448 x 448.
            rows, columns = ((np.arange(448) + 0.5) * length / 448 - 0.5 for length in (512, 384))
            pixels = torch.tensor(bilinear(values / 255, rows, columns), dtype=torch.float32)
            pixels = ((pixels - 0.5) / 0.5).expand(1, 3, -1, -1)
        return F.normalize(model.vision_model(pixel_values=pixels).pooler_output[0], dim=0)

    def text(sentence: str) -> Tensor:
        return siglip_text(model, words, sentence, padding="max_length")

    return Tiny(folder, image, text)


def siglip_text(model: Any, words: Any, sentence: str, *, padding: str) -> Tensor:
    """The last position, of whatever length the padding makes."""
    ids = words([sentence, *TEXTS], padding=padding, max_length=64, truncation=True, return_tensors="pt")["input_ids"]
    hidden = model.text_model(input_ids=ids).last_hidden_state[0, -1]
    return F.normalize(model.text_model.head(hidden), dim=0)


def bilinear(values: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Values at fractions of pixels, the border repeated."""

    def mix(lines: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
        low = np.floor(places).astype(int)
        first, second = (lines[(low + step).clip(0, len(lines) - 1)] for step in (0, 1))
        return first + (second - first) * (places - low)[:, None]

    return mix(mix(values, rows).T, columns).T


def rad_dino(folder: Path) -> Tiny:
    model = dinov2(518, 14)
    torch.save(published(model, folder), folder / "pytorch_model.bin")
    model.config.save_pretrained(folder)
    mean, std = [0.53] * 3, [0.26] * 3
    size = {"size": {"shortest_edge": 518}, "crop_size": {"height": 518, "width": 518}}
    preprocessor(folder, **size, image_mean=mean, image_std=std)

    def image(values: NDArray[np.uint8]) -> Tensor:
        small = np.array(Image.fromarray(values).resize((518, 690), Image.Resampling.BICUBIC))[86:604]
        pixels = transforms.Normalize(mean, std)(transforms.ToTensor()(small).expand(3, -1, -1))
        return F.normalize(model(pixel_values=pixels[None]).last_hidden_state[0, 0], dim=0)

    return Tiny(folder, image, None)
