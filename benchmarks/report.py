"""The header that every benchmark result carries."""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

import torch


def describe() -> dict[str, object]:
    """Date, device, versions, git revision."""
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU {platform.machine()}"
    return {
        "date": datetime.date.today().isoformat(),
        "device": device,
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "git_revision": revision.stdout.strip(),
    }


def write_report(path: Path, report: dict[str, object]) -> None:
    """Write the result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
