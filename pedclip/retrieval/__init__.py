"""Retrieval of reports by films and of films by reports: PECM, its prototypes, losses and training.

Imports curation.report for sentences, models, training and evaluation.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.retrieval.config import PECMConfig as PECMConfig
    from pedclip.retrieval.losses import Losses as Losses
    from pedclip.retrieval.losses import confidence_loss as confidence_loss
    from pedclip.retrieval.losses import diversity_loss as diversity_loss
    from pedclip.retrieval.losses import pecm_losses as pecm_losses
    from pedclip.retrieval.losses import similarity_loss as similarity_loss
    from pedclip.retrieval.pecm import PECM as PECM
    from pedclip.retrieval.pecm import Scores as Scores
    from pedclip.retrieval.prototypes import Prototypes as Prototypes
    from pedclip.retrieval.prototypes import image_prototypes as image_prototypes
    from pedclip.retrieval.prototypes import report_prototypes as report_prototypes
    from pedclip.retrieval.prototypes import unique_texts as unique_texts
    from pedclip.retrieval.train import PECMTraining as PECMTraining
    from pedclip.retrieval.train import RetrievalPairs as RetrievalPairs
    from pedclip.retrieval.train import train_pecm as train_pecm

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "PECMConfig": "config",
        "Losses": "losses",
        "confidence_loss": "losses",
        "diversity_loss": "losses",
        "pecm_losses": "losses",
        "similarity_loss": "losses",
        "PECM": "pecm",
        "Scores": "pecm",
        "Prototypes": "prototypes",
        "image_prototypes": "prototypes",
        "report_prototypes": "prototypes",
        "unique_texts": "prototypes",
        "PECMTraining": "train",
        "RetrievalPairs": "train",
        "train_pecm": "train",
    },
)
