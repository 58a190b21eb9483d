"""Quality of synthetic films: distances, coverage, agreement with the text, diversity, copies, and a report of all.

Imports triplets, models and evaluation. Each measure takes arrays and can be used alone.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.synthesis.quality.agreement import finding_agreement as finding_agreement
    from pedclip.synthesis.quality.agreement import finding_labels as finding_labels
    from pedclip.synthesis.quality.agreement import learnable_findings as learnable_findings
    from pedclip.synthesis.quality.agreement import text_agreement as text_agreement
    from pedclip.synthesis.quality.agreement import zero_shot_scores as zero_shot_scores
    from pedclip.synthesis.quality.classifiers import fit_classifiers as fit_classifiers
    from pedclip.synthesis.quality.coverage import manifold_coverage as manifold_coverage
    from pedclip.synthesis.quality.diversity import pair_diversity as pair_diversity
    from pedclip.synthesis.quality.diversity import prompt_pairs as prompt_pairs
    from pedclip.synthesis.quality.diversity import region_pairs as region_pairs
    from pedclip.synthesis.quality.encoders import FilmEncoder as FilmEncoder
    from pedclip.synthesis.quality.encoders import film_encoder as film_encoder
    from pedclip.synthesis.quality.encoders import neutral_encoder as neutral_encoder
    from pedclip.synthesis.quality.encoders import pixel_features as pixel_features
    from pedclip.synthesis.quality.encoders import read_films as read_films
    from pedclip.synthesis.quality.encoders import resolution as resolution
    from pedclip.synthesis.quality.floors import floor_films as floor_films
    from pedclip.synthesis.quality.frechet import frechet_distance as frechet_distance
    from pedclip.synthesis.quality.frechet import kernel_distance as kernel_distance
    from pedclip.synthesis.quality.memorisation import Memorisation as Memorisation
    from pedclip.synthesis.quality.memorisation import known_films as known_films
    from pedclip.synthesis.quality.memorisation import memorisation_of as memorisation_of
    from pedclip.synthesis.quality.report import QualityReport as QualityReport
    from pedclip.synthesis.quality.report import quality_report as quality_report
    from pedclip.synthesis.quality.settings import QualitySettings as QualitySettings

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        # Whole reports.
        "QualityReport": "report",
        "QualitySettings": "settings",
        "quality_report": "report",
        # Films on their way to an encoder.
        "FilmEncoder": "encoders",
        "film_encoder": "encoders",
        "floor_films": "floors",
        "neutral_encoder": "encoders",
        "pixel_features": "encoders",
        "read_films": "encoders",
        "resolution": "encoders",
        # Clouds of features.
        "frechet_distance": "frechet",
        "kernel_distance": "frechet",
        "manifold_coverage": "coverage",
        # Films and their texts.
        "finding_agreement": "agreement",
        "finding_labels": "agreement",
        "learnable_findings": "agreement",
        "fit_classifiers": "classifiers",
        "text_agreement": "agreement",
        "zero_shot_scores": "agreement",
        # Films and other films.
        "Memorisation": "memorisation",
        "known_films": "memorisation",
        "memorisation_of": "memorisation",
        "pair_diversity": "diversity",
        "prompt_pairs": "diversity",
        "region_pairs": "diversity",
    },
)
