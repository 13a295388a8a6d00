"""How much of the gradient comes back to the first step: against closed forms, and what is known of recurrent cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures.foreign import lookup
from bench.batch import Batch
from bench.errors import NotMeasuredError
from bench.jobs import Job, JobKind
from bench.options import fill
from bench.passes import split
from bench.probes.gradients import gradient_ratio
from bench.quantity import METRICS, Unit, format_value
from bench.records import Measure, PassKind, Variant
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import TASKS, Task
from bench.tasks.classification import Classification, random_targets
from tests.scripted import case


def task(name: str = "imdb") -> Task:
    kind = TASKS.get(name)
    options, problems = fill(kind.options, {})
    assert not problems
    return kind.make(options)


def ratio(name: str, length: int, **options: Any) -> float:
    architecture, spec = lookup(name, Path()), task().spec(length)
    torch.manual_seed(0)
    return gradient_ratio(architecture.build(spec, architecture.hyperparameters(**options)), task(), spec)


# ── closed forms ───────────────────────────────────────────────────────────────────────────────────────────────────


class Leaky(nn.Module):
    """A state that loses a share of itself at every step and adds the word: (B, L) tokens to (B, C) logits."""

    def __init__(self, keeps: float, classes: int = 2) -> None:
        super().__init__()
        self.keeps = keeps
        self.table = nn.Embedding(20_000, 3)
        self.classifier = nn.Linear(3, classes)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        state = torch.zeros_like(self.table.weight[0])
        for word in self.table(inputs).unbind(1):
            state = self.keeps * state + word
        return self.classifier(state)


@pytest.mark.parametrize("length", [1, 2, 10, 300])
@pytest.mark.parametrize("keeps", [1.0, 0.5, 0.1, 1.01])
def test_of_a_leaky_sum_it_is_what_is_kept_to_the_power_of_the_steps_between(keeps: float, length: int) -> None:
    torch.manual_seed(0)
    # .1 to the 299th lies far below what fp32 can hold
    found = gradient_ratio(Leaky(keeps), task(), task().spec(length))
    assert found == pytest.approx(keeps ** (length - 1), rel=1e-9)


def test_a_bag_of_words_loses_nothing() -> None:
    assert ratio("nbow", 200) == pytest.approx(1, rel=1e-9)


def test_dropout_plays_no_part_and_the_model_stays_as_it_was() -> None:
    architecture, spec = lookup("gru", Path()), task().spec(20)
    model = architecture.build(spec, architecture.hyperparameters(dropout=0.9, num_layers=2)).train()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    generator = torch.get_rng_state()
    assert gradient_ratio(model, task(), spec) == gradient_ratio(model, task(), spec)
    assert torch.equal(torch.get_rng_state(), generator)
    assert model.training
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    assert {values.dtype for values in model.state_dict().values()} == {torch.float32}
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


# ── what is known of recurrent cells ───────────────────────────────────────────────────────────────────────────────


def test_the_gradient_of_a_plain_rnn_dies() -> None:
    assert ratio("rnn", 60) < 1e-6


def test_one_forget_bias_carries_it_further_and_no_forget_gate_all_the_way() -> None:
    plain, without_bias, with_bias = ratio("rnn", 60), ratio("lstm", 60, forget_bias=0.0), ratio("lstm", 60)
    never, identity = ratio("lstm", 60, forget_gate=False), ratio("rnn", 60, nonlinearity="relu", init="identity")
    assert plain < without_bias < with_bias < never
    assert with_bias > 1e3 * plain
    assert 0.1 < never < 10
    assert 0.1 < identity < 10


def test_attention_and_pooling_are_a_short_way_back() -> None:
    assert ratio("attention-rnn", 60, cell="rnn") > 1e3 * ratio("rnn", 60)
    assert 0.1 < ratio("transformer", 60) < 10


# ── vectors ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Signals(Classification):
    """Made vectors, to be told apart."""

    name = "signals"
    length_axis = LengthAxis.FREE
    chance = 0.5
    folds = 0

    @property
    def class_count(self) -> int:
        return 2

    def spec(self, sequence_length: int | None) -> Spec:
        return Spec(
            inputs=InputKind.VECTORS,
            outputs=OutputKind.CLASSES,
            sequence_length=sequence_length,
            input_size=32,
            classes=2,
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(batch_size, spec.sequence_length or 1, 32, generator=generator)
        return Batch(inputs=inputs, targets=random_targets(spec, batch_size, generator), items=batch_size)


SIGNALS: Any = Signals()


class Last(nn.Module):
    """torch's RNN on vectors as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.RNN(32, 128, batch_first=True)
        self.classifier = nn.Linear(128, 2)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.classifier(self.recurrent(inputs)[0][:, -1])


