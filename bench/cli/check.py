"""`bench check`: judge against a stored baseline; the exit code is the gate."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.fetching import bring_data
from bench.cli.judged import (
    AllOption,
    JudgementFormat,
    JudgementFormatOption,
    JudgementOutputOption,
    JunitOption,
    Outputs,
    StrictOption,
    tell,
)
from bench.cli.judging import NO_FITS, asked, has_fits, judged
from bench.cli.measuring import expect_writable, keep, new_run, overrides, use_data
from bench.cli.planning import (
    BudgetOption,
    DataOption,
    DeviceOption,
    FilterOption,
    ImportOption,
    ResultsOption,
    SeedOption,
    SetOption,
    planned,
)
from bench.cli.run import DEFAULT_SUITE
from bench.errors import ExitCode, NotComparableError, UsageError

if TYPE_CHECKING:
    from bench.compare_times import Design
    from bench.observations import Pilot
    from bench.records import Machine, Plan, Run
    from bench.store import RunFolder
    from bench.suite import Suite

SOFT_WIDENS = 2.0


def check(
    baseline: Annotated[str, typer.Option("--baseline", metavar="NAME", help="What `bench baseline save` made.")],
    suite: Annotated[
        str | None, typer.Argument(help=f"Name or path of a suite; {DEFAULT_SUITE} if none.", show_default=False)
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Judge this stored run; measure nothing.")
    ] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Only what has no noise on any machine: sizes and FLOPs, in seconds."),
    ] = False,
    strict: StrictOption = False,
    all_: AllOption = False,
    format: JudgementFormatOption = JudgementFormat.TABLE,
    output: JudgementOutputOption = None,
    junit: JunitOption = None,
    budget: BudgetOption = None,
    filter: FilterOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    results: ResultsOption = Path("results"),
    data: DataOption = None,
    import_: ImportOption = None,
    seed: SeedOption = None,
) -> None:
    """Measure a suite, or take a stored run, and judge it against a baseline of this machine; the exit code is the gate.

    What looks slower is measured afresh, and only found again it is a regression. Faster, smaller, more accurate never
    fails.
    """
    outputs = Outputs(format=format, output=output, junit=junit, strict=strict, all=all_)
    if run is not None:
        shapes = {"SUITE": suite, "--budget": budget, "--set": set_, "--device": device, "--import": import_}
        given = [name for name, value in (shapes | {"--seed": seed, "--data": data}).items() if value is not None]
        if given:
            raise UsageError(f"{given[0]}: a stored run is judged as it was measured; leave it out, or leave out --run")
        from bench.store import without_collector

        with without_collector():
            code = _stored(results, run, baseline, outputs, filter, exact=exact)
        raise typer.Exit(int(code))
    use_data(data)
    expect_writable(results, "--results")
    base = _baseline(results, baseline, _here(), exact=exact)
    changes = overrides(set_ or [], budget)
    plan = partial(
        planned, suite or DEFAULT_SUITE, filter=filter, device=device, overrides=changes, imports=import_ or []
    )
    head, notes = _begun(results, base, plan, seed=seed, exact=exact)
    design = design_of(base.run, head.run, exact=exact, confirms=True)
    if not _measured(base, head, design, outputs, filter):
        raise typer.Exit(int(_interrupted(head, baseline, results, exact=exact)))
    code = tell(judged(base, head, design, name=baseline, filter=filter, notes=notes), outputs)
    raise typer.Exit(int(code))


def _stored(results: Path, reference: str, name: str, outputs: Outputs, filter: str | None, *, exact: bool) -> ExitCode:
    """Judge a stored run and tell it."""
    from bench import store

    head = store.open_run(store.find(results, reference))
    base = _baseline(results, name, head.run.machine, exact=exact)
    confirms = not exact and was_confirmed(base, head, filter)
    design = design_of(base.run, head.run, exact=exact, confirms=confirms)
    return tell(judged(base, head, design, name=name, filter=filter), outputs)


def _baseline(results: Path, name: str, machine: Machine, *, exact: bool) -> RunFolder:
    from bench import baseline

    return (baseline.find_any if exact else baseline.find)(results, name, machine)


def _here() -> Machine:
    from bench.probes import machine

    return machine.snapshot("cpu")  # what must match is the same for every device of a machine


def design_of(base: Run, head: Run, *, exact: bool, confirms: bool) -> Design:
    """How a run is judged against a baseline: thresholds are wider where soft facts of the machines differ."""
    from bench.compare_times import Design
    from bench.machines import differences

    widen = SOFT_WIDENS if differences(base.machine, head.machine).soft else 1.0
    return Design(paired=False, confirms=confirms, widen=widen, portable_only=exact)


def was_confirmed(base: RunFolder, head: RunFolder, filter: str | None) -> bool:
    """Whether all that is flagged in a stored run was measured afresh when the run was taken."""
    from bench.compare import to_confirm
    from bench.observations import Trial

    design = design_of(base.run, head.run, exact=False, confirms=True)
    again = {one.case_id for one in head.observations if isinstance(one, Trial) and one.confirming}
    return bool(again) and again.issuperset(to_confirm(*asked(base, head, filter), head.run.plan.gate, design))


# ── measuring ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _begun(
    results: Path, base: RunFolder, planned: Callable[..., tuple[Suite, Plan]], *, seed: int | None, exact: bool
) -> tuple[RunFolder, list[str]]:
    """A new run of the suite, calibrated as the baseline was, of which nothing is measured yet; and what must be said of it."""
    from bench import store

    # where a suite sets no threads, it is as many as the baseline's machine has cores: else its cases would be others
    loaded, plan = planned(threads=base.run.machine.hard.get("cores"))
    measured = _plan(plan, base, exact=exact)
    bring_data(measured if measured.seeds else _untrained(measured))
    # the same seed: both sides see the same inputs
    head = store.create(results, new_run(loaded, measured, base.run.seed if seed is None else seed))
    for pilot in [] if exact else calibration(base, measured):
        head.append(pilot)
    return head, [NO_FITS] if len(measured.cases) < len(plan.cases) else []


def _plan(plan: Plan, base: RunFolder, *, exact: bool) -> Plan:
    """What is measured of a plan to be judged: fits with seeds that the baseline has not used, and only where it has fits."""
    from bench.records import PassKind

    if exact:
        # the passes in which something is counted that does not depend on the machine
        passes = (PassKind.MEMORY, PassKind.COST)
        measure = replace(plan.measure, passes=passes, limits=False, min_rounds=0, max_rounds=0)
        plan = replace(plan, seeds=(), measure=measure)
    if has_fits(base):
        first = max(base.run.plan.seeds, default=-1) + 1
        return replace(plan, seeds=tuple(range(first, first + len(plan.seeds))))
    plan = _untrained(plan)
    if not plan.cases:
        raise NotComparableError(
            f"suite '{plan.suite}' trains to accuracy and times nothing, and baseline '{base.path.name}' has no finished "
            "training; save a run that has"
        )
    return plan


def _untrained(plan: Plan) -> Plan:
    return replace(plan, cases=tuple(case for case in plan.cases if case.fit is None))


def calibration(base: RunFolder, plan: Plan) -> list[Pilot]:
    """The baseline's pilots of cases that are still the same: other iterations alone can look like a change of 6 %."""
    from bench.observations import Pilot
    from bench.records import Outcome

    before = {case.id: case.definition_hash for case in base.run.plan.cases}
    same = {case.id for case in plan.cases if before.get(case.id) == case.definition_hash}
    pilots = [one for one in base.observations if isinstance(one, Pilot) and one.outcome is Outcome.OK]
    return [pilot for pilot in pilots if pilot.case_id in same]


