"""Building blocks of tiny checkpoints: networks of the libraries with random, fixed weights, films and texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import transforms
from torchvision.models.resnet import Bottleneck, ResNet
from transformers import (
    BertConfig,
    BertModel,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
)

from pedclip.models.text import train_tokenizer

TEXTS = ("No pleural effusion of the left wrist.", "Fracture.", "There is a buckle fracture of the distal radius")
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WIDTH = 64  # one head

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Tiny:
    """A checkpoint and the expected embeddings.

    Attributes:
        path: What `load_released` is given.
        image: Film (H, W) to (D,).
        text: Sentence to (D,); None for a model without texts.
    """

    path: Path
    image: Callable[[NDArray[np.uint8]], Tensor]
    text: Callable[[str], Tensor] | None


def film() -> NDArray[np.uint8]:
    """(512, 384) gray blocks, whose contrast survives any resize; twice 256, so that areas are means of four pixels."""
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 256, (16, 12)), np.ones((32, 32))).astype(np.uint8)


def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, vocab_size=60)


def random_weights(module: nn.Module, seed: int) -> nn.Module:
    """Weights large enough that every layer matters, and statistics that are not those of a fresh layer."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.is_floating_point() and value.numel() > 1:
            noise = torch.randn(value.shape, generator=generator)
            fan = value[0].numel() if value.dim() > 1 else 1
            is_scale = value.dim() == 1 and name.endswith("weight")
            noise = 0.1 * noise + is_scale if value.dim() == 1 else noise / fan**0.5
            value.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise)
    return module.eval()


def bert(seed: int = 1, num_layers: int = 4) -> BertModel:
    config = BertConfig(
        vocab_size=len(tokenizer()),
        hidden_size=WIDTH,
        num_hidden_layers=num_layers,
        num_attention_heads=1,
        intermediate_size=96,
        max_position_embeddings=256,
    )
    return random_weights(BertModel(config, add_pooling_layer=False), seed)


def resnet(seed: int = 2) -> ResNet:
    network = random_weights(ResNet(Bottleneck, [1, 1, 1, 1]), seed)
    network.fc = nn.Identity()
    return network


def alone(model: BertModel, text: str, longest: int) -> tuple[Tensor, ...]:
    """All hidden states (T, C) of one text without padding."""
    ids = tokenizer()(text, truncation=True, max_length=longest, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return tuple(state[0] for state in model(ids, output_hidden_states=True).hidden_states)


def named(prefix: str, module: nn.Module) -> Weights:
    return {prefix + name: value.clone() for name, value in module.state_dict().items()}


def published(model: Any, folder: Path) -> Weights:
    """The tensors of a model by the names that its library writes."""
    model.save_pretrained(folder / "made")
    return load_file(folder / "made" / "model.safetensors")


def prefixed(prefix: str, weights: Mapping[str, Tensor]) -> Weights:
    return {prefix + name: value for name, value in weights.items()}


def store(folder: Path, name: str, weights: Weights, content: Callable[[Weights], Any] = dict) -> Path:
    """The weights under a published file name, with the tokenizer beside them."""
    tokenizer().save_pretrained(folder)
    path = folder / name
    weights = {key: value.contiguous() for key, value in weights.items()}
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(content(weights), path)
    return path


def gray(values: NDArray[np.uint8], size: int, by: Any, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(1, 3, size, size): stretched by Pillow, 0 to 1, normalized."""
    small = Image.fromarray(values).convert("RGB").resize((size, size), by)
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])(small)[None]


def padded(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The film of `film` with black at both sides."""
    return np.pad(values, ((0, 0), (64, 64)))


def half_area(values: NDArray[np.uint8]) -> Tensor:
    """(1, 3, 224, 224): means of four pixels, padded from (256, 192) to 256, cut to the middle, in -1 to 1."""
    small = np.rint(values.reshape(256, 2, 192, 2).mean((1, 3)))
    middle = np.pad(small, ((0, 0), (32, 32)))[16:240, 16:240]
    return (torch.tensor(middle / 255, dtype=torch.float32) - 0.5).div(0.5).expand(1, 3, 224, 224)


def maps(network: ResNet, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The last two maps of torchvision's network."""
    values = network.maxpool(network.relu(network.bn1(network.conv1(pixels))))
    third = network.layer3(network.layer2(network.layer1(values)))
    return third, network.layer4(third)


def clip_pixels(values: NDArray[np.uint8]) -> Tensor:
    transform = open_clip.image_transform(224, is_train=False, mean=CLIP_MEAN, std=CLIP_STD)
    return transform(Image.fromarray(values))[None]


def open_clip_text(folder: Path) -> dict[str, Any]:
    """Configuration of a text tower whose sizes lie in a folder, so that no hub is asked."""
    bert().config.save_pretrained(folder / "bert")
    return {
        "hf_model_name": str(folder / "bert"),
        "hf_model_pretrained": False,
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 256,
    }


def open_clip_pair(model: nn.Module) -> tuple[Callable[[NDArray[np.uint8]], Tensor], Callable[[str], Tensor]]:
    def image(values: NDArray[np.uint8]) -> Tensor:
        return model.encode_image(clip_pixels(values), normalize=True)[0]

    def text(sentence: str) -> Tensor:
        return model.encode_text(tokenizer()(sentence, return_tensors="pt")["input_ids"], normalize=True)[0]

    return image, text


def dinov2(image_size: int, patch: int) -> Dinov2Model:
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 1}
    return random_weights(Dinov2Model(Dinov2Config(**sizes, image_size=image_size, patch_size=patch)), 15)


def original_dinov2(weights: Weights) -> Weights:
    """The tensors of transformers by the names of the first DINOv2, which puts query, key and value on each other."""
    renamed = {}
    for name, value in weights.items():
        for new, old in (
            ("cls_token", "embeddings.cls_token"),
            ("mask_token", "embeddings.mask_token"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("blocks.", "encoder.layer."),
            ("attn.proj", "attention.output.dense"),
            ("ls1.gamma", "layer_scale1.lambda1"),
            ("ls2.gamma", "layer_scale2.lambda1"),
        ):
            name = name.replace(old, new)
        renamed["norm" + name.removeprefix("layernorm") if name.startswith("layernorm") else name] = value
    for name in [name for name in renamed if ".attention.query." in name]:
        parts = [renamed.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        renamed[name.replace("attention.attention.query", "attn.qkv")] = torch.cat(parts)
    return renamed
