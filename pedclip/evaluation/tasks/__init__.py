"""What is asked of a model: findings and their prompts, protocols of data sets, downstream tasks, splits by patient.

Imports metrics and triplets.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.evaluation.tasks.discover import find_downstream as find_downstream
    from pedclip.evaluation.tasks.findings import find_tasks as find_tasks
    from pedclip.evaluation.tasks.labels import read_rows as read_rows
    from pedclip.evaluation.tasks.patient_split import PatientLeak as PatientLeak
    from pedclip.evaluation.tasks.prompts import prompt_pair as prompt_pair
    from pedclip.evaluation.tasks.prompts import region_prompts as region_prompts

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "find_downstream": "discover",
        "find_tasks": "findings",
        "read_rows": "labels",
        "PatientLeak": "patient_split",
        "prompt_pair": "prompts",
        "region_prompts": "prompts",
    },
)
