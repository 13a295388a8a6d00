"""FLOPs and memory traffic of a call, counted without computing anything: model and inputs stand on the device `meta`.

There fused operators come apart into the matrix products that they are made of; on a CPU or a GPU a fused LSTM or encoder
layer counts nothing, or too little. A FLOP is a multiplication or an addition of a matrix product, convolution, attention
(2 x multiply-adds) or FFT (5 n log2 n, Cooley & Tukey's radix 2; half of it where one side is real). Elementwise work is
not counted. What costs and has no formula is named, so that nobody takes the rest for the whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.sampling import Call

# costly by kind: solvers and decompositions, distances, fused layers, and products that torch's counter does not know
_COSTLY = re.compile(
    r"linalg_|cholesky|_solve|svd|geqrf|orgqr|ormqr|cdist|pdist|_euclidean_dist|grid_sampler|attention|encoder_layer"
    r"|rnn|lstm|gru|conv|^_trilinear|(^|_)(add)?(bmm|mm|mv|dot|vdot|matmul)(_|$)|(^|_)linear(_|$)"
)
# their names look like it, but they are elementwise
_ELEMENTWISE = re.compile(r"^_thnn_|linalg_(_?powsum|vector_norm|cross|check_errors|diagonal)")
# the user's own operators, and those of other libraries, have namespaces of their own
_TORCH = {"aten", "prim", "prims", "profiler"}
# they allocate or rename, and touch no memory; views say so themselves
_UNTOUCHED = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view"}
# of their first argument they read only what they write
_GATHERING = {"embedding", "gather", "index", "index_select"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one call does.

    Attributes:
        traffic_bytes: read and written by every operator by itself, as if nothing stayed in a cache and nothing were fused:
            an upper bound of what reaches memory.
        uncounted: costly operators that `flops` leaves out.
    """

    flops: int
    traffic_bytes: int
    uncounted: tuple[str, ...]


def count(call: Call) -> Counted:
    """Count one call of something that stands on `meta`; whatever the call raises is passed on."""
    with _Counter() as counter:
        call()
    return Counted(flops=counter.flops, traffic_bytes=counter.traffic_bytes, uncounted=tuple(sorted(counter.uncounted)))


class _Known(NamedTuple):
    """What an operator costs and returns for arguments of certain shapes."""

    flops: int
    traffic_bytes: int
    size: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes composite operators apart, and adds up what is left: FLOPs, traffic, and the names of what has no formula.

    On `meta` an operator takes some 100 µs to find out the shape of its result, and recurrent networks call the same few
    thousands of times: what came out of the first call is kept for the others.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._formulas = _formulas()
        self._known: dict[Hashable, _Known] = {}
        self.flops = 0
        self.traffic_bytes = 0
        self.uncounted: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        key = _key(func, args, kwargs)
        known = self._known.get(key)
        if known is not None:
            self.flops += known.flops
            self.traffic_bytes += known.traffic_bytes
            return torch.empty_strided(known.size, known.stride, dtype=known.dtype, device="meta")
        formula = self._formulas.get(func.overloadpacket)
        if formula is None:
            with self:
                outputs = func.decompose(*args, **kwargs)
            if outputs is not NotImplemented:
                return outputs
        outputs = func(*args, **kwargs)
        flops = 0 if formula is None else int(formula(*args, **kwargs, out_val=outputs))
        read, written = _on_meta((args, kwargs)), _on_meta(outputs)
        traffic = _traffic(func, read, written)
        self.flops += flops
        self.traffic_bytes += traffic
        self.uncounted |= _hidden(func, read, formula is not None)
        shares_memory = func.is_view or func._schema.is_mutable
        if key is not None and isinstance(outputs, Tensor) and outputs.is_meta and not shares_memory:
            self._known[key] = _Known(flops, traffic, outputs.shape, outputs.stride(), outputs.dtype)
        return outputs


def _key(func: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Hashable | None:
    """What the cost and the shape of a result depend on; None where that may be values."""
    try:
        key = (func, _described(args), _described(tuple(kwargs.items())))
        hash(key)
    except TypeError:
        return None
    return key


def _described(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        if not value.is_meta:
            raise TypeError("a tensor with values")
        return value.shape, value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return tuple([_described(one) for one in value])
    return type(value), value


def _on_meta(arguments: object) -> list[Tensor]:
    return [one for one in tree_leaves(arguments) if isinstance(one, Tensor) and one.is_meta]


def _traffic(func: Any, read: Sequence[Tensor], written: Sequence[Tensor]) -> int:
    name = func.overloadpacket.__name__
    if not written or func.is_view or name in _UNTOUCHED:
        return 0
    sizes, output = [_bytes(one) for one in read], sum(_bytes(one) for one in written)
    if name in _GATHERING:
        sizes[0] = min(sizes[0], output)
    return sum(sizes) + output


def _bytes(tensor: Tensor) -> int:
    """Bytes of its values; what was expanded stands in memory once."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return min(tensor.numel(), span) * tensor.element_size()


def _hidden(func: Any, read: Sequence[Tensor], has_formula: bool) -> set[str]:
    """The name of an operator that costs what is not counted."""
    name = func.overloadpacket.__name__
    if has_formula:
        # formulas of products take numbers to be real
        hides = name not in _TRANSFORMS and any(one.is_complex() for one in read)
        return {f"{name} of complex numbers"} if hides else set()
    if func.namespace not in _TORCH:
        return {f"{func.namespace}::{name}"}
    return {name} if _COSTLY.search(name) and not _ELEMENTWISE.search(name) else set()


# ── formulas that torch's counter lacks ────────────────────────────────────────────────────────────────────────────


def _twice(place: int) -> Callable[..., int]:
    """A multiplication and an addition for every value of one argument."""
    return lambda *args, **_: 2 * args[place].numel()


def _added_products(_: Tensor, one: Tensor, other: Tensor, **__: object) -> int:
    return 2 * one.numel() * other.shape[2]


def _convolution_backward(outputs: Tensor, inputs: Tensor, weight: Tensor, *more: Any, **_: object) -> int:
    """As much as the convolution for each gradient that is asked for; torch's own takes every group to see all channels."""
    transposed, wanted = more[4], more[7][:2]
    products = (inputs if transposed else outputs).numel() * weight[0].numel()
    return 2 * int(sum(wanted)) * products


def _transform(full: Tensor, dims: Sequence[int], share: float) -> int:
    """All transforms over `dims` of a tensor that is `full` before or after them, whichever is larger."""
    return round(share * full.numel() * math.log2(math.prod(full.shape[dim] for dim in dims)))


_TRANSFORMS: Mapping[str, Callable[..., int]] = {
    "_fft_c2c": lambda inputs, dims, *_, **__: _transform(inputs, dims, 5.0),
    "_fft_r2c": lambda inputs, dims, *_, **__: _transform(inputs, dims, 2.5),
    "_fft_c2r": lambda _, dims, *__, out_val: _transform(out_val, dims, 2.5),
}
_PRODUCTS: Mapping[str, Callable[..., int]] = {
    "mv": _twice(0),
    "addmv": _twice(1),
    "dot": _twice(0),
    "vdot": _twice(0),
    "addbmm": _added_products,
    "convolution_backward": _convolution_backward,
}


def _formulas() -> dict[Any, Callable[..., int]]:
    """Those of torch's own counter (matrix products, convolutions, attention, what users registered), and ours."""
    from torch.utils.flop_counter import flop_registry

    ours = {getattr(torch.ops.aten, name): formula for name, formula in {**_PRODUCTS, **_TRANSFORMS}.items()}
    return {**flop_registry, **ours}
