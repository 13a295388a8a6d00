"""Two ways to do the same, timed in turns in one process: their ratio is what a noisy machine can still tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

TURNS = 15
SAMPLE_S = 0.3
Call = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Seconds of a call of both sides, and how many times longer the second takes: median and middle half over the turns."""

    first_s: float
    second_s: float
    ratio: float
    low: float
    high: float

    def words(self) -> str:
        """Columns of a table."""
        times = f"{self.first_s * 1e3:9.2f}ms {self.second_s * 1e3:9.2f}ms"
        return f"{times}  {self.ratio:7.2f} ({self.low:.2f} to {self.high:.2f})"


def compare(first: Call, second: Call, device: torch.device, *, turns: int = TURNS) -> Compared:
    """Both sides as often as `turns`, each going first every other time: what drifts hits both alike."""
    iterations = {}
    for call in (first, second):
        seconds(call, 2, device)  # warm
        iterations[call] = max(1, round(SAMPLE_S / seconds(call, 2, device)))
    pairs: list[dict[Call, float]] = []
    for turn in range(turns):
        order = (second, first) if turn % 2 else (first, second)
        pairs.append({call: seconds(call, iterations[call], device) for call in order})
    ratios = sorted(pair[second] / pair[first] for pair in pairs)
    return Compared(
        first_s=median(pair[first] for pair in pairs),
        second_s=median(pair[second] for pair in pairs),
        ratio=median(ratios),
        low=ratios[len(ratios) // 4],
        high=ratios[-1 - len(ratios) // 4],
    )


def seconds(call: Call, iterations: int, device: torch.device) -> float:
    """Of a call, the mean over some."""
    _wait(device)
    began = time.perf_counter()
    for _ in range(iterations):
        call()
    _wait(device)
    return (time.perf_counter() - began) / iterations


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
