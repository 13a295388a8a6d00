"""A made BERT checkpoint: random weights, settings and vocabulary as the Hugging Face library names them; and plain loops."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# padding is not the first piece, as it is in BERT's own vocabulary: nobody may count on it
PIECES = ["the", "[UNK]", "[CLS]", "[SEP]", "[PAD]", "film", "##s", "good", "bad", ",", "ete", "[MASK]", "a", "##b"]
SETTINGS: Mapping[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": 60,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 4,
}
DTYPES = {torch.float32: "F32", torch.float16: "F16"}


def random_tensors(settings: Mapping[str, Any] = SETTINGS) -> dict[str, Tensor]:
    """Weights of a checkpoint, large enough for every part to matter."""
    hidden, inner = settings["hidden_size"], settings["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (settings["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": (settings["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": (settings["type_vocab_size"], hidden),
        "pooler.dense.weight": (hidden, hidden),
        "pooler.dense.bias": (hidden,),
    }
    norms = ["embeddings.LayerNorm"]
    for place in range(settings["num_hidden_layers"]):
        layer = f"encoder.layer.{place}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{layer}.{name}.weight": (hidden, hidden), f"{layer}.{name}.bias": (hidden,)}
        shapes |= {f"{layer}.intermediate.dense.weight": (inner, hidden), f"{layer}.intermediate.dense.bias": (inner,)}
        shapes |= {f"{layer}.output.dense.weight": (hidden, inner), f"{layer}.output.dense.bias": (hidden,)}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for norm in norms:
        shapes |= {f"{norm}.weight": (hidden,), f"{norm}.bias": (hidden,)}
    generator = torch.Generator().manual_seed(3)
    return {name: 0.5 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """The safetensors format, written by hand: the header's length, the header, all values."""
    header: dict[str, Any] = {}
    values = b""
    for name, tensor in tensors.items():
        begin = len(values)
        values += tensor.contiguous().numpy().tobytes()
        offsets = [begin, len(values)]
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + values)


def write_checkpoint(
    folder: Path,
    tensors: Mapping[str, Tensor] | None = None,
    settings: Mapping[str, Any] = SETTINGS,
    pieces: Sequence[str] = PIECES,
) -> Path:
    """A folder as such weights are handed on."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", random_tensors() if tensors is None else tensors)
    (folder / "config.json").write_text(json.dumps(dict(settings)))
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8", newline="")
    return folder


def write_texts(folder: Path) -> Path:
    """Forty texts of 3 words and more in pieces of the made vocabulary: one word tells the class."""
    starts = ["good film", "bad film", "the good films", "the bad films"]
    rows = [f"{starts[place % 4]} {'a' * (place + 1)},{'no' if place % 2 else 'yes'}\n" for place in range(40)]
    path = folder / "texts.csv"
    path.write_text("text,label\n" + "".join(rows))
    return path


def as_checkpoint(model: nn.Module) -> dict[str, Tensor]:
    """The weights of one of our models under the names of a checkpoint."""
    own = model.state_dict()
    found = {
        "embeddings.word_embeddings.weight": own["words.weight"],
        "embeddings.position_embeddings.weight": own["positions"],
        "embeddings.token_type_embeddings.weight": own["token_types"],
    }
    for kind in ("weight", "bias"):
        found[f"embeddings.LayerNorm.{kind}"] = own[f"norm.{kind}"]
        found[f"pooler.dense.{kind}"] = own[f"pooler.{kind}"]
        for place in range(len(model.get_submodule("layers"))):  # type: ignore[arg-type]
            ours, theirs = f"layers.{place}", f"encoder.layer.{place}"
            thirds = own[f"{ours}.query_key_value.{kind}"].chunk(3)
            for name, values in zip(("query", "key", "value"), thirds, strict=True):
                found[f"{theirs}.attention.self.{name}.{kind}"] = values
            found[f"{theirs}.attention.output.dense.{kind}"] = own[f"{ours}.attention_output.{kind}"]
            found[f"{theirs}.attention.output.LayerNorm.{kind}"] = own[f"{ours}.attention_norm.{kind}"]
            found[f"{theirs}.intermediate.dense.{kind}"] = own[f"{ours}.feedforward_in.{kind}"]
            found[f"{theirs}.output.dense.{kind}"] = own[f"{ours}.feedforward_out.{kind}"]
            found[f"{theirs}.output.LayerNorm.{kind}"] = own[f"{ours}.feedforward_norm.{kind}"]
    return found


# ── the same model in plain loops ──────────────────────────────────────────────────────────────────────────────────


def plain(tensors: Mapping[str, Tensor], ids: Sequence[int], heads: int) -> tuple[Tensor, Tensor]:
    """States (L, D) and pooled state (D,) of one text without padding; loops over positions, layers and heads."""
    x_LD = torch.stack(
        [
            tensors["embeddings.word_embeddings.weight"][token]
            + tensors["embeddings.position_embeddings.weight"][place]
            + tensors["embeddings.token_type_embeddings.weight"][0]
            for place, token in enumerate(ids)
        ]
    )
    x_LD = _norm(tensors, "embeddings.LayerNorm", x_LD)
    place = 0
    while f"encoder.layer.{place}.output.dense.weight" in tensors:
        layer = f"encoder.layer.{place}"
        attended = _linear(tensors, f"{layer}.attention.output.dense", _attention(tensors, layer, x_LD, heads))
        x_LD = _norm(tensors, f"{layer}.attention.output.LayerNorm", x_LD + attended)
        inner = _linear(tensors, f"{layer}.intermediate.dense", x_LD)
        inner = 0.5 * inner * (1 + torch.erf(inner / math.sqrt(2)))
        x_LD = _norm(tensors, f"{layer}.output.LayerNorm", x_LD + _linear(tensors, f"{layer}.output.dense", inner))
        place += 1
    return x_LD, torch.tanh(_linear(tensors, "pooler.dense", x_LD[0]))


def _attention(tensors: Mapping[str, Tensor], layer: str, x_LD: Tensor, heads: int) -> Tensor:
    query, key, value = (_linear(tensors, f"{layer}.attention.self.{name}", x_LD) for name in ("query", "key", "value"))
    size = x_LD.shape[1] // heads
    rows = []
    for one in query:
        mixed = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            weights = torch.softmax(key[:, own] @ one[own] / math.sqrt(size), dim=0)
            mixed.append(weights @ value[:, own])
        rows.append(torch.cat(mixed))
    return torch.stack(rows)


def _linear(tensors: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def _norm(tensors: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    scaled = centred / torch.sqrt(centred.square().mean(dim=-1, keepdim=True) + 1e-12)
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]
