"""Every tagger takes several ids of a word: contracts aside, what it says, streams, costs, and where its gradient goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES, Streaming
from bench.batch import forward
from bench.jobs import Job, JobKind
from bench.passes.cost import count_on_meta
from bench.probes.gradients import gradient_ratio
from bench.records import LengthDistribution, Measure, Variant
from bench.spec import PADDED_CLASS, InputKind, OutputKind, Spec
from bench.subjects import build_subject
from bench.tasks.pos import Options, PartsOfSpeech
from tests.scripted import case

TAGGERS = [
    name
    for name in ARCHITECTURES.built_in()
    if {InputKind.TOKENS} <= ARCHITECTURES.get(name).inputs
    and OutputKind.STEP_CLASSES in ARCHITECTURES.get(name).outputs
]
SEVERAL = {"suffixes": 2, "vocabulary_size": 40}


def tagger(name: str, length: int = 12) -> tuple[nn.Module, PartsOfSpeech, Spec]:
    task = PartsOfSpeech(Options(**SEVERAL))
    architecture, spec = ARCHITECTURES.get(name), task.spec(length)
    torch.manual_seed(0)
    return architecture.build(spec, architecture.hyperparameters()).eval(), task, spec


def test_there_are_taggers() -> None:
    assert {"rnn", "lstm", "gru", "transformer", "tcn", "mingru"} <= set(TAGGERS)


@pytest.mark.parametrize("name", TAGGERS)
@torch.no_grad()
def test_vectors_of_all_ids_are_added(name: str) -> None:
    model, task, spec = tagger(name)
    inputs = task.random_batch(spec, 2, seed=1).inputs
    said = model(inputs)
    torch.testing.assert_close(model(inputs.flip(2)), said, atol=1e-5, rtol=1e-4)
    other = inputs.clone()
    other[:, 5, 2] = 2 + (inputs[:, 5, 2] - 1) % 38
    assert (model(other) - said)[:, 5].abs().max() > 1e-6


@pytest.mark.parametrize("name", TAGGERS)
@torch.no_grad()
def test_streaming_takes_several_ids_too(name: str) -> None:
    model, task, spec = tagger(name)
    assert isinstance(model, Streaming)
    inputs = task.random_batch(spec, 2, seed=1).inputs
    state = model.init_state(inputs[:, :0])
    for place in range(spec.sequence_length or 0):
        output, state = model.step(inputs[:, place], state)
        torch.testing.assert_close(output, model(inputs[:, : place + 1])[:, -1], atol=1e-5, rtol=1e-4)
    at_once, _ = model.step(inputs[:, -1], model.init_state(inputs[:, :-1]))
    torch.testing.assert_close(at_once, output, atol=1e-5, rtol=1e-4)


# goru looks its steps up in another order, so that its embedding is not found
@pytest.mark.parametrize("name", [name for name in TAGGERS if name != "goru"])
def test_the_gradient_ratio_is_over_positions(name: str) -> None:
    model, task, spec = tagger(name)
    assert 0 < gradient_ratio(model, task, spec) < 100


def test_the_gradient_ratio_of_several_ids_is_that_of_their_sum() -> None:
    class OneWeightAPlace(nn.Module):
        """Logits of a place weighed by the place's number plus one."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(40, 16)

        def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
            weight_L1 = torch.arange(1, inputs.shape[1] + 1, dtype=torch.float64)[:, None]
            return self.table(inputs).sum(2) * 1e-6 * weight_L1

    task = PartsOfSpeech(Options(**SEVERAL))
    assert gradient_ratio(OneWeightAPlace(), task, task.spec(5)) == pytest.approx(1 / 5, rel=1e-3)


@pytest.mark.parametrize("name", ["gru", "tcn", "transformer"])
def test_adding_vectors_costs_no_products(name: str) -> None:
    def flops(**options: Any) -> int:
        timed = replace(
            case(name, variant=Variant(architecture=name, label=name, hyperparameters={}), sequence_length=9),
            task="pos",
            task_options=options,
        )
        job = Job(kind=JobKind.PASS, case=timed, measure=Measure(), seed=0)
        counted, _ = count_on_meta(job)
        return counted.flops

    assert flops(suffixes=3) == flops() > 0


@pytest.mark.parametrize("options", [{}, {"suffixes": 2}], ids=str)
def test_rows_of_several_lengths_have_no_tags_where_they_are_padded(options: dict[str, Any]) -> None:
    timed = replace(
        case("gru", variant=Variant(architecture="gru", label="gru", hyperparameters={"bidirectional": True})),
        workload="training",
        task="pos",
        task_options=options,
        sequence_length=20,
        batch_size=6,
        length_distribution=LengthDistribution.UNIFORM,
    )
    subject = build_subject(Job(kind=JobKind.TRIAL, case=timed, measure=Measure(), seed=0), seed=0)
    for batch in subject.batches:
        assert batch.lengths is not None
        padding = torch.arange(batch.inputs.shape[1]) >= batch.lengths[:, None]
        assert padding.any()
        assert batch.targets is not None
        assert torch.equal(batch.targets == PADDED_CLASS, padding)
        assert torch.equal((batch.inputs == 0).reshape(*padding.shape, -1).all(dim=2), padding)
        assert batch.tokens == padding.numel()
        loss = subject.task.loss(forward(subject.model, batch, subject.spec), batch)
        assert loss.isfinite()
