"""Coverage of the 95 % intervals over patients: how often they hold the truth in drawn studies whose truth is known.

    OMP_NUM_THREADS=1 python -m benchmarks.coverage --patients 20,50 --json coverage.json

RESULTS.md names the runs that benchmarks/results/coverage.json joins.

Each study draws patients with 1 to about 6 films each, which resemble one another, and scores them through the same
functions as the notebooks. Prevalence is the share of patients with the finding (AUC, mAP), of wrong answers (accuracy,
recall, F1), of films on which nothing was found (Dice), or of patients with errors three times as large (MAE). Beside
each stands the percentile interval, from as many resamples of the same study. A study with too few patients for an
interval counts as "too few" and in neither coverage.
"""

import argparse
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.drawn_studies import RESAMPLES, SCENARIOS, Rng, Study
from benchmarks.report import describe, write_report

PATIENTS: Final = (20, 50, 100, 200, 400)
PREVALENCES: Final = (0.05, 0.1, 0.3, 0.5)
LEAST: Final = 0.93  # coverage that is asked for everywhere
KINDS: Final = ("percentile", "interval")
MOSTLY_FEW: Final = 0.9  # share of studies without an interval above which a coverage rests on too few of them


def measure(name: str, patients: int, prevalence: float, studies: int) -> dict[str, Any]:
    """Coverage, mean width and one-sided misses of both intervals over drawn studies of one kind."""
    rng = np.random.default_rng([patients, round(1000 * prevalence), list(SCENARIOS).index(name)])
    held: dict[str, list[tuple[bool, float]]] = {"percentile": [], "interval": []}
    too_few = 0
    for _ in range(studies):
        study = SCENARIOS[name](rng, patients, prevalence)
        if study is None or not study.interval.is_known:
            too_few += 1
            continue
        ends = {"percentile": _percentile(study, rng), "interval": (study.interval.low, study.interval.high)}
        for kind, (low, high) in ends.items():
            held[kind].append((low - 1e-12 <= study.truth <= high + 1e-12, high - low))
    report: dict[str, Any] = {"studies": studies, "too_few": round(too_few / studies, 4)}
    for kind, found in held.items():
        if found:
            is_held, width = np.array(found).T
            report[kind] = {"coverage": round(float(is_held.mean()), 4), "width": round(float(width.mean()), 4)}
    return report


def _percentile(study: Study, rng: Rng) -> tuple[float, float]:
    """What the package gave before: the percentiles of as many resamples, those without a value drawn again."""
    number = int(study.patients.max()) + 1
    kept: list[float] = []
    while len(kept) < RESAMPLES:
        counts = rng.multinomial(number, np.full(number, 1 / number), size=RESAMPLES).astype(np.float64)
        values = study.resampled(counts[:, study.patients])
        kept.extend(values[~np.isnan(values)].tolist())
    low, high = np.percentile(kept[:RESAMPLES], (2.5, 97.5))
    return float(low), float(high)


def line(name: str, patients: int, prevalence: float, report: dict[str, Any]) -> str:
    """One scenario as text."""
    shown = [
        f"{kind} {report[kind]['coverage']:.3f} ({report[kind]['width']:.3f} wide)" for kind in KINDS if kind in report
    ]
    return f"{name}, {patients} patients, {prevalence:.0%}: {'; '.join(shown)}; too few {report['too_few']:.1%}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="drawn for each scenario; a tenth for mAP")
    parser.add_argument("--metrics", default=",".join(SCENARIOS), help="names, separated by commas")
    parser.add_argument("--patients", default=",".join(map(str, PATIENTS)), help="numbers, separated by commas")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    scenarios: dict[str, Any] = {}
    for name in options.metrics.split(","):
        for patients in map(int, options.patients.split(",")):
            for prevalence in PREVALENCES:
                studies = max(1, options.studies // (10 if name == "mAP" else 1))
                found = measure(name, patients, prevalence, studies)
                scenarios[f"{name}, {patients} patients, {prevalence:.0%}"] = found
                print(line(name, patients, prevalence, found), flush=True)
    summary = {kind: worst(scenarios, kind) for kind in KINDS}
    print("\n".join(f"{kind}: {one}" for kind, one in summary.items()))
    if options.json:
        write_report(options.json, describe() | {"resamples": RESAMPLES, "worst": summary, "scenarios": scenarios})


def worst(scenarios: dict[str, Any], kind: str) -> dict[str, Any]:
    """The lowest coverage, where it was, and how many scenarios fall below what is asked for."""
    # A scenario in which hardly any study has an interval says nothing about its coverage.
    counted = {
        name: one[kind]["coverage"] for name, one in scenarios.items() if kind in one and one["too_few"] <= MOSTLY_FEW
    }
    if not counted:
        return {"scenarios": 0}
    name = min(counted, key=lambda key: counted[key])
    below = sum(coverage < LEAST for coverage in counted.values())
    return {"scenarios": len(counted), f"below_{LEAST}": below, "lowest": counted[name], "where": name}


if __name__ == "__main__":
    main()
