"""`torch.compile` for the models of timed cases: whether it can, where it keeps its results, and what came of it.

A child compiles by itself, in one process and one thread: no worker of torch's is left behind, and a compilation takes as
long on a machine of many cores as on one of few - longer than a program that lets torch share it out between processes.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from bench.architectures import Streaming
from bench.architectures.forgetless import ForgetlessLSTM
from bench.errors import NotMeasuredError
from bench.records import Case


def compile_model(model: nn.Module, case: Case, folder: str) -> None:
    """Have a model's `forward`, and its `step` where it streams, compiled when they are first called.

    Args:
        model: changed in place; its parameters stay what they are.
        case: says how to compile; nothing is done for `none`.
        folder: where results are kept for other processes; empty for torch's own.

    Raises:
        NotMeasuredError: this model cannot be compiled on this machine.
    """
    if case.compile == "none":
        return
    if reason := obstacle(model, case.device):
        raise NotMeasuredError(reason)
    _configure(folder)
    # not `nn.Module.compile`: it finds no graph in a module of torch's own, such as nn.Sequential
    for name in ("forward", *(["step"] if isinstance(model, Streaming) else [])):
        setattr(model, name, torch.compile(getattr(model, name), mode=case.compile))


def obstacle(model: nn.Module, device: str) -> str:
    """Why compiling a model would come to nothing here, in a sentence; empty if it may go well."""
    kinds = (nn.RNNBase, ForgetlessLSTM)
    fused = next((type(module).__name__ for module in model.modules() if isinstance(module, kinds)), None)
    if fused is not None:
        # dynamo gives up the whole frame that calls one of torch's own: at most an embedding before it is compiled
        return f"torch.compile leaves {fused} as it is, or unrolls it over time: this would not be its compiled time"
    if device == "cpu":
        return "" if _has_compiler() else "torch.compile needs a C++ compiler on cpu; install g++, or name one in CXX"
    from torch.utils._triton import has_triton

    return "" if has_triton() else "torch.compile needs triton on a GPU, and it is not here or does not know this one"


def _has_compiler() -> bool:
    """Whether torch finds a C++ compiler that answers."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True


def _configure(folder: str) -> None:
    from torch._inductor import config

    config.compile_threads = 1
    config.fx_graph_cache = True
    # they lie outside of any cache folder, so that a second "cold" compilation would find them
    config.cpp_cache_precompile_headers = False
    if folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder).absolute())
        os.environ.pop("TRITON_CACHE_DIR", None)  # else triton's part is kept elsewhere


def require_graph(case: Case) -> None:
    """See that compiling came to something, after the first call.

    Raises:
        NotMeasuredError: torch found no graph in the model.
    """
    if case.compile != "none" and not _counted("stats").get("unique_graphs"):
        raise NotMeasuredError(
            "torch.compile finds no graph in this model, and this would be the uncompiled model's time"
        )


def graph_breaks() -> int:
    """Places at which torch stopped tracing in this process: between two graphs, or for all of a frame."""
    found = {**_counted("graph_break"), **_counted("unimplemented")}
    # what comes of a break while torch deals with it is told once more, after the reason that stands by itself already
    again = {reason for reason in found for other in found if reason != other and reason.startswith(other)}
    return sum(times for reason, times in found.items() if reason not in again)


def _counted(what: str) -> dict[str, int]:
    from torch._dynamo.utils import counters

    return dict(counters[what])
