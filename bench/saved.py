"""Kept models: the best weights of a fit in a safetensors file that says of itself all that is needed to use them.

Reading such a file runs no code: it holds numbers, and JSON in its header. Only the code of an architecture of the user's own
has to be imported, from where the run names it, never from where the file does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES
from bench.architectures.foreign import lookup
from bench.codec import dumps, from_json, to_json
from bench.errors import BenchError, ModelError, NotComparableError, StoreError
from bench.jobs import Job
from bench.options import fill
from bench.records import Case
from bench.tasks import Answer, Legend, Reading
from bench.tasks.data.cache import shown

# 1  first release
FORMAT_VERSION = 1
_VERSION_KEY = "bench_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedModel:
    """What a file says of its weights; each field is a key of its header, with JSON for a value.

    Attributes:
        metric: by which metric of the task the epoch was chosen.
        imports: modules of the user's that were imported when it was trained.
        sha256: over everything else in the file, weights included.
    """

    architecture: str
    hyperparameters: Mapping[str, Any]
    task: str
    task_options: Mapping[str, Any]
    legend: Legend
    metric: str
    definition_hash: str
    seed: int
    fold: int | None
    imports: tuple[str, ...] = ()
    sha256: str = ""
    bench_model: int = field(default=FORMAT_VERSION)

    @classmethod
    def of(cls, job: Job, legend: Legend, metric: str) -> SavedModel:
        """What is to be said of the model that a fit ends with."""
        case = job.case
        return cls(
            architecture=case.variant.architecture,
            hyperparameters=case.variant.hyperparameters,
            task=case.task,
            task_options=case.task_options,
            legend=legend,
            metric=metric,
            definition_hash=case.definition_hash,
            seed=job.seed,
            fold=job.fold,
            imports=job.imports,
        )


def write(path: Path, about: SavedModel, weights: Mapping[str, Tensor]) -> None:
    """Write a model beside its place and move it there, so that it is there whole or not at all.

    Raises:
        StoreError: that cannot be; nothing is left behind.
    """
    beside = path.with_suffix(".part")
    try:
        # copies: tensors that share their memory, or leave gaps in it, have no place in the format
        copied = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in weights.items()
        }
        signed = replace(about, sha256=_checksum(about, copied))
        path.parent.mkdir(exist_ok=True)
        beside.write_bytes(save(copied, _header(signed)))
        beside.replace(path)
    except Exception as error:  # a full disk, too little memory, a type of numbers that the format lacks: it is told
        with contextlib.suppress(OSError):
            beside.unlink()
        raise StoreError(shown(f"{path}: cannot be written ({type(error).__name__}: {error})")) from error


def _header(about: SavedModel) -> dict[str, str]:
    document = to_json(about)
    assert isinstance(document, dict)
    return {name: dumps(value) for name, value in document.items()}


def _checksum(about: SavedModel, weights: Mapping[str, Tensor]) -> str:
    content = hashlib.sha256(json.dumps(sorted(_header(replace(about, sha256="")).items())).encode())
    for name in sorted(weights):
        value = weights[name]
        content.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        content.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def read(path: Path) -> tuple[SavedModel, dict[str, Tensor]]:
    """A kept model, with its weights on the CPU.

    Raises:
        StoreError: the file is not there, damaged, or not one that `write` made.
        NotComparableError: a newer version wrote it.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{shown(path)}: is no whole safetensors file ({error}); {_HELP}") from error
    if _VERSION_KEY not in header:
        raise StoreError(f"{shown(path)}: is a safetensors file, but no model that `bench run` kept; {_HELP}")
    try:
        document = {name: json.loads(value) for name, value in header.items()}
        _expect_version(path, document[_VERSION_KEY])
        about = from_json(SavedModel, document)
        whole = about.sha256 == _checksum(about, weights)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{shown(path)}: its header is damaged ({error}); {_HELP}") from error
    if not whole:
        raise StoreError(f"{shown(path)}: is damaged (its content does not have its checksum); {_HELP}")
    return about, weights


_HELP = "name a model of a run that was made with --save-models"


