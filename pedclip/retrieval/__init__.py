"""Retrieval of reports by films and of films by reports: PECM, its prototypes, losses and training.

Imports curation.report for sentences, models, training and evaluation.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.retrieval.checkpoint import load_pecm as load_pecm
    from pedclip.retrieval.checkpoint import save_pecm as save_pecm
    from pedclip.retrieval.config import PECMConfig as PECMConfig
    from pedclip.retrieval.documents import DocumentVectors as DocumentVectors
    from pedclip.retrieval.losses import Losses as Losses
    from pedclip.retrieval.losses import confidence_loss as confidence_loss
    from pedclip.retrieval.losses import diversity_loss as diversity_loss
    from pedclip.retrieval.losses import pecm_losses as pecm_losses
    from pedclip.retrieval.losses import similarity_loss as similarity_loss
    from pedclip.retrieval.pecm import PECM as PECM
    from pedclip.retrieval.prototypes import Prototypes as Prototypes
    from pedclip.retrieval.prototypes import film_prototypes as film_prototypes
    from pedclip.retrieval.prototypes import image_prototypes as image_prototypes
    from pedclip.retrieval.prototypes import report_prototypes as report_prototypes
    from pedclip.retrieval.reference import pecm_reference as pecm_reference
    from pedclip.retrieval.report_groups import unique_texts as unique_texts
    from pedclip.retrieval.scores import Scores as Scores
    from pedclip.retrieval.scores import Vectors as Vectors
    from pedclip.retrieval.train import Epoch as Epoch
    from pedclip.retrieval.train import PECMTraining as PECMTraining
    from pedclip.retrieval.train import RetrievalPairs as RetrievalPairs
    from pedclip.retrieval.train import train_pecm as train_pecm

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "PECMConfig": "config",
        "load_pecm": "checkpoint",
        "save_pecm": "checkpoint",
        "DocumentVectors": "documents",
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
        "unique_texts": "report_groups",
        "Scores": "scores",
        "Vectors": "scores",
        "Epoch": "train",
        "PECMTraining": "train",
        "RetrievalPairs": "train",
        "train_pecm": "train",
    },
)
