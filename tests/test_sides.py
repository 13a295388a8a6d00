"""Two sides in turns: what is divided by what, and that the sides of `benchmarks.architectures` do the same work."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from bench.architectures import ARCHITECTURES
from bench.options import fill
from benchmarks import architectures, sides

CPU = torch.device("cpu")


def test_a_ratio_says_how_many_times_longer_the_second_side_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = itertools.count(), []
    clock = [0.0]

    def took(name: str, length: float) -> Any:
        def call() -> None:
            order.append(name)
            # a machine that becomes slower and slower does so for both
            clock[0] += length * (1 + next(now) / 1e6)

        return call

    monkeypatch.setattr(sides.time, "perf_counter", lambda: clock[0])
    found = sides.compare(took("first", 0.1), took("second", 0.25), CPU, turns=6)
    assert found.ratio == pytest.approx(2.5, rel=1e-3)
    assert found.low <= found.ratio <= found.high
    assert (found.first_s, found.second_s) == pytest.approx((0.1, 0.25), rel=1e-3)
    turns = [name for name, _ in itertools.groupby(order[8:])]
    assert turns == ["first", "second", "first", "second", "first", "second", "first"]  # each is first every other time


SIDES = [
    *((*row, architectures._twin) for row in architectures.HAND_WRITTEN),
    *((*row, architectures._steps) for row in architectures.STEPWISE),
    *((*row, architectures._fused) for row in architectures.FUSED),
]


@pytest.mark.parametrize(
    ("name", "options", "other"), SIDES, ids=[f"{name}-{options}-{other.__name__}" for name, options, other in SIDES]
)
def test_both_sides_give_one_answer(name: str, options: dict[str, Any], other: architectures.Other) -> None:
    spec, architecture = architectures.spec_of(name, 9), ARCHITECTURES.get(name)
    sizes, _ = fill(architecture.hyperparameters, {"dropout": 0.0, **options})
    model = architecture.build(spec, sizes).eval()
    theirs = other(name, model, spec, sizes)
    if isinstance(theirs, torch.nn.Module):
        weights = {name.replace("embedding.table.", "embedding."): value for name, value in model.state_dict().items()}
        theirs.load_state_dict(weights)
    inputs = architectures.inputs_of(spec, 3)
    assert torch.allclose(theirs(inputs), model(inputs), atol=1e-5)


def test_a_row_is_printed_for_each_workload_and_batch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sides, "SAMPLE_S", 0.0)
    monkeypatch.setattr("sys.argv", ["architectures", "gru", "--length", "3", "--turns", "2"])
    architectures.main()
    title, *rows = capsys.readouterr().out.splitlines()
    assert "torch's module" in title
    assert [row.split()[:3] for row in rows] == [
        ["gru", kind, batch] for kind in ("inference", "training") for batch in ("B1", "B32")
    ]
