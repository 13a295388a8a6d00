"""`bench predict`: ask a model that a run has kept about inputs of one's own."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.planning import ResultsOption
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.records import Case
    from bench.store import RunFolder
    from bench.tasks import Answer, Form

AT_ONCE = 64
MOST_COLUMNS = 10
MOST_LETTERS = 60
STDIN = "-"


class PredictFormat(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One model that is there: of which fit, and where."""

    case: Case
    seed: int
    fold: int | None
    path: Path


def predict(
    run: Annotated[str, typer.Argument(help="Path, run id, unique beginning of one, or latest.")],
    case: Annotated[str, typer.Argument(help="Id of a case that was trained, or a part of it.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="A text, a picture's file, or numbers with commas between them; a .txt file (or .csv of numbers) holds one a "
            "line, and - takes lines from standard input. After -- an input may begin with a dash.",
        ),
    ],
    seed: Annotated[int | None, typer.Option("--seed", help="Which fit; the first if not given.")] = None,
    fold: Annotated[int | None, typer.Option("--fold", help="Which fold; the first if not given.")] = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="Pictures are dark on light, and light on dark was learnt.")
    ] = False,
    format: Annotated[
        PredictFormat, typer.Option("--format", help="For people or for programs.")
    ] = PredictFormat.TABLE,
    results: ResultsOption = Path("results"),
) -> None:
    """Ask a model that was kept with `bench run --save-models`.

    Reading its file runs no code. Architectures of your own are imported as the run names them: do that with runs of people
    whom you trust.
    """
    from bench import store

    folder = store.open_run(store.find(results, run))
    kept = chosen(folder, case, seed, fold)
    given, answers = _answered(folder, kept, inputs, invert=invert)
    if format is PredictFormat.JSON:
        _print_json(given, answers)
    elif format is PredictFormat.CSV:
        _print_csv(given, answers)
    else:
        _print_table(folder, kept, given, answers)


def _answered(folder: RunFolder, kept: Kept, inputs: Sequence[str], *, invert: bool) -> tuple[list[str], list[Answer]]:
    """The inputs one by one, and the model's answers to them."""
    from bench.architectures.foreign import import_module
    from bench.saved import ask, expect_of, read, restored
    from bench.subjects import open_task
    from bench.tasks import Form, Reading

    about, weights = read(kept.path)
    expect_of(kept.path, about, kept.case, kept.seed, kept.fold)
    plan = folder.run.plan
    place = Path(plan.folder).expanduser()
    for module in plan.imports:
        import_module(module, place)
    task = open_task(kept.case, place)
    if not isinstance(task, Reading):
        raise UsageError(f"case '{kept.case.id}': task '{kept.case.task}' takes no inputs of one's own")
    if invert and task.form is not Form.PICTURE:
        raise UsageError(f"--invert: task '{kept.case.task}' takes {task.form}, expected a picture; leave it out")
    given = spread(inputs, task.form)
    model = restored(kept.path, about, weights, place)
    # a model whose answers depend on the rest of the batch is asked one by one
    at_once = 1 if _red(folder, kept.case) else AT_ONCE
    return given, ask(model, task, about.legend, given, at_once=at_once, inverted=invert)


def _red(folder: RunFolder, case: Case) -> bool:
    result = next(one for one in folder.results() if one.case.id == case.id)
    return result.preflight is None or bool(result.preflight.red)


# ── which model ────────────────────────────────────────────────────────────────────────────────────────────────────


def chosen(folder: RunFolder, pattern: str, seed: int | None, fold: int | None) -> Kept:
    """The one kept model that is meant.

    Raises:
        UsageError: none fits, several cases do, or what fits was not kept; the sentence says why.
    """
    from bench.jobs import model_path

    plan, where = folder.run.plan, f"run '{folder.run.run_id}'"
    fits = [
        Kept(case=case, seed=one, fold=part, path=model_path(folder.path, case, one, part))
        for case in _cases(folder, pattern)
        for one in plan.seeds
        for part in range(plan.folds.get(case.task_key, 0)) or [None]
    ]
    wanted = [one for one in fits if seed in (None, one.seed) and fold in (None, one.fold)]
    if not wanted:
        folds = sorted({one.fold for one in fits if one.fold is not None})
        parts = f"folds {', '.join(map(str, folds))}" if folds else "no folds"
        raise UsageError(f"{where}: '{pattern}' was trained with seeds {', '.join(map(str, plan.seeds))} and {parts}")
    there = [one for one in wanted if one.path.is_file()]
    if not there:
        raise UsageError(f"{where}: {_why_not(folder, wanted[0])}")
    several = list(dict.fromkeys(one.case.id for one in there))
    if len(several) > 1:
        raise UsageError(f"{where}: '{pattern}' fits several: {', '.join(several[:5])}; name one of them")
    return there[0]


