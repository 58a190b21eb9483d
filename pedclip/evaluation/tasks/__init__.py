"""Tasks: findings and their prompts, protocols of data sets, tasks that data can answer, splits by patient.

Imports metrics and triplets.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.evaluation.tasks.discover import discover_tasks as discover_tasks
    from pedclip.evaluation.tasks.findings import discover_chest_findings as discover_chest_findings
    from pedclip.evaluation.tasks.findings import discover_findings as discover_findings
    from pedclip.evaluation.tasks.labels import read_labels as read_labels
    from pedclip.evaluation.tasks.patient_split import PatientLeak as PatientLeak
    from pedclip.evaluation.tasks.prompts import prompt_pair as prompt_pair
    from pedclip.evaluation.tasks.prompts import region_prompts as region_prompts

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "discover_tasks": "discover",
        "discover_chest_findings": "findings",
        "discover_findings": "findings",
        "read_labels": "labels",
        "PatientLeak": "patient_split",
        "prompt_pair": "prompts",
        "region_prompts": "prompts",
    },
)
