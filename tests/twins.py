"""Plain twins of the built-in architectures: the same parameters, and loops of matrix products where those use fused operators.

Their products can be counted on any device, which makes them the oracle of the FLOP counter. Full rows only, no dropout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures.s4d import transform_size
from bench.batch import Batch

Twin = Callable[..., Tensor]
"""From a model and its inputs, and the target tokens of one that writes (tests/twins_writing.py), to its answer."""


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    return x @ layer.weight.T + layer.bias


def embedded(model: nn.Module, inputs: Tensor) -> Tensor:
    table = model.embedding.table
    return linear(table, inputs) if isinstance(table, nn.Linear) else table.weight[inputs]


def bag_of_words(model: nn.Module, inputs: Tensor) -> Tensor:
    return linear(model.classifier, embedded(model, inputs).mean(dim=1))


# ── recurrent ──────────────────────────────────────────────────────────────────────────────────────────────────────


def rnn_cell(from_input: Tensor, from_state: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(from_input + from_state), cell


def lstm_cell(from_input: Tensor, from_state: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    entering, forgetting, candidate, leaving = (from_input + from_state).chunk(4, dim=1)
    cell = forgetting.sigmoid() * cell + entering.sigmoid() * candidate.tanh()
    return leaving.sigmoid() * cell.tanh(), cell


def gru_cell(from_input: Tensor, from_state: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    reset, update, candidate = from_input.chunk(3, dim=1)
    reset_state, update_state, candidate_state = from_state.chunk(3, dim=1)
    keep = (update + update_state).sigmoid()
    fresh = (candidate + (reset + reset_state).sigmoid() * candidate_state).tanh()
    return keep * hidden + (1 - keep) * fresh, cell


def forgetless_cell(from_input: Tensor, from_state: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    entering, candidate, leaving = (from_input + from_state).chunk(3, dim=1)
    cell = cell + entering.sigmoid() * candidate.tanh()
    return leaving.sigmoid() * cell.tanh(), cell


CELLS = {"RNN": rnn_cell, "LSTM": lstm_cell, "GRU": gru_cell, "forgetless": forgetless_cell}


def recurrent(model: nn.Module, inputs: Tensor) -> Tensor:
    return linear(model.classifier, ends(model, outputs(model, inputs)))


def outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """Of the top layer at every position, both directions side by side."""
    fused = model.recurrent
    step, x_BLD = CELLS[getattr(fused, "mode", "forgetless").partition("_")[0]], embedded(model, inputs)
    for layer in range(fused.num_layers):
        directions = [
            direction(fused, step, x_BLD, f"_l{layer}{suffix}")
            for suffix in (("", "_reverse") if fused.bidirectional else ("",))
        ]
        x_BLD = torch.cat(directions, dim=2)
    return x_BLD


def ends(model: nn.Module, output_BLK: Tensor) -> Tensor:
    size = model.recurrent.hidden_size
    return torch.cat([output_BLK[:, -1, :size], output_BLK[:, 0, size:]], dim=1)


def direction(
    fused: nn.Module,
    step: Callable[..., tuple[Tensor, Tensor]],
    x_BLD: Tensor,
    name: str,
    first: tuple[Tensor, ...] | None = None,
) -> Tensor:
    """All states of one direction of one layer, in the order of the input; (B, L, D) to (B, L, H); from zeros, or `first`."""
    parameters = dict(fused.named_parameters())
    zeros = x_BLD.new_zeros(x_BLD.shape[0], fused.hidden_size)
    hidden, cell = (first[0], first[-1]) if first else (zeros, zeros)
    states: list[Tensor] = []
    words = x_BLD.unbind(dim=1)
    for word_BD in reversed(words) if name.endswith("_reverse") else words:
        from_input = word_BD @ parameters[f"weight_ih{name}"].T + parameters[f"bias_ih{name}"]
        from_state = hidden @ parameters[f"weight_hh{name}"].T + parameters[f"bias_hh{name}"]
        hidden, cell = step(from_input, from_state, hidden, cell)
        states.append(hidden)
    return torch.stack(states[::-1] if name.endswith("_reverse") else states, dim=1)


def attention_rnn(model: nn.Module, inputs: Tensor) -> Tensor:
    output_BLK = outputs(model, inputs)
    last_BK, score = ends(model, output_BLK), model.score
    words = output_BLK[:, -model.window :].unbind(dim=1)
    if list(score.parameters()):
        query_BA = last_BK @ score.query.weight.T
        fits = [torch.tanh(word_BK @ score.key.weight.T + query_BA) @ score.fit.weight.T for word_BK in words]
    else:
        fits = [(word_BK[:, None] @ last_BK[:, :, None])[:, 0] for word_BK in words]
    weights_BS = torch.softmax(torch.cat(fits, dim=1), dim=1)
    context_BK = (weights_BS[:, None] @ torch.stack(words, dim=1))[:, 0]
    joined_BK = torch.tanh(linear(model.join, torch.cat([context_BK, last_BK], dim=1)))
    return linear(model.classifier, joined_BK)


# ── convolutions ───────────────────────────────────────────────────────────────────────────────────────────────────


def textcnn(model: nn.Module, inputs: Tensor) -> Tensor:
    x_BLD = embedded(model, inputs)
    features = []
    for convolution in model.convolutions:
        windows_BWDK = x_BLD.unfold(1, convolution.kernel_size[0], 1)
        filtered_BWF = windows_BWDK.flatten(2) @ convolution.weight.flatten(1).T + convolution.bias
        features.append(filtered_BWF.amax(dim=1).relu())
    return linear(model.classifier, torch.cat(features, dim=1))


def cnn(model: nn.Module, inputs: Tensor) -> Tensor:
    return linear(model.classifier, feature_map(model.features, inputs).flatten(1))


def feature_map(features: nn.Module, inputs: Tensor) -> Tensor:
    """(B, F, h, w) of convolutions, each with its pooling."""
    hidden = inputs
    for convolution in (part for part in features if isinstance(part, nn.Conv2d)):
        bordered = functional.pad(hidden, (1, 1, 1, 1))
        windows = bordered.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 2, 3, 1, 4, 5).flatten(3)
        filtered = windows @ convolution.weight.flatten(1).T + convolution.bias
        height, width = (size // 2 * 2 for size in filtered.shape[1:3])  # pooling leaves out an odd last row
        pooled = filtered[:, :height, :width].relu().unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).amax(dim=(2, 4))
        hidden = pooled.permute(0, 3, 1, 2)
    return hidden


# ── the others ─────────────────────────────────────────────────────────────────────────────────────────────────────


def attended(layer: nn.Module, x_BLD: Tensor, *, causal: bool = False) -> Tensor:
    """The first half of an encoder layer."""
    parts = linear(layer.query_key_value, layer.attention_norm(x_BLD)).chunk(3, dim=2)
    mixed_BLD = looked(layer.num_heads, *parts, causal=causal)
    return x_BLD + linear(layer.attention_output, mixed_BLD)


def looked(heads: int, *parts: Tensor, causal: bool = False) -> Tensor:
    """(B, T, D): what queries (B, T, D) take from keys and values (B, M, D)."""
    query, key, value = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in parts)
    scores = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    if causal:
        scores = scores + torch.full(scores.shape[2:], -math.inf).triu(1)
    return (torch.softmax(scores, dim=3) @ value).transpose(1, 2).flatten(2)


def fed(layer: nn.Module, x_BLD: Tensor) -> Tensor:
    """The second half."""
    inner = linear(layer.feedforward[0], layer.feedforward_norm(x_BLD)).relu()
    return x_BLD + linear(layer.feedforward[2], inner)


def transformer(model: nn.Module, inputs: Tensor) -> Tensor:
    x_BLD = embedded(model, inputs)
    if model.position_table is not None:
        x_BLD = x_BLD + model.position_table[: inputs.shape[1]]
    if model.classifier_token is not None:
        x_BLD = torch.cat([model.classifier_token.expand(len(inputs), 1, -1), x_BLD], dim=1)
    for layer in model.layers:
        x_BLD = fed(layer, attended(layer, x_BLD))
    x_BLD = model.norm(x_BLD)
    pooled = x_BLD.mean(dim=1) if model.classifier_token is None else x_BLD[:, 0]
    return linear(model.classifier, pooled)


def bert(model: nn.Module, inputs: Tensor) -> Tensor:
    ids = functional.pad(inputs, (1, 0), value=model.first_id)
    x_BLD = model.norm(model.words.weight[ids] + model.positions[: ids.shape[1]] + model.token_types[0])
    for layer in model.layers:
        mixed_BLD = looked(layer.num_heads, *linear(layer.query_key_value, x_BLD).chunk(3, dim=2))
        x_BLD = layer.attention_norm(x_BLD + linear(layer.attention_output, mixed_BLD))
        inner = functional.gelu(linear(layer.feedforward_in, x_BLD))
        x_BLD = layer.feedforward_norm(x_BLD + linear(layer.feedforward_out, inner))
    return linear(model.classifier, torch.tanh(linear(model.pooler, x_BLD[:, 0])))


def mlp(model: nn.Module, inputs: Tensor) -> Tensor:
    hidden = inputs.flatten(1)
    for layer in (part for part in model.hidden if isinstance(part, nn.Linear)):
        hidden = linear(layer, hidden).relu()
    return linear(model.classifier, hidden)


# ── grids ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def mdlstm(model: nn.Module, inputs: Tensor) -> Tensor:
    side, scan = model.patch, model.scan
    size = scan.bias.shape[2] // 5
    height, width = inputs.shape[2:]
    rows, columns = -(-height // side), -(-width // side)
    filled = functional.pad(inputs, (0, columns * side - width, 0, rows * side - height))
    outside = inputs.new_zeros(len(inputs), size)
    means = []
    for place, (down, right) in enumerate([(1, 1), (1, -1), (-1, 1), (-1, -1)][: len(scan.bias)]):
        states: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        for row in list(range(rows))[::down]:
            for column in list(range(columns))[::right]:
                above = states.get((row - down, column), (outside, outside))
                left = states.get((row, column - right), (outside, outside))
                patch = filled[:, :, row * side : (row + 1) * side, column * side : (column + 1) * side].flatten(1)
                gates = torch.cat([patch, above[0], left[0]], dim=1) @ scan.weight[place] + scan.bias[place]
                entering, leaving, keep_above, keep_left, candidate = gates.chunk(5, dim=1)
                cell = keep_above.sigmoid() * above[1] + keep_left.sigmoid() * left[1]
                cell = cell + entering.sigmoid() * candidate.tanh()
                states[row, column] = leaving.sigmoid() * cell.tanh(), cell
        means.append(torch.stack([state for state, _ in states.values()]).mean(dim=0))
    return linear(model.classifier, torch.cat(means, dim=1))


def grid_lstm(model: nn.Module, inputs: Tensor) -> Tensor:
    hidden, memory = linear(model.entrance, embedded(model, inputs)).chunk(2, dim=2)
    for layer in range(model.num_layers):
        time, depth = (parts[layer % len(parts)] for parts in (model.time, model.depth))
        arriving = functional.pad(direction(time, lstm_cell, hidden, "_l0")[:, :-1], (0, 0, 1, 0))
        seen = torch.cat([arriving, hidden], dim=2)
        if layer + 1 == model.num_layers:  # what leaves the top is read at the last position only
            seen, memory = seen[:, -1:], memory[:, -1:]
        entering, forgetting, candidate, leaving = linear(depth, seen).chunk(4, dim=2)
        memory = forgetting.sigmoid() * memory + entering.sigmoid() * candidate.tanh()
        hidden = leaving.sigmoid() * memory.tanh()
    return linear(model.classifier, hidden[:, -1])


def goru(model: nn.Module, inputs: Tensor) -> Tensor:
    """The same with a product for each gate and step, by autograd; the matrices are the model's own."""
    words = list(model.embedding(inputs).unbind(1))
    for layer in model.layers:
        size, matrix = len(layer.threshold), layer.orthogonal()
        bias = functional.pad(layer.gate_bias, (0, size)).split(size)
        state, states = words[0].new_zeros(len(inputs), size), []
        for word in words:
            entering = [word @ weight.T + b for weight, b in zip(layer.input_weight.split(size), bias, strict=True)]
            gates = [state @ weight.T for weight in layer.gate_weight.split(size)]
            reset, update = (torch.sigmoid(e + g) for e, g in zip(entering[:2], gates, strict=True))
            inside = entering[2] + reset * (state @ matrix.T)
            candidate = inside.sign() * (inside.abs() + layer.threshold).relu()
            state = update * state + (1 - update) * candidate
            states.append(state)
        words = states
    return words[-1] @ model.classifier.weight.T + model.classifier.bias


