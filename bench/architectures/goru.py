"""Gated orthogonal recurrent unit: a GRU's gates around a recurrence that turns the state and never stretches it.

    r, z = sigmoid(W x + U h + b)
    h' = z * h + (1 - z) * modReLU(V x + r * (Q h)),    modReLU(a) = sign(a) * max(0, |a| + t)

Q is orthogonal: any such matrix, or one of tunable capacity (`rotations`). The reset gate r acts on the turned state, the
update gate z keeps the state, and the candidate has no bias but t. Gates start as in the authors' code: the reset gate open,
both hardly moved by the state. Its thresholds t start at .01, with which modReLU jumps at 0; these start at 0, where modReLU
is the identity (Arjovsky et al. 2016).

Q is made once a forward, not once a step; inputs are projected for all steps at once; a step has one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from bench.architectures import State, architecture, streams
from bench.architectures.cells import answered
from bench.architectures.layers import Embedding, Kept, answer_size, embedding_count, linear_count
from bench.architectures.orthogonal import Reflections, Rotations
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

RESET_BIAS = 2.0
GATE_SPREAD = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `goru`."""

    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    hidden_dim: int = option(128, "size of the state", at_least=2)
    num_layers: int = option(1, "stacked recurrent layers", at_least=1)
    rotations: int = option(
        0, "capacity of the orthogonal matrix, in layers of hidden_dim / 2 rotations; 0 for any such matrix", at_least=0
    )
    dropout: float = option(
        0.5, "share dropped in training between layers and before the classifier", at_least=0, below=1
    )


# ── the recurrence ─────────────────────────────────────────────────────────────────────────────────────────────────


