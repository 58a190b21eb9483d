"""PedCLIP's tables with our own numbers beside the printed ones, and the reason wherever there is none."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from pedclip.evaluation.macro import interval, mean_of, of_result
from pedclip.evaluation.metrics.interval import Interval
from pedclip.evaluation.published import PrintedModel, models_of, printed
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.task import Task

AVERAGE: Final = "average"  # over the questions that are scored by AUC
SEEN: Final = "trained on films of"  # column for models that know the data set of a question
ONLY_HERE: Final = "only here"  # group of models that the table does not print


def questions_of(table: str) -> dict[str, str]:
    """The questions that one of PedCLIP's tables asks, each with its unit, in the order of the columns.

    Args:
        table: One of ``pedclip.evaluation.published.MODEL_TABLES``.

    Raises:
        ValueError: As ``models_of``.

    Example:
        >>> questions_of("Table 2")["RSNA-BoneAge"]
        'MAE'
    """
    models_of(table)  # refuses a table whose rows are no models
    numbers = printed("pedclip")
    asked = numbers[(numbers["table"] == table) & (numbers["column"] != AVERAGE)].drop_duplicates("column")
    return {str(column): str(unit) for column, unit in zip(asked["column"], asked["unit"], strict=True)}


def own_scores(
    table: str, tasks: Iterable[Task], results: Iterable[Result], *, num_resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """The answers of one method to the questions of a table.

    Where several tasks ask one question (a finding each, or the same in two data sets), their mean is the answer; it
    is resampled as a whole.

    Args:
        table: As for `questions_of`.
        tasks: With the question that each asks as ``Task.paper``; others are left out.
        results: Of one method, with their predictions.
        num_resamples: Of the patients.
        seed: Of the resampling.

    Returns:
        By question; and the "average" over the questions scored by AUC, where all of them are answered.

    Raises:
        ValueError: The results are of several methods, or their predictions were not kept.
    """
    # Read twice below, and an iterator could be read once.
    known = list(results)
    if len(methods := {result.method for result in known}) > 1:
        raise ValueError(f"expected the results of one method, got those of {', '.join(sorted(methods))}")
    # Zero-shot tasks are unique with their source only; those of probes carry it in their name.
    papers = {(task.name, task.rule.source if task.rule else ""): task.paper for task in tasks}
    answers: dict[str, list[Result]] = {}
    for result in known:
        answers.setdefault(papers.get((result.task, result.source), ""), []).append(result)
    # Another metric, such as an accuracy, is no answer to a question about an AUC.
    asked = {
        question: kept
        for question, unit in questions_of(table).items()
        if (kept := [result for result in answers.get(question, []) if result.metric == unit.removesuffix(" %")])
    }
    options = {"num_resamples": num_resamples, "seed": seed}
    scores = {
        question: kept[0].score if len(kept) == 1 else _mean([kept], **options) for question, kept in asked.items()
    }
    # Months and shares have no common mean, so AUCs alone are averaged.
    averaged = _averaged(questions_of(table))
    if len(averaged) > 1 and set(averaged) <= asked.keys():
        scores[AVERAGE] = _mean([asked[question] for question in averaged], **options)
    return scores


def live_table(
    table: str,
    own: Mapping[str, Mapping[str, Interval]],
    *,
    fills: Mapping[str, str],
    questions: Sequence[str] = (),
    seen: Mapping[str, Sequence[str]] = MappingProxyType({}),
    reason: Callable[[PrintedModel], str] = attrgetter("reason"),
) -> pd.DataFrame:
    """One of PedCLIP's tables: a row per printed model, our numbers beside its own.

    A printed row that several methods fill stands there once for each. Methods that fill none, such as an untrained
    encoder, follow at the end.

    Args:
        table: As for `questions_of`.
        own: By method, its answers as from `own_scores`.
        fills: By method, the way of the model that it is (``PrintedModel.way``); methods that are left out fill no
            printed row.
        questions: Columns of the table to show; all if empty.
        seen: By method, questions on whose data set it was trained, as ``Release.seen``.
        reason: Words for a printed row that no method fills.

    Returns:
        Columns `model`, `group`; for each question its name (with the unit where units differ) and ", printed"
        (shares) or ", here" (`Interval`, None where there is none); the same of the "average" AUC where several
        questions have one; `run here`: the method, or "not run: " and the reason; and, where `seen` names any
        that is shown, `trained on films of`: the questions of the row that are no zero-shot on their own data set.

    Raises:
        ValueError: As `models_of`; or a question, shown or seen, that the table does not ask.
    """
    known = questions_of(table)
    if wrong := {*questions, *(one for names in seen.values() for one in names)} - known.keys():
        raise ValueError(f"{table} does not ask {min(wrong)!r}; it asks {', '.join(known)}")
    # In the order of the table, whatever the order asked in.
    asked = {question: unit for question, unit in known.items() if not questions or question in questions}
    rows, placed = [], set()
    for model in models_of(table):
        values = _printed_values(table, model, asked)
        # A model without a way is filled by nothing, not by a method without one.
        methods = [method for method in own if model.way and fills.get(method) == model.way]
        placed.update(methods)
        names = {"model": model.row, "group": model.group}
        for method in methods:
            rows.append(names | _cells(asked, values, own[method]) | {"run here": method})
        if not methods:
            rows.append(names | _cells(asked, values, {}) | {"run here": f"not run: {reason(model)}"})
    # Controls, and models that the paper does not print; their printed cells stay empty.
    for method in (method for method in own if method not in placed):
        rows.append({"model": method, "group": ONLY_HERE} | _cells(asked, {}, own[method]) | {"run here": method})
    table_here = pd.DataFrame(rows)
    # A column of its own, so that `run here` stays the name of the method.
    known_films = [[one for one in asked if one in seen.get(method, ())] for method in table_here["run here"]]
    if any(known_films):
        table_here[SEEN] = [", ".join(names) for names in known_films]
    return table_here


def _printed_values(table: str, model: PrintedModel, asked: Mapping[str, str]) -> dict[str, float]:
    """The printed numbers of one row as shares (months for an age), with the average of those that are AUCs."""
    numbers = printed("pedclip")
    of_model = (numbers["table"] == table) & (numbers["group"] == model.group) & (numbers["row"] == model.row)
    # Figures are printed in per cent; ours are shares everywhere.
    values = {
        str(column): float(value) / (100 if unit.endswith("%") else 1)
        for column, unit, value in numbers.loc[of_model, ["column", "unit", "value"]].itertuples(index=False)
    }
    averaged = _averaged(asked)
    # The printed average is of all columns; of fewer, and where none is printed, the mean is ours.
    if averaged != _averaged(questions_of(table)) or AVERAGE not in values:
        values.pop(AVERAGE, None)
        if set(averaged) <= values.keys():
            values[AVERAGE] = float(np.mean([values[question] for question in averaged])) if averaged else np.nan
    return values


def _cells(
    asked: Mapping[str, str], values: Mapping[str, float], scores: Mapping[str, Interval]
) -> dict[str, float | Interval | None]:
    """Both numbers of each question, then both averages where several questions have an AUC."""
    # A unit is worth its place only where columns differ in it.
    mixed = len(set(asked.values())) > 1
    heads = {question: f"{question} {unit}" if mixed else question for question, unit in asked.items()}
    averaged = _averaged(asked)
    if len(averaged) > 1:
        heads[AVERAGE] = f"{AVERAGE} AUC" if mixed else AVERAGE
    cells: dict[str, float | Interval | None] = {}
    for question, head in heads.items():
        cells[f"{head}, printed"] = values.get(question)
        # An average that lacks a question would stand beside one of all.
        is_complete = question != AVERAGE or set(averaged) <= scores.keys()
        cells[f"{head}, here"] = scores.get(question) if is_complete else None
    return cells


def _averaged(asked: Mapping[str, str]) -> list[str]:
    return [question for question, unit in asked.items() if unit.startswith("AUC")]


def _mean(answers: Sequence[Sequence[Result]], **options: Any) -> Interval:
    """Mean over questions of the mean over the tasks of each, resampled over the patients of all."""
    predictions = [result.require_predictions() for question in answers for result in question]
    # Drawn together: a patient may answer several questions.
    patients = np.unique(np.concatenate([one.patients for one in predictions]))
    measure = mean_of([mean_of([of_result(result, patients) for result in question]) for question in answers])
    # All answers of a question have one metric, and only AUCs are averaged over questions.
    return interval(measure, scale=predictions[0].metric.scale, **options)
