"""Every case of a suite: tasks x variants x the points on their axes, with ids for people and hashes for machines."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.choices import ChosenTask, ChosenVariant
from bench.codec import digest
from bench.errors import BenchError
from bench.records import METHOD_VERSION, Case, LengthDistribution
from bench.spec import Spec
from bench.workloads import WORKLOADS

if TYPE_CHECKING:
    from bench.suite_file import Accuracy, Speed, SuiteFile

# what the spec did not say at first: as it always was, it makes no other case
_LATER_SIZES = {"ids_per_token": 1}
_NO_PART_OF_THE_HASH = ("id", "definition_hash", "skip", "variant", "task_options")


def expand(
    content: SuiteFile, tasks: Sequence[ChosenTask], variants: Sequence[ChosenVariant], *, device: str, threads: int
) -> tuple[list[Case], list[str]]:
    """Every case of a suite whose tasks and variants fit each other, and one sentence for everything wrong with its axes.

    `threads` holds where the suite sets none.
    """
    tables, problems = _speed_tables(content, tasks, variants)
    if content.accuracy is not None:
        problems += [f"'accuracy.{wrong}" for wrong in _length_problems(content.accuracy.sequence_lengths, tasks)]
    elif not any(tables) and not problems:
        problems.append("there is neither [speed] nor [accuracy], so nothing to measure; add one of them")
    cases: list[Case] = []
    seen: dict[str, str] = {}
    task_slugs, label_slugs = slugs(task.key for task in tasks), slugs(variant.variant.label for variant in variants)
    for task in tasks:
        specs: dict[int | None, Spec] = {}
        for variant, table in zip(variants, tables, strict=True):
            if problems or not variant.architecture.supports(task.kinds):
                continue
            for case in _points(task, variant, table, content.accuracy, device=device, threads=threads):
                length = case.sequence_length
                specs[length] = specs[length] if length in specs else task.task.spec(length)
                if wrong := _too_long(case, task, specs[length]):
                    problems += [] if wrong in problems else [wrong]
                    continue
                key = definition_hash(case, task.resolved, specs[length])
                if seen.setdefault(key, variant.title) is not variant.title:
                    problems.append(f"{variant.title}: makes the same cases as {seen[key]}; remove one or change it")
                    break
                name = case_id(case, task_slugs[task.key], label_slugs[variant.variant.label])
                cases.append(replace(case, id=name, definition_hash=key))
    return cases, problems


def _too_long(case: Case, task: ChosenTask, spec: Spec) -> str:
    """What is wrong with the number of tokens to be written: models are built for as many as the task has at most."""
    if case.new_tokens is None or spec.target_length is None or case.new_tokens <= spec.target_length:
        return ""
    where = "" if case.sequence_length is None else f" at length {case.sequence_length}"
    return (
        f"'speed.new_tokens' is {case.new_tokens}; expected at most {spec.target_length}, the end included: task "
        f"'{task.key}' has no longer answers{where}"
    )


def case_id(case: Case, task: str, label: str) -> str:
    """The readable id of a case: `imdb/lstm/inference/L256-B32-fp32-cpu-t2`, `imdb/lstm/fit/L256`, `images/cnn/fit`."""
    parts = [f"L{case.sequence_length}"] if case.sequence_length is not None else []
    if case.fit is None:
        parts += [f"B{case.batch_size}", *([f"N{case.new_tokens}"] if case.new_tokens is not None else [])]
        parts += [case.precision, case.device, f"t{case.threads}"]
        parts += [] if case.length_distribution is LengthDistribution.FIXED else [case.length_distribution]
        parts += [] if case.compile == "none" else [case.compile]
    return "/".join(part for part in (task, label, case.workload, "-".join(parts)) if part)


def definition_hash(case: Case, options: Mapping[str, Any], spec: Spec) -> str:
    """What makes two cases of two runs the same case: no label, no id, no folder, and nothing of other cases.

    `options` are all options of the task, defaults included.
    """
    covered = {entry.name: getattr(case, entry.name) for entry in dataclasses.fields(case)}
    for name in _NO_PART_OF_THE_HASH:
        del covered[name]
    sizes = {entry.name: getattr(spec, entry.name) for entry in dataclasses.fields(spec)}
    for name, usual in _LATER_SIZES.items():
        if sizes[name] == usual:
            del sizes[name]
    covered |= {"variant": case.variant.variant_id, "task_options": options, "spec": sizes, "method": METHOD_VERSION}
    return digest(covered)


def slugs(names: Iterable[str]) -> dict[str, str]:
    """Each name as a part of an id, unlike all others: small letters, digits, and dashes for anything unusual."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^\w.=+]+", "-", name.lower()).strip("-.") or "x"
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        found[name] = next(slug for slug in itertools.chain([plain], numbered) if slug not in found.values())
    return found


def skip_reason(precision: str, device: str, compile: str = "none") -> str:
    """Why a precision, or a way to compile, is not measured on a device; empty where it is."""
    if device == "cpu" and compile == "reduce-overhead":
        return "reduce-overhead is not measured on cpu: it is CUDA's graphs, and on a CPU the same as default"
    if device == "cpu" and precision in ("tf32", "fp16"):
        why = (
            "only GPUs have it"
            if precision == "tf32"
            else "CPUs compute it by way of fp32; bf16 is their half precision"
        )
        return f"{precision} is not measured on cpu: {why}"
    return ""


