"""A series cut into windows: what has been read, and the values that follow. Shared by whatever forecasts.

Split by time: the first 70 % train, the next 10 % validate, the last 20 % test. The values that are asked for lie in their own
part; a window may reach back into the part before, which is known by then, and never forward.

N values, L of them in a window, H (the horizon) asked for after it; W windows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.batch import Batch
from bench.codec import digest
from bench.errors import DataError
from bench.tasks.data.series import Series, Values
from bench.tasks.splits import SPLITS, Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A series with its gaps filled, and what its training part says of it.

    Attributes:
        filled: (N,) in the series' own unit; where a value is missing, the one a period before it, known by then.
        missing: (N,) true where a value is missing; nothing is ever asked for there.
        period: steps after which the series about repeats itself.
        ends: where the parts that train, validate and test end.
        mean, spread: of the training values, the second their standard deviation.
        seasonal_step: mean absolute difference of two training values a period apart, the unit of MASE.
    """

    series: Series
    filled: Values
    missing: NDArray[np.bool_]
    period: int
    ends: tuple[int, int, int]
    mean: float
    spread: float
    seasonal_step: float


def read_history(series: Series, period: int) -> History:
    """Fill gaps and look at the training part.

    Raises:
        DataError: it is shorter than a period, or has nothing in it to be forecast.
    """
    values, total = series.values, len(series.values)
    test, validation = total // 5, total // 10
    train = values[: total - test - validation]
    if len(train) <= period:
        raise DataError(
            f"{series.where}: found {total} values, the first {len(train)} of them to train with, expected more than a "
            f"period ({period}); give a longer file, or another 'period'"
        )
    steps = np.abs(train[period:] - train[:-period])
    seasonal_step = float(np.nanmean(steps)) if not np.isnan(steps).all() else 0.0
    if seasonal_step == 0 or not (spread := float(np.nanstd(train))):
        raise DataError(
            f"{series.where}: its first {len(train)} values repeat themselves exactly after {period}, or are all missing; "
            "expected a series that changes, or another 'period'"
        )
    return History(
        series=series,
        filled=_filled(values, period),
        missing=np.isnan(values),
        period=period,
        ends=(len(train), len(train) + validation, total),
        mean=float(np.nanmean(train)),
        spread=spread,
        seasonal_step=seasonal_step,
    )


def _filled(values: Values, period: int) -> Values:
    filled = values.copy()
    for place in np.flatnonzero(np.isnan(values)):
        filled[place] = filled[place - period] if place >= period else filled[place - 1]
    return filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """One part of a series: window i is what stands before `starts[i]`, and asked for is what begins there.

    Attributes:
        scaled: (N,) values of the whole series, with mean 0 and spread 1 over its training part.
    """

    scaled: Values
    starts: Indices
    length: int
    horizon: int

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.starts)

    def batch(self, indices: Sequence[int]) -> Batch:
        """(B, L, 1) windows and the (B, H) values after them, all of them full rows."""
        starts_B1 = self.starts[np.asarray(indices, dtype=np.int64)][:, None]
        inputs = self.scaled[starts_B1 + np.arange(-self.length, 0)][..., None]
        targets = self.scaled[starts_B1 + np.arange(self.horizon)]
        return full_batch(*(torch.from_numpy(part.astype(np.float32)) for part in (inputs, targets)))


def full_batch(inputs: torch.Tensor, targets: torch.Tensor) -> Batch:
    """A batch of (B, L, 1) windows without padding."""
    items, length, _ = inputs.shape
    return Batch(inputs=inputs, targets=targets, items=items, tokens=items * length, real_tokens=items * length)


def cut(history: History, length: int, horizon: int) -> dict[str, Windows]:
    """The windows of each part, one for every step at which all values that are asked for are known.

    Raises:
        DataError: a part is too short for any.
    """
    scaled = (history.filled - history.mean) / history.spread
    parts: dict[str, Windows] = {}
    begin = length
    for name, end in zip(SPLITS, history.ends, strict=True):
        starts = np.arange(begin, max(begin, end - horizon + 1))
        known = ~history.missing[starts[:, None] + np.arange(horizon)].any(axis=1)
        parts[name] = Windows(scaled=scaled, starts=starts[known], length=length, horizon=horizon)
        begin = end
    if short := next((name for name, part in parts.items() if not len(part)), None):
        raise DataError(
            f"{history.series.where}: its {history.ends[-1]} values hold no window of {length} with {horizon} known values "
            f"after it for the {short} part; give a longer file, or a smaller 'horizon' or 'sequence_lengths'"
        )
    return parts


def floors(history: History, windows: Windows) -> dict[str, Values]:
    """What simple rules forecast for each window, (windows, H) in the series' own unit, by their names."""
    first_W1, ahead_H = windows.starts[:, None], np.arange(windows.horizon)
    # the last time that this place of the period was seen before the forecast
    seen_H = ahead_H - history.period * (ahead_H // history.period + 1)
    rules = {
        "last value": np.repeat(history.filled[first_W1 - 1], windows.horizon, axis=1),
        "one period ago": history.filled[first_W1 + seen_H],
        "training mean": np.full((len(windows), windows.horizon), history.mean),
    }
    if history.period == 1:
        del rules["one period ago"]  # it is the last value
    return rules


def fingerprint(history: History, length: int, horizon: int) -> str:
    """Of the values, and of how they are cut."""
    contents = hashlib.sha256(history.series.values.tobytes()).hexdigest()
    return digest([contents, history.period, history.ends, length, horizon])
