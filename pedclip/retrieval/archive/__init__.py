"""Archives of films or reports as memory-mapped files, and their search: of all items, approximate, or exact.

Imports the vectors and the final score of retrieval, nothing of its models.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.retrieval.archive.exact_search import ConfidenceBound as ConfidenceBound
    from pedclip.retrieval.archive.exact_search import OtherIndex as OtherIndex
    from pedclip.retrieval.archive.exact_search import search_exact as search_exact
    from pedclip.retrieval.archive.index import ArchiveIndex as ArchiveIndex
    from pedclip.retrieval.archive.index import DamagedIndex as DamagedIndex
    from pedclip.retrieval.archive.index import OtherModel as OtherModel
    from pedclip.retrieval.archive.search import Found as Found
    from pedclip.retrieval.archive.search import search_all as search_all
    from pedclip.retrieval.archive.search import search_two_stage as search_two_stage
    from pedclip.retrieval.archive.stages import first_stage as first_stage

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ConfidenceBound": "exact_search",
        "OtherIndex": "exact_search",
        "search_exact": "exact_search",
        "ArchiveIndex": "index",
        "DamagedIndex": "index",
        "OtherModel": "index",
        "Found": "search",
        "search_all": "search",
        "search_two_stage": "search",
        "first_stage": "stages",
    },
)
