"""PedCLIP: vision-language pre-training for pediatric radiographs with a Mixture of Body-part Experts."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pedclip.models.config import PedCLIPConfig as PedCLIPConfig
    from pedclip.models.pedclip import PedCLIP as PedCLIP

__version__ = "0.1.0"
__all__ = ["PedCLIP", "PedCLIPConfig", "__version__"]


def __getattr__(name: str) -> Any:
    # torch, timm and transformers take seconds to import; a script that only asks for the regions never pays.
    if name == "PedCLIP":
        from pedclip.models.pedclip import PedCLIP

        return PedCLIP
    if name == "PedCLIPConfig":
        from pedclip.models.config import PedCLIPConfig

        return PedCLIPConfig
    raise AttributeError(f"module 'pedclip' has no attribute {name!r}")
