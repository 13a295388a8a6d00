"""How fast the architectures are written: beside plain loops over time, and beside torch's own modules.

`python -m benchmarks.architectures [NAME...] [--device cuda]` prints a table. In its first part the other side is the plain
twin of tests/twins.py: the same parameters, one step and one gate at a time; above 1 the twin takes longer. In its second part,
of models whose twin is no loop over time, it is their own `step`, token after token, in inference only. In its third part it is
an embedding, `nn.RNN`, `nn.LSTM` or `nn.GRU`, and a linear layer, and nothing else. Without dropout, fp32, length 256 on a CPU
and 1,024 on a GPU; training is forward and backward.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import ARCHITECTURES, Streaming
from bench.options import fill
from bench.probes import backends
from bench.spec import InputKind, OutputKind, Spec
from benchmarks.sides import Call, compare
from tests.twins import TWINS

HAND_WRITTEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("lstm", {"forget_gate": False}),
    ("attention-rnn", {}),
    ("mdlstm", {}),
    ("grid-lstm", {}),
    ("goru", {}),
    ("goru", {"rotations": 4}),
    ("tcn", {}),
    ("mingru", {}),
    ("minlstm", {}),
    ("mamba", {}),
)
STEPWISE: tuple[tuple[str, dict[str, Any]], ...] = (("linear-attention", {}), ("s4d", {}))
FUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("rnn", {}),
    ("lstm", {}),
    ("lstm", {"bidirectional": True}),
    ("gru", {}),
)
MODULES: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
LENGTHS = {"cpu": 256, "cuda": 1024}
BATCHES = (1, 32)
PIXELS = 28


class Fused(nn.Module):
    """What anybody would write: (B, L) tokens to (B, C) logits from the last state."""

    def __init__(self, name: str, spec: Spec, sizes: Any) -> None:
        super().__init__()
        ways = 2 if sizes.bidirectional else 1
        self.embedding = nn.Embedding(spec.vocabulary_size or 0, sizes.embedding_dim)
        self.recurrent = MODULES[name](
            sizes.embedding_dim, sizes.hidden_dim, batch_first=True, bidirectional=sizes.bidirectional
        )
        self.classifier = nn.Linear(ways * sizes.hidden_dim, spec.classes or 0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        _, state = self.recurrent(self.embedding(inputs))
        hidden = state[0] if isinstance(state, tuple) else state
        last = torch.cat([hidden[-2], hidden[-1]], dim=1) if self.recurrent.bidirectional else hidden[-1]
        logits: Tensor = self.classifier(last)
        return logits


def main() -> None:
    """Both parts, or those rows of them whose architecture is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--length", type=int)
    asked = parser.parse_args()
    backends.apply("fp32", asked.threads)
    device = torch.device(asked.device)
    length = asked.length or LENGTHS[device.type]
    parts = (("plain twin", HAND_WRITTEN, _twin), ("by steps", STEPWISE, _steps), ("torch's module", FUSED, _fused))
    for title, rows, other in parts:
        chosen = [row for row in rows if not asked.names or row[0] in asked.names]
        if chosen:
            print(f"{f'L {length}':44} {'ours':>11} {title:>11}    ratio (middle half of {asked.turns})", flush=True)
        for name, options in chosen:
            show(name, options, length, device, other, asked.turns)


Other = Callable[[str, nn.Module, Spec, Any], Callable[[Tensor], Tensor]]


def _twin(name: str, model: nn.Module, spec: Spec, sizes: Any) -> Callable[[Tensor], Tensor]:  # noqa: ARG001 - as `_fused`
    return partial(TWINS[name], model)


def _steps(name: str, model: nn.Module, spec: Spec, sizes: Any) -> Callable[[Tensor], Tensor]:  # noqa: ARG001 - as `_fused`
    assert isinstance(model, Streaming)

    def read(inputs: Tensor) -> Tensor:
        state = model.init_state(inputs[:, :0])
        for token_B in inputs.unbind(1):
            answer, state = model.step(token_B, state)
        return answer

    return read


def _fused(name: str, model: nn.Module, spec: Spec, sizes: Any) -> Callable[[Tensor], Tensor]:
    return Fused(name, spec, sizes).to(next(model.parameters()).device)


def show(name: str, options: dict[str, Any], length: int, device: torch.device, other: Other, turns: int) -> None:
    """Rows of an architecture: inference and training, one item and many."""
    spec = spec_of(name, length)
    architecture = ARCHITECTURES.get(name)
    sizes, problems = fill(architecture.hyperparameters, {"dropout": 0.0, **options})
    if problems:
        raise ValueError(f"{name}: {problems}")
    torch.manual_seed(0)
    model = architecture.build(spec, sizes).to(device)
    theirs = other(name, model, spec, sizes)
    for training in (False,) if other is _steps else (False, True):
        for batch in BATCHES:
            inputs = inputs_of(spec, batch).to(device)
            labels = torch.arange(batch, device=device) % 2
            ours = call(model, model, inputs, labels, training=training)
            modules = theirs if isinstance(theirs, nn.Module) else model
            found = compare(ours, call(modules, theirs, inputs, labels, training=training), device, turns=turns)
            words = " ".join([name, *(f"{key}={value}" for key, value in options.items())])
            print(f"{words:28} {'training' if training else 'inference':9} B{batch:<4} {found.words()}", flush=True)


def call(
    module: nn.Module, answer: Callable[[Tensor], Tensor], inputs: Tensor, labels: Tensor, *, training: bool
) -> Call:
    """One forward in `eval()` and inference mode, or forward and backward."""

    def train() -> None:
        module.train()
        module.zero_grad(set_to_none=True)
        functional.cross_entropy(answer(inputs), labels).backward()  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def infer() -> None:
        module.eval()
        answer(inputs)

    return train if training else infer


def spec_of(name: str, length: int) -> Spec:
    """Film reviews of a length; for what reads images, pictures of 28 x 28, whatever the length."""
    if ARCHITECTURES.get(name).inputs == {InputKind.IMAGE}:
        shape = (1, PIXELS, PIXELS)
        return Spec(inputs=InputKind.IMAGE, outputs=OutputKind.CLASSES, image_shape=shape, classes=2)
    return Spec(
        inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=length, vocabulary_size=20_000, classes=2
    )


def inputs_of(spec: Spec, batch: int) -> Tensor:
    """Full rows of random words, or random pixels."""
    generator = torch.Generator().manual_seed(0)
    if spec.image_shape is not None:
        return torch.rand(batch, *spec.image_shape, generator=generator)
    sizes: Sequence[int] = (batch, spec.sequence_length or 1)
    return torch.randint(1, spec.vocabulary_size or 2, sizes, generator=generator)


if __name__ == "__main__":
    main()
