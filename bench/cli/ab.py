"""`bench ab`: two revisions, environments or settings measured in interleaved pairs, and judged."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
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
from bench.cli.measuring import expect_writable, new_run, overrides, use_data
from bench.cli.planning import (
    BudgetOption,
    DataOption,
    DeviceOption,
    FilterOption,
    ImportOption,
    ResultsOption,
    SeedOption,
    SetOption,
)
from bench.cli.sides import Asked, Sides, sides
from bench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from bench.ab import Event
    from bench.cli.ab_screen import Screen
    from bench.lanes import Arm
    from bench.observations import CaseResult
    from bench.records import Run
    from bench.store import RunFolder
    from bench.verdicts import Judgement

DEFAULT_SUITE = "ci"


def ab(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BASE HEAD] [SUITE]",
            help="Two revisions (. is the working tree) or two folders of environments; then a suite, ci if none.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            metavar="KEY=VALUE",
            help="Instead of revisions, given twice: two settings of an axis or a hyperparameter.",
        ),
    ] = None,
    budget: BudgetOption = None,
    filter: FilterOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    import_: ImportOption = None,
    results: ResultsOption = Path("results"),
    data: DataOption = None,
    seed: SeedOption = None,
    format: JudgementFormatOption = JudgementFormat.TABLE,
    output: JudgementOutputOption = None,
    junit: JunitOption = None,
    strict: StrictOption = False,
    all: AllOption = False,
) -> None:
    """Measure two revisions (or environments, or settings) side by side, and tell what got worse.

    Leaves with 1 if something did. After Ctrl-C, what is measured is judged as it stands.
    """
    names, suite = _words(what or [], variant or [])
    asked = Asked(
        suite=suite,
        filter=filter,
        overrides=tuple(overrides(set_ or [], budget)),
        device=device,
        imports=tuple(import_ or ()),
    )
    use_data(data)
    expect_writable(results, "--results")
    errors = output is None and format is not JudgementFormat.TABLE  # a program reads the other stream
    with _terminated_like_interrupted(), sides(names, variant or [], asked) as both:
        judgement, interrupted = _measured(both, results, seed or 0, errors=errors)
    from bench.cli.outcomes import worst

    code = tell(judgement, Outputs(format=format, output=output, junit=junit, strict=strict, all=all))
    raise typer.Exit(int(worst([ExitCode.INTERRUPTED, code] if interrupted else [code])))


def _words(words: Sequence[str], settings: Sequence[str]) -> tuple[list[str], str]:
    """What to compare, and the suite."""
    expected = 0 if settings else 2
    if len(words) not in (expected, expected + 1):
        found = " ".join(words) or "nothing"
        what = "--variant twice and at most a suite" if settings else "BASE HEAD [SUITE], or --variant twice"
        raise UsageError(f"bench ab: found {found}; expected {what}")
    return list(words[:expected]), words[expected] if len(words) > expected else DEFAULT_SUITE


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """While this is open, kill does what Ctrl-C does: workers end, and worktrees go."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _measured(both: Sides, results: Path, seed: int, *, errors: bool) -> tuple[Judgement, bool]:
    """Measure both sides, keep each observation before the next is taken, and judge what is there in the end."""
    from bench import store
    from bench.ab import measure_pairs
    from bench.cli.ab_screen import screen

    bring_data(both.base.plan)
    session, runs = _runs(both, seed)
    with ExitStack() as opened:
        folders = {
            arm: opened.enter_context(closing(store.create(results / session, run, name=arm.value)))
            for arm, run in runs.items()
        }
        paths = {arm: folder.path for arm, folder in folders.items()}
        view = opened.enter_context(screen(_title(both), folders, errors=errors))
        events = measure_pairs(runs, paths, both.open_lane, pairs_a_server=both.pairs_a_server)
        finished = _kept(folders, view, events)
    return _judgement(both, folders, results / session), not finished


def _runs(both: Sides, seed: int) -> tuple[str, dict[Arm, Run]]:
    """A run of every arm, named by the session and the arm."""
    from bench.lanes import Arm

    first = new_run(both.suite, both.base.plan, seed)
    of_arms = {Arm.BASE: both.base, Arm.HEAD: both.head, Arm.CONTROL_BASE: both.base, Arm.CONTROL: both.base}
    return first.run_id, {
        arm: replace(
            first,
            run_id=f"{first.run_id}-{arm.value}",
            plan=side.plan,
            machine=side.machine or first.machine,
            commit=side.commit or first.commit,
            dirty=first.dirty if side.dirty is None else side.dirty,
        )
        for arm, side in of_arms.items()
    }


def _kept(folders: Mapping[Arm, RunFolder], view: Screen, events: Generator[Event, None, None]) -> bool:
    """Whether it went on to the end, not to Ctrl-C."""
    from bench.ab import Told

    try:
        for event in events:
            if isinstance(event, Told):
                folders[event.arm].append(event.observation)
                view.observed(event)
            else:
                view.progress(event)
    except KeyboardInterrupt:
        return False
    finally:
        events.close()  # its workers end with it
    return True


def _title(both: Sides) -> str:
    return f"{both.base.plan.suite}: {both.head.name} against {both.base.name}"


def _judgement(both: Sides, folders: Mapping[Arm, RunFolder], kept: Path) -> Judgement:
    from bench.ab import judge
    from bench.cli.screen import place
    from bench.lanes import Arm
    from bench.trust_record import repeat_commands
    from bench.verdicts import Judgement

    results = {arm: folder.results() for arm, folder in folders.items()}
    comparisons, controls = judge(results, both.base.plan.gate)
    cases = {case.id: place(case) for case in both.base.plan.cases}
    return Judgement(
        title=_title(both),
        base=both.base.name,
        head=both.head.name,
        comparisons=tuple(comparisons),
        cases=cases,
        commands=repeat_commands(folders[Arm.BASE].run.command, cases),
        controls=tuple(controls),
        notes=(*_notes(results), f"kept in {kept}"),
    )


def _notes(results: Mapping[Arm, Sequence[CaseResult]]) -> list[str]:
    """How many pairs were taken, and how many of them were left out."""
    from bench.lanes import Arm
    from bench.trust import disturbance, good_trials, undisturbed

    counts, left_out, rules = [], 0, set()
    for both in zip(results[Arm.BASE], results[Arm.HEAD], strict=True):
        every, calm = ([{trial.round for trial in kind(one)} for one in both] for kind in (good_trials, undisturbed))
        pairs = every[0] & every[1]
        counts += [len(pairs)] if pairs else []
        left_out += len(pairs - (calm[0] & calm[1]))
        rules |= {rule.value for one in both for trial in one.trials if (rule := disturbance(trial, one.case))}
    if not counts:
        return []
    each = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{counts[0]}"
    why = f"; {left_out} left out, for an arm was disturbed ({', '.join(sorted(rules))})" if left_out else ""
    return [f"{sum(counts)} pairs, {each} a case{why}"]
