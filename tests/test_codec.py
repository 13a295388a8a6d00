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


@dataclass(frozen=True)
class Shapes:
    pair: tuple[str, float] = ("", 0.0)
    floats: tuple[float, ...] = ()
    colours: tuple[Colour, ...] = ()
    nested: dict[str, Inner] = field(default_factory=dict)
    either: int | str = 0
    anything: dict[str, object] = field(default_factory=dict)


def test_every_shape_reads_back_as_what_it_was() -> None:
    whole = Shapes(("a", 1.0), (1.0, 2.0), (Colour.RED,), {"k": Inner(1.0)}, "x", {"k": [1, None, {"a": True}]})
    assert from_json(Shapes, json.loads(dumps(whole))) == whole


def test_whole_numbers_become_floats_where_floats_are_meant() -> None:
    read = from_json(Shapes, {"pair": ["a", 1], "floats": [1, 2.5]})
    assert [type(value) for value in (read.pair[1], *read.floats)] == [float, float, float]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"floats": [1.0, "2"]}, "Shapes.floats: found str"),
        ({"floats": [True]}, "Shapes.floats: found bool"),
        ({"pair": ["a"]}, "shorter"),
        ({"colours": ["red", "blue"]}, "blue"),
        ({"colours": [["red"]]}, "red"),
        ({"nested": {"k": {"x": None}}}, "Shapes.nested.k.x: found NoneType"),
        ([], "Shapes: found list, expected dict"),
    ],
)
def test_what_is_wrong_deep_inside_is_named_with_its_place(document: object, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        from_json(Shapes, document)


def test_what_is_read_shares_nothing_with_the_document() -> None:
    document = {"nested": {}, "anything": {"a": 1}}
    read = from_json(Shapes, document)
    document["anything"]["b"] = 2
    assert read.anything == {"a": 1}
