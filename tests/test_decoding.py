"""Decoding: with what was kept and without, greedy and with a beam, alone and among others, it is one answer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from fakes import Reverse
from made_captions import Captions
from made_writers import (
    ITEMS,
    TEXTS,
    VARIANTS,
    alone,
    difference,
    items,
    logits,
    spec_of,
    target_rows,
    writer,
)
from scripted import case
from torch import Tensor, nn

from bench.architectures import Decoder, State
from bench.architectures.decoding import beam_search, greedy, shifted
from bench.errors import ModelError
from bench.jobs import Job, JobKind
from bench.passes.cost import count_on_meta
from bench.records import Measure, PassKind, Variant
from bench.spec import END_ID, FIRST_TARGET_ID, START_ID, TARGET_PADDING_ID
from bench.tasks.target_tokens import without_end

LIMIT = TEXTS.target_length or 0
IDS = TEXTS.target_vocabulary_size or 0
each_variant = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
one_of_each = pytest.mark.parametrize(
    ("name", "options"), [next(one for one in VARIANTS if one[0] == name) for name in dict(VARIANTS)], ids=str
)


def test_a_decoder_reads_the_start_and_each_target_but_the_last() -> None:
    assert shifted(torch.tensor([[7, 8, END_ID], [9, END_ID, 0]])).tolist() == [[START_ID, 7, 8], [START_ID, 9, END_ID]]
    assert shifted(torch.tensor([[END_ID]])).tolist() == [[START_ID]]


# ── one token at a time ────────────────────────────────────────────────────────────────────────────────────────────


@each_variant
@torch.no_grad()
def test_token_by_token_it_says_what_it_says_of_all_at_once(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths), targets = writer(name, **options), items(name), target_rows()
    assert isinstance(model, Decoder)
    together, state = logits(model, name, inputs, lengths, targets), model.start(inputs, lengths)
    for place, tokens in enumerate(shifted(targets).unbind(1)):
        said, state = model.next(tokens, state)
        assert difference(said, together[:, place]) <= 1e-10


def uncached(model: nn.Module, name: str, inputs: Tensor, lengths: Tensor | None) -> list[list[int]]:
    """Each row until its end, from all of its tokens so far, read again for each new one."""
    rows: list[list[int]] = [[] for _ in inputs]
    for place in range(LIMIT):
        so_far = torch.tensor([row + [0] * (place + 1 - len(row)) for row in rows])
        said = logits(model, name, inputs, lengths, so_far)[:, place].argmax(dim=1).tolist()
        for row, token in zip(rows, said, strict=True):
            row.extend([] if END_ID in row else [token])
    return rows


def trimmed(written: Tensor) -> list[list[int]]:
    """Each row up to its end; what stands behind that is padding."""
    rows = []
    for row in written.tolist():
        length = row.index(END_ID) + 1 if END_ID in row else len(row)
        assert not any(row[length:])
        rows.append(row[:length])
    return rows


@each_variant
@torch.no_grad()
def test_cached_decoding_writes_what_uncached_does(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths) = writer(name, **options), items(name)
    written = trimmed(greedy(model, inputs, lengths, LIMIT))
    assert written == uncached(model, name, inputs, lengths)
    first_BV = logits(model, name, inputs, lengths, target_rows())[:, 0]
    assert (first_BV[1:] - first_BV[0]).abs().amax(dim=1).min() > 1e-3  # it tells items apart


@each_variant
@torch.no_grad()
def test_future_target_tokens_change_nothing(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths), targets = writer(name, **options), items(name), target_rows()
    before = logits(model, name, inputs, lengths, targets)
    for place in range(LIMIT):
        other = targets.clone()
        other[:, place:] = (other[:, place:] + 1) % IDS
        after = logits(model, name, inputs, lengths, other)
        assert difference(before[:, : place + 1], after[:, : place + 1]) <= 1e-12
        assert place + 1 == LIMIT or difference(before[:, place + 1], after[:, place + 1]) > 1e-6


@each_variant
@torch.no_grad()
def test_padded_targets_are_answered_as_bare_ones(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths), targets = writer(name, **options), items(name), target_rows()
    short = logits(model, name, inputs, lengths, targets[:, :3])
    padded = torch.cat([targets[:, :3], torch.zeros_like(targets[:, 3:])], dim=1)
    assert difference(logits(model, name, inputs, lengths, padded)[:, :3], short) <= 1e-12


@each_variant
@pytest.mark.parametrize("beam", [1, 3])
@torch.no_grad()
def test_padding_and_neighbours_change_nothing_of_what_is_written(
    name: str, options: dict[str, Any], beam: int
) -> None:
    model, (inputs, lengths) = writer(name, **options), items(name)

    def written(some: Tensor, of_lengths: Tensor | None) -> list[list[int]]:
        if beam == 1:
            return trimmed(greedy(model, some, of_lengths, LIMIT))
        return trimmed(beam_search(model, some, of_lengths, LIMIT, beam))

    together = written(inputs, lengths)
    for place in range(ITEMS):
        assert written(alone(inputs, lengths, place), None) == [together[place]]
    if lengths is not None:
        longest = int(lengths.max())
        places = [place for place, length in enumerate(lengths.tolist()) if length < longest]
        assert written(inputs[places, : longest - 1], lengths[places]) == [together[place] for place in places]


@each_variant
@torch.no_grad()
def test_full_rows_without_lengths_are_the_same_as_with_them(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths), targets = writer(name, **options), items(name), target_rows()
    if lengths is not None:
        full = torch.full_like(lengths, inputs.shape[1])
        with_lengths = logits(model, name, inputs, full, targets)
        assert difference(logits(model, name, inputs, None, targets), with_lengths) <= 1e-12


# ── states ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_variant
@torch.no_grad()
def test_states_have_items_first_and_are_never_changed(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths), targets = writer(name, **options), items(name), target_rows()
    state: State = model.start(inputs, lengths)
    order = torch.tensor([3, 0, 0, 4, 2, 1])
    for tokens in targets.unbind(1):
        kept = [one.clone() for one in state]
        said, after = model.next(tokens, state)
        assert all(torch.equal(one, other) for one, other in zip(kept, state, strict=True))
        assert [len(one) for one in after] == [ITEMS] * len(state)
        chosen, _ = model.next(tokens[order], tuple(one.index_select(0, order) for one in state))
        assert difference(chosen, said[order]) <= 1e-12
        state = after


READ_ONCE = {
    "rnn-seq2seq": ("encoder", "decoder.bridge", "decoder.score.key"),
    "transformer-seq2seq": ("entrance", "layers.0", "decoder.layers.0.key_value"),
    "cnn-rnn": ("encoder", "decoder.bridge", "decoder.score.key"),
    "cnn-transformer": ("encoder", "decoder.layers.0.key_value"),
}
WRITES = {"rnn": ("decoder.recurrent", "decoder.classifier"), "transformer": ("decoder.layers.0.own.query_key_value",)}


@one_of_each
@torch.no_grad()
def test_the_input_is_read_and_projected_once_and_each_token_computed_once(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths) = writer(name, **options), items(name)
    once, writes = READ_ONCE[name], WRITES["rnn" if "rnn" in name else "transformer"]
    seen: dict[str, list[Any]] = {part: [] for part in (*once, *writes)}
    for part, given in seen.items():
        model.get_submodule(part).register_forward_pre_hook(lambda _, one, given=given: given.append(one[0]))
    greedy(model, inputs, lengths, 5, stop=False)
    assert {part: len(seen[part]) for part in once} == dict.fromkeys(once, 1)
    assert {part: [one.shape[:2] for one in seen[part]] for part in writes} == dict.fromkeys(writes, [(ITEMS, 1)] * 5)


@torch.no_grad()
def test_a_transformer_writes_no_further_than_its_positions() -> None:
    model, (inputs, lengths) = writer("transformer-seq2seq"), items("transformer-seq2seq")
    assert greedy(model, inputs, lengths, LIMIT, stop=False).shape == (ITEMS, LIMIT)
    with pytest.raises(
        ModelError, match=f"position {LIMIT + 1} of a Transformer that was built for {LIMIT}; ask for fewer"
    ):
        greedy(model, inputs, lengths, LIMIT + 1, stop=False)
    for name, options in (("transformer-seq2seq", {"positions": "none"}), ("rnn-seq2seq", {})):
        assert greedy(writer(name, **options), inputs, lengths, 20, stop=False).shape == (ITEMS, 20)


# ── beams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Chain:
    """A decoder that knows only its last token: the likelihood of each next one is a row of a table."""

    def __init__(self, table: dict[int, dict[int, float]], ids: int = 7) -> None:
        self.log_VV = torch.full((ids, ids), -50.0)
        for before, row in table.items():
            for after, likelihood in row.items():
                self.log_VV[before, after] = torch.tensor(likelihood).log()

    def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:
        return (inputs,)

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return self.log_VV[tokens], state


A, B = FIRST_TARGET_ID, FIRST_TARGET_ID + 1


def test_greedy_stops_with_the_last_row_and_pads_those_before() -> None:
    chain = Chain({START_ID: {A: 0.9, END_ID: 0.1}, A: {END_ID: 0.9, A: 0.1}, END_ID: {B: 1.0}, 0: {B: 1.0}})
    inputs, marks = torch.zeros(2, 1), []  # type: ignore[var-annotated]
    assert greedy(chain, inputs, None, 9, mark=marks.append).tolist() == [[A, END_ID]] * 2
    assert marks == ["first_token", "token"]
    # what must always be the same work goes on after an end
    assert greedy(chain, inputs, None, 3, stop=False).tolist() == [[A, END_ID, B]] * 2

    class Two(Chain):
        def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:
            return (torch.tensor([0.0, -100.0]),)

        def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
            said = self.log_VV[tokens].clone()
            said[:, END_ID] += state[0]  # the second item never ends
            return said, state

    assert greedy(Two(chain_table()), inputs, None, 4).tolist() == [[A, END_ID, 0, 0], [A, A, A, A]]


def chain_table() -> dict[int, dict[int, float]]:
    return {START_ID: {A: 1.0}, A: {END_ID: 0.9, A: 0.1}}


def test_a_row_that_has_ended_keeps_its_place_and_the_mean_decides() -> None:
    # by its sum the row that ends at once is the best to the last; by its mean the longer one is
    table = {START_ID: {END_ID: 0.5, A: 0.45}, A: {B: 0.8, A: 0.2}, B: {END_ID: 0.9, B: 0.1}}
    inputs = torch.zeros(1, 1)
    assert greedy(Chain(table), inputs, None, 3).tolist() == [[END_ID]]
    assert beam_search(Chain(table), inputs, None, 3, 2).tolist() == [[A, B, END_ID]]
    # where going on pays less a token, what ended first is the answer, and is padded
    worse = table | {A: {B: 0.3, A: 0.3}, B: {END_ID: 0.3, B: 0.3}}
    assert beam_search(Chain(worse), inputs, None, 3, 2).tolist() == [[END_ID, TARGET_PADDING_ID, TARGET_PADDING_ID]]
    assert without_end([END_ID, TARGET_PADDING_ID, TARGET_PADDING_ID]) == []
    # all rows ended: nothing more is written
    short = {START_ID: {A: 0.6, END_ID: 0.4}, A: {END_ID: 1.0}}
    assert beam_search(Chain(short), inputs, None, 9, 2).shape == (1, 2)


@each_variant
@torch.no_grad()
def test_a_beam_of_one_is_greedy(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths) = writer(name, **options), items(name)
    assert torch.equal(beam_search(model, inputs, lengths, LIMIT, 1), greedy(model, inputs, lengths, LIMIT))


class Scored:
    """Sums of log-likelihoods of sequences of one item, each from a whole forward of its own."""

    def __init__(self, model: nn.Module, name: str, row: Tensor) -> None:
        self.model, self.name, self.row = model, name, row

    def sums(self, sequences: list[tuple[int, ...]]) -> list[float]:
        found = []
        for tokens in sequences:
            targets = torch.tensor([tokens])
            said = logits(self.model, self.name, self.row, None, targets)[0].log_softmax(dim=1)
            found.append(sum(float(said[place, token]) for place, token in enumerate(tokens)))
        return found


def silent_padding(model: Any) -> Any:
    """It never writes padding by itself."""
    with torch.no_grad():
        model.decoder.classifier.bias[TARGET_PADDING_ID] = -1e4
    return model


@one_of_each
@torch.no_grad()
def test_a_beam_that_holds_everything_finds_the_best_of_everything(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths) = silent_padding(writer(name, **options)), items(name)
    ids, limit = range(1, IDS), 3
    every = [
        row
        for length in range(1, limit + 1)
        for row in itertools.product(ids, repeat=length)
        if END_ID not in row[:-1] and (length == limit or row[-1] == END_ID)
    ]
    written = trimmed(beam_search(model, inputs, lengths, limit, IDS**limit))
    for place in range(ITEMS):
        sums = Scored(model, name, alone(inputs, lengths, place)).sums(every)
        best = max(range(len(every)), key=lambda one: sums[one] / len(every[one]))
        assert written[place] == list(every[best])


@one_of_each
@pytest.mark.parametrize("beam", [2, 3])
@torch.no_grad()
def test_a_narrow_beam_is_the_plain_one(name: str, options: dict[str, Any], beam: int) -> None:
    model, (inputs, lengths) = silent_padding(writer(name, **options)), items(name)
    written = trimmed(beam_search(model, inputs, lengths, 4, beam))
    for place in range(ITEMS):
        scored, rows = Scored(model, name, alone(inputs, lengths, place)), [()]
        for _ in range(4):
            longer = [row for row in rows if row[-1:] == (END_ID,)]
            longer += [(*row, token) for row in rows if row[-1:] != (END_ID,) for token in range(1, IDS)]
            sums = dict(zip(longer, scored.sums(longer), strict=True))
            rows = sorted(longer, key=lambda row, sums=sums: -sums[row])[:beam]
        best = max(zip(rows, scored.sums(rows), strict=True), key=lambda one: one[1] / len(one[0]))[0]
        assert written[place] == list(best)


# ── cost, and precision ────────────────────────────────────────────────────────────────────────────────────────────


@one_of_each
def test_writing_costs_what_teacher_forcing_does_less_what_is_not_yet_there(name: str, options: dict[str, Any]) -> None:
    variant = Variant(architecture=name, label=name, hyperparameters=options)
    pictures = spec_of(name) is not TEXTS
    task = (
        {"task": Captions.name, "sequence_length": None} if pictures else {"task": Reverse.name, "sequence_length": 5}
    )
    tokens, rows = Captions.row + 1 if pictures else 6, 3
    counted = {}
    for workload, more in (("inference", {}), ("decode", {"new_tokens": tokens})):
        one = case(name, workload=workload, variant=variant, batch_size=rows, **task, **more)
        counted[workload], _ = count_on_meta(Job(kind=JobKind.PASS, case=one, measure=Measure(), passing=PassKind.COST))
        assert counted[workload].uncounted == ()
    saved = 0
    if (
        "transformer" in name
    ):  # a token looks at those before it, where all at once compute the others and leave them out
        unseen = tokens**2 - tokens * (tokens + 1) // 2
        saved = options["num_layers"] * rows * unseen * 4 * options["embedding_dim"]
    assert counted["decode"].flops == counted["inference"].flops - saved > 0


@each_variant
@torch.inference_mode()
def test_it_writes_in_bf16(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths) = writer(name, **options).bfloat16(), items(name)
    inputs = inputs.bfloat16() if inputs.is_floating_point() else inputs
    said, _ = model.next(torch.full((ITEMS,), START_ID), model.start(inputs, lengths))
    assert said.dtype == torch.bfloat16
    together = logits(model, name, inputs, lengths, target_rows())[:, 0]
    assert difference(said.float(), together.float()) <= 0.05 * together.float().abs().max().item()
    for written in (greedy(model, inputs, lengths, LIMIT), beam_search(model, inputs, lengths, LIMIT, 2)):
        assert written.shape[0] == ITEMS
        assert 0 <= written.min() <= written.max() < IDS


@each_variant
def test_it_trains_under_autocast(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths) = writer(name, **options).float(), items(name)
    inputs = inputs.float() if inputs.is_floating_point() else inputs
    with torch.autocast("cpu", torch.bfloat16):
        said = logits(model, name, inputs, lengths, target_rows())
        loss = nn.functional.cross_entropy(said.float().flatten(0, 1), target_rows().flatten())
    loss.backward()
    for part, parameter in model.named_parameters():
        assert parameter.grad is not None, part
        assert parameter.grad.isfinite().all(), part
