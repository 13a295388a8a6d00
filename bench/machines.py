"""What two machines differ in, and whether that matters. Pure, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.codec import dumps
from bench.records import Machine

# another torch is another build as well: to say both is to say one twice
_SAID_BY = {"torch_build": "torch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What changed from one machine to another, in words: `torch 2.12.0 -> 2.13.0`; their state does not count.

    Attributes:
        hard: with any of these, no time of one says anything about the other.
        soft: what is only said, and widens thresholds.
    """

    hard: tuple[str, ...]
    soft: tuple[str, ...]


def differences(before: Machine, now: Machine) -> Differences:
    """What changed from one machine to another."""
    return Differences(hard=_changes(before.hard, now.hard), soft=_changes(before.soft, now.soft))


def change(name: str, before: object, now: object) -> str:
    """A fact that is not what it was, in words."""
    return f"{name} {words(before)} -> {words(now)}"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    # as they read back from JSON, where a tuple is a list
    old, new = (json.loads(dumps(facts)) for facts in (before, now))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return tuple(change(key, old.get(key), new.get(key)) for key in changed if _SAID_BY.get(key) not in changed)


def words(value: object) -> str:
    """A fact of a machine in words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