def scan(
    x_LBX: Tensor, state_BH: Tensor, weight_HX: Tensor, threshold_H: Tensor, *, keep: bool
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Read L steps from a state on, without a gradient, which `Recurrence` has. X is 3H: reset, update, candidate.

    `x_LBX` is what the inputs bring, biases included; `weight_HX` the state's weight, Q' to the right of that of the gates.

    Returns:
        The state (B, H) after each step; with `keep` also both gates and the turned state (B, X), and the candidate (B, H).
    """
    size = len(threshold_H)
    states, mixtures, candidates = [], [], []
    for gates_B2H, entering_BH in zip(x_LBX[..., : 2 * size].unbind(), x_LBX[..., 2 * size :].unbind(), strict=True):
        mixed_BX = state_BH @ weight_HX
        mixed_BX[:, : 2 * size].add_(gates_B2H).sigmoid_()
        reset_BH, update_BH, turned_BH = mixed_BX.chunk(3, dim=1)
        inside_BH = torch.addcmul(entering_BH, reset_BH, turned_BH)
        candidate_BH = inside_BH.abs().add_(threshold_H).relu_().mul_(inside_BH.sign())
        state_BH = torch.lerp(candidate_BH, state_BH, update_BH)
        states.append(state_BH)
        if keep:
            mixtures.append(mixed_BX)
            candidates.append(candidate_BH)
    return states, mixtures, candidates


class Recurrence(torch.autograd.Function):
    """`scan` from a state of zeros, with its gradient; (L, B, X) inputs to (L, B, H) states.

    All slopes that do not wait for a later step are computed for all steps at once. Only the way back through the states
    is a loop, of one product a step, and the weight's gradient is one product over all steps, where autograd adds up L.
    """

    @staticmethod
    def forward(ctx: Any, x_LBX: Tensor, weight_HX: Tensor, threshold_H: Tensor) -> Tensor:
        """All states, keeping what the way back needs: 5 H numbers a step and item."""
        start_BH = x_LBX.new_zeros(x_LBX.shape[1], len(threshold_H))
        states, mixtures, candidates = scan(x_LBX, start_BH, weight_HX, threshold_H, keep=True)
        states_LBH = torch.stack(states)
        ctx.save_for_backward(weight_HX, states_LBH, torch.stack(mixtures), torch.stack(candidates))
        return states_LBH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_LBH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the inputs, the weight and the thresholds."""
        weight_HX, states_LBH, mixtures_LBX, candidate_LBH = ctx.saved_tensors
        before_LBH = functional.pad(states_LBH[:-1], (0, 0, 0, 0, 1, 0))
        reset_LBH, update_LBH, turned_LBH = mixtures_LBX.chunk(3, dim=2)
        # from the state to what is inside modReLU, whose slope is 1 where it lets anything through
        inside_LBH = (1 - update_LBH) * (candidate_LBH != 0)
        # and to the product of state and weight: reset and update before their sigmoids, and the turned state
        mixed_LB3H = torch.stack(
            [
                inside_LBH * turned_LBH * reset_LBH * (1 - reset_LBH),
                (before_LBH - candidate_LBH) * update_LBH * (1 - update_LBH),
                inside_LBH * reset_LBH,
            ],
            dim=2,
        )
        totals_LBH = _way_back(gradient_LBH, mixed_LB3H, update_LBH, weight_HX)
        inside_LBH = inside_LBH * totals_LBH
        mixed_LBX = mixed_LB3H.flatten(2)
        x_LBX = torch.cat([mixed_LBX[..., : 2 * len(weight_HX)], inside_LBH], dim=2)
        weight_HX = before_LBH.flatten(0, 1).T @ mixed_LBX.flatten(0, 1)
        return x_LBX, weight_HX, (inside_LBH * candidate_LBH.sign()).sum(dim=(0, 1))


def _way_back(gradient_LBH: Tensor, mixed_LB3H: Tensor, update_LBH: Tensor, weight_HX: Tensor) -> Tensor:
    """The whole gradient of each state, from the last to the first; turns the slopes in `mixed` into gradients."""
    gradients, slopes, updates = gradient_LBH.unbind(), mixed_LB3H.unbind(), update_LBH.unbind()
    total_BH = gradients[-1]
    totals = [total_BH]
    for place in range(len(slopes) - 1, 0, -1):
        through_BX = slopes[place].mul_(total_BH[:, None]).flatten(1)
        kept_BH = torch.addcmul(gradients[place - 1], total_BH, updates[place])
        total_BH = torch.addmm(kept_BH, through_BX, weight_HX.T)
        totals.append(total_BH)
    slopes[0].mul_(total_BH[:, None])
    return torch.stack(totals[::-1])


# ── the model ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Layer(nn.Module):
    """(L, B, D) to the state after each step, (L, B, H), from a state of zeros."""

    def __init__(self, inputs: int, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size, rotations = hyperparameters.hidden_dim, hyperparameters.rotations
        bound = inputs**-0.5
        self.input_weight = nn.Parameter(torch.empty(3 * size, inputs).uniform_(-bound, bound))
        self.gate_weight = nn.Parameter(torch.empty(2 * size, size).uniform_(-GATE_SPREAD, GATE_SPREAD))
        # filled, not joined: on `meta` a `cat` would import torch's compiler, which takes a second
        self.gate_bias = nn.Parameter(torch.zeros(2 * size))
        nn.init.constant_(self.gate_bias[:size], RESET_BIAS)
        self.threshold = nn.Parameter(torch.zeros(size))
        self.orthogonal = Rotations(size, rotations) if rotations else Reflections(size)
        self._kept = Kept[Tensor]()

    def forward(self, x_LBD: Tensor) -> Tensor:
        """All states."""
        x_LBX = self._entering(x_LBD)
        weight_HX, threshold_H = self._weight().to(x_LBX.dtype), self.threshold.to(x_LBX.dtype)
        if torch.is_grad_enabled():
            return cast(Tensor, Recurrence.apply(x_LBX, weight_HX, threshold_H))  # type: ignore[no-untyped-call]
        start_BH = x_LBX.new_zeros(x_LBX.shape[1], len(threshold_H))
        return torch.stack(scan(x_LBX, start_BH, weight_HX, threshold_H, keep=False)[0])

    @torch.no_grad()
    def step(self, x_BD: Tensor, state_BH: Tensor) -> Tensor:
        """The state (B, H) after one more step; without a gradient."""
        x_1BX = self._entering(x_BD[None])
        dtype, made_of = x_1BX.dtype, (self.gate_weight, *self.orthogonal.parameters())
        # made from `orthogonal`, which costs as much as hundreds of single steps
        weight_HX = self._kept.get(made_of, lambda: self._weight().to(dtype), dtype)
        threshold_H = self.threshold.to(dtype)
        return scan(x_1BX, state_BH.to(dtype), weight_HX, threshold_H, keep=False)[0][0]

    def _entering(self, x_LBD: Tensor) -> Tensor:
        bias_X = functional.pad(self.gate_bias, (0, len(self.threshold)))
        return functional.linear(x_LBD, self.input_weight, bias_X)

    def _weight(self) -> Tensor:
        """Of the state, as a step multiplies by it: that of the gates and the orthogonal one; (H, X), in fp32 at least."""
        orthogonal_HH = self.orthogonal()
        return torch.cat([self.gate_weight.T.to(orthogonal_HH.dtype), orthogonal_HH.T], dim=1)


class GORUClassifier(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits or values, from the state after the last real position.

    Where each step has a class, (B, L, C), from the state after each.
    """

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size = hyperparameters.hidden_dim
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        below = [hyperparameters.embedding_dim] + [size] * (hyperparameters.num_layers - 1)
        self.layers = nn.ModuleList(Layer(inputs, hyperparameters) for inputs in below)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(size, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        states_BLH = self._states(inputs)[-1].transpose(0, 1)
        return cast(Tensor, self.classifier(self.dropout(answered(states_BLH, lengths, each_step=self.each_step))))

    def _states(self, inputs: Tensor) -> list[Tensor]:
        """The states (L, B, H) of every layer, from the lowest."""
        # steps first: each then lies in one piece
        x_LBD = self.embedding(inputs.transpose(0, 1))
        states: list[Tensor] = []
        for layer in self.layers:
            states.append(layer(self.dropout(states[-1]) if states else x_LBD))
        return states

    @torch.no_grad()
    def init_state(self, prefix: Tensor) -> State:
        """The states of all layers, (layers, B, H)."""
        if prefix.shape[1]:
            return (torch.stack([states_LBH[-1] for states_LBH in self._states(prefix)]),)
        return (self.classifier.weight.new_zeros(len(self.layers), len(prefix), self.classifier.in_features),)

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D), without a gradient: one product of state and weight a layer."""
        x_BD, after = self.embedding(inputs), []
        for layer, state_BH in zip(self.layers, state[0], strict=True):
            after.append(cast(Layer, layer).step(x_BD, state_BH))
            x_BD = self.dropout(after[-1])
        return cast(Tensor, self.classifier(x_BD)), (torch.stack(after),)


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding; per layer inputs to 3 H, gates, thresholds and vectors or angles; classifier."""
    size, hidden = hyperparameters.embedding_dim, hyperparameters.hidden_dim
    matrix = hyperparameters.rotations * (hidden // 2) if hyperparameters.rotations else hidden * hidden
    below = [size] + [hidden] * (hyperparameters.num_layers - 1)
    cells = sum(3 * hidden * inputs + 2 * hidden * (hidden + 1) + hidden + matrix for inputs in below)
    return embedding_count(spec, size) + cells + linear_count(hidden, answer_size(spec))


@architecture(
    "goru",
    summary="gated orthogonal recurrent unit, last state, linear layer",
    source=(
        "Jing et al. 2017, Gated Orthogonal Recurrent Units: On Learning to Forget; "
        "rotations: Jing et al. 2016, Tunable Efficient Unitary Neural Networks (EUNN)"
    ),
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A GORU classifier."""
    return GORUClassifier(spec, hyperparameters)
