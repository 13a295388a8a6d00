"""A user's own model: a class that knows nothing of this package, named by where it stands.

A reference is `my_package.models:MyNet` or `models.py:MyNet`. Constructor arguments are filled by name: from the suite's
table, else from the task's spec, else by their own defaults. `forward` gets the input and, only if it names them, `lengths`
or `mask`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from inspect import Parameter
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES, Architecture
from bench.architectures.layers import flat_size, real_mask
from bench.errors import BenchError, ModelError, UsageError
from bench.options import option
from bench.registry import did_you_mean
from bench.spec import InputKind, OutputKind, Spec


def _input_dim(spec: Spec) -> int | None:
    if spec.inputs is InputKind.TOKENS:
        return spec.vocabulary_size
    return spec.input_size if spec.inputs is not InputKind.IMAGE else flat_size(spec)


def _num_classes(spec: Spec) -> int | None:
    return spec.classes if spec.classes is not None else spec.output_size


FROM_SPEC: Mapping[str, Callable[[Spec], int | None]] = {
    "vocab_size": lambda spec: spec.vocabulary_size,
    "num_classes": _num_classes,
    "output_dim": _num_classes,
    "output_size": _num_classes,
    "input_dim": _input_dim,
    "input_size": _input_dim,
    "in_channels": lambda spec: spec.image_shape[0] if spec.image_shape is not None else None,
    "max_length": lambda spec: spec.sequence_length,
    "padding_id": lambda spec: spec.padding_id if spec.inputs is InputKind.TOKENS else None,
}
"""Constructor arguments that the task knows. `input_dim` is the number of token ids, D, or C*H*W."""


# ── from a name to an architecture ─────────────────────────────────────────────────────────────────────────────────


def lookup(reference: str, folder: Path) -> Architecture:
    """The architecture of a registered name or of a reference (with a colon), under that very name.

    Args:
        reference: `lstm`, `my_package.models:MyNet`, or `models.py:MyNet` with a path relative to `folder`.
        folder: where the suite stands.

    Raises:
        UsageError: nobody registers that name.
        ModelError: the reference leads nowhere, or to something that is no model.
    """
    if ":" in reference:
        place, _, attribute = reference.rpartition(":")
        return _adopted(reference, _attribute(import_module(place, folder), attribute, reference))
    try:
        return ARCHITECTURES.get(reference)
    except UsageError:
        # an entry point may also name a plain class, which registers nothing when it is loaded
        for entry in entry_points(group="bench.architectures", name=reference):
            return _adopted(reference, entry.load())
        raise


def every() -> dict[str, Architecture | BenchError]:
    """Every architecture that has a name, by that name; of what an entry point promises and does not give, why."""
    found: dict[str, Architecture | BenchError] = {}
    for name in ARCHITECTURES.names():
        try:
            found[name] = lookup(name, Path())
        except BenchError as error:
            found[name] = error
    return found


def fitting(spec: Spec) -> list[str]:
    """Names of the architectures that take such inputs and give such outputs."""
    return [name for name, one in every().items() if isinstance(one, Architecture) and one.supports(spec)]


def is_plain_class(architecture: Architecture) -> bool:
    """Whether it is a class of the user's that nobody registered."""
    return all(known.build is not architecture.build for known in ARCHITECTURES.loaded())


def import_module(place: str, folder: Path) -> ModuleType:
    """Import a module by its dotted name or by the path of its file; the same file is the same module in one process.

    Raises:
        ModelError: it is not there, or raises while it is imported.
    """
    try:
        if place.endswith(".py"):
            return _import_file((folder / place).resolve(), place)
        _make_importable(folder)
        return importlib.import_module(place)
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"'{place}': importing it raised {type(error).__name__}: {error}") from error


def _import_file(path: Path, place: str) -> ModuleType:
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get("__file__") == str(path):
            return module
    if not path.is_file():
        raise ModelError(f"'{place}': there is no such file; paths start at the suite's folder")
    name = f"bench_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"'{place}': this file cannot be imported as Python")
    _make_importable(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _make_importable(folder: Path) -> None:
    """Let user code import what stands beside it; at the end of the path, where it hides nothing installed."""
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))


