"""`bench list`: what can be compared, and what has been measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import Format, FormatOption, show
from bench.cli.planning import DeviceOption, FilterOption, ImportOption, ResultsOption, SetOption, planned

if TYPE_CHECKING:
    from bench.architectures import Architecture
    from bench.records import Case
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
def architectures(name: NameArgument = None, format: FormatOption = Format.TABLE) -> None:
    """List architectures; with a name, its hyperparameters with defaults and help."""
    from bench.architectures import ARCHITECTURES

    found = [ARCHITECTURES.get(each) for each in ([name] if name else ARCHITECTURES.names())]
    if format is Format.JSON:
        show([_architecture(each) for each in found], format)
    elif name:
        _about(found[0].name, found[0].summary, found[0].source, found[0].hyperparameters)
    else:
        show([{"name": each.name, "what": each.summary, "source": each.source} for each in found], format)


def _architecture(each: Architecture) -> dict[str, Any]:
    return {
        "name": each.name,
        "summary": each.summary,
        "source": each.source,
        "inputs": sorted(each.inputs),
        "outputs": sorted(each.outputs),
        "width": each.width,
        "hyperparameters": _options(each.hyperparameters),
    }


@app.command("tasks")
def tasks(name: NameArgument = None, format: FormatOption = Format.TABLE) -> None:
    """List tasks; with a name, its options with defaults and help."""
    from bench.tasks import TASKS

    found = [TASKS.get(each) for each in ([name] if name else TASKS.names())]
    if format is Format.JSON:
        show([_task(each) for each in found], format)
    elif name:
        _about(found[0].name, found[0].summary, found[0].source, found[0].options)
    else:
        show([{"name": each.name, "what": each.summary, "source": each.source} for each in found], format)


def _task(each: TaskKind) -> dict[str, Any]:
    return {"name": each.name, "summary": each.summary, "source": each.source, "options": _options(each.options)}


def _about(name: str, summary: str, source: str, options: type[Any]) -> None:
    print(f"{name}: {summary}\nsource: {source}\n")
    show(_options(options), Format.TABLE)


def _options(record: type[Any]) -> list[dict[str, Any]]:
    """Name, default and help of every field of an options record; an option that must be given has no default."""
    return [
        {
            "name": field.name,
            "default": None if field.default is dataclasses.MISSING else field.default,
            "help": field.metadata.get("help", ""),
        }
        for field in dataclasses.fields(record)
    ]


@app.command("workloads")
def workloads(format: FormatOption = Format.TABLE) -> None:
    """List workloads: what can be measured of a model."""
    from bench.workloads import WORKLOADS

    found = [WORKLOADS.get(each) for each in WORKLOADS.names()]
    if format is Format.TABLE:
        show([{"name": each.name, "what": each.summary} for each in found], format)
    else:
        keys = ("name", "summary", "axes", "metrics")
        show([{key: getattr(each, key) for key in keys} for each in found], format)


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
            {"name": case.id} | ({"skipped": case.skip} if any(c.skip for c in plan.cases) else {})
            for case in plan.cases
        ]
    show(rows, format)


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
