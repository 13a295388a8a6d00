"""What several architectures share: from items to vectors, what is padding, and pooling over real positions.

Shape suffixes here and in every architecture: B items, L positions, D embedding, H hidden, V token ids,
C numbers of an answer: a logit a class, or values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from bench.errors import ModelError
from bench.spec import TARGET_PADDING_ID, InputKind, OutputKind, Spec

T = TypeVar("T")

EMBEDDING_STD = 0.1
"""Spread of fresh embeddings. AdamW moves an entry by about its learning rate (1e-3) a step: from 0.1 a word can change its
meaning within an epoch, from `nn.Embedding`'s own 1.0 it cannot."""


def known(size: T | None, what: str) -> T:
    """A size, or a shape, that the spec must give.

    Raises:
        ModelError: it does not.
    """
    if size is None:
        raise ModelError(f"the task's spec gives no {what}, which this architecture needs; name another task")
    return size


def answer_size(spec: Spec) -> int:
    """How many numbers one answer has: a logit for each class or target token, of an item or a position, or so many values."""
    if spec.outputs is OutputKind.VALUE:
        return known(spec.output_size, "output_size")
    if spec.outputs is OutputKind.TOKENS:
        return known(spec.target_vocabulary_size, "target_vocabulary_size")
    return known(spec.classes, "classes")


class Embedding(nn.Module):
    """Tokens (B, L) or vectors (B, L, D_in) to (B, L, D): a table with a zero row for padding, or a linear map.

    Of tokens with several ids each, (B, L, F), the vectors of all ids are added.
    """

    def __init__(self, spec: Spec, embedding_dim: int) -> None:
        super().__init__()
        self.several = spec.ids_per_token > 1
        self.table: nn.Module
        if spec.inputs is InputKind.TOKENS:
            size = known(spec.vocabulary_size, "vocabulary_size")
            self.table = nn.Embedding(size, embedding_dim, padding_idx=spec.padding_id)
            with torch.no_grad():
                self.table.weight.normal_(std=EMBEDDING_STD)
                self.table.weight[spec.padding_id].zero_()
        else:
            self.table = nn.Linear(known(spec.input_size, "input_size"), embedding_dim)

    def forward(self, inputs: Tensor) -> Tensor:
        """One vector per position."""
        vectors = cast(Tensor, self.table(inputs))
        return vectors.sum(dim=-2) if self.several else vectors


def embedding_count(spec: Spec, embedding_dim: int) -> int:
    """Number of parameters of `Embedding`."""
    if spec.inputs is InputKind.TOKENS:
        return known(spec.vocabulary_size, "vocabulary_size") * embedding_dim
    return (known(spec.input_size, "input_size") + 1) * embedding_dim


def writing_spec(spec: Spec) -> Spec:
    """What a decoder reads: the target tokens of a task, as if they were its inputs."""
    return replace(
        spec,
        inputs=InputKind.TOKENS,
        sequence_length=spec.target_length,
        vocabulary_size=known(spec.target_vocabulary_size, "target_vocabulary_size"),
        padding_id=TARGET_PADDING_ID,
        ids_per_token=1,
    )


def linear_count(inputs: int, outputs: int) -> int:
    """Number of parameters of `nn.Linear`, bias included."""
    return (inputs + 1) * outputs


def real_mask(lengths: Tensor, positions: int, device: torch.device) -> Tensor:
    """(B, L) booleans, true where an item is not padding; an empty item counts as one position."""
    place_L = torch.arange(positions, device=device)
    return place_L < lengths.clamp(min=1).to(device)[:, None]


def mean_over_real(x_BLD: Tensor, mask_BL: Tensor | None) -> Tensor:
    """(B, D): the mean over real positions; over all of them without a mask."""
    if mask_BL is None:
        return x_BLD.mean(dim=1)
    real_BL1 = mask_BL[:, :, None].to(x_BLD.dtype)
    return (x_BLD * real_BL1).sum(dim=1) / real_BL1.sum(dim=1)


def stamp(parameters: Iterable[nn.Parameter]) -> list[object]:
    """What differs as soon as one of these has other values."""
    found: list[object] = []
    for parameter in parameters:
        # what was made in inference mode has no version, and hardly changes
        version = 0 if parameter.is_inference() else parameter._version
        found += [id(parameter), version, parameter.data_ptr(), parameter.dtype]
    return found


class Kept(Generic[T]):
    """What is made of parameters, and made anew only where one of them has changed: it may cost more than a step."""

    def __init__(self) -> None:
        self._found: tuple[list[object], T] | None = None

    def get(self, parameters: Iterable[nn.Parameter], make: Callable[[], T], *more: object) -> T:
        """What `make` gives for these parameters, and whatever else it depends on."""
        if torch.compiler.is_compiling():
            return make()  # a compiler would take a change for another program
        made_of = [*more, *stamp(parameters)]
        if self._found is None or self._found[0] != made_of:
            self._found = made_of, make()
        return self._found[1]


def flat_size(spec: Spec) -> int:
    """Number of values of one item without a length: D of features, C*H*W of an image."""
    if spec.image_shape is not None and spec.inputs is InputKind.IMAGE:
        channels, height, width = spec.image_shape
        return channels * height * width
    return known(spec.input_size, "input_size")


def at_least_fp32(values: Tensor) -> Tensor:
    """The same values, in fp32 where they come in a lower precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """No autocast, which would compute products in a lower precision; `meta` knows none."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
