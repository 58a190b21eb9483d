"""ImageNet features: those of timm's own network, in the form that probes read."""

import timm
import torch

from pedclip.evaluation.features import extract_features
from pedclip.models.imagenet import ImageNetEncoder


def test_features_are_those_of_the_network_without_its_classifier(tmp_path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("resnet18").eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    encoder = ImageNetEncoder("resnet18", weights=str(tmp_path / "w.pth"), image_size=64).eval()
    pixels = torch.randn(2, 3, 64, 64)
    features = encoder.encode_image(pixels)
    assert (features.embedding.shape, features.dense.shape) == ((2, 512), (2, 1 + 4, 512))
    torch.testing.assert_close(network.fc(features.embedding), network(pixels))
    torch.testing.assert_close(features.dense[:, 1:].mean(1), features.dense[:, 0])
    assert encoder.preprocess.mean == network.pretrained_cfg["mean"]


def test_probes_read_them(tmp_path) -> None:
    encoder = ImageNetEncoder("resnet18", weights="random", image_size=64)
    films = torch.randint(0, 255, (3, 73, 73), dtype=torch.uint8).numpy()
    features = extract_features(encoder, films, cache=tmp_path)
    assert (features.embedding.shape, features.pooled.shape) == ((3, 512), (3, 1024))
