"""Stand-ins for tests: broken twins of a right model, a two-phase architecture, a decoder with its task.

The last two are registered when this file is imported, also by `--import tests/fakes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import Architecture, Loss, Phase, State, architecture
from bench.architectures.decoding import shifted
from bench.architectures.layers import flat_size
from bench.batch import Batch
from bench.options import option
from bench.quantity import METRICS, Metric
from bench.spec import FIRST_TARGET_ID, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Score, task
from bench.tasks.target_tokens import Writing, padded_targets

# ── one right model, and a broken twin of it for every contract ────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class NoHyperparameters:
    pass


class Right(nn.Module):
    """A small RNN that reads the last real state: (B, L) tokens to (B, C) logits."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocabulary_size or 0, 8)
        self.recurrent = nn.RNN(8, 8, batch_first=True)
        self.classifier = nn.Linear(8, spec.classes or 0)

    def states(self, inputs: Tensor) -> Tensor:
        states_BLH: Tensor = self.recurrent(self.embedding(inputs))[0]
        return states_BLH

    def last(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        states_BLH = self.states(inputs)
        if lengths is None:
            return states_BLH[:, -1]
        return states_BLH[torch.arange(len(states_BLH)), lengths - 1]

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.classifier(self.last(inputs, lengths))


class ReadsLastColumn(Right):
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.classifier(self.states(inputs)[:, -1])


class AsksForValues(Right):
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        assert inputs.max().item() >= 0
        return super().forward(inputs, lengths)


class UnusedParameter(Right):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.forgotten = nn.Linear(8, 8)


class InfiniteGradient(Right):
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        logits = super().forward(inputs, lengths)
        # sqrt has an infinite slope at 0, which the forward pass does not show
        return logits + (logits - logits.detach()).abs().sqrt() + 0 * logits


class LooksAtNeighbours(Right):
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        hidden_BH = self.last(inputs, lengths)
        return self.classifier(hidden_BH - 0.1 * hidden_BH.mean(dim=0))


class ReturnsSorted(Right):
    """Right for every item alone and for full rows; in a batch of other lengths it forgets to undo its sorting."""

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        logits_BC = super().forward(inputs, lengths)
        return logits_BC if lengths is None else logits_BC[lengths.argsort(descending=True)]


class AlwaysDrops(Right):
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.classifier(functional.dropout(self.last(inputs, lengths), 0.5, training=True))


class ForgetsBuffer(Right):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("projection", torch.randn(8, 8), persistent=False)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.classifier(self.last(inputs, lengths) @ self.projection)


def fake_architecture(
    model: Callable[[Spec], nn.Module], parameter_count: Callable[[Spec, Any], int] | None = None
) -> Architecture:
    return Architecture(
        name=getattr(model, "__name__", "fake"),
        summary="",
        source="",
        inputs=frozenset({InputKind.TOKENS}),
        outputs=frozenset({OutputKind.CLASSES}),
        hyperparameters=NoHyperparameters,
        build=lambda spec, _: model(spec),
        parameter_count=parameter_count,
    )


RIGHT = fake_architecture(Right, lambda spec, _: (spec.vocabulary_size or 0) * 8 + 144 + 9 * (spec.classes or 0))

# the contract that must turn red, and no other
BROKEN: dict[str, list[Architecture]] = {
    "meta": [fake_architecture(AsksForValues)],
    "gradients": [fake_architecture(UnusedParameter), fake_architecture(InfiniteGradient)],
    "determinism": [fake_architecture(AlwaysDrops)],
    "padding": [fake_architecture(ReadsLastColumn)],
    "rows": [fake_architecture(LooksAtNeighbours), fake_architecture(ReturnsSorted)],
    "state_dict": [fake_architecture(ForgetsBuffer)],
    "parameter_count": [fake_architecture(Right, lambda spec, _: 1)],
}


# ── two phases with an optimizer each ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPhaseHyperparameters:
    hidden_dim: int = option(16, "size of the hidden layer", at_least=1)


class TwoPhase(nn.Module):
    """A classifier of features or images whose hidden layer must not give away whether noise was added to the input.

    A discriminator learns to tell; the classifier learns to classify and to fool it.
    """

    def __init__(self, spec: Spec, hyperparameters: TwoPhaseHyperparameters) -> None:
        super().__init__()
        size = hyperparameters.hidden_dim
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(flat_size(spec), size), nn.Tanh())
        self.classifier = nn.Linear(size, spec.classes or 0)
        self.discriminator = nn.Linear(size, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        logits_BC: Tensor = self.classifier(self.encoder(inputs))
        return logits_BC

    def noisy(self, inputs: Tensor) -> Tensor:
        hidden_BH: Tensor = self.encoder(inputs + 0.1 * torch.randn_like(inputs))
        return hidden_BH

    def doubt(self, hidden_BH: Tensor, clean: bool) -> Tensor:
        """The discriminator's loss if it ought to say `clean`."""
        said_B = self.discriminator(hidden_BH).squeeze(1)
        return functional.binary_cross_entropy_with_logits(said_B, torch.full_like(said_B, float(clean)))


def two_phases(model: nn.Module, loss: Loss) -> Sequence[Phase]:
    assert isinstance(model, TwoPhase)

    def discriminate(_: nn.Module, batch: Batch) -> Tensor:
        clean_BH, noisy_BH = model.encoder(batch.inputs).detach(), model.noisy(batch.inputs).detach()
        return model.doubt(clean_BH, clean=True) + model.doubt(noisy_BH, clean=False)

    def classify(_: nn.Module, batch: Batch) -> Tensor:
        return loss(model, batch) + 0.1 * model.doubt(model.noisy(batch.inputs), clean=True)

    return [
        Phase(
            name="discriminator",
            parameters=list(model.discriminator.parameters()),
            loss=discriminate,
            optimizer=partial(torch.optim.SGD, lr=0.1),
        ),
        Phase(
            name="classifier",
            parameters=[*model.encoder.parameters(), *model.classifier.parameters()],
            loss=classify,
        ),
    ]


@architecture(
    "fake-two-phase",
    summary="a classifier trained against a discriminator",
    source="after Goodfellow et al. 2014",
    inputs=[InputKind.FEATURES, InputKind.IMAGE],
    outputs=[OutputKind.CLASSES],
    hyperparameters=TwoPhaseHyperparameters,
    width="hidden_dim",
    phases=two_phases,
)
def build_two_phase(spec: Spec, hyperparameters: TwoPhaseHyperparameters) -> nn.Module:
    return TwoPhase(spec, hyperparameters)


# ── an encoder-decoder, a task for it, and the workload that has it write ──────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderHyperparameters:
    hidden_dim: int = option(16, "size of the state", at_least=1)


class FakeDecoder(nn.Module):
    """A GRU reads (B, L) tokens, another writes (B, T, V) logits."""

    def __init__(self, spec: Spec, hyperparameters: DecoderHyperparameters) -> None:
        super().__init__()
        size, tokens = hyperparameters.hidden_dim, spec.target_vocabulary_size or 0
        self.source = nn.Embedding(spec.vocabulary_size or 0, size)
        self.encoder = nn.GRU(size, size, batch_first=True)
        self.target = nn.Embedding(tokens, size)
        self.decoder = nn.GRUCell(size, size)
        self.classifier = nn.Linear(size, tokens)

    def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:
        states_BLH = self.encoder(self.source(inputs))[0]
        if lengths is None:
            return (states_BLH[:, -1],)
        return (states_BLH[torch.arange(len(states_BLH)), lengths - 1],)

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        state_BH = self.decoder(self.target(tokens), state[0])
        return self.classifier(state_BH), (state_BH,)

    def forward(self, inputs: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
        """Teacher forcing: every step sees the true token before it."""
        state = self.start(inputs, lengths)
        logits = []
        for token_B in shifted(targets).unbind(dim=1):
            answer, state = self.next(token_B, state)
            logits.append(answer)
        return torch.stack(logits, dim=1)


class PeekingDecoder(FakeDecoder):
    """Reads each target at its own place."""

    def forward(self, inputs: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
        return super().forward(inputs, lengths, targets) + self.classifier(self.target(targets))


class ForgettingDecoder(FakeDecoder):
    """By itself it begins anew at every token."""

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        answer, _ = super().next(tokens, state)
        return answer, state

    def forward(self, inputs: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
        state, logits = self.start(inputs, lengths), []
        for token_B in shifted(targets).unbind(dim=1):
            answer, state = FakeDecoder.next(self, token_B, state)
            logits.append(answer)
        return torch.stack(logits, dim=1)


@architecture(
    "fake-decoder",
    summary="a small encoder-decoder",
    source="after Sutskever et al. 2014",
    inputs=[InputKind.TOKENS],
    outputs=[OutputKind.TOKENS],
    hyperparameters=DecoderHyperparameters,
    width="hidden_dim",
)
def build_decoder(spec: Spec, hyperparameters: DecoderHyperparameters) -> nn.Module:
    return FakeDecoder(spec, hyperparameters)


# what must turn red of a decoder; one that peeks cannot say alone what it says when it sees the answer
BROKEN_DECODERS: list[tuple[type[FakeDecoder], list[str]]] = [
    (PeekingDecoder, ["causality", "decoding"]),
    (ForgettingDecoder, ["decoding"]),
]


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseOptions:
    items: int = option(64, "items of each split", at_least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseExamples:
    """(N, L) tokens; the answer to each row is the row backwards."""

    inputs: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, indices: Sequence[int]) -> Batch:
        inputs_BL = self.inputs[list(indices)]
        targets = padded_targets((inputs_BL.flip(1) + FIRST_TARGET_ID - 1).tolist())
        count = inputs_BL.numel() + targets.numel()
        return Batch(inputs=inputs_BL, targets=targets, items=len(inputs_BL), tokens=count, real_tokens=count)


@task("fake-reverse", summary="write a sequence backwards", source="made", options=ReverseOptions)
class Reverse(Writing):
    """Tokens in, tokens out."""

    name = "fake-reverse"
    length_axis = LengthAxis.FREE
    headline = "accuracy"
    folds = 0
    vocabulary = 12

    def __init__(self, options: ReverseOptions) -> None:
        self.items = options.items

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (METRICS["accuracy"],)

    @property
    def chance(self) -> float | None:
        return 1 / (self.vocabulary - 1)

    def spec(self, sequence_length: int | None) -> Spec:
        return Spec(
            inputs=InputKind.TOKENS,
            outputs=OutputKind.TOKENS,
            sequence_length=sequence_length,
            vocabulary_size=self.vocabulary,
            target_vocabulary_size=FIRST_TARGET_ID + self.vocabulary - 1,
            target_length=(sequence_length or 1) + 1,
        )

    def _examples(self, spec: Spec, items: int, seed: int) -> ReverseExamples:
        generator = torch.Generator().manual_seed(seed)
        shape = (items, spec.sequence_length or 1)
        return ReverseExamples(inputs=torch.randint(1, self.vocabulary, shape, generator=generator))

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        return self._examples(spec, batch_size, seed).batch(range(batch_size))

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:
        train, validation, test = (self._examples(spec, self.items, seed) for seed in range(3))
        return Data(train=train, validation=validation, test=test, fingerprint=f"reverse-{self.items}")

    def target_words(self, spec: Spec) -> Sequence[str]:
        return ("",) * FIRST_TARGET_ID + tuple(LETTERS[: self.vocabulary - 1])

    def text(self, words: Iterable[str]) -> str:
        return "".join(words)

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        return share_right(predicted, expected)


def share_right(predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
    """Of letters, each a token, at their places."""
    both = zip(predicted, expected, strict=True)
    right = sum(one == other for said, true in both for one, other in zip(said, true, strict=False))
    total = sum(map(len, expected))
    return Score(metrics={"accuracy": right / total}, correct=right, total=total)
