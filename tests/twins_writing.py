"""Plain twins of the architectures that write: target tokens one after the other, or one product for each layer's attention.

As in tests/twins.py: the same parameters, full rows only, no dropout.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.spec import START_ID
from tests.twins import CELLS, Twin, attended, direction, embedded, ends, feature_map, fed, linear, looked, outputs


def started(targets: Tensor) -> Tensor:
    """What is read: the start, then each target but the last."""
    return functional.pad(targets[:, :-1], (1, 0), value=START_ID)


# ── recurrent ──────────────────────────────────────────────────────────────────────────────────────────────────────


def recurrent_decoder(decoder: nn.Module, targets: Tensor, memory_BMK: Tensor, summary_BK: Tensor) -> Tensor:
    """Logits under teacher forcing: a loop over target tokens, each of which asks every place."""
    fused, score = decoder.recurrent, decoder.score
    first = linear(decoder.bridge, summary_BK).tanh().unflatten(1, (decoder.cells, fused.num_layers, -1))
    x_BTD = decoder.embedding.table.weight[started(targets)]
    for layer in range(fused.num_layers):
        cell = CELLS[fused.mode.partition("_")[0]]
        x_BTD = direction(fused, cell, x_BTD, f"_l{layer}", tuple(first[:, :, layer].unbind(1)))
    if score is None:
        return linear(decoder.classifier, x_BTD)
    key_BMA, logits = memory_BMK @ score.key.weight.T, []
    for state_BH in x_BTD.unbind(1):
        if hasattr(score, "fit"):
            query_BA = state_BH @ score.query.weight.T
            fit_BM = (torch.tanh(key_BMA + query_BA[:, None]) @ score.fit.weight.T)[:, :, 0]
        else:
            fit_BM = (key_BMA @ state_BH[:, :, None])[:, :, 0]
        context_BK = (fit_BM.softmax(dim=1)[:, None] @ memory_BMK)[:, 0]
        joined_BH = torch.tanh(linear(decoder.join, torch.cat([context_BK, state_BH], dim=1)))
        logits.append(linear(decoder.classifier, joined_BH))
    return torch.stack(logits, dim=1)


def rnn_seq2seq(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    reading = SimpleNamespace(embedding=model.embedding, recurrent=model.encoder)
    memory_BMK = outputs(reading, inputs)
    last_BK = ends(reading, memory_BMK)
    return recurrent_decoder(model.decoder, targets, memory_BMK, last_BK)


# ── Transformers ───────────────────────────────────────────────────────────────────────────────────────────────────


def placed(entrance: nn.Module, inputs: Tensor) -> Tensor:
    x_BLD = embedded(entrance, inputs)
    return x_BLD if entrance.position_table is None else x_BLD + entrance.position_table[: inputs.shape[1]]


def transformer_decoder(decoder: nn.Module, targets: Tensor, memory_BMD: Tensor) -> Tensor:
    x_BTD = placed(decoder.entrance, started(targets))
    for layer in decoder.layers:
        x_BTD = attended(layer.own, x_BTD, causal=True)
        key, value = linear(layer.key_value, memory_BMD).chunk(2, dim=2)
        query = linear(layer.query, layer.memory_norm(x_BTD))
        x_BTD = fed(layer.own, x_BTD + linear(layer.output, looked(layer.own.num_heads, query, key, value)))
    return linear(decoder.classifier, decoder.norm(x_BTD))


def transformer_seq2seq(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    x_BLD = placed(model.entrance, inputs)
    for layer in model.layers:
        x_BLD = fed(layer, attended(layer, x_BLD))
    return transformer_decoder(model.decoder, targets, model.norm(x_BLD))


# ── captions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def captioner(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    found = feature_map(model.encoder.features, inputs).flatten(2)
    if hasattr(model.encoder, "place"):
        memory_BMK = (linear(model.encoder.project, found.mT) + model.encoder.place).relu()
    else:
        memory_BMK = linear(model.encoder.project, found.flatten(1)).relu()[:, None]
    if hasattr(model.decoder, "recurrent"):
        return recurrent_decoder(model.decoder, targets, memory_BMK, memory_BMK.mean(dim=1))
    return transformer_decoder(model.decoder, targets, memory_BMK)


WRITING: dict[str, Twin] = {
    "rnn-seq2seq": rnn_seq2seq,
    "transformer-seq2seq": transformer_seq2seq,
    "cnn-rnn": captioner,
    "cnn-transformer": captioner,
}
