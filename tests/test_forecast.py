"""`forecast`: how a series is cut by time, floors and errors by hand, and that nothing is known before its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from bench.architectures import ARCHITECTURES
from bench.batch import Batch
from bench.cli.fetching import bring_data
from bench.errors import BenchError, DataError, SuiteError, UsageError
from bench.options import fill
from bench.plan import resolve
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.suite import load
from bench.tasks import TASKS, Data, Showing, legend_of
from bench.tasks.data.series import Series
from bench.tasks.data.sources import TRAFFIC
from bench.tasks.forecast import WEEK, Forecast, Options
from bench.tasks.splits import SPLITS
from bench.tasks.windows import Windows, cut, fingerprint, floors, read_history


def series(values: list[float]) -> Series:
    return Series(values=np.array(values), unit="cups", where="made.csv")


def wave(total: int = 200, seed: int = 0) -> list[float]:
    """Period 4 with noise; no two values alike."""
    noise = np.random.RandomState(seed).normal(size=total)
    return [float(value) for value in 10 + np.array([0, 3, 5, 3])[np.arange(total) % 4] + noise]


def own(folder: Path, values: list[float] | None = None, **given: Any) -> Forecast:
    """The task on a file of the user's."""
    path = folder / "mine.csv"
    path.write_text(
        "cups\n"
        + "".join("\n" if value != value else f"{value!r}\n" for value in (wave() if values is None else values))
    )
    return Forecast(Options(file=str(path), **given))


def parts_of(data: Data) -> dict[str, Windows]:
    return {name: cast(Windows, getattr(data, name)) for name in SPLITS}


def whole(examples: Any) -> Batch:
    batch: Batch = examples.batch(range(len(examples)))
    return batch


# ── gaps, parts and windows ──


def test_a_gap_is_filled_from_what_was_known() -> None:
    nan = float("nan")
    found = read_history(series([1, nan, 3, 4, 5, nan, nan, nan, 9, nan, 11, 12, 13, 14, 15]), 4)
    # a period before, filled or not; in the first period the value before
    assert found.filled[:10].tolist() == [1, 1, 3, 4, 5, 1, 3, 4, 9, 1]
    assert found.missing.nonzero()[0].tolist() == [1, 5, 6, 7, 9]
    # of the first 11 values: mean of 1, 3, 4, 5, 9, 11; a period apart both are known at 0-4, 4-8 only
    assert found.ends == (11, 12, 15)
    assert found.mean == pytest.approx(33 / 6)
    assert found.spread == pytest.approx(np.std([1, 3, 4, 5, 9, 11]))
    assert found.seasonal_step == pytest.approx(4)


@pytest.mark.parametrize(("length", "horizon"), [(1, 1), (7, 1), (20, 3), (5, 20)])
def test_windows_stand_before_what_they_ask_for_and_ask_within_their_part(length: int, horizon: int) -> None:
    history = read_history(series([*map(float, np.random.RandomState(0).permutation(200))]), 4)
    assert history.ends == (140, 160, 200)
    parts = cut(history, length, horizon)
    assert [len(parts[name]) for name in SPLITS] == [140 - length - horizon + 1, 21 - horizon, 41 - horizon]
    begin = length
    for name, end in zip(SPLITS, history.ends, strict=True):
        starts = parts[name].starts
        assert (starts[0], starts[-1]) == (begin, end - horizon)
        begin = end
        batch = whole(parts[name])
        assert batch.inputs.shape == (len(starts), length, 1)
        assert batch.targets is not None
        assert (batch.items, batch.tokens, batch.real_tokens) == (len(starts), *[len(starts) * length] * 2)
        for row, start in enumerate(starts):
            values = history.series.values[start - length : start + horizon]
            scaled = torch.tensor((values - history.mean) / history.spread, dtype=torch.float32)
            assert torch.equal(torch.cat([batch.inputs[row, :, 0], batch.targets[row]]), scaled)
    train = parts["train"].scaled[:140]
    assert (train.mean(), train.std()) == pytest.approx((0, 1))


def test_nothing_is_asked_where_a_value_is_missing() -> None:
    values = wave()
    values[50] = values[51] = values[170] = float("nan")
    parts = cut(read_history(series(values), 4), 8, 3)
    asked = {int(start) + step for part in parts.values() for start in part.starts for step in range(3)}
    assert asked == set(range(8, 200)) - {50, 51, 170}
    assert all(np.isfinite(part.scaled).all() for part in parts.values())


