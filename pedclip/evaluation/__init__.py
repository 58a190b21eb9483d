"""Everything that is measured: inputs, embeddings, tasks, metrics, zero-shot and downstream.

Imports training and what stands before it. ``python -m pedclip.evaluation`` prints the table of notebook 04.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.evaluation.compared import has_own_score as has_own_score
    from pedclip.evaluation.compared import open_compared as open_compared
    from pedclip.evaluation.compared import way_of as way_of
    from pedclip.evaluation.compared import weight_hashes as weight_hashes
    from pedclip.evaluation.crop import box_in_crop as box_in_crop
    from pedclip.evaluation.crop import mask_in_crop as mask_in_crop
    from pedclip.evaluation.crop import read_truth as read_truth
    from pedclip.evaluation.embeddings import embed as embed
    from pedclip.evaluation.embeddings import embed_texts as embed_texts
    from pedclip.evaluation.embeddings import save_embeddings as save_embeddings
    from pedclip.evaluation.extraction import ALL_REGIONS as ALL_REGIONS
    from pedclip.evaluation.extraction import MIN_REPORTS as MIN_REPORTS
    from pedclip.evaluation.extraction import WholeReport as WholeReport
    from pedclip.evaluation.extraction import f1_table as f1_table
    from pedclip.evaluation.extraction import gold_standards as gold_standards
    from pedclip.evaluation.extraction import score_report as score_report
    from pedclip.evaluation.extraction import summary_table as summary_table
    from pedclip.evaluation.extraction import worst_reports as worst_reports
    from pedclip.evaluation.features import extract_features as extract_features
    from pedclip.evaluation.gradients import gradient_alignment as gradient_alignment
    from pedclip.evaluation.inputs import open_inputs as open_inputs
    from pedclip.evaluation.inputs import open_probe_inputs as open_probe_inputs
    from pedclip.evaluation.printed_tables import live_table as live_table
    from pedclip.evaluation.printed_tables import own_scores as own_scores
    from pedclip.evaluation.published import models_of as models_of
    from pedclip.evaluation.published import printed as printed
    from pedclip.evaluation.published import recomputed_changes as recomputed_changes
    from pedclip.evaluation.released import embed_released as embed_released
    from pedclip.evaluation.released import extract_released as extract_released
    from pedclip.evaluation.released import released_findings as released_findings
    from pedclip.evaluation.released import released_prompts as released_prompts
    from pedclip.evaluation.released import released_regions as released_regions
    from pedclip.evaluation.text_similarity import disease_similarity as disease_similarity
    from pedclip.evaluation.text_similarity import paraphrase_auc as paraphrase_auc
    from pedclip.evaluation.text_similarity import similarity_summary as similarity_summary

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "has_own_score": "compared",
        "open_compared": "compared",
        "way_of": "compared",
        "weight_hashes": "compared",
        "box_in_crop": "crop",
        "mask_in_crop": "crop",
        "read_truth": "crop",
        "embed": "embeddings",
        "embed_texts": "embeddings",
        "save_embeddings": "embeddings",
        "ALL_REGIONS": "extraction",
        "MIN_REPORTS": "extraction",
        "WholeReport": "extraction",
        "f1_table": "extraction",
        "gold_standards": "extraction",
        "score_report": "extraction",
        "summary_table": "extraction",
        "worst_reports": "extraction",
        "extract_features": "features",
        "gradient_alignment": "gradients",
        "open_inputs": "inputs",
        "open_probe_inputs": "inputs",
        "live_table": "printed_tables",
        "own_scores": "printed_tables",
        "models_of": "published",
        "printed": "published",
        "recomputed_changes": "published",
        "embed_released": "released",
        "extract_released": "released",
        "released_findings": "released",
        "released_prompts": "released",
        "released_regions": "released",
        "disease_similarity": "text_similarity",
        "paraphrase_auc": "text_similarity",
        "similarity_summary": "text_similarity",
    },
)
