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
    format_option,
    format_ratio,
    format_value,
    parse_bytes,
    parse_duration,
    parse_score,
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


# ── how many times, and what people type ──


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((1.42, 1.38, 1.461), "1.42 times (1.38 to 1.46)"),
        ((13.24, 12.9, 13.55), "13.2 times (12.9 to 13.6)"),
        ((1234.4,), "1,234 times"),
        ((0.7, 0.65, 0.75), "0.700 times (0.650 to 0.750)"),
        # on which side of one it is, must be seen
        ((1.004, 1.002, 1.006), "1.004 times (1.002 to 1.006)"),
    ],
)
def test_ratios(numbers: tuple[float, ...], text: str) -> None:
    assert format_ratio(*numbers) == text


def test_a_change_of_a_plain_number_has_no_unit_to_leave_room_for() -> None:
    assert format_change(1.0, 0.965, 1.035, Unit.NUMBER) == "+1.00 (0.96 to 1.03)"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("150s", 150),
        ("2m", 120),
        (" 2 min ", 120),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("90", 90),
        ("80us", 8e-5),
        ("80 µs", 8e-5),
    ],
)
def test_times_as_they_are_typed(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-3s", "2m30s", "1e3s", "٣s", "3 d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected one such as 150s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2_000_000_000),
        ("2GiB", 2**31),
        ("1.5 MiB", 1_572_864),
        ("512kB", 512_000),
        ("1048576", 2**20),
        ("3 B", 3),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "2 gb", "2Gb", "-1GB", "1e9", "much", "٢GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is not a size; expected one such as 512MiB, 2GB or 2GiB"):
        parse_bytes(text)


def test_scores() -> None:
    assert parse_score("85%", Unit.SHARE) == parse_score("0.85", Unit.SHARE) == 0.85
    assert parse_score("22.6", Unit.NUMBER) == 22.6
    assert parse_score("-1.5", Unit.NATS) == -1.5
    for text, unit, sentence in (
        ("85", Unit.SHARE, "no share of one; write 85% or 0.85"),
        ("good", Unit.SHARE, "not a score; expected a share such as 85% or 0.85"),
        ("20%", Unit.NUMBER, "not a score; expected a number"),
    ):
        with pytest.raises(ValueError, match=sentence):
            parse_score(text, unit)


@pytest.mark.parametrize(
    ("value", "unit", "better", "text"),
    [
        (0.007831, Unit.SECONDS, Better.LOWER, "7.84ms"),
        (0.008, Unit.SECONDS, Better.LOWER, "8ms"),
        (150.2, Unit.SECONDS, Better.LOWER, "151s"),
        (210.3 * 2**20, Unit.BYTES, Better.LOWER, "211MiB"),
        (0.8439, Unit.SHARE, Better.HIGHER, "84.3%"),
        (22.69, Unit.NUMBER, Better.HIGHER, "22.6"),
        (0.0, Unit.SHARE, Better.HIGHER, "0"),
    ],
)
def test_limits_as_they_are_typed(value: float, unit: Unit, better: Better, text: str) -> None:
    assert format_option(value, unit, better) == text


@given(st.floats(min_value=1e-6, max_value=1e4), st.floats(min_value=1e3, max_value=1e13), st.floats(0.001, 1))
def test_what_is_typed_is_met(seconds: float, size: float, share: float) -> None:
    assert seconds * (1 - 1e-9) <= parse_duration(format_option(seconds, Unit.SECONDS, Better.LOWER)) <= seconds * 1.011
    assert size - 1 <= parse_bytes(format_option(size, Unit.BYTES, Better.LOWER)) <= size * 1.011
    assert (
        share * 0.989 <= parse_score(format_option(share, Unit.SHARE, Better.HIGHER), Unit.SHARE) <= share * (1 + 1e-9)
    )
