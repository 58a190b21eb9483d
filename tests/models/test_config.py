"""The defaults of the configuration are the published model."""

from dataclasses import asdict

from pedclip.anatomy import REGIONS
from pedclip.models.config import PedCLIPConfig


def test_defaults_are_the_published_model() -> None:
    architecture = {name: 0 for name in ("image_patch_size", "image_width", "image_depth", "image_heads")}
    assert asdict(PedCLIPConfig()) == architecture | {
        "regions": REGIONS,
        "image_architecture": "vit_base_patch16_224",
        "image_size": 224,
        "image_stem": "patch",
        "image_backbone": "tf_efficientnet_lite0",
        "mobe_layers": (-1,),
        "gate_input": "post_norm",
        "expert_init": "copy",
        "expert_width": 0,
        "detach_gate": False,
        "mobe_implementation": "auto",
        "gate_threshold": 0.0,
        # BERT base, whose vocabulary has 30 522 pieces; the paper pads to 120 tokens.
        "text_width": 768,
        "text_depth": 12,
        "text_heads": 12,
        "vocab_size": 30_522,
        "max_text_tokens": 120,
        "projection_dim": 0,
        "temperature": 0.07,
        "learn_temperature": False,
    }
