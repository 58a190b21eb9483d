"""Sources of triplets: the phantom, anyone's folders, and public data sets by their cards.

Imports triplets and curation.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.data.cards import read_card as read_card
    from pedclip.data.loading import load as load
    from pedclip.data.loading import read_folder as read_folder
    from pedclip.data.loading import read_source as read_source
    from pedclip.data.loading import summary as summary
    from pedclip.data.phantom.archive import write_phantom_archive as write_phantom_archive
    from pedclip.data.phantom.gallery import finding_gallery as finding_gallery
    from pedclip.data.phantom.gallery import region_gallery as region_gallery
    from pedclip.data.phantom.stream import generate as generate
    from pedclip.data.phantom.stream import generate_reports as generate_reports

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "read_card": "cards",
        "load": "loading",
        "read_folder": "loading",
        "read_source": "loading",
        "summary": "loading",
        "generate": "phantom.stream",
        "generate_reports": "phantom.stream",
        "write_phantom_archive": "phantom.archive",
        "finding_gallery": "phantom.gallery",
        "region_gallery": "phantom.gallery",
    },
)
