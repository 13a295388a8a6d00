"""The scan by chunks against a plain loop and against its form in logarithms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from bench.architectures.linear_scan import LinearScan, scan

LENGTHS = [1, 2, 3, 4, 7, 16, 17, 100, 257]


def made(length: int, dtype: torch.dtype = torch.float64, rows: int = 3, size: int = 5) -> tuple[Tensor, Tensor]:
    """Decays between 0 and 1, and inputs of both signs."""
    generator = torch.Generator().manual_seed(length)
    decay = torch.rand(rows, length, size, generator=generator, dtype=torch.float64)
    entering = torch.randn(rows, length, size, generator=generator, dtype=torch.float64)
    return decay.to(dtype), entering.to(dtype)


def plain(decay: Tensor, entering: Tensor) -> Tensor:
    state, states = torch.zeros_like(entering[:, 0]), []
    for place in range(entering.shape[1]):
        state = decay[:, place] * state + entering[:, place]
        states.append(state)
    return torch.stack(states, dim=1)


def in_logarithms(decay: Tensor, entering: Tensor) -> Tensor:
    """Heinsen 2023, as in the appendix of Feng et al. 2024; of positive inputs only."""
    sums = decay.log().cumsum(1)
    return (sums + torch.logcumsumexp(entering.log() - sums, 1)).exp()


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


@pytest.mark.parametrize("length", LENGTHS)
def test_all_states_are_those_of_a_plain_loop(length: int) -> None:
    decay, entering = made(length)
    assert difference(scan(decay, entering), plain(decay, entering)) <= 1e-12
    backward = plain(decay.flip(1), entering.flip(1)).flip(1)
    assert difference(scan(decay, entering, from_end=True), backward) <= 1e-12
    # of views, whose steps do not lie in one piece
    wide = torch.cat([decay, entering], dim=2)
    assert difference(scan(*wide.chunk(2, dim=2)), plain(decay, entering)) <= 1e-12


@pytest.mark.parametrize("length", [1, 2, 3, 7, 10])
def test_gradients(length: int) -> None:
    inputs = [one.requires_grad_() for one in made(length, rows=2, size=2)]
    assert gradcheck(LinearScan.apply, inputs)


def test_gradients_over_many_chunks_are_those_of_autograd_through_the_loop() -> None:
    inputs = [one.requires_grad_() for one in made(100)]
    wanted = torch.randn(3, 100, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = torch.autograd.grad((LinearScan.apply(*inputs) * wanted).sum(), inputs)
    expected = torch.autograd.grad((plain(*inputs) * wanted).sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        assert difference(one, other) <= 1e-10


@pytest.mark.parametrize("shift", [-4.0, 0.0, 3.0], ids=["slow", "fresh", "fast"])
def test_in_fp32_it_is_as_exact_as_the_loop_and_more_so_than_logarithms(shift: float) -> None:
    update = (
        torch.randn(2, 4096, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64).add(shift).sigmoid()
    )
    decay, entering = 1 - update, update * (0.01 + made(4096, rows=2, size=8)[0])
    expected = plain(decay, entering)
    assert difference(scan(decay, entering), in_logarithms(decay, entering)) <= 1e-10

    def error(form: Callable[[Tensor, Tensor], Tensor]) -> float:
        return difference(form(decay.float(), entering.float()) / expected, torch.ones_like(expected))

    assert error(scan) <= 2 * error(plain) <= 4e-6
    assert error(in_logarithms) > 5 * error(scan)


def test_nothing_and_all_may_be_kept() -> None:
    _, entering = made(20)
    assert difference(scan(torch.ones_like(entering), entering), entering.cumsum(1)) <= 1e-12
    assert torch.equal(scan(torch.zeros_like(entering), entering), entering)


@pytest.mark.parametrize(("length", "most"), [(256, 55), (4096, 200)])
def test_so_few_operators_that_it_is_no_loop_over_steps(length: int, most: int) -> None:
    class Counting(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.seen += not func.is_view
            return func(*args, **(kwargs or {}))

    with Counting() as counting:
        scan(*made(length))
    assert length**0.5 < counting.seen <= most