def _cases(folder: RunFolder, pattern: str) -> tuple[Case, ...]:
    """The trained cases that a pattern fits, at least one."""
    from bench.records import matching

    where = f"run '{folder.run.run_id}'"
    trained = [case for case in folder.run.plan.cases if case.fit is not None]
    if not trained:
        raise UsageError(f"{where}: has no accuracy cases, so that no model was trained; add [accuracy] to its suite")
    found = matching(trained, pattern)
    if not found:
        names = {name: case.id for case in trained for name in (case.id, case.variant.label, case.variant.architecture)}
        raise UsageError(f"{where}: no trained case fits '{pattern}'; {_near(pattern, names)}")
    return found


def _near(pattern: str, names: Mapping[str, str]) -> str:
    """The end of an error sentence: the id of the case whose id, label or architecture is near, else all ids."""
    from bench.registry import did_you_mean, nearest

    near = nearest(pattern, names)
    return f"did you mean '{names[near]}'?" if near else did_you_mean(pattern, set(names.values()))


def _why_not(folder: RunFolder, wanted: Kept) -> str:
    """Why a model is not there."""
    from bench.observations import Fit
    from bench.records import Outcome

    name = f"the model of case '{wanted.case.id}', seed {wanted.seed}"
    if not folder.run.plan.save_models:
        return f"{name} was not kept; measure again with `bench run --save-models`"
    fit = next(
        (
            one
            for one in reversed(folder.observations)
            if isinstance(one, Fit) and (one.case_id, one.seed, one.fold) == (wanted.case.id, wanted.seed, wanted.fold)
        ),
        None,
    )
    if fit is None:
        return f"{name} is not trained yet; go on with `bench run --resume {folder.run.run_id}`"
    if fit.outcome is not Outcome.OK:
        return f"{name} does not exist: its fit ended as {fit.outcome.value.replace('_', ' ')} ({fit.reason})"
    return f"{name} is not at {wanted.path}{f' ({fit.reason})' if fit.reason else ''}; put it back, or measure again"


# ── inputs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def spread(inputs: Sequence[str], form: Form) -> list[str]:
    """Inputs one by one: lines of standard input and of files take the place of what names them.

    Raises:
        UsageError: a file cannot be read, or there is nothing at all.
    """
    found: list[str] = []
    for one in inputs:
        if one == STDIN:
            found += _lines("standard input", sys.stdin.buffer.read())
        elif _holds_lines(one, form):
            found += _lines(one, _content(Path(one)))
        else:
            found.append(_decoded("an input", one.encode(errors="surrogateescape")))
    if not found:
        raise UsageError(f"found no input, expected {form.value}, or a file with one a line")
    return found


def _holds_lines(name: str, form: Form) -> bool:
    from bench.tasks import Form

    endings = {Form.TEXT: (".txt",), Form.NUMBERS: (".txt", ".csv"), Form.PICTURE: ()}[form]
    # a text may end in such letters too: it is one if it has blanks and there is no such file
    return name.lower().endswith(endings) and (not any(map(str.isspace, name)) or _is_file(Path(name)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a name can be
        return False


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error


def _lines(where: str, content: bytes) -> list[str]:
    """Lines that are not blank."""
    return [line.strip() for line in _decoded(where, content).split("\n") if line.strip()]


def _decoded(where: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: is not UTF-8 ({error.reason}); save it as UTF-8") from error


# ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print_json(given: Sequence[str], answers: Sequence[Answer]) -> None:
    from bench.codec import to_json

    rows = [
        {"input": one, "answer": to_json(answer.said), "probabilities": to_json(answer.probabilities)}
        for one, answer in zip(given, answers, strict=True)
    ]
    print(json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False))


def _print_csv(given: Sequence[str], answers: Sequence[Answer]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["input", "answer", *(f"p({name})" for name in answers[0].probabilities)])
    for one, answer in zip(given, answers, strict=True):
        writer.writerow([one, _words(answer), *answer.probabilities.values()])


def _words(answer: Answer) -> str:
    said = answer.said
    return said if isinstance(said, str) else " ".join(one if isinstance(one, str) else f"{one:.6g}" for one in said)


def _print_table(folder: RunFolder, kept: Kept, given: Sequence[str], answers: Sequence[Answer]) -> None:
    from rich.text import Text

    from bench.cli.output import print_parts, table

    names = _likeliest(answers)
    rows = [
        [_short(one), _words(answer), *(_share(answer.probabilities[name]) for name in names)]
        for one, answer in zip(given, answers, strict=True)
    ]
    which = f"{kept.case.id}, seed {kept.seed}" + ("" if kept.fold is None else f", fold {kept.fold}")
    more = len(answers[0].probabilities) - len(names)
    lines = [f"{which}; run {folder.run.run_id}"] + ([f"and {more} classes less likely"] if more else [])
    print_parts([table(["input", "answer", *names], rows), *(Text(line, style="dim") for line in lines)])


def _likeliest(answers: Sequence[Answer]) -> list[str]:
    """The classes that have a column: those that are likeliest in any of the answers, in their order."""
    names = list(answers[0].probabilities)
    most = {name: max(answer.probabilities[name] for answer in answers) for name in names}
    shown = sorted(names, key=lambda name: -most[name])[:MOST_COLUMNS]
    return [name for name in names if name in shown]


def _share(value: float) -> str:
    from bench.quantity import Unit, format_value

    return format_value(value, Unit.SHARE)


def _short(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
