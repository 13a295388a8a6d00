"""Settings of torch that change numbers: set explicitly in every worker, recorded, and part of a machine's fingerprint."""

from __future__ import annotations

SETTINGS = {
    "cudnn_benchmark": False,
    "deterministic": False,
    "sdpa": "flash, efficient, math: torch's choice",
}


def apply(precision: str, threads: int) -> None:
    """Make this process measure as `SETTINGS` say, at a case's precision and number of threads."""
    import torch

    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = bool(SETTINGS["cudnn_benchmark"])
    torch.use_deterministic_algorithms(bool(SETTINGS["deterministic"]))
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
