"""A sweep of kills in a process of its own, whose children can be killed without harm to pytest."""

import json
import os
import subprocess
import sys
from pathlib import Path


def problems_of(module: str, folder: Path, **environment: str) -> dict[str, list[str]]:
    """What went wrong in each scenario of ``tests.training.<module>.sweep``.

    Args:
        module: "killing" or "killing_two".
        folder: For its runs.
        environment: Further variables of the process.
    """
    root = Path(__file__).parents[2]
    code = "import sys, warnings; from pathlib import Path; warnings.simplefilter('ignore')\n"
    code += f"from tests.training.{module} import sweep; sweep(Path(sys.argv[1]))\n"
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)} | environment
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, env=variables, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[str]] = json.loads((folder / "problems.json").read_text())
    return found
