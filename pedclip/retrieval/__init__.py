"""Retrieval of reports by film and of films by report: PECM, and search at archive size with a confidence per answer.

Imports triplets, curation.report for sentences, models, training and evaluation.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.retrieval.checkpoint import load_pecm as load_pecm
    from pedclip.retrieval.checkpoint import save_pecm as save_pecm
    from pedclip.retrieval.config import PECMConfig as PECMConfig
    from pedclip.retrieval.documents import DocumentVectors as DocumentVectors
    from pedclip.retrieval.documents import text_prototypes as text_prototypes
    from pedclip.retrieval.epochs import Epoch as Epoch
    from pedclip.retrieval.epochs import PECMTraining as PECMTraining
    from pedclip.retrieval.explain import PrototypeMatch as PrototypeMatch
    from pedclip.retrieval.explain import explain_match as explain_match
    from pedclip.retrieval.explain import region_heat as region_heat
    from pedclip.retrieval.fine_tune import FineTuning as FineTuning
    from pedclip.retrieval.fine_tune import fine_tune_pecm as fine_tune_pecm
    from pedclip.retrieval.losses import Losses as Losses
    from pedclip.retrieval.losses import confidence_loss as confidence_loss
    from pedclip.retrieval.losses import diversity_loss as diversity_loss
    from pedclip.retrieval.losses import pecm_losses as pecm_losses
    from pedclip.retrieval.losses import similarity_loss as similarity_loss
    from pedclip.retrieval.measures.comparison import RecallComparison as RecallComparison
    from pedclip.retrieval.measures.comparison import compare_recall as compare_recall
    from pedclip.retrieval.measures.comparison import comparison_table as comparison_table
    from pedclip.retrieval.measures.comparison import cosine_scores as cosine_scores
    from pedclip.retrieval.measures.comparison import fit_variant as fit_variant
    from pedclip.retrieval.measures.comparison import score_pairs as score_pairs
    from pedclip.retrieval.measures.comparison import shortcut_scores as shortcut_scores
    from pedclip.retrieval.measures.concept_files import read_concepts as read_concepts
    from pedclip.retrieval.measures.concepts import concept_overlap as concept_overlap
    from pedclip.retrieval.measures.confidence import Answers as Answers
    from pedclip.retrieval.measures.confidence import confidence_table as confidence_table
    from pedclip.retrieval.measures.confidence import first_answers as first_answers
    from pedclip.retrieval.measures.confidence import wrong_answers as wrong_answers
    from pedclip.retrieval.measures.evaluate import order_scores as order_scores
    from pedclip.retrieval.measures.evaluate import report_recall as report_recall
    from pedclip.retrieval.measures.image_retrieval import LabelledFilms as LabelledFilms
    from pedclip.retrieval.measures.image_retrieval import class_precision as class_precision
    from pedclip.retrieval.measures.image_retrieval import region_precision as region_precision
    from pedclip.retrieval.measures.protocols import Protocol as Protocol
    from pedclip.retrieval.measures.protocols import protocol_of as protocol_of
    from pedclip.retrieval.measures.protocols import protocol_table as protocol_table
    from pedclip.retrieval.measures.variants import Variant as Variant
    from pedclip.retrieval.measures.variants import component_variants as component_variants
    from pedclip.retrieval.measures.variants import loss_variants as loss_variants
    from pedclip.retrieval.measures.variants import printed_variants as printed_variants
    from pedclip.retrieval.pairs import FilmReports as FilmReports
    from pedclip.retrieval.pairs import extract_pairs as extract_pairs
    from pedclip.retrieval.pairs import film_reports as film_reports
    from pedclip.retrieval.pecm import PECM as PECM
    from pedclip.retrieval.prototypes import Prototypes as Prototypes
    from pedclip.retrieval.prototypes import film_prototypes as film_prototypes
    from pedclip.retrieval.prototypes import image_prototypes as image_prototypes
    from pedclip.retrieval.prototypes import report_prototypes as report_prototypes
    from pedclip.retrieval.reference import pecm_reference as pecm_reference
    from pedclip.retrieval.report_groups import split_groups as split_groups
    from pedclip.retrieval.report_groups import unique_texts as unique_texts
    from pedclip.retrieval.reranking import Rerank as Rerank
    from pedclip.retrieval.reranking import final_score as final_score
    from pedclip.retrieval.scores import Scores as Scores
    from pedclip.retrieval.text_length import count_cut as count_cut
    from pedclip.retrieval.train import RetrievalPairs as RetrievalPairs
    from pedclip.retrieval.train import train_pecm as train_pecm
    from pedclip.retrieval.vectors import PairVectors as PairVectors

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Rerank": "reranking",
        "final_score": "reranking",
        "PairVectors": "vectors",
        "PECMConfig": "config",
        "load_pecm": "checkpoint",
        "save_pecm": "checkpoint",
        "DocumentVectors": "documents",
        "text_prototypes": "documents",
        "Losses": "losses",
        "confidence_loss": "losses",
        "diversity_loss": "losses",
        "pecm_losses": "losses",
        "similarity_loss": "losses",
        "PECM": "pecm",
        "Prototypes": "prototypes",
        "film_prototypes": "prototypes",
        "image_prototypes": "prototypes",
        "report_prototypes": "prototypes",
        "pecm_reference": "reference",
        "split_groups": "report_groups",
        "unique_texts": "report_groups",
        "Scores": "scores",
        "Epoch": "epochs",
        "PECMTraining": "epochs",
        "FineTuning": "fine_tune",
        "fine_tune_pecm": "fine_tune",
        "count_cut": "text_length",
        "RetrievalPairs": "train",
        "train_pecm": "train",
        "protocol_table": "measures.protocols",
        "protocol_of": "measures.protocols",
        "Protocol": "measures.protocols",
        "film_reports": "pairs",
        "extract_pairs": "pairs",
        "FilmReports": "pairs",
        "region_precision": "measures.image_retrieval",
        "class_precision": "measures.image_retrieval",
        "LabelledFilms": "measures.image_retrieval",
        "report_recall": "measures.evaluate",
        "order_scores": "measures.evaluate",
        "concept_overlap": "measures.concepts",
        "read_concepts": "measures.concept_files",
        "RecallComparison": "measures.comparison",
        "compare_recall": "measures.comparison",
        "comparison_table": "measures.comparison",
        "cosine_scores": "measures.comparison",
        "fit_variant": "measures.comparison",
        "score_pairs": "measures.comparison",
        "shortcut_scores": "measures.comparison",
        "Answers": "measures.confidence",
        "confidence_table": "measures.confidence",
        "first_answers": "measures.confidence",
        "wrong_answers": "measures.confidence",
        "PrototypeMatch": "explain",
        "explain_match": "explain",
        "region_heat": "explain",
        "Variant": "measures.variants",
        "component_variants": "measures.variants",
        "loss_variants": "measures.variants",
        "printed_variants": "measures.variants",
    },
)
