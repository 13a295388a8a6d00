"""What stored runs are put beside in a report: a baseline, and each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.check import design_of, was_confirmed
from bench.cli.judging import judged
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.store import RunFolder
    from bench.verdicts import Judgement


def beside_baseline(results: Path, name: str, heads: Sequence[RunFolder]) -> list[Judgement]:
    """Every run judged against the baseline of that name, else against the run that is meant by it.

    Only what does not depend on the machine is judged against one of another machine.

    Raises:
        UsageError: there is neither.
        NotComparableError: it was measured by another method.
        StoreError: it is damaged.
    """
    return [_judged(_base(results, name, head), head) for head in heads]


def beside_own_baseline(results: Path, head: RunFolder) -> list[Judgement]:
    """A run judged against the only older baseline of its machine and suite; nothing where there is none, or several."""
    from bench import baseline, store

    try:
        found = [path for path in baseline.paths(results) if path.parent.name == head.run.machine.fingerprint]
        older = [
            path
            for path, run in ((path, store.read_run(path)) for path in found)
            if run.plan.suite == head.run.plan.suite and run.created < head.run.created
        ]
        if len(older) != 1:
            return []
        return [_judged(baseline.find(results, older[0].name, head.run.machine), head)]
    except BenchError as error:
        # nobody asked for it, so it may not cost them the page
        print(f"note: no comparison with a baseline: {error}", file=sys.stderr)
        return []


def beside_each_other(folders: Sequence[RunFolder]) -> list[Judgement]:
    """Of the runs of each machine the later ones, in the order given, judged against the first as `compare` does."""
    from bench.cli.compare import compared

    first: dict[str, RunFolder] = {}
    found = []
    for folder in folders:
        base = first.setdefault(folder.run.machine.fingerprint, folder)
        if base is not folder:
            found.append(compared(base, folder))
    return found


def _base(results: Path, name: str, head: RunFolder) -> RunFolder:
    from bench import baseline, store
    from bench.registry import did_you_mean

    known = {path.name for path in baseline.paths(results)}
    if name in known:
        own = results / baseline.FOLDER / head.run.machine.fingerprint / name
        return (baseline.find if own.is_dir() else baseline.find_any)(results, name, head.run.machine)
    try:
        return store.open_run(store.find(results, name))
    except UsageError as error:
        meant = did_you_mean(name, known) if known else "`bench baseline save` makes one"
        raise UsageError(f"--baseline {name}: neither a baseline nor a run; {meant}") from error


def _judged(base: RunFolder, head: RunFolder) -> Judgement:
    from bench.machines import differences

    exact = bool(differences(base.run.machine, head.run.machine).hard)
    confirms = not exact and was_confirmed(base, head, None)
    design = design_of(base.run, head.run, exact=exact, confirms=confirms)
    return judged(base, head, design, name=base.path.name)
