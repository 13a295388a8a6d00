"""Every variant of a suite built once while it is planned: options that contradict each other are told before a run.

They are built on `meta`, which takes milliseconds and no memory, at the longest sequence that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from bench.architectures import Architecture
from bench.architectures.foreign import is_plain_class
from bench.choices import ChosenTask, ChosenVariant
from bench.errors import BenchError
from bench.spec import Spec
from bench.tasks.data.checkpoints import comes_from_elsewhere

if TYPE_CHECKING:
    from bench.suite_file import SuiteFile


def unbuildable(content: SuiteFile | None, tasks: Sequence[ChosenTask], variants: Sequence[ChosenVariant]) -> list[str]:
    """One sentence for each variant that cannot be built for a task that it fits, once where all tasks say the same.

    Left to the run are plain classes, whose constructors may do anything, and weights that are not files of this machine.
    """
    problems = [
        f"{variant.title}: {problem}"
        for variant in variants
        if not is_plain_class(variant.architecture)
        and not comes_from_elsewhere(variant.architecture.pretrained(variant.settings))
        for task in tasks
        for spec in list(specs_of(content, task, variant).values())[:1]
        if (problem := _problem(variant, spec))
    ]
    return list(dict.fromkeys(problems))


def specs_of(content: SuiteFile | None, task: ChosenTask, variant: ChosenVariant) -> dict[str, Spec]:
    """The specs that a variant is built for on a task, by words for them, the longest first.

    None where the variant does not fit, or no length is given to a task that needs one: both are told elsewhere.
    """
    if not variant.architecture.supports(task.kinds):
        return {}
    name = f"task '{task.key}'"
    if content is None or not task.has_free_length:
        return {name: task.kinds}
    timed = next((one for one in (variant.speed, content.speed) if one is not None and one.sequence_lengths), None)
    tables = [table.sequence_lengths for table in (content.accuracy, timed) if table and table.sequence_lengths]
    lengths = sorted({length for given in tables for length in given}, reverse=True)
    return {f"{name}, length {length}": task.task.spec(length) for length in lengths}


def _problem(variant: ChosenVariant, spec: Spec) -> str:
    try:
        on_meta(variant.architecture, spec, variant.settings)
    except BenchError as error:
        return str(error)
    except Exception:
        return ""  # it may be wrong on `meta` alone: then it is measured, and the run's pre-flight marks it
    return ""


def on_meta(architecture: Architecture, spec: Spec, settings: Any) -> nn.Module:
    """A model without values; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _WithoutDrawing():
        return architecture.build(spec, settings)


class _WithoutDrawing(TorchFunctionMode):
    """Normal numbers are not drawn: on `meta` there are none, and torch would import its compiler to say so (a second)."""

    def __torch_function__(
        self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") == "normal_":  # of a tensor, or of `nn.init`, which names its arguments
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
