"""Validated options of architectures and tasks: a frozen dataclass whose fields carry help, range and choices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from bench.registry import did_you_mean

T = TypeVar("T")


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    at_least: float | None = None,
    below: float | None = None,
    choices: Sequence[object] | None = None,
) -> Any:
    """A field of an options record: its default, one sentence of help, and what values it takes.

    Without a default the option must be given. `below` is exclusive. For tuples the range holds for every entry.
    """
    metadata = {"help": help, "at_least": at_least, "below": below, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def fill(record: type[T], given: Mapping[str, Any]) -> tuple[T | None, list[str]]:
    """Build the record from what was given, or say everything that is wrong with it.

    A field of type `object` takes anything; one whose metadata says `rest` takes whatever no other field is named for.

    Returns:
        The record and no problems, or None and one sentence per problem; each begins with the option's name.
    """
    fields = {entry.name: entry for entry in dataclasses.fields(record)}  # type: ignore[arg-type]
    rest = next((name for name, entry in fields.items() if entry.metadata.get("rest")), None)
    if rest is not None:
        others = {name: value for name, value in given.items() if name not in fields}
        given = {name: value for name, value in given.items() if name in fields}
        given = {**given, rest: {**(given.get(rest) or {}), **others}}
    hints = get_type_hints(record)
    problems = [f"'{name}' is unknown; {did_you_mean(name, fields)}" for name in given if name not in fields]
    for name, entry in fields.items():
        if name in given:
            problems += _problems(name, given[name], hints[name], entry.metadata)
        elif entry.default is dataclasses.MISSING:
            problems.append(f"'{name}' is missing; {entry.metadata['help']}")
    if problems:
        return None, problems
    return record(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}), []


def _problems(name: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> list[str]:
    kind, many = (get_args(hint)[0], True) if get_origin(hint) is tuple else (hint, False)
    if many and not (isinstance(value, list | tuple) and value):
        return [f"'{name}' is {value!r}; expected a list of {kind.__name__}, at least one"]
    return [problem for one in (value if many else [value]) for problem in _problem(name, one, kind, metadata)]


def _problem(name: str, value: Any, kind: Any, metadata: Mapping[str, Any]) -> list[str]:
    allowed = (int, float) if kind is float else get_args(kind) or kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind not in (bool, object)):
        return [f"'{name}' is {value!r}; expected {getattr(kind, '__name__', kind)}"]
    if metadata.get("choices") and value not in metadata["choices"]:
        return [f"'{name}' is {value!r}; expected one of: {', '.join(map(str, metadata['choices']))}"]
    low, high = metadata.get("at_least"), metadata.get("below")
    if low is not None and value is not None and not value >= low:
        return [f"'{name}' is {value!r}; expected at least {low}"]
    if high is not None and value is not None and not value < high:
        return [f"'{name}' is {value!r}; expected below {high}"]
    return []
