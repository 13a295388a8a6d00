"""`bench list`: what can be compared, and what has been measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import Format, FormatOption, grid, print_parts, show
from bench.cli.planning import DeviceOption, FilterOption, ImportOption, ResultsOption, SetOption, planned
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.architectures import Architecture
    from bench.datasheet import ArchitectureSheet, TaskSheet
    from bench.records import Case, MatchedSize
    from bench.tasks import TaskKind

app = typer.Typer(help="List suites, architectures, tasks, workloads, cases or runs.", no_args_is_help=True)

NameArgument = Annotated[str | None, typer.Argument(help="Show all about this one.", show_default=False)]


@app.command("suites")
def suites(format: FormatOption = Format.TABLE) -> None:
    """List suites: what `bench run` can be asked for by name."""
    from bench import suite

    rows = [{"name": entry.name, "description": entry.description} for entry in suite.catalogue()]
    show(rows, format)


@app.command("architectures")
def architectures(
    name: NameArgument = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="With a name: a hyperparameter, --set hidden_dim=64"),
    ] = None,
    import_: ImportOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """List architectures; with a name (or models.py:MyNet), all about one: cost, contracts, tasks, hyperparameters."""
    from bench.architectures.foreign import every, import_module

    for module in import_ or []:
        import_module(module, Path())
    if name is None:
        if set_:
            raise UsageError(
                f"--set {set_[0]}: of which architecture? name it: bench list architectures NAME --set ..."
            )
        found = every()
        show([(_architecture if format is Format.JSON else _line)(*each) for each in found.items()], format)
        return
    from bench import datasheet
    from bench.suite import set_key

    given: dict[str, Any] = {}
    for option in set_ or []:
        set_key(given, option)
    sheet = datasheet.of_architecture(name, Path(), given)
    if format is Format.JSON:
        show([_fields(sheet)], format)
        return
    from bench.cli import sheets

    print_parts(sheets.architecture(sheet))


def _line(name: str, found: Architecture | BenchError) -> dict[str, Any]:
    if isinstance(found, BenchError):
        return {"name": name, "what": f"cannot be used: {found}", "source": None}
    return {"name": name, "what": found.summary, "source": found.source}


def _architecture(name: str, found: Architecture | BenchError) -> dict[str, Any]:
    if isinstance(found, BenchError):
        return {"name": name, "problem": str(found)}
    from bench.datasheet import settings_of

    return {
        "name": name,
        "summary": found.summary,
        "source": found.source,
        "inputs": sorted(found.inputs),
        "outputs": sorted(found.outputs),
        "width": found.width,
        "hyperparameters": settings_of(found.hyperparameters),
    }


@app.command("tasks")
def tasks(name: NameArgument = None, format: FormatOption = Format.TABLE) -> None:
    """List tasks; with a name, all about one: metrics, chance level, architectures that fit, options."""
    from bench.tasks import TASKS

    if name is None:
        found = [TASKS.get(each) for each in TASKS.names()]
        show([(_task if format is Format.JSON else _task_line)(each) for each in found], format)
        return
    from bench import datasheet

    sheet = datasheet.of_task(name)
    if format is Format.JSON:
        show([_fields(sheet)], format)
        return
    from bench.cli import sheets

    print_parts(sheets.task(sheet))


def _task_line(each: TaskKind) -> dict[str, Any]:
    return {"name": each.name, "what": each.summary, "source": each.source}


def _task(each: TaskKind) -> dict[str, Any]:
    from bench.datasheet import settings_of

    return {
        "name": each.name,
        "summary": each.summary,
        "source": each.source,
        "options": settings_of(each.options),
    }


def _fields(record: ArchitectureSheet | TaskSheet) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


@app.command("workloads")
def workloads(name: NameArgument = None, format: FormatOption = Format.TABLE) -> None:
    """List workloads: what can be measured of a model; with a name, its axes and metrics."""
    from bench.workloads import WORKLOADS

    found = [WORKLOADS.get(each) for each in ([name] if name else WORKLOADS.names())]
    if format is Format.JSON:
        keys = ("name", "summary", "axes", "metrics")
        show([{key: getattr(each, key) for key in keys} for each in found], format)
    elif name is None:
        show([{"name": each.name, "what": each.summary} for each in found], format)
    else:
        (each,) = found
        told = {"what": each.summary, "axes": ", ".join(each.axes), "metrics": ", ".join(each.metrics)}
        print_parts([grid({"name": each.name, **told}.items())])


@app.command("cases")
def cases(
    suite: Annotated[str, typer.Argument(help="Name or path of a suite.")],
    filter: FilterOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    import_: ImportOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """List the cases that a suite expands to here, and which of them would be skipped."""
    _, plan = planned(suite, filter=filter, device=device, overrides=set_ or [], imports=import_ or [])
    rows = [_case(case) for case in plan.cases]
    if format is Format.TABLE:
        rows = [
            {"name": case.id}
            | (_size(case.variant.size) if case.variant.size else {})
            | ({"skipped": case.skip} if any(c.skip for c in plan.cases) else {})
            for case in plan.cases
        ]
    show(rows, format)


def _size(size: MatchedSize) -> dict[str, str]:
    from bench.quantity import Unit, format_change, format_exact

    told = "not matched"
    if size.parameters is not None:
        told = f"{format_exact(size.parameters, Unit.COUNT)} ({format_change(size.parameters / size.target - 1)})"
    return {f"matched to {size.target:,}": told}


def _case(case: Case) -> dict[str, Any]:
    return {
        "name": case.id,
        "skipped": case.skip,
        "definition_hash": case.definition_hash,
        "task": case.task_key,
        "architecture": case.variant.architecture,
        "label": case.variant.label,
        "variant_id": case.variant.variant_id,
        "hyperparameters": case.variant.hyperparameters,
        "size": case.variant.size,
        "workload": case.workload,
        "sequence_length": case.sequence_length,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "device": case.device,
        "threads": case.threads,
        "compile": case.compile,
        "length_distribution": case.length_distribution,
    }


@app.command("runs")
def runs(results: ResultsOption = Path("results"), format: FormatOption = Format.TABLE) -> None:
    """List stored runs, the newest first."""
    from bench import store

    rows = []
    for path in store.run_folders(results):
        folder = store.open_run(path)
        rows.append(
            {
                "name": folder.run.run_id,
                "suite": folder.run.plan.suite,
                "machine": folder.run.machine.name,
                "cases": len(folder.run.plan.cases),
                "complete": folder.complete,
            }
        )
    show(rows, format)
