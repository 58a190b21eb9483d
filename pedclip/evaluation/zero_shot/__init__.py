"""Zero-shot answers and what they must be held against: findings, regions, retrieval, maps, the shortcut baseline.

Imports tasks and metrics.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.evaluation.zero_shot.domain_identification import growing_accuracy as growing_accuracy
    from pedclip.evaluation.zero_shot.embedding_map import project as project
    from pedclip.evaluation.zero_shot.localization import pointing as pointing
    from pedclip.evaluation.zero_shot.localization import similarity_maps as similarity_maps
    from pedclip.evaluation.zero_shot.own_score import own_findings as own_findings
    from pedclip.evaluation.zero_shot.own_score import own_regions as own_regions
    from pedclip.evaluation.zero_shot.own_score import own_retrieval as own_retrieval
    from pedclip.evaluation.zero_shot.own_score import pair_score_matrix as pair_score_matrix
    from pedclip.evaluation.zero_shot.results import finding_entry as finding_entry
    from pedclip.evaluation.zero_shot.results import region_entry as region_entry
    from pedclip.evaluation.zero_shot.results import region_table as region_table
    from pedclip.evaluation.zero_shot.results import retrieval_entry as retrieval_entry
    from pedclip.evaluation.zero_shot.results import retrieval_table as retrieval_table
    from pedclip.evaluation.zero_shot.results import task_table as task_table
    from pedclip.evaluation.zero_shot.scoring import retrieval as retrieval
    from pedclip.evaluation.zero_shot.scoring import score_pairs as score_pairs
    from pedclip.evaluation.zero_shot.scoring import zero_shot_findings as zero_shot_findings
    from pedclip.evaluation.zero_shot.scoring import zero_shot_regions as zero_shot_regions
    from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features as shortcut_features
    from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_findings as shortcut_findings
    from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_regions as shortcut_regions

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "growing_accuracy": "domain_identification",
        "project": "embedding_map",
        "pointing": "localization",
        "similarity_maps": "localization",
        "own_findings": "own_score",
        "own_regions": "own_score",
        "own_retrieval": "own_score",
        "pair_score_matrix": "own_score",
        "finding_entry": "results",
        "region_entry": "results",
        "region_table": "results",
        "retrieval_entry": "results",
        "retrieval_table": "results",
        "task_table": "results",
        "retrieval": "scoring",
        "score_pairs": "scoring",
        "zero_shot_findings": "scoring",
        "zero_shot_regions": "scoring",
        "shortcut_features": "shortcut_baseline",
        "shortcut_findings": "shortcut_baseline",
        "shortcut_regions": "shortcut_baseline",
    },
)
