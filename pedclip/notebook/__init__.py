"""Functions that a notebook calls: `start` checks parameters, `check` prints what can fail, `finish` writes metrics.

Imports everything. ``python -m pedclip.notebook FILE`` runs a notebook and stores its outputs.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.notebook.compared import compared_checkpoints as compared_checkpoints
    from pedclip.notebook.compared import how_to_fill as how_to_fill
    from pedclip.notebook.compared import released_models as released_models
    from pedclip.notebook.display import say as say
    from pedclip.notebook.display import show_images as show_images
    from pedclip.notebook.display import show_report as show_report
    from pedclip.notebook.display import show_source as show_source
    from pedclip.notebook.display import show_table as show_table
    from pedclip.notebook.display import show_text as show_text
    from pedclip.notebook.environment import benchmark_results as benchmark_results
    from pedclip.notebook.errors import CheckFailed as CheckFailed
    from pedclip.notebook.errors import InputError as InputError
    from pedclip.notebook.errors import MissingArtefact as MissingArtefact
    from pedclip.notebook.errors import ParameterError as ParameterError
    from pedclip.notebook.errors import readable as readable
    from pedclip.notebook.galleries import age_rows as age_rows
    from pedclip.notebook.galleries import worst_errors as worst_errors
    from pedclip.notebook.session import Config as Config
    from pedclip.notebook.session import RunPaths as RunPaths
    from pedclip.notebook.session import add_provenance as add_provenance
    from pedclip.notebook.session import check as check
    from pedclip.notebook.session import finish as finish
    from pedclip.notebook.session import require_artefact as require_artefact
    from pedclip.notebook.session import start as start

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "compared_checkpoints": "compared",
        "how_to_fill": "compared",
        "released_models": "compared",
        "say": "display",
        "show_images": "display",
        "show_report": "display",
        "show_source": "display",
        "show_table": "display",
        "show_text": "display",
        "benchmark_results": "environment",
        "CheckFailed": "errors",
        "InputError": "errors",
        "MissingArtefact": "errors",
        "ParameterError": "errors",
        "readable": "errors",
        "age_rows": "galleries",
        "worst_errors": "galleries",
        "Config": "session",
        "RunPaths": "session",
        "add_provenance": "session",
        "check": "session",
        "finish": "session",
        "require_artefact": "session",
        "start": "session",
    },
)
