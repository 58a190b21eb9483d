"""Retrieval of reports by film and of films by report at archive size, with a confidence per answer.

Imports models, training, and the metrics of evaluation.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.retrieval.exact_search import ConfidenceBound as ConfidenceBound
    from pedclip.retrieval.exact_search import OtherIndex as OtherIndex
    from pedclip.retrieval.exact_search import search_exact as search_exact
    from pedclip.retrieval.index import ArchiveIndex as ArchiveIndex
    from pedclip.retrieval.index import DamagedIndex as DamagedIndex
    from pedclip.retrieval.index import OtherModel as OtherModel
    from pedclip.retrieval.reranking import Rerank as Rerank
    from pedclip.retrieval.reranking import final_score as final_score
    from pedclip.retrieval.search import Found as Found
    from pedclip.retrieval.search import search_all as search_all
    from pedclip.retrieval.search import search_two_stage as search_two_stage
    from pedclip.retrieval.stages import first_stage as first_stage
    from pedclip.retrieval.vectors import PairVectors as PairVectors

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ConfidenceBound": "exact_search",
        "OtherIndex": "exact_search",
        "search_exact": "exact_search",
        "first_stage": "stages",
        "ArchiveIndex": "index",
        "DamagedIndex": "index",
        "OtherModel": "index",
        "Rerank": "reranking",
        "final_score": "reranking",
        "Found": "search",
        "search_all": "search",
        "search_two_stage": "search",
        "PairVectors": "vectors",
    },
)
