"""Tiny checkpoints in the layout of each release, and their embeddings by a path that shares nothing with the door.

Weights are random and fixed. Films are prepared with Pillow, torchvision or open_clip, networks are those of open_clip,
transformers, torchvision and timm, and each text is embedded alone, so that no padding or mask can be wrong.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import transforms
from torchvision.models.resnet import Bottleneck, ResNet
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SwinConfig,
    SwinModel,
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


def bert(seed: int = 1, **sizes: int) -> BertModel:
    config = BertConfig(
        vocab_size=len(tokenizer()),
        hidden_size=WIDTH,
        num_hidden_layers=4,
        num_attention_heads=1,
        intermediate_size=96,
        max_position_embeddings=256,
        **sizes,
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
    text_model, text_head = bert(), mgca_head(WIDTH, 10)
    network: Any = resnet() if is_resnet else None
    if network is None:
        network = timm.create_model("vit_tiny_patch16_224", depth=2, num_classes=0)
        random_weights(network, 11)
    head = mgca_head(2048 if is_resnet else 192, 12)
    weights = named("img_encoder_q.model.", network) | named("img_encoder_q.global_embed.head.", head)
    weights |= named("text_encoder_q.model.", text_model) | named("text_encoder_q.global_embed.head.", text_head)
    weights["prototype_layer.weight"] = torch.zeros(5, 32)

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
    network, text_model = resnet(), bert()
    heads = [nn.Sequential(nn.Linear(width, 48), nn.ReLU(), nn.Linear(48, 32)) for width in (2048, WIDTH)]
    random_weights(nn.Sequential(*heads), 13)
    weights = named("img_encoder.model.", network) | named("img_proj.", heads[0])
    weights |= named("text_encoder.model.", text_model) | named("text_proj.", heads[1])

    def image(values: NDArray[np.uint8]) -> Tensor:
        return F.normalize(heads[0](network(gray(values, 224, Image.Resampling.BILINEAR, *IMAGENET)))[0], dim=0)

    def text(sentence: str) -> Tensor:
        return F.normalize(heads[1](alone(text_model, sentence, 256)[-1].amax(0)), dim=0)

    return Tiny(store(folder, "model.safetensors", weights), image, text)


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
    weights |= named("text_encoder.text_encoder.", text_model) | {"logit_scale": torch.ones(1)}
    weights |= named("image_projection.projection.", heads[0]) | named("text_projection.projection.", heads[1])

    def image(values: NDArray[np.uint8]) -> Tensor:
        mean, std = IMAGENET if is_resnet else ([0.5] * 3, [0.5] * 3)
        features = network(gray(values, 224, Image.Resampling.BICUBIC, mean, std))
        return F.normalize(heads[0](features if is_resnet else features.pooler_output)[0], dim=0)

    def text(sentence: str) -> Tensor:
        return F.normalize(heads[1](alone(text_model, sentence, 256)[-1][-1]), dim=0)

    name = "cxr-clip-resnet50.safetensors" if is_resnet else "cxr-clip.safetensors"
    return Tiny(store(folder, name, weights), image, text)


def dinov2(image_size: int, patch: int) -> Dinov2Model:
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 1}
    return random_weights(Dinov2Model(Dinov2Config(**sizes, image_size=image_size, patch_size=patch)), 15)


def chexficient(folder: Path) -> Tiny:
    network, text_model = dinov2(378, 54), bert()
    heads = [random_weights(nn.Linear(WIDTH, 32, bias=False), seed) for seed in (16, 17)]
    weights = prefixed("vision_model.", published(network, folder)) | named("text_model.", text_model)
    weights |= named("visual_projection.", heads[0]) | named("text_projection.", heads[1])
    weights["logit_scale"] = torch.tensor(3.0)

    def image(values: NDArray[np.uint8]) -> Tensor:
        pixels = gray(values, 378, Image.Resampling.BICUBIC, CLIP_MEAN, CLIP_STD)
        return F.normalize(heads[0](network(pixels).last_hidden_state[0, 0]), dim=0)

    def text(sentence: str) -> Tensor:
        return F.normalize(heads[1](alone(text_model, sentence, 256)[-1][0]), dim=0)

    return Tiny(store(folder, "model.safetensors", weights), image, text)


def preprocessor(folder: Path, **changes: Any) -> None:
    content = {"do_resize": True, "size": {"shortest_edge": 224}, "resample": 3, "do_center_crop": True}
    content |= {"crop_size": {"height": 224, "width": 224}, "do_rescale": True, "rescale_factor": 1 / 255}
    content |= {"do_normalize": True, "image_mean": CLIP_MEAN, "image_std": CLIP_STD, **changes}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))


def transformers_clip(folder: Path) -> Tiny:
    words = tokenizer()
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 96}
    end = {"eos_token_id": words.sep_token_id, "bos_token_id": words.cls_token_id, "pad_token_id": words.pad_token_id}
    text_config = {**sizes, **end, "vocab_size": len(words), "max_position_embeddings": 77}
    vision_config = {**sizes, "image_size": 224, "patch_size": 32}
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


def transformers_siglip(folder: Path, *, image_size: int, by_tensorflow: bool) -> Tiny:
    words = tokenizer()
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 96}
    end = {"eos_token_id": words.sep_token_id, "bos_token_id": words.cls_token_id, "pad_token_id": words.pad_token_id}
    text_config = {**sizes, **end, "vocab_size": len(words), "max_position_embeddings": 64, "projection_size": WIDTH}
    vision_config = {**sizes, "image_size": image_size, "patch_size": 64}
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
    model = dinov2(56, 14)
    torch.save(published(model, folder), folder / "pytorch_model.bin")
    model.config.save_pretrained(folder)
    mean, std = [0.53] * 3, [0.26] * 3
    size = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    preprocessor(folder, **size, image_mean=mean, image_std=std)

    def image(values: NDArray[np.uint8]) -> Tensor:
        small = np.array(Image.fromarray(values).resize((56, 74), Image.Resampling.BICUBIC))[9:65]
        pixels = transforms.Normalize(mean, std)(transforms.ToTensor()(small).expand(3, -1, -1))
        return F.normalize(model(pixel_values=pixels[None]).last_hidden_state[0, 0], dim=0)

    return Tiny(folder, image, None)


MAKERS: dict[str, Callable[[Path], Tiny]] = {
    "biomedclip": biomedclip,
    "chexzero": chexzero,
    "medclip": medclip,
    "medclip-resnet50": medclip_resnet50,
    "gloria": gloria,
    "mgca": mgca,
    "mgca-resnet50": lambda folder: mgca(folder, is_resnet=True),
    "convirt": convirt,
    "cxr-clip": cxr_clip,
    "cxr-clip-resnet50": lambda folder: cxr_clip(folder, is_resnet=True),
    "unimed-clip": unimed_clip,
    "xrayclip": transformers_clip,
    "xraysiglip": lambda folder: transformers_siglip(folder, image_size=512, by_tensorflow=False),
    "chexficient": chexficient,
    "medsiglip": lambda folder: transformers_siglip(folder, image_size=448, by_tensorflow=True),
    "rad-dino": rad_dino,
    "pubmedclip": transformers_clip,
}
