"""What `bench ab` puts side by side: two revisions, two environments, or two settings, and where each of them runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.lanes import OpenLane
    from bench.records import Machine, Plan
    from bench.suite import Suite

LEAST_SAMPLES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for, whatever is compared."""

    suite: str
    filter: str | None = None
    overrides: tuple[str, ...] = ()
    device: str | None = None
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: what it is called, its cases, and what is recorded of it; None is recorded as of any run."""

    name: str
    plan: Plan
    machine: Machine | None = None
    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both, and where they run; see `bench.ab.measure_pairs`."""

    suite: Suite
    base: Side
    head: Side
    open_lane: OpenLane
    pairs_a_server: int = 2


def sides(names: Sequence[str], settings: Sequence[str], asked: Asked) -> AbstractContextManager[Sides]:
    """What to compare, ready to be measured while this is open.

    Args:
        names: of base and head; none where settings are compared.
        settings: two of KEY=VALUE, or none.
        asked: the suite and what shapes it.

    Raises:
        UsageError, SuiteError: something does not exist or does not fit.
    """
    if settings:
        return _settings(settings, asked)
    from bench.environments import interpreter

    are_environments = [interpreter(name) is not None for name in names]
    if all(are_environments):
        return _environments(names, asked)
    if any(are_environments):
        raise UsageError(f"{names[0]} and {names[1]}: one is an environment, the other is none; compare two of a kind")
    return _revisions(names, asked)


# ── two revisions ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _revisions(names: Sequence[str], asked: Asked) -> Iterator[Sides]:
    from bench.lanes import Arm, of_checkouts
    from bench.worktrees import checkouts, repository, revision

    top = repository()
    base, head = (revision(name, top) for name in names)
    suite, plan = _planned(asked)
    plan = _as_given(suite, plan)
    with checkouts({"base": base, "head": head, "control": base}, top) as folders:
        _expect_under_test(plan, {str(base): folders["base"], str(head): folders["head"]}, top)
        of_arms = {Arm.BASE: "base", Arm.HEAD: "head", Arm.CONTROL_BASE: "base", Arm.CONTROL: "control"}
        first, second = (Side(name=str(one), plan=plan, commit=one.commit, dirty=one.dirty) for one in (base, head))
        yield Sides(
            suite=suite,
            base=first,
            head=_with_other_seeds(second),
            open_lane=of_checkouts({arm: folders[name] for arm, name in of_arms.items()}, top),
        )


def _expect_under_test(plan: Plan, checkouts: Mapping[str, Path], top: Path) -> None:
    """See that the suite measures something of the repository.

    Raises:
        UsageError: all of it is installed, and so the same in both revisions.
    """
    from bench.source import is_of_bench

    ours = {name: is_of_bench(folder) for name, folder in checkouts.items()}
    if all(ours.values()):
        return
    if any(ours.values()):
        missing = next(name for name, is_ours in ours.items() if not is_ours)
        raise UsageError(f"revision {missing}: has no bench/architectures and bench/tasks; compare later ones")
    if not any(_stands_in(folder, plan, top) for folder in checkouts.values()):
        raise UsageError(
            f"suite '{plan.suite}': nothing that it names stands in this repository, so both revisions are the same code; "
            'name a suite with a model of yours: [[architecture]] name = "my_package.models:MyNet"'
        )


def _stands_in(checkout: Path, plan: Plan, top: Path) -> bool:
    """Whether any code that the plan names, beside what is built in, would come from a checkout."""
    from importlib.metadata import entry_points

    from bench.architectures import ARCHITECTURES
    from bench.lanes import moved
    from bench.source import holds
    from bench.tasks import TASKS

    folder = moved(Path(plan.folder).expanduser(), top, checkout)
    own = folder.is_relative_to(checkout)
    names = {case.variant.architecture for case in plan.cases} - set(ARCHITECTURES.built_in())
    names |= {case.task for case in plan.cases} - set(TASKS.built_in())
    modules = {*plan.imports, *(name.rpartition(":")[0] for name in names if ":" in name)}
    for group in ("bench.architectures", "bench.tasks"):
        modules |= {entry.module for entry in entry_points(group=group) if entry.name in names}
    files = {module for module in modules if module.endswith(".py")}
    return any(own and (folder / file).is_file() for file in files) or any(
        holds(checkout, module) or (own and holds(folder, module)) for module in modules - files
    )


# ── two environments ───────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _environments(names: Sequence[str], asked: Asked) -> Iterator[Sides]:
    from bench.environments import environment
    from bench.lanes import Arm, of_environments

    suite, plan = _planned(asked)
    plan = _as_given(suite, plan)
    base, head = (environment(name, plan.cases[0].device) for name in names)
    pythons = {Arm.BASE: base, Arm.HEAD: head, Arm.CONTROL_BASE: base, Arm.CONTROL: base}
    first, second = (Side(name=one.name, plan=plan, machine=one.machine) for one in (base, head))
    yield Sides(
        suite=suite,
        base=first,
        head=_with_other_seeds(second),
        open_lane=of_environments({arm: found.python for arm, found in pythons.items()}),
        pairs_a_server=1,
    )


# ── two settings ───────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _settings(settings: Sequence[str], asked: Asked) -> Iterator[Sides]:
    from bench.lanes import one_server

    if len(settings) != 2:
        raise UsageError(
            f"--variant: given {len(settings)} times; expected twice, such as compile=none and compile=default"
        )
    whole = replace(asked, filter=None)
    (suite, base), (_, head) = (_planned(whole, setting) for setting in settings)
    if len(base.cases) != len(head.cases):
        counts = f"{len(base.cases)} and {len(head.cases)} cases"
        raise UsageError(f"--variant {settings[0]}, {settings[1]}: make {counts}, which cannot be paired")
    if asked.filter:
        base, head = _filtered(base, head, asked.filter)
    yield Sides(
        suite=suite,
        base=Side(name=settings[0], plan=base),
        head=_with_other_seeds(Side(name=settings[1], plan=head)),
        open_lane=one_server,
    )


def _filtered(base: Plan, head: Plan, pattern: str) -> tuple[Plan, Plan]:
    """The cases of base that a filter keeps, and those at their places in head."""
    from bench.records import matching

    kept = {case.id for case in matching(base.cases, pattern)}
    places = [place for place, case in enumerate(base.cases) if case.id in kept]
    if not places:
        raise UsageError(f"--filter '{pattern}' leaves none of the cases; their ids look like {base.cases[0].id}")
    first, second = (replace(plan, cases=tuple(plan.cases[place] for place in places)) for plan in (base, head))
    return first, second


def _setting(text: str) -> tuple[str, object]:
    """A key and its value: TOML, or the bare word that it is."""
    import tomllib

    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals and value):
        raise UsageError(f"--variant {text}: expected KEY=VALUE, such as compile=default, threads=2 or hidden_dim=64")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except ValueError:
        return key, value


# ── all of them ────────────────────────────────────────────────────────────────────────────────────────────────────


def _planned(asked: Asked, setting: str = "") -> tuple[Suite, Plan]:
    """The suite and its plan, with one thread unless it says so, and with what gates measure."""
    from bench.suite import find, load

    path = find(asked.suite)
    sound = load(path, asked.overrides)
    from bench.choices import AXES
    from bench.plan import resolve
    from bench.records import PassKind

    device = asked.device
    everywhere: dict[str, object] = {}
    if setting:
        key, value = _setting(setting)
        axis = AXES.get(key)
        if key == "device":
            device = str(value)
        else:
            everywhere = {f"architecture.{key}": value} if axis is None else {f"speed.{axis}": [value]}
    suite = load(path, asked.overrides, everywhere) if everywhere else sound
    plan = resolve(suite, device=device or "auto", threads=1, filter=asked.filter, imports=asked.imports)
    samples = max(LEAST_SAMPLES, plan.measure.samples)
    passes = (PassKind.MEMORY, PassKind.COST)
    return suite, replace(plan, measure=replace(plan.measure, samples=samples, passes=passes, limits=False))


def _as_given(suite: Suite, plan: Plan) -> Plan:
    """The plan with the hyperparameters that the suite gives and no others: each side has defaults of its own.

    A changed default is a change like any other, and an argument that is new in one side is unknown in the other.
    """
    from bench.choices import choose_variants

    chosen, _ = choose_variants(suite, suite.path.parent)
    entries = suite.architectures.values()
    given = {one.variant.label: entry.options for one, entry in zip(chosen, entries, strict=True)}
    cases = (
        replace(case, variant=replace(case.variant, hyperparameters=given[case.variant.label])) for case in plan.cases
    )
    return replace(plan, cases=tuple(cases))


def _with_other_seeds(side: Side) -> Side:
    """Fits of one seed are alike to the bit on a CPU: the same seeds in both would prove nothing."""
    seeds = side.plan.seeds
    others = tuple(max(seeds) + 1 + seed - min(seeds) for seed in seeds)
    return replace(side, plan=replace(side.plan, seeds=others))