def _attribute(module: ModuleType, name: str, reference: str) -> object:
    if not hasattr(module, name):
        own = [key for key, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
        raise ModelError(f"'{reference}': the module has no '{name}'; {did_you_mean(name, own)}")
    return getattr(module, name)


def _adopted(reference: str, thing: object) -> Architecture:
    for known in (thing, *ARCHITECTURES.loaded()):
        # what `@architecture` decorates stays what it was; the registry knows which architecture it builds
        if isinstance(known, Architecture) and (known is thing or known.build is thing):
            return dataclasses.replace(known, name=reference)
    if isinstance(thing, type) and issubclass(thing, nn.Module):
        return _foreign(reference, thing)
    found = f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"
    raise ModelError(f"'{reference}' is {found}; expected a subclass of torch.nn.Module or an architecture")


def _foreign(reference: str, cls: type[nn.Module]) -> Architecture:
    return Architecture(
        name=reference,
        summary=inspect.cleandoc(cls.__doc__ or "").partition("\n")[0],
        source="the user's own",
        inputs=frozenset(InputKind),
        outputs=frozenset(OutputKind) - {OutputKind.TOKENS},
        hyperparameters=_hyperparameters(cls, reference),
        build=lambda spec, hyperparameters: _build(cls, reference, spec, hyperparameters),
    )


# ── constructor arguments ──────────────────────────────────────────────────────────────────────────────────────────


def _signature(cls: type, reference: str) -> tuple[dict[str, Parameter], str | None]:
    """Constructor arguments by name, those of base classes included where `**kwargs` may hand them on; the name of kwargs."""
    found: dict[str, Parameter] = {}
    rest: str | None = None
    for base in cls.__mro__[: cls.__mro__.index(nn.Module)]:
        if "__init__" not in vars(base):
            continue
        own = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
        for parameter in own:
            if parameter.kind is Parameter.POSITIONAL_ONLY:
                raise ModelError(f"'{reference}': argument '{parameter.name}' cannot be given by name; remove the '/'")
            if parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        rest = next((parameter.name for parameter in own if parameter.kind is Parameter.VAR_KEYWORD), None)
        if rest is None:
            break
    return found, rest


def _hyperparameters(cls: type, reference: str) -> type[Any]:
    """A record of the constructor's arguments: None for what the task fills or what has a default that is no plain value."""
    parameters, rest = _signature(cls, reference)
    fields: list[tuple[str, Any, Any]] = []
    for name, parameter in parameters.items():
        if name in FROM_SPEC:
            entry = option(None, "filled from the task")
        elif parameter.default is Parameter.empty:
            entry = option(help=f"the constructor of {reference} requires it: write '{name} = ...' in its table")
        else:
            default = tuple(parameter.default) if isinstance(parameter.default, list) else parameter.default
            entry = option(default if _is_plain(default) else None, "an argument of the constructor")
        fields.append((name, object, entry))
    if rest is not None:
        entry = dataclasses.field(default=None, metadata={"help": "everything else that is given", "rest": True})
        fields.append((rest, object, entry))
    return dataclasses.make_dataclass(f"{cls.__name__}Hyperparameters", fields, frozen=True, slots=True, kw_only=True)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return isinstance(value, bool | int | float | str)


def _build(cls: type[nn.Module], reference: str, spec: Spec, hyperparameters: Any) -> nn.Module:
    parameters, rest = _signature(cls, reference)
    arguments: dict[str, Any] = dict(getattr(hyperparameters, rest) or {}) if rest is not None else {}
    for name, parameter in parameters.items():
        value = getattr(hyperparameters, name)
        if value is None and name in FROM_SPEC:
            value = FROM_SPEC[name](spec)
        if value is not None:
            # a table's arrays arrive as tuples; who does not default to a tuple expects a list
            listed = isinstance(value, tuple) and not isinstance(parameter.default, tuple)
            arguments[name] = list(value) if listed else value
        elif parameter.default is Parameter.empty:
            raise ModelError(
                f"'{reference}': the task gives no '{name}' ({spec.inputs} in, {spec.outputs} out); "
                f"write '{name} = ...' in its table, or give the constructor a default"
            )
    try:
        model = cls(**arguments)
    except BenchError:
        raise
    except Exception as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise ModelError(f"'{reference}': {cls.__name__}({given}) raised {type(error).__name__}: {error}") from error
    return Adapted(model)


# ── forward ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Adapted(nn.Module):
    """A user's model behind the call that this package makes: `(inputs)` or `(inputs, lengths)`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        named = inspect.signature(model.forward).parameters
        self.asks_lengths = "lengths" in named
        self.asks_mask = "mask" in named

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The user's output; `lengths` (B,) int64 on the CPU and `mask` (B, L), true where real, if they are asked for."""
        extra: dict[str, Tensor] = {}
        if self.asks_lengths or self.asks_mask:
            full = torch.full((inputs.shape[0],), inputs.shape[1], device="cpu") if lengths is None else lengths
            if self.asks_lengths:
                extra["lengths"] = full
            if self.asks_mask:
                extra["mask"] = real_mask(full, inputs.shape[1], inputs.device)
        return cast(Tensor, self.model(inputs, **extra))
