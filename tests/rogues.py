"""Models that misbehave, each in its own way: what a run must survive."""

from __future__ import annotations

import ctypes
import time

import torch
from torch import Tensor, nn


class _Rogue(nn.Module):
    """A linear classifier of features that is right until it is called on more than four items."""

    def __init__(self, input_dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        # contracts look at four items; what is measured is larger
        if inputs.shape[0] > 4:
            self.misbehave()
        return self.linear(inputs)

    def misbehave(self) -> None:
        raise NotImplementedError


class Crashing(_Rogue):
    def misbehave(self) -> None:
        ctypes.string_at(0)


class Hanging(_Rogue):
    def misbehave(self) -> None:
        time.sleep(3600)


class Raising(_Rogue):
    def misbehave(self) -> None:
        raise ValueError("I will not")


class Greedy(_Rogue):
    def misbehave(self) -> None:
        # address space is what is limited: filling it with values as well would only make the test slow
        self.hoard = [torch.empty(2**28)]
        while True:
            self.hoard.append(torch.empty(2**28))


class NotANumber(_Rogue):
    def forward(self, inputs: Tensor) -> Tensor:
        outputs = super().forward(inputs)
        return outputs * float("nan") if inputs.shape[0] > 4 else outputs

    def misbehave(self) -> None:
        return None


class CrashingAtOnce(_Rogue):
    """Crashes while it is checked, before anything is measured."""

    def forward(self, inputs: Tensor) -> Tensor:
        ctypes.string_at(0)
        return self.linear(inputs)
