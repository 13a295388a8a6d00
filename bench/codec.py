"""Frozen dataclasses to JSON and back, without a validating library: children and `bench list` start fast without one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Json = None | bool | int | float | str | list[Any] | dict[str, Any]
"""What JSON can hold; the one place where `Any` is allowed."""


# most of what is stored: asked for first, because records hold thousands of them
_PLAIN = frozenset([type(None), bool, int, str])


def to_json(value: object) -> Json:
    """Plain JSON values: dataclasses become objects, enums their value, NaN and infinity null.

    Raises:
        TypeError: the value has no JSON form.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value  # type: ignore[return-value]
    if kind is dict:
        return {str(key): to_json(item) for key, item in value.items()}  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(kind):
        return {name: to_json(getattr(value, name)) for name in _field_names(kind)}
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


@cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


_COMPACT = json.JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False)
_CANONICAL = json.JSONEncoder(allow_nan=False, separators=(",", ":"), sort_keys=True)


def dumps(value: object) -> str:
    """One line of compact JSON, never NaN or Infinity."""
    return _COMPACT.encode(to_json(value))


def digest(value: object, length: int = 12) -> str:
    """The first hexadecimal digits of the SHA-256 of a value's canonical JSON: key order does not matter."""
    return hashlib.sha256(_CANONICAL.encode(to_json(value)).encode()).hexdigest()[:length]


Reader = Callable[[Any, str], Any]
"""Builds a value from its JSON; the text says where it stands, for errors."""


def from_json(cls: type[T], value: object) -> T:
    """Build a dataclass from its JSON object; keys that it does not know are left out, missing ones take their default.

    Raises:
        TypeError, ValueError: a field is missing or of another type.
    """
    built: T = _reader(cls)(value, cls.__name__)  # type: ignore[arg-type]  # a class is hashable
    return built


@cache
def _reader(hint: Any) -> Reader:
    """The reader of a type; made once, because looking into types costs more than reading what is of them."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return lambda value, _: value
    if origin in (Union, types.UnionType):
        return _union_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin in (dict, Mapping):
        return _mapping_reader(arguments[1])
    if dataclasses.is_dataclass(hint):
        return _dataclass_reader(hint)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_reader(hint)
    return _plain_reader(hint)


def _as_they_are(hint: Any) -> frozenset[type]:
    """The types whose JSON values need no reader: they are what a field of this type holds."""
    if hint in (bool, int, float, str):
        return frozenset([hint])
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _as_they_are(kind) | {type(None)}
    return frozenset()


def _union_reader(arguments: tuple[Any, ...]) -> Reader:
    kinds = [argument for argument in arguments if argument is not type(None)]
    read_one = _reader(kinds[0] if len(kinds) == 1 else Any)

    def read(value: Any, where: str) -> Any:
        return None if value is None and len(kinds) < len(arguments) else read_one(value, where)

    return read


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    alike = _as_they_are(arguments[0]) if arguments[-1] is Ellipsis else frozenset()
    readers = [_reader(argument) for argument in arguments if argument is not Ellipsis]

    def read(value: Any, where: str) -> tuple[Any, ...]:
        _expect(value, list, where)
        if alike.issuperset(map(type, value)):
            return tuple(value)
        each = readers * len(value) if arguments[-1] is Ellipsis else readers
        return tuple([read_one(item, where) for read_one, item in zip(each, value, strict=True)])

    return read


_NUMBERS = {int, float}


def _mapping_reader(hint: Any) -> Reader:
    as_they_are, read_one = _as_they_are(hint), _reader(hint)

    def read(value: Any, where: str) -> dict[str, Any]:
        _expect(value, dict, where)
        kinds = set(map(type, value.values()))
        if hint is Any or kinds <= as_they_are:
            return dict(value)
        if hint is float and kinds <= _NUMBERS:
            return dict(zip(value, map(float, value.values()), strict=True))
        return {key: read_one(item, f"{where}.{key}") for key, item in value.items()}

    return read


def _dataclass_reader(cls: type) -> Reader:
    known = {name: (name, _as_they_are(hint), _reader(hint)) for name, hint in get_type_hints(cls).items()}

    def read(value: Any, where: str) -> Any:
        _expect(value, dict, where)
        given = {}
        for key, item in value.items():
            if key in known:
                # the name as the class has it: Python finds an argument by another copy of its name only by comparing letters
                name, as_they_are, read_one = known[key]
                given[name] = item if type(item) in as_they_are else read_one(item, f"{where}.{key}")
        return cls(**given)

    return read


def _enum_reader(cls: type[Enum]) -> Reader:
    members = {member.value: member for member in cls}

    def read(value: Any, _: str) -> Enum:
        # calling the class takes three times as long; where the value is none of its own, it says so
        return members[value] if isinstance(value, str) and value in members else cls(value)

    return read


def _plain_reader(hint: Any) -> Reader:
    expected = (int, float) if hint is float else hint

    def read(value: Any, where: str) -> Any:
        _expect(value, expected, where)
        return float(value) if hint is float else value

    return read


def _expect(value: object, kind: Any, where: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{where}: found {type(value).__name__}, expected {getattr(kind, '__name__', kind)}")