# ── the moderns ────────────────────────────────────────────────────────────────────────────────────────────────────


def tcn(model: nn.Module, inputs: Tensor) -> Tensor:
    """The same as products with every window; weights are normalised filter by filter."""

    def convolved(layer: nn.Module, x_BLD: Tensor) -> Tensor:
        filters = [v * g / v.square().sum().sqrt() for v, g in zip(layer.direction, layer.length, strict=True)]
        reach, width = layer.reach, layer.direction.shape[2]
        windows_BLDK = functional.pad(x_BLD, (0, 0, reach, 0)).unfold(1, reach + 1, 1)[..., :: reach // (width - 1)]
        return (windows_BLDK.flatten(2) @ torch.stack(filters).flatten(1).T + layer.bias).relu()

    x_BLD = embedded(model, inputs)
    for block in model.blocks:
        part_BLH = convolved(block.second, convolved(block.first, x_BLD))
        if isinstance(block.residual, nn.Conv1d):
            x_BLD = x_BLD @ block.residual.weight[:, :, 0].T + block.residual.bias
        x_BLD = (x_BLD + part_BLH).relu()
    return linear(model.classifier, x_BLD[:, -1])


def minimal_rnn(model: nn.Module, inputs: Tensor) -> Tensor:
    """The same with a product for each gate and step."""
    words = list(embedded(model, inputs).unbind(1))
    for layer in model.layers:
        size = len(layer.entering.weight) // (layer.gates + 1)
        parameters = list(zip(layer.entering.weight.split(size), layer.entering.bias.split(size), strict=True))
        state, states = words[0].new_zeros(len(inputs), size), []
        for word in words:
            *gates, inside = (word @ weight.T + bias for weight, bias in parameters)
            new = gates[-1].sigmoid()
            if len(gates) == 2:
                new = new / (gates[0].sigmoid() + new)
            state = (1 - new) * state + new * torch.where(inside >= 0, inside + 0.5, inside.sigmoid())
            states.append(state)
        words = states
    return linear(model.classifier, words[-1])


def linear_attention(model: nn.Module, inputs: Tensor) -> Tensor:
    """The same chunk after chunk; how many positions a chunk has decides how many products there are."""
    x_BLD, length = embedded(model, inputs), inputs.shape[1]
    if model.position_table is not None:
        x_BLD = x_BLD + model.position_table[:length]
    size = -(-length // -(-length // 32))
    for layer in model.layers:
        parts = linear(layer.query_key_value, layer.attention_norm(x_BLD)).chunk(3, dim=2)
        query, key, value = (part.unflatten(2, (layer.num_heads, -1)).transpose(1, 2) for part in parts)
        query, key = functional.elu(query) + 1, functional.elu(key) + 1
        value = torch.cat([value, torch.ones_like(value[..., :1])], dim=3)
        query, key, value = (functional.pad(part, (0, 0, 0, -length % size)) for part in (query, key, value))
        sums, mixed = None, []
        for q, k, v in zip(*(part.split(size, dim=2) for part in (query, key, value)), strict=True):
            taken = ((q @ k.mT) * torch.ones(size, size).tril()) @ v
            mixed.append(taken if sums is None else taken + q @ sums)
            if len(mixed) < query.shape[2] // size:
                sums = k.mT @ v if sums is None else sums + k.mT @ v
        mixed_BNLZ = torch.cat(mixed, dim=2)[:, :, :length]
        mixed_BNLK = mixed_BNLZ[..., :-1] / (mixed_BNLZ[..., -1:] + 1e-6)
        x_BLD = fed(layer, x_BLD + linear(layer.attention_output, mixed_BNLK.transpose(1, 2).flatten(2)))
    return linear(model.classifier, model.norm(x_BLD[:, -1]))


# ── state spaces ───────────────────────────────────────────────────────────────────────────────────────────────────


def s4d(model: nn.Module, inputs: Tensor) -> Tensor:
    """The kernel a stretch of positions at a time, in real numbers; the convolution by FFT, as its cost is that of FFTs."""
    x_BLD, length = embedded(model, inputs), inputs.shape[1]
    stretch, size = math.ceil(math.sqrt(length)), transform_size(length)
    for layer in model.layers:
        exponent_DP, weight_DP = layer.space.discrete()
        place_S = torch.arange(stretch)
        size_DPS, angle_DPS = ((part[..., None] * place_S) for part in (exponent_DP.real, exponent_DP.imag))
        within_DRS = torch.cat([size_DPS.exp() * angle_DPS.cos(), size_DPS.exp() * angle_DPS.sin()], dim=1)
        pieces = []
        for start in range(0, length, stretch):
            before_DP = weight_DP * (exponent_DP * start).exp()
            pieces.append((torch.cat([before_DP.real, -before_DP.imag], dim=1)[:, None] @ within_DRS)[:, 0])
        kernel_DL = torch.cat(pieces, dim=1)[:, :length]
        u_BDL = layer.norm(x_BLD).transpose(1, 2)
        spectra = (torch.fft.rfft(functional.pad(each, (0, size - length))) for each in (u_BDL, kernel_DL))
        y_BDL = torch.fft.irfft(math.prod(spectra), n=size)[..., :length] + u_BDL * layer.space.skip[:, None]
        first, second = linear(layer.mix, functional.gelu(y_BDL.transpose(1, 2))).chunk(2, dim=2)
        x_BLD = x_BLD + first * second.sigmoid()
    return linear(model.classifier, model.norm(x_BLD[:, -1]))


def mamba(model: nn.Module, inputs: Tensor) -> Tensor:
    """A loop over time, by autograd; the convolution as a product for each channel and position."""
    x_BLD = embedded(model, inputs)
    for layer in model.layers:
        rank, states = layer.step_size.in_features, layer.log_rate.shape[1]
        entering_BLI, gate_BLI = (layer.norm(x_BLD) @ layer.entrance.weight.T).chunk(2, dim=2)
        windows_BLIK = functional.pad(entering_BLI, (0, 0, 3, 0)).unfold(1, 4, 1)
        filtered_BLI = (windows_BLIK[..., None, :] @ layer.convolution.weight[:, 0, :, None])[..., 0, 0]
        inner_BLI = functional.silu(filtered_BLI + layer.convolution.bias)
        chosen = (inner_BLI @ layer.selection.weight.T).split([rank, states, states], dim=2)
        step_BLI = functional.softplus(linear(layer.step_size, chosen[0]))
        rate_IN = -layer.log_rate.exp()
        state_BIN, outputs = inner_BLI.new_zeros(len(inputs), *rate_IN.shape), []
        for step_BI, x_BI, into_BN, out_BN in zip(
            *(each.unbind(1) for each in (step_BLI, inner_BLI, *chosen[1:])), strict=True
        ):
            entering_BIN = (step_BI * x_BI)[..., None] * into_BN[:, None]
            state_BIN = (step_BI[..., None] * rate_IN).exp() * state_BIN + entering_BIN
            outputs.append((state_BIN @ out_BN[..., None])[..., 0] + layer.skip * x_BI)
        gated_BLI = torch.stack(outputs, dim=1) * functional.silu(gate_BLI)
        x_BLD = x_BLD + gated_BLI @ layer.exit.weight.T
    return linear(model.classifier, model.norm(x_BLD[:, -1]))


# ── pictures from noise ────────────────────────────────────────────────────────────────────────────────────────────


def vae(model: nn.Module, inputs: Tensor) -> Tensor:
    return bernoulli_means(model, inputs).unflatten(1, model.image_shape)


def bernoulli_means(model: nn.Module, hidden_BD: Tensor) -> Tensor:
    first, _, last = model.decoder
    return linear(last, linear(first, hidden_BD).relu()).sigmoid()


def vae_parts(model: nn.Module, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction and divergence from probabilities and spreads, not from logits and logarithms of variances."""
    pixels = pictures.flatten(1)
    first, _, last = model.encoder
    hidden = linear(first, pixels).relu()
    size = model.decoder[0].in_features
    mean = hidden @ last.weight[:size].T + last.bias[:size]
    spread = (0.5 * (hidden @ last.weight[size:].T + last.bias[size:])).exp()
    means = bernoulli_means(model, mean + spread * noise)
    reconstruction = -(pixels * means.log() + (1 - pixels) * (1 - means).log()).sum(dim=1)
    return reconstruction, (0.5 * (mean**2 + spread**2 - 1) - spread.log()).sum(dim=1)


def gan(model: nn.Module, inputs: Tensor) -> Tensor:
    *layers, last = [part for part in model.generator if isinstance(part, nn.Linear)]
    normalisations = [part for part in model.generator if isinstance(part, nn.BatchNorm1d)]
    hidden = inputs
    for layer, norm in zip(layers, normalisations, strict=True):
        hidden = hidden @ layer.weight.T
        alone = len(hidden) == 1 or not model.training
        mean = norm.running_mean if alone else hidden.mean(dim=0)
        variance = norm.running_var if alone else hidden.var(dim=0, correction=0)
        hidden = norm.weight * (hidden - mean) / (variance + norm.eps).sqrt() + norm.bias
        hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    return linear(last, hidden).sigmoid().unflatten(1, model.image_shape)


def gan_verdict(model: nn.Module, pictures: Tensor, *, moved: bool = True) -> Tensor:
    """(B,) probabilities of being real."""
    hidden = pictures.flatten(1)
    *layers, last = [part for part in model.discriminator if isinstance(part, nn.Linear)]
    for layer in (*layers, last):
        weight, bias = (each if moved else each.detach() for each in (layer.weight, layer.bias))
        hidden = hidden @ weight.T + bias
        if layer is not last:
            hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    return hidden.sigmoid().squeeze(1)


def vae_losses(model: nn.Module, batch: Batch) -> Iterator[Tensor]:
    yield sum(vae_parts(model, batch.targets, batch.inputs)).mean()


def gan_losses(model: nn.Module, batch: Batch) -> Iterator[Tensor]:
    real = gan_verdict(model, batch.targets)
    with torch.no_grad():
        made = gan(model, batch.inputs)
    told = gan_verdict(model, made)
    yield -(0.9 * real.log() + 0.1 * (1 - real).log() + (1 - told).log()).mean()
    yield -gan_verdict(model, gan(model, batch.inputs), moved=False).log().mean()


LOSSES: dict[str, Callable[[nn.Module, Batch], Iterator[Tensor]]] = {"vae": vae_losses, "gan": gan_losses}
"""Of architectures with phases of their own: one mean loss after the other."""

TWINS: dict[str, Twin] = {
    "nbow": bag_of_words,
    "rnn": recurrent,
    "lstm": recurrent,
    "gru": recurrent,
    "attention-rnn": attention_rnn,
    "textcnn": textcnn,
    "transformer": transformer,
    "bert": bert,
    "mdlstm": mdlstm,
    "grid-lstm": grid_lstm,
    "goru": goru,
    "tcn": tcn,
    "mingru": minimal_rnn,
    "minlstm": minimal_rnn,
    "linear-attention": linear_attention,
    "s4d": s4d,
    "mamba": mamba,
    "mlp": mlp,
    "cnn": cnn,
    "vae": vae,
    "gan": gan,
}
