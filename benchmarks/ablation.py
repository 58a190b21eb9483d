"""Grids of notebook 08 at full size, compared, as JSON: ``python -m benchmarks.ablation --grid layer --json FILE``."""

import argparse
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import describe, write_report
from pedclip.ablation import Grid, cell_films, cells_table, compare_cells, load_grid, open_cell, read_scores, run_grid
from pedclip.ablation.experts import cka_matrix, expert_outputs
from pedclip.ablation.mixtures import MIXTURES
from pedclip.ablation.scores import FINDING, OWN_TEXT, REGION
from pedclip.models.pedclip import PedCLIP


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", required=True, help="its name, or a JSON file")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"), help="folder; each grid has one in it")
    parser.add_argument("--workers", type=int, default=2, help="cells at a time")
    parser.add_argument("--where", choices=("local", "ray"), default="local")
    parser.add_argument("--seeds", type=int, default=0, help="the first so many; 0 takes those of the grid")
    parser.add_argument("--retry", action="store_true", help="compute failed cells again")
    parser.add_argument("--report-only", action="store_true", help="of what is finished")
    parser.add_argument("--num-resamples", type=int, default=1000)
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    options = parse()
    grid = load_grid(options.grid)
    if options.seeds:
        grid = grid.replace(seeds=grid.seeds[: options.seeds])
    folder = options.runs / grid.name
    if not options.report_only:
        run_grid(grid, folder, workers=options.workers, where=options.where, retry=options.retry, show=print)
    scores = read_scores(grid, folder)
    resampled = {"num_resamples": options.num_resamples}
    table = compare_cells(scores, grid.reference, by_region=True, **resampled)
    report: dict[str, Any] = describe() | {
        "grid": grid.name,
        "question": grid.question,
        "reference": grid.reference,
        "arms": {arm.name: arm.words for arm in grid.arms},
        "seeds": list(grid.seeds),
        "settings": dict(grid.settings),
        "films": {"test": int(max(one["film"].nunique() for one in scores.values()))},
        "patients": int(max(one["patient"].nunique() for one in scores.values())),
        "cells": cells_table(grid, folder).to_dict("records"),
        "rows": table.to_dict("records"),
        "mixtures": mixtures(scores),
    }
    if grid.name == "interference":
        report["single"] = single(grid, scores, **resampled)
    report["cka"] = cka_over_seeds(grid, folder)
    write_report(options.json, report)
    print(table[table["region"] == "all"].round(3).to_string(index=False))


def mixtures(scores: Any) -> list[dict[str, Any]]:
    """Means of each mixture at test over seeds: only of arms with experts."""
    rows = []
    for arm in dict.fromkeys(name for name, _ in scores):
        own = {key: table for key, table in scores.items() if key[0] == arm}
        for mixture in MIXTURES:
            found = [table[table["mixture"] == mixture] for table in own.values()]
            for question in (REGION, OWN_TEXT):
                parts = [one[one["question"] == question]["value"].mean() for one in found]
                if not np.isnan(parts).any() and len(next(iter(own.values()))["mixture"].unique()) > 1:
                    rows.append({"arm": arm, "mixture": mixture, "question": question, "value": float(np.mean(parts))})
    return rows


def single(grid: Grid, scores: Any, **resampled: Any) -> list[dict[str, Any]]:
    """Joint minus single: what training with all regions gives or costs a region, with each kind of joint model."""
    rows = []
    for arm in grid.arms:
        if arm.films.regions:
            pair = {key: table for key, table in scores.items() if not grid_arm(grid, key[0]).films.regions}
            pair |= {key: table for key, table in scores.items() if key[0] == arm.name}
            table = compare_cells(pair, arm.name, questions=(OWN_TEXT, FINDING), **resampled)
            rows += table.assign(region=arm.films.regions[0]).to_dict("records")
    return rows


def grid_arm(grid: Grid, name: str) -> Any:
    return next(arm for arm in grid.arms if arm.name == name)


def cka_over_seeds(grid: Grid, folder: Path) -> dict[str, Any] | None:
    """Similarity of the same expert in two seeds beside that of two experts, on 200 test films."""
    cells = [cell for cell in grid.cells() if cell.arm == "mobe" and (folder / cell.name / "cell.json").exists()]
    if len(cells) < 2:
        return None
    config, _ = open_cell(cells[0].parameters)
    films = cell_films(config, folder / "cache", test_studies=grid.test_studies).test
    from pedclip.ablation.films import select

    few = select(films, np.arange(min(200, len(films))))
    outputs = {
        cell.seed: expert_outputs(PedCLIP.from_pretrained(folder / cell.name / "run" / "checkpoint"), few)
        for cell in cells
    }
    same, other = [], []
    for one, two in combinations(outputs.values(), 2):
        matrix = cka_matrix(one, two)
        same.append(float(np.diag(matrix).mean()))
        other.append(float(matrix[~np.eye(len(matrix), dtype=bool)].mean()))
    within = [cka_matrix(one) for one in outputs.values()]
    return {
        "films": len(few),
        "same expert, two seeds": float(np.mean(same)),
        "two experts, two seeds": float(np.mean(other)),
        "two experts, one seed": float(np.mean([one[~np.eye(len(one), dtype=bool)].mean() for one in within])),
    }


if __name__ == "__main__":
    main()
