"""What this machine can do at most: a large matmul and a large copy."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The best of several repeats, in base units."""

    flops_per_s: float
    bytes_per_s: float


def measure_ceilings(device: torch.device, precision: str) -> Ceilings:
    """Measure both."""
    raise NotImplementedError
