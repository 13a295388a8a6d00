"""BERT: a Transformer encoder in its post-norm form, with a pooler over `[CLS]` and a classifier on top.

Fresh weights have one of the published sizes, and read the task's words after a `[CLS]` that the model puts before them.
Pretrained weights read word pieces, of which the encoding makes `[CLS]` the first and `[SEP]` the last. Token type 0 is
everywhere: a text is one segment. Attention weights are not dropped: torch has no fused attention with dropout on CPU, and
training and inference would run different code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import architecture
from bench.architectures.layers import answer_size, known, linear_count, real_mask
from bench.architectures.pretrained import Sizes, load, sizes_of
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks.data.checkpoints import Checkpoint, open_checkpoint
from bench.tasks.wordpieces import PREFIX

LAYERS_SIZE_HEADS = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (4, 512, 8), "base": (12, 768, 12)}
POSITIONS = 512
INITIAL_STD = 0.02
FEEDFORWARD_TIMES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `bert`."""

    size: str = option(
        "tiny",
        "of fresh weights, layers x hidden size x heads: tiny 2x128x2, mini 4x256x4, small 4x512x8, base 12x768x12",
        choices=tuple(LAYERS_SIZE_HEADS),
    )
    weights: str = option(
        "", "pretrained weights, which have a size of their own: minilm, a folder, or hub:ID; '' is fresh"
    )
    dropout: float = option(
        0.1, "share dropped in training after the embedding, each sublayer and the pooler", at_least=0, below=1
    )


class Layer(nn.Module):
    """Self-attention and feed-forward part, each `norm(x + dropout(part(x)))`; (B, L, D) to (B, L, D)."""

    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        hidden = sizes.hidden_dim
        self.num_heads = sizes.num_heads
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.attention_output = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps=sizes.norm_epsilon)
        self.feedforward_in = nn.Linear(hidden, sizes.feedforward_dim)
        self.feedforward_out = nn.Linear(sizes.feedforward_dim, hidden)
        self.feedforward_norm = nn.LayerNorm(hidden, eps=sizes.norm_epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor, mask_B11L: Tensor | None) -> Tensor:
        """One layer; the mask is true where a position may be attended to."""
        x_BLD = self.attention_norm(x_BLD + self.dropout(self._attend(x_BLD, mask_B11L)))
        inner = functional.gelu(self.feedforward_in(x_BLD))
        return cast(Tensor, self.feedforward_norm(x_BLD + self.dropout(self.feedforward_out(inner))))

    def _attend(self, x_BLD: Tensor, mask_B11L: Tensor | None) -> Tensor:
        parts_BL3NK = self.query_key_value(x_BLD).unflatten(2, (3, self.num_heads, -1))
        query_BNLK, key_BNLK, value_BNLK = parts_BL3NK.permute(2, 0, 3, 1, 4).unbind()
        mixed_BNLK = functional.scaled_dot_product_attention(query_BNLK, key_BNLK, value_BNLK, attn_mask=mask_B11L)
        return cast(Tensor, self.attention_output(mixed_BNLK.transpose(1, 2).flatten(2)))


