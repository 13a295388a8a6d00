"""Small models that write, with weights large enough for them to say different things of different items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.architectures.foreign import lookup
from bench.batch import Batch, forward
from bench.spec import FIRST_TARGET_ID, InputKind, OutputKind, Spec

TEXTS = Spec(
    inputs=InputKind.TOKENS,
    outputs=OutputKind.TOKENS,
    sequence_length=9,
    vocabulary_size=11,
    target_vocabulary_size=FIRST_TARGET_ID + 3,
    target_length=6,
)
PICTURES = replace(TEXTS, inputs=InputKind.IMAGE, sequence_length=None, vocabulary_size=None, image_shape=(1, 9, 13))
LENGTHS = [6, 1, 9, 3, 0]
ITEMS = len(LENGTHS)

SMALL_RNN = {"embedding_dim": 4, "hidden_dim": 5}
SMALL_TRANSFORMER = {"embedding_dim": 6, "num_heads": 2, "feedforward_dim": 7}
RNN: list[dict[str, Any]] = [
    {"cell": cell, "attention": attention, **SMALL_RNN, **more}
    for cell, attention, more in (
        ("gru", "additive", {}),
        ("lstm", "dot", {"num_layers": 2}),
        ("rnn", "additive", {"num_layers": 2}),
        ("lstm", "none", {}),
        ("gru", "none", {"num_layers": 2}),
    )
]
TRANSFORMER: list[dict[str, Any]] = [
    {"positions": positions, "num_layers": layers, **SMALL_TRANSFORMER}
    for positions, layers in (("learned", 2), ("sinusoidal", 1), ("none", 2))
]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *(("rnn-seq2seq", {"bidirectional": place % 2 == 0, **options}) for place, options in enumerate(RNN)),
    *(("transformer-seq2seq", options) for options in TRANSFORMER),
    *(("cnn-rnn", {"num_filters": 3, **options}) for options in RNN[1:4]),
    *(("cnn-transformer", {"num_filters": 3, **options}) for options in TRANSFORMER[:2]),
]


SEEING = ("encoder.features", "encoder.project")
"""Parts that are wide from the start."""


def spec_of(name: str) -> Spec:
    return PICTURES if name.startswith("cnn") else TEXTS


def fresh(name: str, spec: Spec | None = None, **options: Any) -> nn.Module:
    architecture = lookup(name, Path())
    torch.manual_seed(0)
    return architecture.build(spec or spec_of(name), architecture.hyperparameters(**options)).eval()


def writer(name: str, spec: Spec | None = None, **options: Any) -> Any:
    """In double precision, its weights drawn anew and wider."""
    model = fresh(name, spec, **options).double()
    torch.manual_seed(6)
    with torch.no_grad():
        for part, parameter in model.named_parameters():
            if "embedding" in part or "position" in part:
                parameter.normal_()
            elif parameter.dim() > 1 and not part.startswith(SEEING):
                parameter.mul_(4)
            elif "norm" not in part:
                parameter.normal_(std=0.3)
    return model


def items(name: str, rows: int = ITEMS) -> tuple[Tensor, Tensor | None]:
    """Inputs and, of texts, their lengths; what stands at padding is not zero, and must not matter.

    But an empty text is read as one token of padding.
    """
    generator = torch.Generator().manual_seed(1)
    if spec_of(name) is PICTURES:
        return torch.randn(rows, *(PICTURES.image_shape or ()), generator=generator, dtype=torch.float64), None
    shape = (rows, max(LENGTHS))
    inputs, lengths = (
        torch.randint(1, TEXTS.vocabulary_size or 0, shape, generator=generator),
        torch.tensor(LENGTHS[:rows]),
    )
    inputs[lengths == 0, 0] = TEXTS.padding_id
    return inputs, lengths


def alone(inputs: Tensor, lengths: Tensor | None, place: int) -> Tensor:
    """One item without its padding; an empty one is one token of padding."""
    if lengths is None:
        return inputs[place : place + 1]
    length = int(lengths[place])
    return inputs[place : place + 1, :length] if length else torch.zeros(1, 1, dtype=torch.int64)


def target_rows(rows: int = ITEMS, columns: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(FIRST_TARGET_ID, TEXTS.target_vocabulary_size or 0, (rows, columns), generator=generator)


def logits(model: nn.Module, name: str, inputs: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
    batch = Batch(inputs=inputs, lengths=lengths, targets=targets, items=len(inputs))
    return forward(model, batch, spec_of(name))


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()
