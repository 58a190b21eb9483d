"""Run a notebook from top to bottom and store its outputs: `python -m pedclip.notebook notebooks/03_pretrain.ipynb`.

This is how the committed outputs are made. Nothing about the person or the machine is stored: no path, no timing.
"""

import sys
from pathlib import Path
from typing import Any

from pedclip.artefacts import write_text


def execute(path: Path) -> None:
    """Run one notebook in its own folder and replace it by the executed one.

    Args:
        path: The notebook; it stays as it is where a cell fails.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    # Jupyter runs a notebook in its own folder, and so do we.
    resources = {"metadata": {"path": str(path.resolve().parent)}}
    # No time-out: a notebook on real data runs for hours. Timings would differ in every file.
    NotebookClient(notebook, timeout=None, record_timing=False, resources=resources).execute()
    tidy(notebook)
    # Before it is written: an invalid file would open nowhere.
    nbformat.validate(notebook)
    write_text(path, nbformat.writes(notebook) + "\n")  # type: ignore[no-untyped-call]


def tidy(notebook: Any) -> None:
    """Remove what differs between two runs or names a machine, and join the pieces in which printed text arrived.

    Args:
        notebook: Changed in place.
    """
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    # The patch version of Python differs between machines and tells a reader nothing.
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)


def main() -> None:
    """Run the notebooks named on the command line, one after the other."""
    if not sys.argv[1:]:
        sys.exit("usage: python -m pedclip.notebook NOTEBOOK...")
    for name in sys.argv[1:]:
        print(f"running {name}", flush=True)  # flushed, or it shows when all is over
        execute(Path(name))


def _joined(outputs: list[Any]) -> list[Any]:
    joined: list[Any] = []
    for output in outputs:
        is_text = output.output_type == "stream"
        # Text arrives in pieces that depend on the load of the machine; joined, it is the same in every run.
        if is_text and joined and joined[-1].output_type == "stream" and joined[-1].name == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined
