"""Variants of one size: the width of each is solved, so that all have about equally many parameters beside their tables.

Tables are what is looked up and not computed with: `nn.Embedding`, a row for every word, and parameters with a row for every
position. They would drown everything else, and what is left has one size at every length. Counted is on `meta`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from bench.architectures import Architecture
from bench.blueprints import on_meta, specs_of
from bench.choices import ChosenTask, ChosenVariant
from bench.errors import BenchError, ModelError
from bench.options import fill
from bench.records import MatchedSize
from bench.spec import Spec

if TYPE_CHECKING:
    from bench.suite_file import SuiteFile

TOLERANCE = 0.02
# matrix products in half precision want sizes that are multiples of it (NVIDIA, Matrix Multiplication Background)
ROUND = 8
# bags of words are nearly nothing but their table: at any width at which the rest counts, it would fill the memory
MOST_TABLES = 100


class Size(NamedTuple):
    """Parameters of a model: those that are matched, and those in tables."""

    matched: int
    tables: int


def matched(
    content: SuiteFile | None, tasks: Sequence[ChosenTask], variants: Sequence[ChosenVariant]
) -> tuple[list[ChosenVariant], list[str]]:
    """The variants as `[fairness]` wants them, and one sentence for each that cannot be so."""
    if content is None or content.fairness.match_parameters is None:
        return list(variants), []
    target = content.fairness.match_parameters
    found: list[ChosenVariant] = []
    problems: list[str] = []
    for variant in variants:
        specs = {place: spec for task in tasks for place, spec in specs_of(content, task, variant).items()}
        try:
            found.append(_matched(variant, target, specs))
        except BenchError as error:
            problems.append(f"{variant.title}: {error}")
            found.append(variant)
    return found, problems


def _matched(variant: ChosenVariant, target: int, specs: Mapping[str, Spec]) -> ChosenVariant:
    """The variant at the width that comes nearest to the target, or as it is where it has none.

    Raises:
        ModelError: no width comes near enough, on one of the specs.
    """
    if not specs:
        return variant  # what is wrong is told of its tasks or lengths
    architecture = variant.architecture
    asked, _ = fill(architecture.hyperparameters, variant.variant.hyperparameters)
    settings = _solved(architecture, asked, next(iter(specs.values())), target)
    if settings is None:
        return _with(variant, size=MatchedSize(target=target, parameters=None))
    sizes = {place: size_of(architecture, spec, settings).matched for place, spec in specs.items()}
    (first, reached), *others = sizes.items()
    for place, count in others:
        if abs(count / target - 1) > TOLERANCE:
            raise ModelError(
                f"embedding tables apart it has {reached:,} parameters on {first}, but {count:,} on {place}; "
                "'fairness.match_parameters' gives a variant one width: make a suite of each, or set what follows the length"
            )
    return _with(
        variant,
        hyperparameters=dataclasses.asdict(settings),
        size=MatchedSize(target=target, parameters=reached),
    )


def _with(variant: ChosenVariant, **changes: Any) -> ChosenVariant:
    return dataclasses.replace(variant, variant=dataclasses.replace(variant.variant, **changes))


# ── solving ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _solved(architecture: Architecture, asked: Any, spec: Spec, target: int) -> Any:
    """Hyperparameters of the target's size; None where there is no width, or it scales hardly more than a table.

    Raises:
        ModelError: no width comes near enough.
    """
    width, fine = architecture.width, architecture.fine_width
    if width is None:
        return None
    measured = partial(size_of, architecture, spec)
    widened = partial(architecture.at_width, asked)
    settings, problem = _nearest(measured, target, width, asked, widened)
    if problem and fine is not None:
        settings, problem = _nearest(measured, target, fine, settings, partial(_replaced, settings, fine))
    size = measured(settings)
    if size.tables > MOST_TABLES * size.matched and size.tables > measured(widened(getattr(asked, width))).tables:
        return None
    if problem:
        raise ModelError(problem)
    return settings


def _replaced(settings: Any, name: str, value: int) -> Any:
    return dataclasses.replace(settings, **{name: value})


def _least(settings: Any, name: str) -> int:
    found = next(field for field in dataclasses.fields(settings) if field.name == name)
    return int(found.metadata.get("at_least") or 1)


def _nearest(
    measured: Callable[[Any], Size], target: int, name: str, start: Any, sized: Callable[[int], Any]
) -> tuple[Any, str]:
    """The hyperparameters whose value of one comes nearest to the target, multiples of `ROUND` first.

    Where none is near enough, the largest that is not above the target, from which a finer one may go on, and what is wrong.
    """

    @cache
    def count(value: int) -> int:
        return measured(sized(value)).matched

    def off(value: int) -> float:
        return abs(count(value) / target - 1)

    least = _least(start, name)
    low = _last_within(count, least, getattr(start, name), target)
    below = low // ROUND * ROUND
    for candidates in ([value for value in (below, below + ROUND) if value >= least], [low, low + 1]):
        best = min(candidates, key=off)
        if off(best) <= TOLERANCE:
            return sized(best), ""
    told = [low, low + 1] if count(low) <= target else [low]
    found = " and ".join(f"{count(value):,} at {name} {value}" for value in told)
    why = "larger sizes are met more closely" if len(told) > 1 else "that is its smallest"
    return sized(low), (
        f"cannot come within {TOLERANCE * 100:.0f} % of 'fairness.match_parameters', {target:,}: "
        f"embedding tables apart it has {found}; {why}"
    )


def _last_within(count: Callable[[int], int], least: int, start: int, target: int) -> int:
    """The largest value whose count is not above the target; `least` if there is none.

    Counts never fall. A layer that is wider than the target has more parameters than it, so nothing beyond is tried.
    """
    low, high = least, max(start, least + 1)
    while high <= target and count(high) <= target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if count(middle) <= target:
            low = middle
        else:
            high = middle
    return low


# ── counting ───────────────────────────────────────────────────────────────────────────────────────────────────────


def size_of(architecture: Architecture, spec: Spec, settings: Any) -> Size:
    """The parameters of a model of these hyperparameters, built on `meta`.

    Raises:
        ModelError: it cannot be built.
    """
    shapes, words = _shapes(architecture, spec, settings)
    positions = set()
    lengths = {name: getattr(spec, name) for name in ("sequence_length", "target_length")}
    more = {name: length + 1 for name, length in lengths.items() if length is not None}
    if more:
        longer, _ = _shapes(architecture, dataclasses.replace(spec, **more), settings)
        positions = {name for name, shape in shapes.items() if shape and longer.get(name) == (shape[0] + 1, *shape[1:])}
    tables = words | positions
    return Size(
        matched=sum(shape.numel() for name, shape in shapes.items() if name not in tables),
        tables=sum(shape.numel() for name, shape in shapes.items() if name in tables),
    )


def _shapes(architecture: Architecture, spec: Spec, settings: Any) -> tuple[dict[str, torch.Size], set[str]]:
    """The shapes of all parameters by name, and the names of embedding tables."""
    try:
        model = on_meta(architecture, spec, settings)
    except BenchError:
        raise
    except Exception as error:
        raise ModelError(f"it cannot be built on `meta`: {type(error).__name__}: {error}") from error
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)}
    named = dict(model.named_parameters())
    return {name: one.shape for name, one in named.items()}, {name for name, one in named.items() if id(one) in tables}
