"""`forecast`: the values of a series that come next, from a window of those before.

Hourly traffic on a road, whose period is a week, or a series of the user's. Values go in with mean 0 and spread 1 over the
training part; errors are told in the series' own unit. MASE divides the error by that of the rule "as a period ago" over the
training part (Hyndman & Koehler 2006): below 1 is better than that rule was there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.batch import Batch, asked, forward
from bench.errors import UsageError
from bench.observations import Exhibit, Line
from bench.options import option
from bench.quantity import METRICS
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Answer, Data, Evaluation, Form, Legend, Score, task
from bench.tasks.classification import refuse_fold
from bench.tasks.data.providers import fetch
from bench.tasks.data.series import read_series, read_traffic
from bench.tasks.data.sources import TRAFFIC
from bench.tasks.given import numbers
from bench.tasks.splits import Indices
from bench.tasks.windows import History, Windows, cut, fingerprint, floors, full_batch, read_history

WEEK = 168
# What an exhibit shows of the test part: so many steps one by one, or so many forecasts of several steps.
SHOWN_STEPS = 168
SHOWN_FORECASTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `forecast`."""

    horizon: int = option(1, "How many values ahead are asked for, all at once.", at_least=1)
    file: str | None = option(
        None, "CSV or TSV file of your own, a value a line at equal steps of time; relative to the suite's folder."
    )
    column: str = option("", "Name of the column of values in the file's header; not needed where it is the only one.")
    period: int | None = option(
        None,
        "Steps after which the series about repeats itself; a week of hours, but 1 for a file of your own.",
        at_least=1,
    )


