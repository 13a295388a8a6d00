"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.quantity import (
    METRICS,
    Better,
    Metric,
    Unit,
    declare,
    format_change,
    format_difference,
    format_duration,
    format_exact,
    format_exponent,
    format_half_width,
    format_length,
    format_value,
)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00124, Unit.SECONDS, "1.24 ms"),
        (1.0, Unit.SECONDS, "1.00 s"),
        (0.9999, Unit.SECONDS, "1.00 s"),
        (0.000_999_6, Unit.SECONDS, "1.00 ms"),
        (5e-10, Unit.SECONDS, "0.500 ns"),
        (0.0, Unit.SECONDS, "0 s"),
        (125.0, Unit.SECONDS, "2 min 05 s"),
        (123, Unit.BYTES, "123 B"),
        (1024, Unit.BYTES, "1.00 KiB"),
        (40.1 * 2**20, Unit.BYTES, "40.1 MiB"),
        (12.0, Unit.ITEMS_PER_SECOND, "12.0/s"),
        (999.7, Unit.ITEMS_PER_SECOND, "1.00 k/s"),
        (12_345.0, Unit.TOKENS_PER_SECOND, "12.3 k/s"),
        (0.864, Unit.SHARE, "86.4 %"),
        (5, Unit.COUNT, "5"),
        (2_562_000, Unit.COUNT, "2.56 M"),
        (105.6, Unit.NATS, "106"),
        (None, Unit.BYTES, "n/a"),
    ],
)
def test_values(value: float | None, unit: Unit, text: str) -> None:
    assert format_value(value, unit) == text


@given(st.floats(min_value=1e-9, max_value=1e12), st.sampled_from(list(Unit)))
def test_any_value_is_short_and_only_tiny_ones_without_a_scale_have_an_exponent(value: float, unit: Unit) -> None:
    text = format_value(value, unit)
    small = value < 1e-4 and unit in (Unit.NUMBER, Unit.NATS)
    assert ("e" in text.replace("KiB", "").replace("items", "")) == small
    assert len(text) <= 22


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((2.0, 1.9, 2.1, Unit.SECONDS), "±5.0 %"),
        ((0.86, 0.85, 0.87, Unit.SHARE), "±1.0"),
        ((2.0, None, None, Unit.SECONDS), ""),
    ],
)
def test_half_widths(arguments: tuple[float, float, float, Unit], text: str) -> None:
    assert format_half_width(*arguments) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (3600, "1 h 00 min"), (7505, "2 h 05 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_metric_keeps_its_meaning() -> None:
    accuracy = METRICS["accuracy"]
    assert declare(accuracy) is accuracy
    with pytest.raises(ValueError, match="already declared"):
        declare(Metric(name="accuracy", title="accuracy", unit=Unit.SECONDS, better=Better.LOWER))


def test_every_metric_is_registered_under_its_own_name() -> None:
    assert all(metric.name == name for name, metric in METRICS.items())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.052, 0.041, 0.063), "+5.2 % (4.1 to 6.3)"),
        ((-0.052, -0.063, -0.041), "-5.2 % (-6.3 to -4.1)"),
        ((0.0002, -0.01, 0.0104), "0.0 % (-1.0 to 1.0)"),
        ((-0.0002, -0.01, 0.0104), "0.0 % (-1.0 to 1.0)"),
        ((0.0,), "0.0 %"),
        ((0.0000761,), "+0.0076 %"),
        ((1.5, 0.9, 2.2), "+150 % (90 to 220)"),
        ((-1.0,), "-100 %"),
        ((float("inf"),), "from 0"),
        ((-0.0123, -0.02, -0.004, Unit.SHARE), "-1.2 points (-2.0 to -0.4)"),
        ((0.1234, 0.05, 0.2, Unit.NATS), "+0.123 nats (0.050 to 0.200)"),
        ((12.0, None, None, Unit.NUMBER), "+12.0"),
    ],
)
def test_changes(arguments: tuple[float, ...], text: str) -> None:
    assert format_change(*arguments) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((0.0412,), "4.1 %"), ((0.014, Unit.SHARE), "1.4 points"), ((0.05, Unit.NATS), "0.0500 nats"), ((1.3,), "130 %")],
)
def test_differences(arguments: tuple[float, ...], text: str) -> None:
    assert format_difference(*arguments) == text  # type: ignore[arg-type]


def test_every_digit_of_what_was_counted() -> None:
    assert format_exact(1_313_410, Unit.COUNT) == "1,313,410"
    assert format_exact(4096, Unit.BYTES) == "4,096 B"
    assert format_exact(0.00124, Unit.SECONDS) == "1.24 ms"
    assert format_exact(None, Unit.COUNT) == "n/a"


def test_exponents_and_lengths() -> None:
    assert [format_exponent(value) for value in (1.018, 2, -0.351, -0.001)] == ["1.02", "2.00", "-0.35", "0.00"]
    assert [format_length(value) for value in (64, 4096, 358.4)] == ["64", "4096", "358"]
