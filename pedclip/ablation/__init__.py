"""Ablations as grids of trainings: what each part of PedCLIP is worth, and what its experts do.

Imports training and evaluation. ``run_grid`` trains the cells of a grid, each a papermill run of ``cell.ipynb``.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.ablation.cell import cell_films as cell_films
    from pedclip.ablation.cell import finish_cell as finish_cell
    from pedclip.ablation.cell import open_cell as open_cell
    from pedclip.ablation.cell import score_cell as score_cell
    from pedclip.ablation.cell import train_cell as train_cell
    from pedclip.ablation.compare import compare_cells as compare_cells
    from pedclip.ablation.compare import read_scores as read_scores
    from pedclip.ablation.experts import cka_matrix as cka_matrix
    from pedclip.ablation.experts import expert_changes as expert_changes
    from pedclip.ablation.experts import expert_outputs as expert_outputs
    from pedclip.ablation.experts import linear_cka as linear_cka
    from pedclip.ablation.experts import require_experts as require_experts
    from pedclip.ablation.films import FilmChoice as FilmChoice
    from pedclip.ablation.grid import Grid as Grid
    from pedclip.ablation.grid import GridArm as GridArm
    from pedclip.ablation.grid import grid_names as grid_names
    from pedclip.ablation.grid import load_grid as load_grid
    from pedclip.ablation.mixtures import MIXTURES as MIXTURES
    from pedclip.ablation.run import cells_table as cells_table
    from pedclip.ablation.run import run_grid as run_grid

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "cell_films": "cell",
        "finish_cell": "cell",
        "open_cell": "cell",
        "score_cell": "cell",
        "train_cell": "cell",
        "compare_cells": "compare",
        "read_scores": "compare",
        "cka_matrix": "experts",
        "expert_changes": "experts",
        "expert_outputs": "experts",
        "linear_cka": "experts",
        "require_experts": "experts",
        "FilmChoice": "films",
        "Grid": "grid",
        "GridArm": "grid",
        "grid_names": "grid",
        "load_grid": "grid",
        "MIXTURES": "mixtures",
        "cells_table": "run",
        "run_grid": "run",
    },
)