class BertClassifier(nn.Module):
    """(B, L) token ids to (B, C) logits; fresh: normal weights of standard deviation 0.02, biases zero."""

    def __init__(self, sizes: Sizes, classes: int, dropout: float) -> None:
        super().__init__()
        hidden = sizes.hidden_dim
        self.first_id = sizes.first_id
        self.words = nn.Embedding(sizes.vocabulary_size, hidden, padding_idx=sizes.padding_id)
        self.positions = nn.Parameter(torch.empty(sizes.positions, hidden))
        self.token_types = nn.Parameter(torch.empty(sizes.token_types, hidden))
        self.norm = nn.LayerNorm(hidden, eps=sizes.norm_epsilon)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(sizes, dropout) for _ in range(sizes.num_layers))
        self.pooler = nn.Linear(hidden, hidden)
        self.classifier = nn.Linear(hidden, classes)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.normal_(std=INITIAL_STD)
            if isinstance(module, nn.Linear):
                module.bias.zero_()
        self.words.weight[self.words.padding_idx].zero_()
        self.positions.normal_(std=INITIAL_STD)
        self.token_types.normal_(std=INITIAL_STD)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        if self.first_id is not None:
            inputs = functional.pad(inputs, (1, 0), value=self.first_id)
            lengths = None if lengths is None else lengths.clamp(min=1) + 1
        pooled_BD = torch.tanh(self.pooler(self.encode(inputs, lengths)[:, 0]))
        return cast(Tensor, self.classifier(self.dropout(pooled_BD)))

    def encode(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        """What the last layer says of every position, (B, L, D); `[CLS]` comes first in the inputs."""
        place_LD = self.positions[: inputs.shape[1]] + self.token_types[0]
        x_BLD = self.dropout(self.norm(self.words(inputs) + place_LD))
        mask_B11L = None
        if lengths is not None:
            mask_B11L = real_mask(lengths, inputs.shape[1], inputs.device)[:, None, None, :]
        for layer in self.layers:
            x_BLD = layer(x_BLD, mask_B11L)
        return cast(Tensor, x_BLD)


def opened(hyperparameters: Hyperparameters) -> Checkpoint | None:
    """The pretrained weights of a variant; None for fresh ones.

    Raises:
        ModelError: there is no such folder.
        DataError: their package is not here, and nobody could bring it.
    """
    return open_checkpoint(hyperparameters.weights) if hyperparameters.weights else None


def sizes(spec: Spec, hyperparameters: Hyperparameters, checkpoint: Checkpoint | None) -> Sizes:
    """All sizes of a variant: those of its pretrained weights, else the published ones with the task's vocabulary.

    Raises:
        ModelError: the pretrained weights are not BERT's, or too small for the task.
    """
    length = known(spec.sequence_length, "sequence_length")
    vocabulary_size = known(spec.vocabulary_size, "vocabulary_size")
    if checkpoint is None:
        num_layers, hidden_dim, num_heads = LAYERS_SIZE_HEADS[hyperparameters.size]
        return Sizes(
            vocabulary_size=vocabulary_size + 1,
            positions=max(POSITIONS, length + 1),
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            feedforward_dim=FEEDFORWARD_TIMES * hidden_dim,
            padding_id=spec.padding_id,
            first_id=vocabulary_size,
        )
    found = sizes_of(checkpoint)
    if length > found.positions:
        raise checkpoint.wrong(f"has {found.positions} positions, the sequence length is {length}; take a shorter one")
    if vocabulary_size > found.vocabulary_size:
        raise checkpoint.wrong(
            f"knows {found.vocabulary_size:,} word pieces, but made inputs have {vocabulary_size:,} ids; "
            f"give the task vocabulary_size = {found.vocabulary_size}"
        )
    return found


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Three embeddings and their norm, layers of attention, feed-forward part and two norms, pooler, classifier."""
    of = sizes(spec, hyperparameters, opened(hyperparameters))
    size, inner = of.hidden_dim, of.feedforward_dim
    embeddings = (of.vocabulary_size + of.positions + of.token_types + 2) * size
    attention = linear_count(size, 3 * size) + linear_count(size, size)
    layer = attention + linear_count(size, inner) + linear_count(inner, size) + 4 * size
    head = linear_count(size, size) + linear_count(size, answer_size(spec))
    return embeddings + of.num_layers * layer + head


def encoding(hyperparameters: Hyperparameters) -> str:
    """Word pieces of the vocabulary that the pretrained weights know; words for fresh ones."""
    return f"{PREFIX}{hyperparameters.weights}" if hyperparameters.weights else "words"


def not_streaming(_: Hyperparameters) -> str:
    """Why no variant streams."""
    return "every word looks at those after it, so that each further one changes all that was read"


@architecture(
    "bert",
    summary="BERT encoder (post-norm, GELU), pooler over [CLS], linear layer; fresh or pretrained",
    source="Devlin et al. 2019, BERT; small sizes: Turc et al. 2019, Well-Read Students Learn Better",
    inputs=[InputKind.TOKENS],
    outputs=[OutputKind.CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    parameter_count=parameter_count,
    encoding=encoding,
    pretrained=lambda hyperparameters: hyperparameters.weights,
    not_streaming=not_streaming,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A BERT classifier; pretrained weights are read unless it is built on `meta`.

    Raises:
        ModelError: the pretrained weights are missing, damaged, or do not fit.
        DataError: their package is not here, and nobody could bring it.
    """
    checkpoint = opened(hyperparameters)
    found = sizes(spec, hyperparameters, checkpoint)
    model = BertClassifier(found, answer_size(spec), hyperparameters.dropout)
    if checkpoint is not None and not model.positions.is_meta:
        load(model, checkpoint)
    return model