@pytest.mark.parametrize("after", [140, 160])
def test_the_future_changes_nothing_before_it(after: int, tmp_path: Path) -> None:
    """Values from the end of the training (or validation) part on become others, and some of them missing."""
    values = wave()
    values[20] = values[130] = float("nan")
    changed = values[:after] + [float("nan") if place % 9 == 3 else -100.0 * place for place in range(after, 200)]
    found = []
    for one in (values, changed):
        history = read_history(series(one), 4)
        parts = cut(history, 12, 3)
        known = [whole(parts[name]) for name, end in zip(SPLITS, history.ends, strict=True) if end <= after]
        found.append((known, (history.mean, history.spread, history.seasonal_step), parts["test"]))
    assert len(found[0][0]) == (1 if after == 140 else 2)
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert one.targets is not None
        assert other.targets is not None
        assert torch.equal(one.targets, other.targets)
    assert found[0][1] == found[1][1]
    assert not np.array_equal(found[0][2].scaled, found[1][2].scaled)


def test_a_window_and_its_floors_know_nothing_of_what_they_forecast() -> None:
    values = wave()
    history, changed = (read_history(series(one), 4) for one in (values, [*values[:180], *wave(20, seed=9)]))
    one, other = (cut(found, 12, 6)["test"] for found in (history, changed))
    place = int(np.flatnonzero(one.starts == 180)[0])
    assert torch.equal(one.batch([place]).inputs, other.batch([place]).inputs)
    said = [floors(found, part) for found, part in ((history, one), (changed, other))]
    assert all(np.array_equal(said[0][name][place], said[1][name][place]) for name in said[0])
    assert not any(np.array_equal(said[0][name][place + 1], said[1][name][place + 1]) for name in ("last value",))


def test_floors_by_hand() -> None:
    values = [float(place * place) for place in range(60)]
    history = read_history(series(values), 4)
    test = cut(history, 5, 6)["test"]
    assert (history.ends, test.starts.tolist()) == ((42, 48, 60), [48, 49, 50, 51, 52, 53, 54])
    said = floors(history, test)
    assert said["last value"][0].tolist() == [47.0**2] * 6
    # 48 to 51 were seen at 44 to 47, and so were 52 and 53, for 48 and 49 are not known yet
    assert said["one period ago"][0].tolist() == [44.0**2, 45.0**2, 46.0**2, 47.0**2, 44.0**2, 45.0**2]
    assert np.allclose(said["training mean"], sum(place * place for place in range(42)) / 42)
    assert "one period ago" not in floors(read_history(series(values), 1), test)


# ── the task ──


def test_a_window_in_and_values_out() -> None:
    task = Forecast(Options(horizon=24))
    assert task.spec(168) == Spec(
        inputs=InputKind.VECTORS, outputs=OutputKind.VALUE, sequence_length=168, input_size=1, output_size=24
    )
    assert (task.length_axis, task.folds, task.headline) == (LengthAxis.FREE, 0, "mae")
    assert task.training_lengths(task.spec(168)) == [168]
    assert TASKS.get("forecast").make is Forecast
    assert isinstance(task, Showing)
    with pytest.raises(UsageError, match="found no sequence length"):
        task.spec(None)
    with pytest.raises(UsageError, match="found fold 1, expected none"):
        task.load(task.spec(8), fold=1)


