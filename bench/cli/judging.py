"""From two stored runs to what is told of them: what `check` and `compare` share. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.compare_times import Design
    from bench.observations import CaseResult
    from bench.records import Run
    from bench.store import RunFolder
    from bench.verdicts import Judgement


NO_FITS = "training to accuracy is not judged: the baseline has no finished training"


def judged(
    base: RunFolder,
    head: RunFolder,
    design: Design,
    *,
    name: str | None = None,
    filter: str | None = None,
    notes: Sequence[str] = (),
) -> Judgement:
    """Judge `head` against `base` by the gate of its own suite.

    Args:
        base: what it is judged against.
        head: what is judged.
        design: how they were measured.
        name: what base is called: its run id if None.
        filter: judge only these cases.
        notes: what must be said beside what is seen in the two.
    """
    from bench.cli.screen import place
    from bench.compare import compare
    from bench.store import without_collector
    from bench.trust_record import repeat_commands
    from bench.verdicts import Judgement

    with without_collector():
        old, new = asked(base, head, filter)
        comparisons = compare(old, new, head.run.plan.gate, design)
    names = name or base.run.run_id, head.run.run_id
    cases = {name: place(case) for name, case in {one.case.id: one.case for one in (*old, *new)}.items()}
    return Judgement(
        title=f"{_told(head.run, names[1])} against {_told(base.run, names[0])}",
        base=names[0],
        head=names[1],
        comparisons=tuple(comparisons),
        cases=cases,
        commands=repeat_commands(head.run.command, cases),
        notes=(*notes, *_notes(base, head, new, design)),
    )


def asked(base: RunFolder, head: RunFolder, filter: str | None) -> tuple[list[CaseResult], list[CaseResult]]:
    """What is judged of two runs: the cases of a filter, and fits only where base has some."""
    from bench.records import matching

    cases = {case.id: case for case in (*base.run.plan.cases, *head.run.plan.cases)}
    kept = matching(list(cases.values()), filter) if filter else cases.values()
    fits = has_fits(base)
    names = {case.id for case in kept if fits or case.fit is None}
    old, new = ([result for result in side.results() if result.case.id in names] for side in (base, head))
    return old, new


def has_fits(folder: RunFolder) -> bool:
    """Whether anything in a run was trained to accuracy."""
    from bench.observations import Fit

    return any(isinstance(one, Fit) for one in folder.observations)


def _told(run: Run, name: str) -> str:
    commit = f", commit {run.commit[:10]}{' with changes' if run.dirty else ''}" if run.commit else ""
    return f"{name} ({run.created[:10]}{commit})"


def _notes(base: RunFolder, head: RunFolder, results: Sequence[CaseResult], design: Design) -> Iterator[str]:
    """What a reader must know beside the verdicts."""
    from bench.machines import differences

    apart = differences(base.run.machine, head.run.machine)
    if apart.hard:
        yield f"another machine ({', '.join(apart.hard)}): only what does not depend on it is judged"
    elif design.portable_only:
        yield "only what does not depend on the machine is judged"
    elif apart.soft:
        yield f"{', '.join(apart.soft)}: thresholds of what depends on the machine are doubled"
    if has_fits(head) and not has_fits(base):
        yield NO_FITS
    if head.torn:
        yield f"{head.path}: its last line is half-written and is left out"
    if not design.portable_only:
        yield from _disturbed(results)


def _disturbed(results: Sequence[CaseResult]) -> Iterator[str]:
    from bench.trust import disturbance, good_trials

    found = [disturbance(trial, result.case) for result in results for trial in good_trials(result)]
    disturbed = len(found) - found.count(None)
    if disturbed:
        yield f"{disturbed} of {len(found)} trials were disturbed from outside"
