"""`bench compare`: the differences between two stored runs; it gates nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.check import design_of
from bench.cli.judged import (
    AllOption,
    JudgementFormat,
    JudgementFormatOption,
    JudgementOutputOption,
    Outputs,
    tell,
)
from bench.cli.judging import judged
from bench.cli.planning import FilterOption, ResultsOption

if TYPE_CHECKING:
    from bench.store import RunFolder
    from bench.verdicts import Judgement


def compare(
    base: Annotated[str, typer.Argument(help="Path, run id, unique beginning of one, or latest.")],
    head: Annotated[str, typer.Argument(help="The run that is put beside it.")],
    all_: AllOption = False,
    format: JudgementFormatOption = JudgementFormat.TABLE,
    output: JudgementOutputOption = None,
    filter: FilterOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Show how HEAD differs from BASE, metric by metric; always leaves with 0.

    Both are runs, or the two sides of an `ab` session: SESSION/base SESSION/head.
    """
    from bench import store

    old, new = (store.open_run(store.find(results, reference)) for reference in (base, head))
    tell(compared(old, new, filter), Outputs(format=format, output=output, all=all_))


def compared(base: RunFolder, head: RunFolder, filter: str | None = None) -> Judgement:
    """How one stored run differs from another; the sides of an `ab` session as it judged them."""
    return _in_pairs(base, head) or _side_by_side(base, head, filter)


def _side_by_side(base: RunFolder, head: RunFolder, filter: str | None) -> Judgement:
    from bench.machines import differences

    hard = ", ".join(differences(base.run.machine, head.run.machine).hard)
    design = design_of(base.run, head.run, exact=bool(hard), confirms=False)
    return judged(base, head, replace(design, other_machine=hard), filter=filter)


def _in_pairs(base: RunFolder, head: RunFolder) -> Judgement | None:
    """The sides of one `ab` session, as `ab` judged them, with its controls; None for anything else."""
    from bench import store
    from bench.ab import judge
    from bench.cli.screen import place
    from bench.lanes import Arm
    from bench.trust_record import repeat_commands
    from bench.verdicts import Judgement

    session = base.path.parent
    if (base.path, head.path) != (session / Arm.BASE.value, session / Arm.HEAD.value):
        return None
    controls = {arm: store.open_run(session / arm.value) for arm in (Arm.CONTROL_BASE, Arm.CONTROL)}
    results = {arm: folder.results() for arm, folder in {Arm.BASE: base, Arm.HEAD: head, **controls}.items()}
    comparisons, seen = judge(results, base.run.plan.gate)
    cases = {case.id: place(case) for case in base.run.plan.cases}
    return Judgement(
        title=f"{head.run.run_id} against {base.run.run_id}",
        base=base.run.run_id,
        head=head.run.run_id,
        comparisons=tuple(comparisons),
        cases=cases,
        commands=repeat_commands(base.run.command, cases),
        controls=tuple(seen),
    )