def _points(
    task: ChosenTask,
    variant: ChosenVariant,
    table: Speed | None,
    accuracy: Accuracy | None,
    *,
    device: str,
    threads: int,
) -> Iterator[Case]:
    """The cases of one task and variant, without ids and hashes."""
    blank = Case(
        id="",
        definition_hash="",
        task=task.name,
        task_options=task.given,
        variant=variant.variant,
        workload="fit",
        batch_size=1,
        precision="fp32",
        device=device,
        threads=threads,
    )
    if table is not None:
        for workload in table.workloads or ():
            streaming = WORKLOADS.get(workload).streaming
            unfit = _not_streaming(variant) if streaming else ""
            axes = (
                (table.sequence_lengths or ()) if task.has_free_length else (None,),
                table.batch_sizes or (),
                table.precisions,
                table.threads or (threads,),
                (table.new_tokens or ()) if "new_tokens" in WORKLOADS.get(workload).axes else (None,),
                table.length_distributions if task.has_free_length and not streaming else ("fixed",),
                table.compile,
            )
            for length, batch_size, precision, count, new_tokens, distribution, compile in itertools.product(*axes):
                yield replace(
                    blank,
                    workload=workload,
                    sequence_length=length,
                    batch_size=batch_size,
                    precision=precision,
                    threads=count,
                    new_tokens=new_tokens,
                    length_distribution=LengthDistribution(distribution),
                    compile=compile,
                    skip=unfit or skip_reason(precision, device, compile),
                )
    if accuracy is not None:
        fit = accuracy.settings()
        for length in (accuracy.sequence_lengths or ()) if task.has_free_length else (None,):
            yield replace(blank, sequence_length=length, batch_size=fit.batch_size, fit=fit)


def _not_streaming(variant: ChosenVariant) -> str:
    """Why a variant has no steps to be measured, or an empty text."""
    why = variant.architecture.not_streaming(variant.settings)
    return f"{variant.variant.label} cannot answer word by word: {why}" if why else ""


def _speed_tables(
    content: SuiteFile, tasks: Sequence[ChosenTask], variants: Sequence[ChosenVariant]
) -> tuple[list[Speed | None], list[str]]:
    """For each variant the axes of its speed cases, its own ones first, and what is wrong with them."""
    common = content.speed
    problems = [] if common is None else [f"'speed.{wrong}" for wrong in _axis_problems(common, tasks)]
    tables: list[Speed | None] = []
    for variant in variants:
        table = common
        if variant.speed is not None:
            own = variant.speed.model_dump(exclude_unset=True)
            table = variant.speed if common is None else common.model_copy(update=own)
            wrong = [f"'speed.{wrong}" for wrong in _axis_problems(table, tasks)]
            problems += [f"{variant.title}: {one}" for one in wrong if one not in problems]
        tables.append(table)
    return tables, problems


def _axis_problems(table: Speed, tasks: Sequence[ChosenTask]) -> list[str]:
    """What is wrong with a table's axes; each sentence begins with the key and its closing quote."""
    problems = []
    workloads = []
    for name in table.workloads or ():
        try:
            workloads.append(WORKLOADS.get(name))
        except BenchError as error:
            problems.append(f"workloads': {error}")
    problems += [
        f"workloads': '{workload.name}' is trained, not timed; it has a table of its own, [accuracy]"
        for workload in workloads
        if workload.prepare is None
    ]
    problems += [
        f"workloads': '{workload.name}' goes through a sequence, but task '{task.key}' has none; remove it"
        for workload in workloads
        for task in tasks
        if workload.streaming and not task.kinds.inputs.is_sequence
    ]
    problems += [
        f"workloads': '{workload.name}' is for tasks with {workload.outputs} out, but task '{task.key}' has "
        f"{task.kinds.outputs}; remove it"
        for workload in workloads
        for task in tasks
        if workload.outputs not in (None, task.kinds.outputs)
    ]
    if table.workloads is None:
        problems.append('workloads\' is missing; add workloads = ["inference", "training"]')
    if table.batch_sizes is None:
        problems.append("batch_sizes' is missing; add batch_sizes = [1, 32]")
    asking = [workload.name for workload in workloads if "new_tokens" in workload.axes]
    if asking and table.new_tokens is None:
        problems.append(f"new_tokens' is missing; workload '{asking[0]}' needs it, such as new_tokens = [32]")
    if table.new_tokens is not None and not asking:
        problems.append("new_tokens' is given, but no workload here generates tokens; remove it")
    spread = table.length_distributions
    if spread != ("fixed",) and tasks and not any(task.has_free_length for task in tasks):
        problems.append(f"length_distributions' is {list(spread)}, but {_without_length(tasks[0])}; remove it")
    return [*problems, *_length_problems(table.sequence_lengths, tasks)]


def _length_problems(lengths: tuple[int, ...] | None, tasks: Sequence[ChosenTask]) -> list[str]:
    free = [task.key for task in tasks if task.has_free_length]
    if free and lengths is None:
        return [f"sequence_lengths' is missing; task '{free[0]}' needs it, such as sequence_lengths = [64, 256]"]
    if tasks and not free and lengths is not None:
        return [f"sequence_lengths' is {list(lengths)}, but {_without_length(tasks[0])}; remove it"]
    return []


def _without_length(task: ChosenTask) -> str:
    axis = "has no sequence length" if task.task.length_axis.value == "none" else "has one fixed length"
    return f"task '{task.key}' {axis}"