def test_made_batches_are_seeded() -> None:
    task = Forecast(Options(horizon=3))
    first, again, other = (task.random_batch(task.spec(16), 64, seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)
    assert first.targets is not None
    assert (first.inputs.shape, first.targets.shape, first.tokens) == ((64, 16, 1), (64, 3), 64 * 16)


class Says(nn.Module):
    """One and the same scaled value."""

    def __init__(self, value: float, horizon: int) -> None:
        super().__init__()
        self.value, self.horizon = value, horizon

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return torch.full((len(inputs), self.horizon), self.value)


@pytest.mark.parametrize("horizon", [1, 3])
def test_errors_are_told_in_the_series_own_unit(horizon: int, tmp_path: Path) -> None:
    task = own(tmp_path, horizon=horizon, period=4)
    spec = task.spec(8)
    data = task.load(spec)
    seen = task.evaluate(Says(0.0, horizon), whole(data.test), spec)
    values, starts = np.array(wave()), parts_of(data)["test"].starts
    truth = values[starts[:, None] + np.arange(horizon)]
    assert np.allclose(seen.expected, truth, rtol=1e-6)
    assert np.allclose(seen.predicted, values[:140].mean())
    error = truth - values[:140].mean()
    score = task.score(seen.predicted, seen.expected)
    scale = np.abs(values[4:140] - values[:136]).mean()
    by_hand = {"mae": np.abs(error).mean(), "mse": (error**2).mean(), "mase": np.abs(error).mean() / scale}
    assert dict(score.metrics) == pytest.approx(by_hand, rel=1e-6)
    assert next(iter(score.metrics)) == task.headline
    assert [metric.name for metric in task.metrics] == list(score.metrics)
    assert data.floors["training mean"] == pytest.approx(by_hand["mae"])
    assert seen.loss_sum == pytest.approx(by_hand["mae"] / values[:140].std() * len(starts), rel=1e-5)
    assert score.kept == (tuple(row[0] for row in seen.predicted) if horizon == 1 else ())


def test_scaled_error_of_the_seasonal_rule_over_its_own_part_is_one(tmp_path: Path) -> None:
    task = own(tmp_path, period=4)
    values = np.array(wave())[:140]
    score = task.score([[value] for value in values[:-4]], [[value] for value in values[4:]])
    assert score.metrics["mase"] == pytest.approx(1)


def test_floors_are_measured_on_the_test_part(tmp_path: Path) -> None:
    data = own(tmp_path, period=4).load(own(tmp_path, period=4).spec(8))
    values = np.array(wave())
    assert data.floors["last value"] == pytest.approx(np.abs(values[160:] - values[159:-1]).mean())
    assert data.floors["one period ago"] == pytest.approx(np.abs(values[160:] - values[156:-4]).mean())
    plain = own(tmp_path)
    assert set(plain.load(plain.spec(8)).floors) == {"last value", "training mean"}
    # they look at the series, not at the window
    assert plain.load(plain.spec(8)).floors == plain.load(plain.spec(30)).floors


def test_fingerprints_tell_values_and_cuts_apart() -> None:
    history, other = (read_history(series(wave(seed=seed)), 4) for seed in (0, 1))
    found = [
        fingerprint(history, 8, 1),
        fingerprint(other, 8, 1),
        fingerprint(history, 9, 1),
        fingerprint(history, 8, 2),
    ]
    found.append(fingerprint(read_history(series(wave()), 5), 8, 1))
    assert len(set(found)) == len(found)
    assert fingerprint(history, 8, 1) == found[0]


@pytest.mark.parametrize(
    ("values", "given", "said"),
    [
        (
            wave(20),
            {"period": 14},
            r"found 20 values, the first 14 of them to train with, expected more than a period \(14\)",
        ),
        (wave(40), {}, r"its 40 values hold no window of 32 with 1 known values after it for the train part"),
        (wave(120), {"horizon": 13}, r"hold no window of 32 with 13 known values after it for the validation part"),
        ([1.0, 2.0] * 100, {"period": 2}, r"its first 140 values repeat themselves exactly after 2"),
        ([5.0] * 100, {}, r"repeat themselves exactly after 1"),
    ],
)
def test_what_is_too_short_or_says_nothing(values: list[float], given: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"mine\.csv: .*{said}"):
        own(tmp_path, values, **given).spec(32)


def test_exhibits_show_a_week_of_single_forecasts(tmp_path: Path) -> None:
    values = wave(1200)  # the test part begins at 960
    values[970] = float("nan")
    task = own(tmp_path, values, period=4)
    data = task.load(task.spec(8))
    expected = whole(data.test).targets
    assert expected is not None
    truth = [[values[start]] for start in parts_of(data)["test"].starts]
    (found,) = task.exhibits(data, [[0.5]] * len(truth), truth)
    assert [line.name for line in found.lines] == ["truth", "forecast"]
    assert found.lines[0].x == found.lines[1].x == tuple(map(float, (place for place in range(168) if place != 10)))
    assert found.lines[0].y[:2] == (float(f"{values[960]:.5g}"), float(f"{values[961]:.5g}"))
    assert set(found.lines[1].y) == {0.5}
    assert (found.unit, found.x_title) == ("cups", "step of the test part")


def test_exhibits_show_four_forecasts_of_many_values(tmp_path: Path) -> None:
    values = wave(400)  # the test part begins at 320
    values[326] = float("nan")
    task = own(tmp_path, values, horizon=5)
    data = task.load(task.spec(8))
    starts = parts_of(data)["test"].starts
    truth = [values[start : start + 5] for start in starts]
    (found,) = task.exhibits(data, [[float(start)] * 5 for start in starts], truth)
    # 326 is unknown, so nothing begins from 322 to 326
    begins = [0, 7, 12, 17]
    assert [line.name for line in found.lines] == ["truth", *(f"forecast {number}" for number in (1, 2, 3, 4))]
    assert found.lines[0].x == tuple(float(begin + step) for begin in begins for step in range(5))
    for begin, line in zip(begins, found.lines[1:], strict=True):
        assert line.x == tuple(float(begin + step) for step in range(5))
        assert set(line.y) == {320.0 + begin}


# ── in a suite ──

SUITE = """
name = "made"
[[task]]
name = "forecast"
file = "mine.csv"
column = "cups"
[[architecture]]
name = "mlp"
hidden_dim = 8
[accuracy]
sequence_lengths = [8]
epochs = 1
"""


def test_a_users_file_is_read_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("bench.cli.fetching.fetch", lambda source: asked.append(source.name))
    (tmp_path / "made.toml").write_text(SUITE)
    with pytest.raises((SuiteError, DataError), match=r"mine\.csv: is no file"):
        resolve(load(tmp_path / "made.toml"), threads=1, device="cpu")
    own(tmp_path)
    plan = resolve(load(tmp_path / "made.toml"), threads=1, device="cpu")
    bring_data(plan)
    assert asked == []
    assert plan.cases[0].task_key == "forecast[column=cups,file=mine.csv]"
    (tmp_path / "made.toml").write_text(SUITE.replace('file = "mine.csv"\ncolumn = "cups"', "horizon = 24"))
    bring_data(resolve(load(tmp_path / "made.toml"), threads=1, device="cpu"))
    assert asked == ["traffic"]


def test_options_that_are_no_options() -> None:
    assert fill(Options, {"horizon": 0, "period": 0, "file": 3})[1] == [
        "'horizon' is 0; expected at least 1",
        "'file' is 3; expected str | None",
        "'period' is 0; expected at least 1",
    ]


@pytest.mark.slow
def test_a_perceptron_learns_what_no_floor_knows(tmp_path: Path) -> None:
    """x(t) = 1.6 x(t-1) - x(t-2): no rule that repeats a value knows it, and a line through two values does."""
    values = [1.0, 1.2]
    for _ in range(500):
        values.append(1.6 * values[-1] - values[-2])
    task = own(tmp_path, values)
    spec = task.spec(4)
    data, architecture = task.load(spec), ARCHITECTURES.get("mlp")
    torch.manual_seed(0)
    model = architecture.build(spec, fill(architecture.hyperparameters, {"hidden_dim": 32, "dropout": 0.0})[0])
    optimizer, batch = torch.optim.AdamW(model.parameters(), lr=1e-2), whole(data.train)
    for _ in range(200):
        optimizer.zero_grad()
        task.loss(model(batch.inputs), batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.inference_mode():
        seen = task.evaluate(model.eval(), whole(data.test), spec)
    assert task.score(seen.predicted, seen.expected).metrics["mae"] < 0.2 * min(data.floors.values())


# ── the real series ──


@pytest.fixture(scope="module")
def real() -> Forecast:
    task = Forecast(Options())
    try:
        task.history  # noqa: B018 - fetched when it is first asked for
    except BenchError as error:
        pytest.skip(f"the real series is not here: {error}")
    return task


@pytest.mark.network
def test_the_real_series(real: Forecast) -> None:
    history = real.history
    values = history.series.values
    assert (len(values), int(np.isnan(values).sum()), history.period) == (17_520, 104, WEEK)
    assert (np.nanmin(values), np.nanmax(values)) == (113, 7_280)
    data = real.load(real.spec(168))
    assert [len(getattr(data, name)) for name in SPLITS] == [12_010, 1_740, 3_499]
    assert data.floors == pytest.approx(
        {"last value": 581.6, "one period ago": 260.7, "training mean": 1699.7}, abs=0.1
    )
    many = Forecast(Options(horizon=24))
    floor = many.load(many.spec(168)).floors
    assert floor == pytest.approx({"last value": 2162.4, "one period ago": 261.5, "training mean": 1698.3}, abs=0.1)
    assert TRAFFIC.licence.startswith("CC BY 4.0")


def test_a_file_that_is_long_enough_for_the_suites_windows_will_do(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("value\n" + "\n".join(map(str, wave(80))))
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\n[[task]]\nname = "forecast"\nfile = "mine.csv"\nhorizon = 2\n[[architecture]]\nname = "mlp"\n'
        "[accuracy]\nsequence_lengths = [8]\nepochs = 1\n"
    )
    plan = resolve(load(tmp_path / "mine.toml"), threads=1, device="cpu")
    assert [case.sequence_length for case in plan.cases] == [8]
    assert plan.headlines == {plan.cases[0].task_key: "mae"}


# ── a window of one's own ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_given_window_is_read_as_in_training_and_answered_in_the_series_own_unit(tmp_path: Path) -> None:
    task = own(tmp_path, wave(), horizon=2, period=5)
    spec = task.spec(6)
    data = task.load(spec)
    legend = legend_of(data, spec, "words")
    first = cast(Windows, data.test).starts[0]
    row = ",".join(str(value) for value in wave()[first - 6 : first])
    batch = task.read([row, row], legend)
    torch.testing.assert_close(batch.inputs[1], data.test.batch([0]).inputs[0])
    assert batch.targets is None
    said = task.answers(Says(0.0, 2), batch, legend)
    # nothing above the mean of training, twice
    assert said[0].said == pytest.approx((task.history.mean, task.history.mean))
    with pytest.raises(UsageError, match="found '1e300', expected a number"):
        task.read(["1e300,2,3,4,5,6"], legend)
    with pytest.raises(UsageError, match="found 1 values, expected 6 numbers with commas between them"):
        task.read(["3"], legend)