@task(
    "forecast",
    summary="time series: one value ahead or many, from those before; hourly traffic, or your own CSV file",
    source="Hogue 2019 (UCI), Metro Interstate Traffic Volume; or the user's file",
    options=Options,
    asked_paths=("file",),
)
class Forecast:
    """(L, 1) values in, the H that follow out; see the module."""

    name = "forecast"
    length_axis = LengthAxis.FREE
    folds = 0
    headline = "mae"
    metrics = (METRICS["mae"], METRICS["mse"], METRICS["mase"])
    form = Form.NUMBERS
    chance = None  # its floors say what simple rules score

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def history(self) -> History:
        """The series, fetched or read when it is first asked for.

        Raises:
            DataError: it is not here and nobody could bring it, or there is nothing in it to be forecast.
        """
        file, period = self.options.file, self.options.period
        if file is None:
            return read_history(read_traffic(fetch(TRAFFIC).path), period or WEEK)
        return read_history(read_series(Path(file), self.options.column), period or 1)

    def spec(self, sequence_length: int | None) -> Spec:
        """A value a step in, `horizon` values out; a file of the user's is read to see whether windows fit into it.

        Raises:
            UsageError: no length is given.
            DataError: the user's file cannot be read, or is too short.
        """
        if sequence_length is None:
            raise UsageError(f"task '{self.name}': found no sequence length, expected one in 'sequence_lengths'")
        if self.options.file is not None:
            cut(self.history, sequence_length, self.options.horizon)
        return Spec(
            inputs=InputKind.VECTORS,
            outputs=OutputKind.VALUE,
            sequence_length=sequence_length,
            input_size=1,
            output_size=self.options.horizon,
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Standard normal values."""
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn((batch_size, spec.sequence_length or 1, 1), generator=generator)
        return full_batch(inputs, torch.randn((batch_size, spec.output_size or 1), generator=generator))

    def training_lengths(self, spec: Spec) -> list[int]:
        """All windows are of one length."""
        return [spec.sequence_length or 1]

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:  # noqa: ARG002 - no text here
        """The windows of this length, split by time.

        Raises:
            DataError: the series is not here and nobody could bring it, or it is too short.
            UsageError: a fold of the one fixed split.
        """
        refuse_fold(self.name, fold)
        history, length, horizon = self.history, spec.sequence_length or 1, self.options.horizon
        parts = cut(history, length, horizon)
        test = parts["test"]
        truth = history.filled[test.starts[:, None] + np.arange(horizon)]
        rules = floors(history, test)
        return Data(
            train=parts["train"],
            validation=parts["validation"],
            test=test,
            fingerprint=fingerprint(history, length, horizon),
            scales=((history.mean, history.spread),),
            floors={name: float(np.abs(said - truth).mean()) for name, said in rules.items()},
        )

    def read(self, given: Sequence[str], legend: Legend) -> Batch:
        """Windows of values with commas between them, the newest last, each as long as those that were trained on.

        Raises:
            UsageError: a window is not as many numbers.
        """
        length = legend.spec.sequence_length or 1
        ((mean, spread),) = legend.scales
        scaled = (np.array([numbers(row, length) for row in given]) - mean) / spread
        return replace(
            full_batch(torch.from_numpy(scaled.astype(np.float32))[..., None], torch.zeros(len(given), 0)), targets=None
        )

    def answers(self, model: nn.Module, batch: Batch, legend: Legend) -> list[Answer]:
        """The values that come next, in the series' own unit."""
        ((mean, spread),) = legend.scales
        values = forward(model, batch, legend.spec).double() * spread + mean
        return [Answer(said=tuple(row)) for row in values.tolist()]

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean absolute error of scaled values, a scalar, from (B, H) values, computed in fp32."""
        return functional.l1_loss(outputs.float(), asked(batch))

    def evaluate(self, model: nn.Module, batch: Batch, spec: Spec) -> Evaluation:
        """The H values of every item, in the series' own unit."""
        outputs = forward(model, batch, spec).float()
        return Evaluation(
            loss_sum=self.loss(outputs, batch).item() * batch.items,
            items=batch.items,
            predicted=self._unscaled(outputs),
            expected=self._unscaled(asked(batch)),
        )

    def _unscaled(self, scaled: Tensor) -> list[Any]:
        values = scaled.cpu().numpy().astype(np.float64) * self.history.spread + self.history.mean
        return cast("list[Any]", values.tolist())

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """Mean absolute, mean squared and mean absolute scaled error; forecasts of many values are not kept."""
        error = np.asarray(predicted, dtype=np.float64) - np.asarray(expected, dtype=np.float64)
        mae = float(np.abs(error).mean())
        return Score(
            metrics={"mae": mae, "mse": float((error**2).mean()), "mase": mae / self.history.seasonal_step},
            kept=tuple(row[0] for row in predicted) if self.options.horizon == 1 else (),
        )

    def exhibits(self, data: Data, predicted: Sequence[Any], expected: Sequence[Any]) -> tuple[Exhibit, ...]:
        """Forecasts beside the truth from the beginning of the test part on: a week of single ones, or four of many values."""
        starts, horizon = cast(Windows, data.test).starts, self.options.horizon
        shown = _apart(starts, horizon)
        if horizon == 1:
            shown = [place for place in shown if starts[place] < starts[0] + SHOWN_STEPS]
            parts, says = {"forecast": shown}, "each value from those right before it"
        else:
            shown = shown[:SHOWN_FORECASTS]
            parts = {f"forecast {number}": [place] for number, place in enumerate(shown, start=1)}
            says = f"each {horizon} values at once, from those before its first"

        def line(name: str, places: Sequence[int], values: Sequence[Any]) -> Line:
            steps = (starts[places] - starts[0])[:, None] + np.arange(horizon)
            return Line(
                name=name,
                x=tuple(map(float, steps.ravel())),
                y=tuple(float(f"{value:.5g}") for place in places for value in values[place]),
            )

        lines = [line("truth", shown, expected), *(line(name, one, predicted) for name, one in parts.items())]
        return (
            Exhibit(
                title="Forecasts beside the truth",
                says=f"The first {len(lines[0].x)} known steps of the test part: {says}.",
                lines=tuple(lines),
                x_title="step of the test part",
                unit=self.history.series.unit,
            ),
        )


def _apart(starts: Indices, horizon: int) -> list[int]:
    """Places of the first window and of each next one that asks for no value that the one before asked for."""
    chosen: list[int] = []
    for place, start in enumerate(starts):
        if not chosen or start >= starts[chosen[-1]] + horizon:
            chosen.append(place)
    return chosen
