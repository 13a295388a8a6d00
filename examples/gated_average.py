"""An architecture in one file: a bag of words that learns which words to listen to."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.architectures import architecture
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    embedding_dim: int = option(128, "size of a word's vector", at_least=1)


class GatedAverage(nn.Module):
    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocabulary_size, hyperparameters.embedding_dim, padding_idx=spec.padding_id)
        self.gate = nn.Linear(hyperparameters.embedding_dim, 1)
        self.classifier = nn.Linear(hyperparameters.embedding_dim, spec.classes)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.embedding(inputs)  # (B, L, D)
        weight = (
            torch.sigmoid(self.gate(x)) * (inputs != self.embedding.padding_idx)[..., None]
        )  # padding does not count
        return self.classifier((weight * x).sum(1) / weight.sum(1).clamp(min=1e-6))


@architecture(
    "gated-average",
    summary="embeddings averaged under a learnt gate",
    source="this example",
    inputs=[InputKind.TOKENS],
    outputs=[OutputKind.CLASSES],
    hyperparameters=Hyperparameters,
    width="embedding_dim",
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    return GatedAverage(spec, hyperparameters)
