"""Frozen dataclasses to JSON and back, without a validating library: children and `bench list` start fast without one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Json = None | bool | int | float | str | list[Any] | dict[str, Any]
"""What JSON can hold; the one place where `Any` is allowed."""


def to_json(value: object) -> Json:
    """Plain JSON values: dataclasses become objects, enums their value, NaN and infinity null.

    Raises:
        TypeError: the value has no JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: object) -> str:
    """One line of compact JSON, never NaN or Infinity."""
    return json.dumps(to_json(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def digest(value: object, length: int = 12) -> str:
    """The first hexadecimal digits of the SHA-256 of a value's canonical JSON: key order does not matter."""
    canonical = json.dumps(to_json(value), sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def from_json(cls: type[T], value: object) -> T:
    """Build a dataclass from its JSON object; keys that it does not know are left out, missing ones take their default.

    Raises:
        TypeError, ValueError: a field is missing or of another type.
    """
    built: T = _build(cls, value, cls.__name__)
    return built


def _build(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [argument for argument in arguments if argument is not type(None)]
        return _build(kinds[0], value, where) if len(kinds) == 1 else value
    if origin is tuple:
        _expect(value, list, where)
        every = arguments if arguments[-1] is not Ellipsis else (arguments[0],) * len(value)
        return tuple(_build(kind, item, where) for kind, item in zip(every, value, strict=True))
    if origin in (dict, Mapping):
        _expect(value, dict, where)
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        _expect(value, dict, where)
        hints = _hints(hint)  # type: ignore[arg-type]
        known = {key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items() if key in hints}
        return hint(**known)  # type: ignore[operator]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is float:
        _expect(value, (int, float), where)
        return float(value)
    _expect(value, hint, where)
    return value


def _expect(value: object, kind: Any, where: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{where}: found {type(value).__name__}, expected {getattr(kind, '__name__', kind)}")
