"""From an archive of films and whole reports to triplets: one excerpt of the report per body region.

Imports triplets only. Read `report` for the rules, `llm` for the language model, `archive` for the files, `privacy`
for identifiers.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.curation.archive.overview import file_kinds as file_kinds
    from pedclip.curation.archive.overview import open_archive as open_archive
    from pedclip.curation.archive.overview import open_films as open_films
    from pedclip.curation.archive.overview import region_decisions as region_decisions
    from pedclip.curation.archive.reader import read_archive as read_archive
    from pedclip.curation.excerpts import Excerpt as Excerpt
    from pedclip.curation.extract import extract_regions as extract_regions
    from pedclip.curation.llm.batch import extract_many as extract_many
    from pedclip.curation.llm.batch import plan_extraction as plan_extraction
    from pedclip.curation.llm.extractor import language_model as language_model
    from pedclip.curation.llm.extractor import numbered as numbered
    from pedclip.curation.llm.extractor import verdict as verdict
    from pedclip.curation.llm.prompts import strip_prompt as strip_prompt
    from pedclip.curation.pipeline import IdentifiersFound as IdentifiersFound
    from pedclip.curation.pipeline import curate as curate
    from pedclip.curation.privacy.identifiers import find_identifiers as find_identifiers
    from pedclip.curation.report.parse import parse_report as parse_report

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "file_kinds": "archive.overview",
        "open_archive": "archive.overview",
        "open_films": "archive.overview",
        "region_decisions": "archive.overview",
        "read_archive": "archive.reader",
        "Excerpt": "excerpts",
        "extract_regions": "extract",
        "extract_many": "llm.batch",
        "plan_extraction": "llm.batch",
        "language_model": "llm.extractor",
        "numbered": "llm.extractor",
        "verdict": "llm.extractor",
        "strip_prompt": "llm.prompts",
        "IdentifiersFound": "pipeline",
        "curate": "pipeline",
        "find_identifiers": "privacy.identifiers",
        "parse_report": "report.parse",
    },
)
