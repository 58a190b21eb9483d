"""Archives of films or reports as memory-mapped files, and their search: of all items, approximate, or exact.

Files and searches import the vectors and the final score of retrieval; what builds an index imports its models too.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.retrieval.archive.build import BuiltIndex as BuiltIndex
    from pedclip.retrieval.archive.build import build_film_index as build_film_index
    from pedclip.retrieval.archive.build import build_index as build_index
    from pedclip.retrieval.archive.build import build_report_index as build_report_index
    from pedclip.retrieval.archive.distributed import encoded_in_order as encoded_in_order
    from pedclip.retrieval.archive.distributed import ray_vectors as ray_vectors
    from pedclip.retrieval.archive.encoding import Encoded as Encoded
    from pedclip.retrieval.archive.encoding import film_vectors as film_vectors
    from pedclip.retrieval.archive.encoding import fingerprint as fingerprint
    from pedclip.retrieval.archive.encoding import report_vectors as report_vectors
    from pedclip.retrieval.archive.exact_search import ConfidenceBound as ConfidenceBound
    from pedclip.retrieval.archive.exact_search import search_exact as search_exact
    from pedclip.retrieval.archive.index import ArchiveIndex as ArchiveIndex
    from pedclip.retrieval.archive.index import DamagedIndex as DamagedIndex
    from pedclip.retrieval.archive.index import IndexInUse as IndexInUse
    from pedclip.retrieval.archive.index import OtherIndex as OtherIndex
    from pedclip.retrieval.archive.index import OtherModel as OtherModel
    from pedclip.retrieval.archive.search import Found as Found
    from pedclip.retrieval.archive.search import search_all as search_all
    from pedclip.retrieval.archive.search import search_two_stage as search_two_stage
    from pedclip.retrieval.archive.stages import first_stage as first_stage
    from pedclip.retrieval.archive.timing import SearchTime as SearchTime
    from pedclip.retrieval.archive.timing import time_searches as time_searches

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BuiltIndex": "build",
        "build_film_index": "build",
        "build_index": "build",
        "build_report_index": "build",
        "encoded_in_order": "distributed",
        "ray_vectors": "distributed",
        "Encoded": "encoding",
        "film_vectors": "encoding",
        "fingerprint": "encoding",
        "report_vectors": "encoding",
        "ConfidenceBound": "exact_search",
        "search_exact": "exact_search",
        "ArchiveIndex": "index",
        "DamagedIndex": "index",
        "IndexInUse": "index",
        "OtherIndex": "index",
        "OtherModel": "index",
        "Found": "search",
        "search_all": "search",
        "search_two_stage": "search",
        "first_stage": "stages",
        "SearchTime": "timing",
        "time_searches": "timing",
    },
)