def _measured(base: RunFolder, head: RunFolder, design: Design, outputs: Outputs, filter: str | None) -> bool:
    """Measure, and once more what is flagged; whether it went on to the end."""
    from bench.cli.screen import console, screen
    from bench.compare import to_confirm
    from bench.runner import confirm, count, measure

    # programs read the judgement alone from the one stream
    view_on = console(errors=outputs.output is None and outputs.format is not JudgementFormat.TABLE)
    with closing(head), screen(head, view_on) as view:
        if design.portable_only:
            return keep(head, view, count(head.run, head.observations, head.path))
        if not keep(head, view, measure(head.run, head.observations, head.path)):
            return False
        flagged = to_confirm(*asked(base, head, filter), head.run.plan.gate, design)
        return keep(head, view, confirm(head.run, head.observations, head.path, flagged))


def _interrupted(head: RunFolder, name: str, results: Path, *, exact: bool) -> ExitCode:
    lines = [f"Interrupted; what was finished is kept in {head.path}."]
    if not exact:
        where = [] if results == Path("results") else ["--results", str(results)]
        words = ["bench", "run", "--resume", head.run.run_id, *where]
        again = ["bench", "check", "--baseline", name, "--run", head.run.run_id, *where]
        lines += ["To go on, and to judge it:", f"  {shlex.join(words)} && {shlex.join(again)}"]
    print("\n".join(lines), file=sys.stderr)
    return ExitCode.INTERRUPTED
