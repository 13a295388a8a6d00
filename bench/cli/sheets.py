"""All about one architecture, or one task, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from bench.cli.output import grid, table, text
from bench.quantity import Unit, format_exact, format_value

if TYPE_CHECKING:
    from bench.datasheet import ArchitectureSheet, Cost, Held, Setting, TaskSheet

_NO_SUITE = "no suite with a name"


def architecture(sheet: ArchitectureSheet) -> Iterator[RenderableType]:
    """What it is, what it costs, where it fits; then its contracts and its hyperparameters."""
    yield Text.assemble((sheet.name, "bold"), f": {sheet.summary}" if sheet.summary else "")
    fits = ", ".join(one.name for one in sheet.tasks if one.fits)
    yield grid(
        [
            ("source", sheet.source),
            ("takes", ", ".join(sheet.inputs)),
            ("gives", ", ".join(sheet.outputs)),
            ("width", sheet.width or "none is named"),
            ("streams", "n/a" if sheet.streams is None else "yes" if sheet.streams else f"no: {sheet.not_streaming}"),
            ("fits", fits or ("n/a" if sheet.needs else "none of the tasks that are here")),
            *_not_told(sheet),
            ("used in", ", ".join(sheet.suites) or _NO_SUITE),
        ]
    )
    if sheet.task is not None:
        yield Text(f"\nOn {sheet.task}{_at_length(sheet)}, {_with(sheet)}:", style="bold")
        yield grid(_cost(sheet.cost))
        yield Text()
        yield table(
            ("contract", "now", "what a right model does"),
            [_contract(one) for one in sheet.contracts],
        )
    if sheet.hyperparameters:
        yield Text()
        yield _settings("hyperparameter", sheet.hyperparameters)


def _not_told(sheet: ArchitectureSheet) -> list[tuple[str, str]]:
    """Tasks of which nobody can tell, each reason once; what would help where that is all of them."""
    if sheet.needs:
        asked = " ".join(f"--set {name}=..." for name in sheet.needs)
        return [("not told", f"what fits, cost, contracts: give what has no default, {asked}")]
    unknown: dict[str, list[str]] = {}
    for one in sheet.tasks:
        if one.fits is None:
            unknown.setdefault(one.reason, []).append(one.name)
    return [("not told", "; ".join(f"{', '.join(names)} ({reason})" for reason, names in unknown.items()))] * bool(
        unknown
    )


def _at_length(sheet: ArchitectureSheet) -> str:
    return f" at length {sheet.sequence_length}" if sheet.sequence_length else ""


def _with(sheet: ArchitectureSheet) -> str:
    given = ", ".join(f"{name} = {text(value)}" for name, value in sheet.given.items())
    return f"with {given}" if given else "with its defaults"


def task(sheet: TaskSheet) -> Iterator[RenderableType]:
    """What it is, its kinds and its metrics, who fits; then its options."""
    yield Text.assemble((sheet.name, "bold"), f": {sheet.summary}")
    rows = [("source", sheet.source)]
    if sheet.metrics is None:
        rows.append(("not told", f"what goes in and comes out, metrics, who fits ({sheet.reason})"))
    else:
        unit = next((metric.unit for metric in sheet.metrics if metric.name == sheet.headline), Unit.NUMBER)
        chance = "" if sheet.chance is None else f"; knowing nothing scores {format_value(sheet.chance, unit)}"
        rows += [
            ("takes", text(sheet.inputs)),
            ("gives", f"{sheet.outputs}{f' ({sheet.classes})' if sheet.classes else ''}"),
            ("length", text(sheet.length_axis)),
            ("headline", f"{sheet.headline}{chance}"),
            ("metrics", ", ".join(metric.name for metric in sheet.metrics)),
            ("split", f"{sheet.folds} folds" if sheet.folds else "one, fixed"),
            ("fits", ", ".join(sheet.architectures or ()) or "no architecture that is here"),
        ]
    yield grid([*rows, ("used in", ", ".join(sheet.suites) or _NO_SUITE)])
    if sheet.options:
        yield Text()
        yield _settings("option", sheet.options)


def _cost(cost: Cost) -> Iterator[tuple[str, str]]:
    told = {"parameters": format_exact(cost.parameters, Unit.COUNT)}
    told["parameters"] += ", by its closed form" if cost.closed_form else ""
    told["forward"] = f"{format_value(cost.flops_per_item, Unit.COUNT)} FLOPs an item"
    for name, key in (("parameters", "parameters"), ("forward", "flops_per_item")):
        yield name, f"n/a: {cost.reasons[key]}" if key in cost.reasons else told[name]


def _contract(held: Held) -> tuple[str, Text, str]:
    from bench.datasheet import State

    styles = {State.GREEN: "green", State.RED: "bold red", State.NOT_ASKED: "dim"}
    told = f"{held.what}\n{held.reason}" if held.reason else held.what
    return held.name, Text(held.state.value, style=styles[held.state]), told


def _settings(kind: str, settings: Sequence[Setting]) -> RenderableType:
    return table((kind, "default", "takes", "help"), [_setting(one) for one in settings])


def _setting(setting: Setting) -> tuple[str, str, str, str]:
    default = "must be given" if setting.required else "''" if setting.default == "" else text(setting.default)
    return setting.name, default, _range(setting), setting.help


def _range(setting: Setting) -> str:
    if setting.choices:
        return text(setting.choices)
    if isinstance(setting.default, bool):
        return "yes, no"
    low = "" if setting.at_least is None else f"from {setting.at_least:g}"
    high = "" if setting.below is None else f"below {setting.below:g}"
    return ", ".join(part for part in (low, high) if part)
