"""The one training format: what a triplet holds, how it is stored, split by patient, decoded and made into arrays.

Imports anatomy and artefacts only; everything else imports this.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.triplets.arrays import TripletArrays as TripletArrays
    from pedclip.triplets.arrays import to_arrays as to_arrays
    from pedclip.triplets.decoding import BadImage as BadImage
    from pedclip.triplets.decoding import decode as decode
    from pedclip.triplets.splits import SPLITS as SPLITS
    from pedclip.triplets.splits import split_of as split_of
    from pedclip.triplets.storage import load_triplets as load_triplets
    from pedclip.triplets.storage import make_split as make_split
    from pedclip.triplets.storage import save_triplets as save_triplets
    from pedclip.triplets.transforms import Preprocess as Preprocess
    from pedclip.triplets.transforms import square as square
    from pedclip.triplets.transforms import to_pixels as to_pixels

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "TripletArrays": "arrays",
        "to_arrays": "arrays",
        "BadImage": "decoding",
        "decode": "decoding",
        "SPLITS": "splits",
        "split_of": "splits",
        "load_triplets": "storage",
        "make_split": "storage",
        "save_triplets": "storage",
        "Preprocess": "transforms",
        "square": "transforms",
        "to_pixels": "transforms",
    },
)
