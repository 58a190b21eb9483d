"""Other people's weights behind one door, each with its own transform, tokenizer, prompts and score.

Imports triplets and what stands before it; open_clip only where a model is asked for that it alone knows.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.models.released.films import FilmTransform as FilmTransform
    from pedclip.models.released.load import load_released as load_released
    from pedclip.models.released.model import ReleasedModel as ReleasedModel
    from pedclip.models.released.release import Release as Release
    from pedclip.models.released.release import find_release as find_release
    from pedclip.models.released.release import list_released as list_released

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "FilmTransform": "films",
        "load_released": "load",
        "ReleasedModel": "model",
        "Release": "release",
        "find_release": "release",
        "list_released": "release",
    },
)
