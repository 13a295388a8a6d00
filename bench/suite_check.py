"""Checks the shape of a suite and puts everything wrong with it into plain sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.registry import did_you_mean
from bench.suite import Suite
from bench.suite_file import (
    Accuracy,
    ArchitectureEntry,
    Fairness,
    Gate,
    GateCase,
    Measure,
    OperatingPoint,
    Report,
    Speed,
    SuiteFile,
    TaskEntry,
    as_entries,
)

Named = TypeVar("Named", TaskEntry, ArchitectureEntry)
Location = tuple[int | str, ...]

_TABLES: dict[tuple[str, ...], type[BaseModel]] = {
    (): SuiteFile,
    ("speed",): Speed,
    ("architecture",): ArchitectureEntry,
    ("architecture", "speed"): Speed,
    ("task",): TaskEntry,
    ("accuracy",): Accuracy,
    ("fairness",): Fairness,
    ("measure",): Measure,
    ("gate",): Gate,
    ("gate", "case"): GateCase,
    ("report",): Report,
    ("report", "operating_point"): OperatingPoint,
}
# tables in double brackets, which sentences number
_ENTRIES = (("task",), ("architecture",), ("gate", "case"))

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list, such as [1, 32]",
    "model_type": "a table",
    "dict_type": "a table",
    "too_short": "at least one value",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "letters, digits, dots, dashes and underscores only",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "expected": "{expected}",
}


def read(tables: Mapping[str, Any], *, path: Path, where: str, text: str, options: Mapping[str, str]) -> Suite:
    """Check the shape of a suite; `tables` is what its TOML holds, the rest is kept in it."""
    content, problems = None, []
    try:
        content = SuiteFile.model_validate(tables)
    except ValidationError as error:
        details = [detail for detail in error.errors(include_url=False) if not _is_echo(detail)]
        problems = [f"{_place(detail['loc'], tables)} {_finding(detail)}" for detail in details]
    imports = tables.get("import")
    return Suite(
        path=path,
        where=where,
        text=text,
        options=options,
        content=content,
        tasks=_sound(TaskEntry, tables.get("task")),
        architectures=_sound(ArchitectureEntry, tables.get("architecture")),
        imports=tuple(name for name in imports if isinstance(name, str)) if isinstance(imports, list) else (),
        problems=tuple(problems),
    )


def _sound(kind: type[Named], entries: object) -> dict[int, Named]:
    listed = as_entries(entries)
    found = {}
    for place, entry in enumerate(listed if isinstance(listed, list) else []):
        with suppress(ValidationError):  # `read` tells what is wrong with it
            found[place] = kind.model_validate(entry)
    return found


def entry_title(kind: str, place: int, name: object) -> str:
    """How sentences name an entry: `[[architecture]] 2 (BiLSTM)`."""
    return f"[[{kind}]] {place + 1}" + (f" ({name})" if isinstance(name, str) else "")


def _is_echo(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries are wrong, which is told of each of them."""
    return detail["type"] == "too_short" and bool(detail["input"])


def _place(location: Location, tables: Mapping[str, Any]) -> str:
    """The key in words: `'speed.batch_sizes' entry 2`, `[[architecture]] 1 (lstm): 'label'`."""
    front = ""
    depth = next((place for place, part in enumerate(location) if isinstance(part, int)), 0)
    if location[:depth] in _ENTRIES:
        entries: Any = tables
        for part in location[:depth]:
            entries = as_entries(entries[part])
        number = int(location[depth])
        entry = entries[number] if isinstance(entries, list) else {}
        names = [entry.get(key) for key in ("label", "name", "match")] if isinstance(entry, dict) else []
        name = next((name for name in names if isinstance(name, str)), None)
        front = entry_title(".".join(map(str, location[:depth])), number, name)
        location = location[depth + 1 :]
    key = ".".join(part for part in location if isinstance(part, str))
    item = next((f" entry {part + 1}" for part in location if isinstance(part, int)), "")
    return ": ".join(part for part in (front, f"'{key}'{item}" if key else "") if part)


def _finding(detail: ErrorDetails) -> str:
    """What was found there, what was expected, and the nearest valid name."""
    kind, context = detail["type"], detail.get("ctx", {})
    table, key = _table(detail["loc"][:-1]), str(detail["loc"][-1])
    if kind == "extra_forbidden":
        return f"is unknown; {_nearest_key(key, table)}"
    if kind == "missing":
        return f"is missing; add {(_TABLES[table].model_fields[key].examples or [key])[0]}"
    if kind == "literal_error":
        choices = re.findall(r"'(.*?)'", context["expected"])
        return f"is {_shown(detail['input'])}; {did_you_mean(str(detail['input']), choices)}"
    if kind == "tuple_type" and (*table, key) in _ENTRIES:
        return f"is {_shown(detail['input'])}; expected {_title((*table, key))} in double brackets, once for each"
    if kind == "at_odds":
        return f"cannot be met; expected {context['expected']}"
    expected = _EXPECTED[kind].format(**context) if kind in _EXPECTED else detail["msg"]
    return f"is {_shown(detail['input'])}; expected {expected}"


def _nearest_key(key: str, table: tuple[str, ...]) -> str:
    elsewhere = [names for names, model in _TABLES.items() if names and key in _keys(model) and names != table]
    near = did_you_mean(key, _keys(_TABLES[table]))
    if elsewhere and not near.startswith("did"):
        return "it belongs under " + " or ".join(map(_title, elsewhere))
    return near


def _title(table: tuple[str, ...]) -> str:
    name = ".".join(table)
    return f"[[{name}]]" if table in _ENTRIES else f"[{name}]"


def _table(location: Location) -> tuple[str, ...]:
    return tuple(part for part in location if isinstance(part, str))


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _shown(value: object) -> str:
    if isinstance(value, dict | tuple) or (
        isinstance(value, list) and any(isinstance(one, dict | list) for one in value)
    ):
        return "a table" if isinstance(value, dict) else "a list of lists or tables"
    text = json.dumps(value, ensure_ascii=True) if isinstance(value, str | bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