@pytest.mark.parametrize(("length", "known"), [(10, 2.4e-3), (30, 8.5e-9)])
def test_of_unit_normal_vectors_it_is_what_the_catalogue_says(length: int, known: float) -> None:
    torch.manual_seed(0)
    found = gradient_ratio(Last(), SIGNALS, SIGNALS.spec(length))
    assert known / 5 < found < 5 * known


def test_of_vectors_it_is_the_gradient_of_the_vectors_themselves() -> None:
    class LeakySignals(Leaky):
        def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
            state = torch.zeros_like(inputs[:, 0])
            for word in inputs.unbind(1):
                state = self.keeps * state + word
            return self.classifier(state[:, :3])

    assert gradient_ratio(LeakySignals(0.5), SIGNALS, SIGNALS.spec(100)) == pytest.approx(0.5**99, rel=1e-9)


# ── what has none ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_has_no_ratio_says_why() -> None:
    class OneHot(Leaky):
        def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
            return self.classifier(
                functional.one_hot(inputs, 20_000).to(self.table.weight.dtype)[:, 0] @ self.table.weight
            )

    class FirstWord(Leaky):
        def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
            return self.classifier(self.table(inputs)[:, 0])

    spec = task().spec(8)
    with pytest.raises(NotMeasuredError, match=r"no nn\.Embedding reads the tokens"):
        gradient_ratio(OneHot(1.0), task(), spec)
    with pytest.raises(NotMeasuredError, match="no gradient comes to the last step"):
        gradient_ratio(FirstWord(1.0), task(), spec)
    tabular = task("tabular")
    with pytest.raises(NotMeasuredError, match="task 'tabular': its items are features, which have no first"):
        gradient_ratio(nn.Linear(30, 2), tabular, tabular.spec(None))


# ── in the pass over the parts of a step ───────────────────────────────────────────────────────────────────────────

QUICK = Measure(warmup_s=0.01, warmup_calls=1, warmup_cap_s=0.05, trial_s=0.01, samples=2)


def job(name: str, folder: Path = Path(), **more: Any) -> Job:
    variant = Variant(architecture=name, label=name, hyperparameters={})
    made = case(name, workload="training", variant=variant, batch_size=2, **more)
    return Job(kind=JobKind.PASS, case=made, measure=QUICK, passing=PassKind.SPLIT, folder=str(folder), seed=0)


def test_the_pass_tells_it_of_an_untrained_model() -> None:
    found = split.observe(job("rnn", sequence_length=60))
    assert set(found.samples_s) == {"forward", "backward", "optimizer"}
    assert found.values == {"gradient_ratio": ratio("rnn", 60)}
    assert found.reasons == {}
    assert "gradient_ratio" in METRICS


def test_the_pass_over_items_without_steps_has_none() -> None:
    found = split.observe(job("mlp", task="tabular", sequence_length=None))
    assert found.values == found.reasons == {}


def test_a_model_that_cannot_tell_is_measured_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(
        "import torch\n"
        "class FirstWord(torch.nn.Module):\n"
        "    def __init__(self, vocab_size, num_classes):\n"
        "        super().__init__()\n"
        "        self.table = torch.nn.Embedding(vocab_size, num_classes)\n"
        "    def forward(self, inputs):\n"
        "        return self.table(inputs)[:, 0]\n"
    )
    found = split.observe(job("models.py:FirstWord", tmp_path, sequence_length=8))
    assert found.samples_s["forward"]
    assert found.values == {"gradient_ratio": None}
    assert found.reasons["gradient_ratio"].startswith("it has no gradient ratio: NotMeasuredError: no gradient comes")


def test_small_ratios_are_written_with_an_exponent() -> None:
    assert format_value(8.49e-9, Unit.NUMBER) == "8.5e-09"
    assert format_value(1.2e-3, Unit.NUMBER) == "0.00120"
    assert format_value(0.0, Unit.NUMBER) == "0"
