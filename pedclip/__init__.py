"""PedCLIP: vision-language pre-training for pediatric radiographs with a Mixture of Body-part Experts."""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.models.config import PedCLIPConfig as PedCLIPConfig
    from pedclip.models.pedclip import PedCLIP as PedCLIP
    from pedclip.version import __version__ as __version__

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "PedCLIPConfig": "models.config",
        "PedCLIP": "models.pedclip",
        "__version__": "version",
    },
)
