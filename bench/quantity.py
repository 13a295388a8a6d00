"""Metrics as data - name, unit, direction - and the only place where numbers become text, and text numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """Which way a metric improves."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Unit(StrEnum):
    """Base units; values are stored in them and scaled only when shown."""

    SECONDS = "s"
    BYTES = "B"
    ITEMS_PER_SECOND = "items/s"
    TOKENS_PER_SECOND = "tokens/s"
    SHARE = "share"  # 0 to 1
    COUNT = "count"
    NATS = "nats"
    FLOPS = "FLOP/s"
    BYTES_PER_SECOND = "B/s"
    JOULES = "J"
    NUMBER = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A named quantity: `title` is the column head that people see."""

    name: str
    title: str
    unit: Unit
    better: Better


def _metrics(better: Better, unit: Unit, **titles: str) -> Iterable[Metric]:
    return (Metric(name=name, title=title, unit=unit, better=better) for name, title in titles.items())


_BUILT_IN = (
    *_metrics(
        Better.LOWER,
        Unit.SECONDS,
        latency_s="latency",
        latency_iqr_low_s="latency, lower quartile",
        latency_iqr_high_s="latency, upper quartile",
        latency_p10_s="latency p10",
        latency_p90_s="latency p90",
        latency_p99_s="latency p99",
        step_s="step",
        first_token_s="first token",
        token_s="next token",
        forward_s="forward",
        backward_s="backward",
        optimizer_s="optimizer",
        first_call_s="first call",
        compile_s="compilation",
        fit_s="time to fit",
        time_to_target_s="time to target",
    ),
    *_metrics(Better.HIGHER, Unit.ITEMS_PER_SECOND, throughput_items_per_s="throughput"),
    *_metrics(
        Better.HIGHER,
        Unit.TOKENS_PER_SECOND,
        throughput_tokens_per_s="token throughput",
        throughput_real_tokens_per_s="real-token throughput",
    ),
    *_metrics(Better.NEITHER, Unit.SHARE, padding_share="padding"),
    *_metrics(
        Better.LOWER,
        Unit.BYTES,
        peak_allocated_bytes="peak allocated",
        peak_reserved_bytes="peak reserved",
        driver_bytes="driver memory",
        peak_rss_bytes="peak memory",
        weights_bytes="weights",
        gradients_bytes="gradients",
        optimizer_bytes="optimizer state",
        activations_bytes="activations",
        workspace_bytes="workspace",
        state_bytes="state",
    ),
    *_metrics(Better.HIGHER, Unit.COUNT, max_batch_size="largest batch", max_sequence_length="longest sequence"),
    *_metrics(
        Better.LOWER,
        Unit.COUNT,
        parameters="parameters",
        flops_per_item="FLOPs per item",
        operator_count="operators",
        kernel_count="kernels",
        graph_breaks="graph breaks",
    ),
    *_metrics(Better.NEITHER, Unit.COUNT, matched_parameters="matched parameters"),
    *_metrics(Better.LOWER, Unit.BYTES, traffic_bytes_per_item="traffic per item"),
    *_metrics(
        Better.HIGHER,
        Unit.FLOPS,
        flops_per_s="FLOP/s",
        ceiling_flops_per_s="measured ceiling",
        peak_flops_per_s="vendor peak",
    ),
    *_metrics(Better.HIGHER, Unit.BYTES_PER_SECOND, ceiling_bytes_per_s="measured bandwidth"),
    *_metrics(Better.HIGHER, Unit.SHARE, mfu="MFU", ceiling_share="of the measured ceiling"),
    *_metrics(Better.LOWER, Unit.JOULES, energy_j_per_item="energy per item"),
    *_metrics(Better.NEITHER, Unit.NUMBER, gradient_ratio="gradient ratio"),
    *_metrics(
        Better.HIGHER,
        Unit.SHARE,
        accuracy="accuracy",
        f1_macro="F1 (macro)",
        precision_macro="precision (macro)",
        recall_macro="recall (macro)",
        exact_match="exact match",
        word_accuracy="word accuracy",
        entity_f1="F1 (entities)",
        entity_precision="precision (entities)",
        entity_recall="recall (entities)",
    ),
    *_metrics(Better.HIGHER, Unit.NUMBER, bleu="BLEU", chrf="chrF"),
    *_metrics(Better.LOWER, Unit.NUMBER, frechet_distance="Fréchet distance"),
    *_metrics(Better.HIGHER, Unit.COUNT, classes_covered="classes covered"),
    *_metrics(
        Better.LOWER, Unit.NUMBER, mse="mean squared error", mae="mean absolute error", mase="scaled error (MASE)"
    ),
    *_metrics(
        Better.LOWER,
        Unit.NATS,
        negative_elbo="negative ELBO",
        reconstruction="reconstruction",
        divergence="KL divergence",
        test_loss="test loss",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _BUILT_IN}
"""Every metric by name; a task or workload with one of its own adds it with `declare`."""


def declare(metric: Metric) -> Metric:
    """Add a metric of a task's or workload's own, so that every table and export knows its unit and direction.

    Raises:
        ValueError: the name stands for another quantity already.
    """
    known = METRICS.setdefault(metric.name, metric)
    if known != metric:
        raise ValueError(f"metric '{metric.name}' is already declared as {known}")
    return metric


_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent: 1234 -> 1,230; 0.01234 -> 0.0123."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    rounded = float(f"{value:.3g}")
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{digits}f}"


def _scaled(value: float, scales: Iterable[tuple[float, str]], otherwise: str = "") -> tuple[float, str]:
    *_, smallest = pairs = tuple(scales)
    for scale, name in pairs:
        # 999.6 rounds to 1,000 at three digits and so belongs to the next scale already
        if abs(value) >= scale * 0.9995:
            return scale, name
    return (1.0, otherwise) if otherwise or smallest[0] > 1 else smallest


def format_value(value: float | None, unit: Unit) -> str:
    """A value for people: `1.24 ms`, `12.3 k/s`, `40.1 MiB`, `86.4 %`; unknown is `n/a`."""
    if value is None:
        return "n/a"
    match unit:
        case Unit.SECONDS if abs(value) >= 120:
            return format_duration(value)
        case Unit.SECONDS:
            scale, name = _scaled(value, _SECONDS) if value else (1.0, "s")
            return f"{_three_digits(value / scale)} {name}"
        case Unit.BYTES:
            scale, name = _scaled(value, _BINARY, "B")
            return f"{_three_digits(value / scale)} {name}"
        case Unit.SHARE:
            return f"{value * 100:.1f} %"
        case Unit.ITEMS_PER_SECOND | Unit.TOKENS_PER_SECOND:
            scale, name = _scaled(value, _SI)
            return f"{_three_digits(value / scale)}{' ' + name if name else ''}/s"
        case Unit.FLOPS | Unit.BYTES_PER_SECOND | Unit.JOULES:
            scale, name = _scaled(value, _SI if value >= 1 else ((1.0, ""), (1e-3, "m"), (1e-6, "µ")))
            return f"{_three_digits(value / scale)} {name}{unit.value}"
        case Unit.COUNT if abs(value) < 1000:
            return f"{value:.0f}"
        case Unit.COUNT:
            scale, name = _scaled(value, _SI)
            return f"{_three_digits(value / scale)} {name}".rstrip()
        case _ if 0 < abs(value) < 1e-4:
            return f"{value:.1e}"
        case _:
            return _three_digits(value)


def format_tick(value: float, unit: Unit) -> str:
    """A round value beside an axis: as `format_value`, without the zeros that it would end in."""
    number, space, name = format_value(value, unit).partition(" ")
    digits, slash, per = number.partition("/")
    short = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{short}{slash}{per}{space}{name}"


def format_half_width(value: float, low: float | None, high: float | None, unit: Unit) -> str:
    """The interval beside a value: `±1.3 %` of it; for shares in points, `±0.9`; empty where there is none."""
    if low is None or high is None:
        return ""
    if unit is Unit.SHARE:
        return f"±{(high - low) / 2 * 100:.1f}"
    return f"±{(high - low) / 2 / abs(value) * 100:.1f} %" if value else ""


def format_exact(value: float | None, unit: Unit) -> str:
    """Every digit of a count or of bytes: `1,313,410`; other units as `format_value`."""
    if value is None or unit not in (Unit.COUNT, Unit.BYTES):
        return format_value(value, unit)
    return f"{value:,.0f}{' B' if unit is Unit.BYTES else ''}"


def format_change(change: float, low: float | None = None, high: float | None = None, unit: Unit | None = None) -> str:
    """A change with its sign and interval: `+5.2 % (4.1 to 6.3)`, `-1.2 points (-2.0 to -0.4)`.

    `unit` is that of a score, whose change is a difference; None where the change is relative.
    """
    if math.isinf(change):
        return "from 0"
    scale, name = _change_scale(unit)
    known = [change * scale] + [end * scale for end in (low, high) if end is not None]
    digits = _change_digits(max(map(abs, known)), unit)
    first, *ends = (_without_empty_sign(f"{value:,.{digits}f}") for value in known)
    sign = "+" if change > 0 and first.strip("0.,") else ""
    between = "({} to {})".format(*ends) if len(ends) == 2 else ""
    return " ".join(part for part in (f"{sign}{first}", name, between) if part)


def format_difference(value: float, unit: Unit | None = None) -> str:
    """How large a change is, without a sign: `4.1 %`, `1.4 points`; `unit` as in `format_change`."""
    scale, name = _change_scale(unit)
    return f"{value * scale:,.{_change_digits(abs(value * scale), unit)}f} {name}".rstrip()


def format_ratio(value: float, low: float | None = None, high: float | None = None) -> str:
    """How many times: `1.42 times (1.38 to 1.46)`, with as many digits as show on which side of one they are."""
    known = [one for one in (value, low, high) if one is not None]
    nearest = min(abs(one - 1) for one in known)
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 2
    if 0 < nearest < 10**-digits:
        digits = min(6, -math.floor(math.log10(nearest)))
    first, *ends = (f"{one:,.{digits}f}" for one in known)
    return f"{first} times{' ({} to {})'.format(*ends) if len(ends) == 2 else ''}"


def _change_scale(unit: Unit | None) -> tuple[float, str]:
    if unit is None:
        return 100.0, "%"
    return (100.0, "points") if unit is Unit.SHARE else (1.0, unit.value)


def _change_digits(largest: float, unit: Unit | None) -> int:
    """Decimals: one for per cent and points, more only where one would show nothing; three digits for other units."""
    if largest == 0:
        return 1
    place = math.floor(math.log10(largest))
    if unit not in (None, Unit.SHARE):
        return max(0, 2 - place)
    return 0 if place >= 2 else 1 if place >= -1 else 1 - place


def _without_empty_sign(text: str) -> str:
    return text if text.strip("-0.,") else text.removeprefix("-")


def format_duration(seconds: float) -> str:
    """A span for people, to the second: `42 s`, `5 min 03 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_exponent(value: float) -> str:
    """The k of a power law, to two decimals: `1.02`."""
    return _without_empty_sign(f"{value:.2f}")


def format_length(length: float) -> str:
    """A sequence length, measured or between two that were: `4096`, written as in the ids of cases."""
    return f"{length:.0f}"


_TIMES = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES: dict[str, int] = {"": 1, "B": 1} | {f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)}
_BYTES |= {f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)}
_NUMBER = r"(\d+(?:\.\d+)?)"


def parse_duration(text: str) -> float:
    """Seconds from `90`, `150s`, `2m`, `1.5h`, `500ms` or `80us`.

    Raises:
        ValueError: it is not a time.
    """
    match = re.fullmatch(rf"{_NUMBER}\s*({'|'.join(_TIMES)})?", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"'{text}' is not a time; expected one such as 150s, 2m, 1h or 5ms")
    return float(match[1]) * _TIMES[match[2] or "s"]


def parse_bytes(text: str) -> int:
    """Bytes from `1048576`, `512MiB` (1,024 x 1,024) or `2GB` (1,000 x 1,000 x 1,000).

    Raises:
        ValueError: it is not a size.
    """
    match = re.fullmatch(rf"{_NUMBER}\s*([A-Za-z]*)", text.strip(), re.ASCII)
    if match is None or match[2] not in _BYTES:
        raise ValueError(f"'{text}' is not a size; expected one such as 512MiB, 2GB or 2GiB")
    return round(float(match[1]) * _BYTES[match[2]])


def parse_score(text: str, unit: Unit) -> float:
    """A score in its unit: of a share `85%` or `0.85`, of anything else a number.

    Raises:
        ValueError: it is neither, or no share.
    """
    match = re.fullmatch(rf"(-?{_NUMBER})\s*(%?)", text.strip(), re.ASCII)
    if match is None or (match[3] and unit is not Unit.SHARE):
        expected = "a share such as 85% or 0.85" if unit is Unit.SHARE else "a number"
        raise ValueError(f"'{text}' is not a score; expected {expected}")
    value = float(match[1]) / (100 if match[3] else 1)
    if unit is Unit.SHARE and not 0 <= value <= 1:
        raise ValueError(f"'{text}' is no share of one; write 85% or 0.85")
    return value


_TYPED = {Unit.SECONDS: ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")), Unit.BYTES: _BINARY, Unit.SHARE: ((0.01, "%"),)}


def format_option(value: float, unit: Unit, better: Better) -> str:
    """A limit as people type it, which `value` meets: `7.84ms`, `211MiB`, `84.3%`; three digits, rounded towards worse."""
    scale, name = next((pair for pair in _TYPED.get(unit, ()) if abs(value) >= pair[0]), (1.0, ""))
    digits = 2 - math.floor(math.log10(abs(value / scale))) if value else 0
    shifted = value / scale * 10.0**digits
    rounded = (math.ceil(shifted) if better is Better.LOWER else math.floor(shifted)) / 10.0**digits
    text = f"{rounded:.{max(digits, 0)}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{name}"
