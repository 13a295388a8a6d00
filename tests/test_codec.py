"""Dataclasses to JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from bench.codec import digest, dumps, from_json, to_json


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    x: float


@dataclass(frozen=True)
class Outer:
    name: str
    colour: Colour
    inner: Inner
    many: tuple[Inner, ...] = ()
    matrix: tuple[tuple[int, ...], ...] | None = None
    maybe: float | None = None
    table: dict[str, float] = field(default_factory=dict)


WHOLE = Outer("a", Colour.RED, Inner(1.5), (Inner(2.0),), ((1, 2), (3, 4)), None, {"k": 0.5})


def test_a_nested_record_reads_back_equal() -> None:
    assert from_json(Outer, json.loads(dumps(WHOLE))) == WHOLE


def test_what_is_not_finite_becomes_null_and_never_nan() -> None:
    text = dumps({"a": math.nan, "b": [math.inf], "c": 1.0})
    assert text == '{"a":null,"b":[null],"c":1.0}'


def test_unknown_keys_are_left_out_and_missing_ones_take_their_default() -> None:
    assert from_json(Inner, {"x": 1, "later": True}) == Inner(1.0)
    with pytest.raises(TypeError, match="x"):
        from_json(Inner, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 1}, "Outer.name: found int, expected str"),
        ({"inner": {"x": "1"}}, "Outer.inner.x: found str"),
        ({"inner": {"x": True}}, "Outer.inner.x: found bool"),
        ({"many": {}}, "Outer.many: found dict"),
        ({"colour": "blue"}, "blue"),
        ({"table": []}, "Outer.table: found list"),
    ],
)
def test_another_type_is_named_with_its_place(change: dict[str, object], said: str) -> None:
    document = to_json(WHOLE)
    assert isinstance(document, dict)
    with pytest.raises((TypeError, ValueError), match=said):
        from_json(Outer, document | change)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_what_has_no_json_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        to_json(object())
