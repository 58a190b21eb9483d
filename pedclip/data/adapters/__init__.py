"""Public data sets in their own layouts, each read into `Sample`s; `stream.read_card_folder` makes triplets of them."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Final

from pedclip.data.adapters.reader import Reader
from pedclip.data.adapters.sample import Sample

Adapter = Callable[[Reader], Iterator[Sample]]

# Loader of the card to the module and function that know the layout.
_ADAPTERS: Final = {
    "chd-cxr": ("chd", "read_chd"),
    "chexpert": ("chexpert", "read_chexpert"),
    "covidx": ("covidx", "read_covidx"),
    "grazpedwri-dx": ("graz", "read_graz"),
    "mimic-cxr": ("mimic", "read_mimic"),
    "mura": ("mura", "read_mura"),
    "nih-chestxray14": ("nih", "read_nih"),
    "object-cxr": ("object_cxr", "read_object_cxr"),
    "pedi-cxr": ("vindr", "read_pedi_cxr"),
    "radimagenet": ("radimagenet", "read_radimagenet"),
    "roco": ("roco", "read_roco"),
    "rsna-bone-age": ("bone_age", "read_hands"),
    "rsna-pneumonia": ("rsna_pneumonia", "read_rsna_pneumonia"),
    "siim-acr-pneumothorax": ("siim", "read_siim"),
}

ADAPTERS: Final = tuple(_ADAPTERS)


def find_adapter(loader: str) -> Adapter:
    """The function that reads a layout.

    Args:
        loader: One of `ADAPTERS`.

    Raises:
        ValueError: No such adapter.
    """
    if loader not in _ADAPTERS:
        raise ValueError(f"no adapter {loader!r}; there are {', '.join(_ADAPTERS)}.")
    # An adapter is imported only when its data set is read.
    module, function = _ADAPTERS[loader]
    adapter: Adapter = getattr(import_module(f"pedclip.data.adapters.{module}"), function)
    return adapter
