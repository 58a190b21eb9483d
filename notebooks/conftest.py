"""How nbval compares the notebooks, and what each of them costs.

`pytest --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks`
"""

import os
import re
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

# Rich forms are for the reader; the constant text/plain twin of each is compared. PNG is skipped by nbval itself.
SKIPPED = ("text/html", "text/markdown", "application/vnd.vegalite.v5+json")
BUDGET_SECONDS = float(os.environ.get("PEDCLIP_NOTEBOOK_SECONDS", "180"))

# A fresh folder for runs: continuing a reader's finished training would test nothing.
_runs = tempfile.TemporaryDirectory(prefix="pedclip-runs-")
os.environ["PEDCLIP_RUNS"] = _runs.name

_seconds: dict[str, float] = defaultdict(float)
_peak_mebibytes: dict[str, int] = {}


def pytest_collectstart(collector):
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += SKIPPED


def pytest_runtest_logreport(report):
    notebook = report.nodeid.partition("::")[0]
    if notebook.endswith(".ipynb"):
        # The time of the first set-up is the start of the kernel, which a reader waits for as well.
        _seconds[notebook] += report.duration


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item):
    kernel = getattr(item.parent, "kernel", None)
    if type(item).__name__ == "IPyNbCell" and kernel is not None:
        _record_peak(item.nodeid.partition("::")[0], kernel)


def pytest_terminal_summary(terminalreporter):
    if not _seconds:
        return
    terminalreporter.section(f"notebooks: seconds (budget {BUDGET_SECONDS:.0f}) and peak memory of the kernel")
    for notebook, seconds in _seconds.items():
        memory = f"{_peak_mebibytes[notebook]:6d} MiB" if notebook in _peak_mebibytes else "  unknown"
        verdict = "" if seconds <= BUDGET_SECONDS else "   OVER BUDGET"
        terminalreporter.write_line(f"{seconds:7.1f} s {memory}  {notebook}{verdict}")


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == 0 and any(seconds > BUDGET_SECONDS for seconds in _seconds.values()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _record_peak(notebook, kernel):
    # The kernel's own high-water mark; only Linux keeps one for a process that still runs.
    status = Path(f"/proc/{kernel.km.provisioner.process.pid}/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        _peak_mebibytes[notebook] = int(found[1]) // 1024
