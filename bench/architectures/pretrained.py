"""From a BERT checkpoint to our model: the sizes that its settings give, its names for our parameters, and its weights.

Names and settings are those of the Hugging Face library, in which such checkpoints are handed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.tasks.data.checkpoints import SETTINGS, VOCABULARY, WEIGHTS, Checkpoint, extra

# Settings that change what is computed, with the one value that is built here; older checkpoints leave some out.
_FIXED: Mapping[str, object] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
_PARTS = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings.weight",
    "token_types": "embeddings.token_type_embeddings.weight",
    "norm": "embeddings.LayerNorm",
    "pooler": "pooler.dense",
}
_LAYER_PARTS = {
    "query_key_value": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention_output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "feedforward_in": ("intermediate.dense",),
    "feedforward_out": ("output.dense",),
    "feedforward_norm": ("output.LayerNorm",),
}
# other tasks' heads, and a buffer that older versions saved
_UNUSED = re.compile(r"(cls|classifier|qa_outputs)\.|embeddings\.position_ids$")
OWN = ("classifier.weight", "classifier.bias")
"""Our parameters that no checkpoint holds: they belong to the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """All sizes of an encoder.

    Attributes:
        first_id: the id that the model puts before every text, `[CLS]`; None where the encoding has done so.
    """

    vocabulary_size: int
    positions: int
    token_types: int = 2
    hidden_dim: int
    num_layers: int
    num_heads: int
    feedforward_dim: int
    norm_epsilon: float = 1e-12
    padding_id: int
    first_id: int | None = None


def sizes_of(checkpoint: Checkpoint) -> Sizes:
    """The sizes of pretrained weights, from their settings.

    Raises:
        ModelError: they are missing, or those of another architecture.
    """
    settings = checkpoint.settings()
    for name, expected in _FIXED.items():
        found = settings.get(name)
        if found not in (None, expected):
            raise checkpoint.wrong(f"{SETTINGS}: {name} is {found!r}, expected {expected!r}; take another BERT")
    sizes = Sizes(
        vocabulary_size=_whole(checkpoint, settings, "vocab_size"),
        positions=_whole(checkpoint, settings, "max_position_embeddings"),
        token_types=_whole(checkpoint, settings, "type_vocab_size"),
        hidden_dim=_whole(checkpoint, settings, "hidden_size"),
        num_layers=_whole(checkpoint, settings, "num_hidden_layers"),
        num_heads=_whole(checkpoint, settings, "num_attention_heads"),
        feedforward_dim=_whole(checkpoint, settings, "intermediate_size"),
        norm_epsilon=float(settings.get("layer_norm_eps", 1e-12)),
        padding_id=int(settings.get("pad_token_id") or 0),
    )
    if sizes.hidden_dim % sizes.num_heads:
        raise checkpoint.wrong(
            f"{SETTINGS}: hidden_size {sizes.hidden_dim} is no multiple of num_attention_heads {sizes.num_heads}"
        )
    pieces = len(checkpoint.vocabulary())
    if pieces > sizes.vocabulary_size:
        raise checkpoint.wrong(
            f"{VOCABULARY} has {pieces:,} word pieces, more than vocab_size {sizes.vocabulary_size:,} in {SETTINGS}"
        )
    return sizes


def _whole(checkpoint: Checkpoint, settings: Mapping[str, Any], name: str) -> int:
    found = settings.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise checkpoint.wrong(f"{SETTINGS}: {name} is {found!r}, expected a whole number from 1 on")
    return found


def names_of(name: str) -> list[str]:
    """A checkpoint's names for one of our parameters; of several the values stand one below the other.

    >>> names_of("layers.1.feedforward_in.bias")
    ['encoder.layer.1.intermediate.dense.bias']
    """
    if name in _PARTS:
        return [_PARTS[name]]
    part, _, kind = name.rpartition(".")
    if part in _PARTS:
        return [f"{_PARTS[part]}.{kind}"]
    _, place, part = part.split(".")
    return [f"encoder.layer.{place}.{theirs}.{kind}" for theirs in _LAYER_PARTS[part]]


def load(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Put pretrained weights into an encoder of their sizes; its classifier stays as it is.

    Raises:
        ModelError: the weights are missing or damaged, or their names or sizes do not fit.
    """
    found = _tensors(checkpoint)
    state: dict[str, Tensor] = {}
    lacking: list[str] = []
    unfit: list[str] = []
    for name, own in model.state_dict().items():
        if name in OWN:
            continue
        theirs = names_of(name)
        lacking += [one for one in theirs if one not in found]
        parts = [found.pop(one) for one in theirs if one in found]
        expected = torch.Size([own.shape[0] // len(theirs), *own.shape[1:]])
        unfit += [
            f"{one} is {tuple(part.shape)}, expected {tuple(expected)}"
            for one, part in zip(theirs, parts, strict=False)
            if part.shape != expected
        ]
        if not lacking and not unfit:
            state[name] = parts[0] if len(parts) == 1 else torch.cat(parts)
    strange = [name for name in found if not _UNUSED.match(name)]
    for problems, what in ((lacking, "lacks"), (unfit, "does not fit its settings:"), (strange, "also holds")):
        if problems:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise checkpoint.wrong(f"{WEIGHTS} {what} {problems[0]}{more}; expected a BERT encoder with its pooler")
    model.load_state_dict(state, strict=False)


def _tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """All tensors of a checkpoint, under the names that it would have today."""
    content = checkpoint.content(WEIGHTS)
    safetensors = extra("safetensors.torch")
    try:
        found: dict[str, Tensor] = safetensors.load(content)
    except extra("safetensors").SafetensorError as error:
        raise checkpoint.wrong(f"{WEIGHTS} cannot be read ({error}); fetch it again") from error
    return {_renamed(name): values for name, values in found.items()}


def _renamed(name: str) -> str:
    name = name.removeprefix("bert.")
    # the first checkpoints call the parameters of a norm as TensorFlow does
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))
