"""`bench baseline`: the runs that later ones are judged against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import Format, FormatOption, show
from bench.cli.planning import ResultsOption
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.observations import CaseResult

app = typer.Typer(help="Save, list, show or remove the runs that `bench check` judges against.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Letters, digits, dots and dashes: main, v1.2.")]
MachineOption = Annotated[
    str, typer.Option("--machine", metavar="FINGERPRINT", help="Whose, or the beginning of it; this machine's if none.")
]


@app.command("save")
def save(
    name: NameArgument,
    run: Annotated[str, typer.Argument(help="Path, run id, unique beginning of one, or latest.")] = "latest",
    results: ResultsOption = Path("results"),
) -> None:
    """Keep a finished run as a baseline of its machine; the one that had this name is replaced."""
    from bench import baseline, store

    print(baseline.save(results, name, store.open_run(store.find(results, run))))


@app.command("list")
def list_(results: ResultsOption = Path("results"), format: FormatOption = Format.TABLE) -> None:
    """List baselines, of every machine."""
    from bench import baseline

    show([_entry(path) for path in baseline.paths(results)], format)


@app.command("show")
def show_(
    name: NameArgument,
    machine: MachineOption = "",
    results: ResultsOption = Path("results"),
    format: FormatOption = Format.TABLE,
) -> None:
    """Show what a baseline holds, case by case."""
    from bench import baseline

    path = _chosen(results, name, machine)
    rows = [_case(result) for result in baseline.read(path).results()]
    if format is Format.TABLE:
        print("\n".join(f"{key}: {value}" for key, value in _entry(path).items()) + "\n")
        rows = [_in_words(row) for row in rows]
    show(rows, format)


@app.command("rm")
def remove(name: NameArgument, machine: MachineOption = "", results: ResultsOption = Path("results")) -> None:
    """Remove a baseline."""
    from bench import baseline

    path = _chosen(results, name, machine)
    baseline.remove(path)
    print(f"removed {path}")


def _chosen(results: Path, name: str, fingerprint: str) -> Path:
    """The folder of a baseline: of the machine that is named, else of the only one that has it, else of this one."""
    from bench import baseline

    every = baseline.paths(results)
    fits = [path for path in every if path.name == name and path.parent.name.startswith(fingerprint)]
    if len(fits) > 1:
        from bench.probes import machine

        own = machine.snapshot("cpu").fingerprint
        fits = [path for path in fits if path.parent.name == own] or fits
    if len(fits) > 1:
        machines = ", ".join(path.parent.name for path in fits)
        raise UsageError(
            f"baseline '{name}' is there for several machines, none of them this one: add --machine {machines}"
        )
    if not fits:
        raise UsageError(f"baseline '{name}' is not in {results / baseline.FOLDER}; {_meant(name, every)}")
    return fits[0]


def _meant(name: str, every: list[Path]) -> str:
    from bench.registry import did_you_mean

    return did_you_mean(name, {path.name for path in every}) if every else "`bench baseline save` makes one"


def _entry(path: Path) -> dict[str, Any]:
    from bench import store

    run = store.read_run(path)
    return {
        "name": path.name,
        "suite": run.plan.suite,
        "cases": len(run.plan.cases),
        "measured": run.created[:10],
        "commit": run.commit and run.commit[:10],
        "machine": run.machine.name,
        "fingerprint": path.parent.name,
    }


def _case(result: CaseResult) -> dict[str, Any]:
    """What a case is judged by: how often it was measured, and the values of its metrics."""
    from bench.compare import EXACT
    from bench.estimates import estimates, good_fits
    from bench.trust import good_trials
    from bench.verdicts import TIME

    found = estimates(result)
    fitted = list(good_fits(result)[0].metrics) if good_fits(result) else []
    outcome, reason = result.verdict
    return {
        "name": result.case.id,
        "outcome": outcome,
        "reason": reason,
        "trials": len(good_trials(result)),
        "fits": len(good_fits(result)),
        "values": {name: found[name].value for name in (TIME, *EXACT, *fitted) if name in found},
    }


def _in_words(row: dict[str, Any]) -> dict[str, Any]:
    from bench.quantity import METRICS, Unit, format_value

    values = (
        f"{metric.title if metric else name} {format_value(value, metric.unit if metric else Unit.NUMBER)}"
        for name, value in row["values"].items()
        for metric in [METRICS.get(name)]
        if value is not None
    )
    return {
        "name": row["name"],
        "outcome": row["outcome"],
        "measured": f"{row['fits']} fits" if row["fits"] else f"{row['trials']} trials",
        "values": ", ".join(values) or row["reason"],
    }
