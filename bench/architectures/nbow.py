"""The neural bag of words: the mean of embeddings and one linear layer, the floor that every sequence model must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bench.architectures import State, architecture, streams
from bench.architectures.layers import Embedding, answer_size, embedding_count, linear_count, mean_over_real, real_mask
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `nbow`."""

    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    dropout: float = option(0.5, "share of the pooled vector that is dropped in training", at_least=0, below=1)


class BagOfWords(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits."""

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.classifier = nn.Linear(hyperparameters.embedding_dim, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        x_BLD = self.embedding(inputs)
        mask_BL = None if lengths is None else real_mask(lengths, inputs.shape[1], inputs.device)
        return cast(Tensor, self.classifier(self.dropout(mean_over_real(x_BLD, mask_BL))))

    def init_state(self, prefix: Tensor) -> State:
        """The sum of embeddings so far, (B, D), and how many they are, ()."""
        # in bf16 a sum soon stops growing; `mean` adds up in fp32 as well
        dtype = torch.promote_types(self.classifier.weight.dtype, torch.float32)
        count = torch.tensor(prefix.shape[1], device=prefix.device)
        return self.embedding(prefix).sum(dim=1, dtype=dtype), count

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D): one addition and one division."""
        sum_BD, count = state[0] + self.embedding(inputs), state[1] + 1
        mean_BD = (sum_BD / count).to(self.classifier.weight.dtype)
        return cast(Tensor, self.classifier(self.dropout(mean_BD))), (sum_BD, count)


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding and classifier."""
    size = hyperparameters.embedding_dim
    return embedding_count(spec, size) + linear_count(size, answer_size(spec))


@architecture(
    "nbow",
    summary="mean of embeddings and a linear layer",
    source="Iyyer et al. 2015, Deep Unordered Composition Rivals Syntactic Methods for Text Classification (NBOW)",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    # no width: beside its table it has hardly a parameter
    parameter_count=parameter_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A bag-of-words classifier."""
    return BagOfWords(spec, hyperparameters)
