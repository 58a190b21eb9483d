"""Triplets: the phantom, saved sets, and anyone's folders of images, in one format.

`load` comes at first use, so that `pedclip.data.transforms` and reading a cache need no `datasets`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pedclip.data.loading import load, read_folder
    from pedclip.data.triplets import load_triplets, save_triplets

__all__ = ["load", "load_triplets", "read_folder", "save_triplets"]


def __getattr__(name: str) -> Any:
    if name in {"load", "read_folder"}:
        from pedclip.data import loading

        return getattr(loading, name)
    if name in {"load_triplets", "save_triplets"}:
        from pedclip.data import triplets

        return getattr(triplets, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