def _expect_version(path: Path, found: object) -> None:
    if not isinstance(found, int) or isinstance(found, bool):
        raise TypeError(f"{_VERSION_KEY}: found {type(found).__name__}, expected int")
    if found > FORMAT_VERSION:
        raise NotComparableError(
            f"{shown(path)}: kept model of version {found}, expected at most {FORMAT_VERSION}; "
            "install a newer version of bench"
        )


def expect_of(path: Path, about: SavedModel, case: Case, seed: int, fold: int | None) -> None:
    """Whether a file holds what its name promises.

    Raises:
        StoreError: it is the model of another case, seed or fold.
    """
    length = about.legend.spec.sequence_length
    pairs: dict[str, tuple[object, object]] = {
        "task": (about.task, case.task),
        "task options": (dict(about.task_options), dict(case.task_options)),
        "architecture": (about.architecture, case.variant.architecture),
        "hyperparameters": (dict(about.hyperparameters), dict(case.variant.hyperparameters)),
        "sequence length": (length, length if case.sequence_length is None else case.sequence_length),
        "seed": (about.seed, seed),
        "fold": (about.fold, fold),
        "definition": (about.definition_hash, case.definition_hash),
    }
    for name, (found, expected) in pairs.items():
        if found != expected:
            raise StoreError(
                f"{shown(path)}: is the model of another fit ({name}: found {found}, expected {expected}); "
                f"put the file back that belongs to case '{case.id}'"
            )


def restored(path: Path, about: SavedModel, weights: Mapping[str, Tensor], folder: Path) -> nn.Module:
    """The model with its weights, on the CPU, in `eval()`; references to the user's own code start at `folder`.

    Raises:
        StoreError: the weights do not fit the model.
        ModelError: the architecture is not what it was when it was trained, or cannot be built any more.
    """
    architecture = lookup(about.architecture, folder)
    hyperparameters, problems = fill(architecture.hyperparameters, about.hyperparameters)
    if problems:
        raise ModelError(f"architecture '{architecture.name}': {'; '.join(problems)}")
    # a file that lies about sizes must not cost memory; what is not built in need not know `meta`
    for device in ("meta", "cpu") if architecture.name in ARCHITECTURES.built_in() else ("cpu",):
        try:
            with torch.device(device):
                model = architecture.build(about.legend.spec, hyperparameters)
        except BenchError:
            raise
        except Exception as error:
            raise StoreError(
                f"{shown(path)}: the model that it describes cannot be built ({type(error).__name__}: {_line(error)})"
            ) from error
        if unfit := _misfit(model.state_dict(), weights):
            raise StoreError(f"{shown(path)}: its weights do not fit '{architecture.name}': {unfit}; train it again")
    model.load_state_dict(dict(weights))
    return model.eval()


def _misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """The first difference between two sets of weights, in words; empty where they fit."""
    for name in [*expected, *found]:
        one, other = (
            f"{str(values[name].dtype).removeprefix('torch.')} {tuple(values[name].shape)}"
            if name in values
            else "none"
            for values in (found, expected)
        )
        if one != other:
            return f"{name} is {one}, expected {other}"
    return ""


def _line(error: Exception) -> str:
    return shown(str(error).partition("\n")[0])


@torch.inference_mode()
def _values(answer: Answer) -> list[float]:
    """The numbers in an answer."""
    return [*answer.probabilities.values(), *(one for one in answer.said if isinstance(one, float))]


def ask(
    model: nn.Module, task: Reading, legend: Legend, given: Sequence[str], *, at_once: int, inverted: bool = False
) -> list[Answer]:
    """What a model in `eval()` says to some inputs, in their order; at most `at_once` are in one batch.

    `inverted` takes bright values of pictures as dark ones.

    Raises:
        UsageError: an input is not what the task expects.
        ModelError: the model raises, or its answers are no numbers.
    """
    found: list[Answer] = []
    for start in range(0, len(given), at_once):
        batch = task.read(given[start : start + at_once], legend)
        if inverted:
            batch = replace(batch, inputs=1 - batch.inputs)
        try:
            found += task.answers(model, batch, legend)
        except BenchError:
            raise
        except Exception as error:
            raise ModelError(f"the model cannot read this: {type(error).__name__}: {_line(error)}") from error
    if not all(math.isfinite(value) for answer in found for value in _values(answer)):
        raise ModelError("the model's answers are no numbers (NaN); train it again")
    return found
