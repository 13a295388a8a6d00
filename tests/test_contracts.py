"""Every built-in is right on every task it supports, and every contract is seen to fail on a broken twin."""

from __future__ import annotations

import dataclasses
from typing import Any

import fakes
import pytest
import torch
from made_captions import Captions
from made_run import made_run
from torch import Tensor, nn

from bench import frames
from bench.architectures import ARCHITECTURES, Architecture, State
from bench.architectures.decoding import shifted
from bench.contracts import CONTRACTS, check
from bench.errors import ModelError
from bench.options import fill
from bench.quantity import Better
from bench.spec import LengthAxis, Spec
from bench.tasks import TASKS, Task

ONE_DIRECTION: list[dict[str, Any]] = [
    {},
    {"num_layers": 2},
    {"num_layers": 3, "bidirectional": True, "hidden_dim": 24},
]
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "tcn": [{}, {"num_layers": 2, "hidden_dim": 24, "kernel_size": 2}, {"num_layers": 7, "dropout": 0.0}],
    "mingru": [{}, {"num_layers": 1}, {"num_layers": 3, "hidden_dim": 31}],
    "minlstm": [{}, {"num_layers": 1}, {"num_layers": 3, "hidden_dim": 31}],
    "linear-attention": [{}, {"positions": "sinusoidal"}, {"positions": "none", "num_layers": 1, "num_heads": 2}],
    "goru": [{}, {"rotations": 3}, {"num_layers": 2, "hidden_dim": 31, "rotations": 4}],
    "s4d": [{}, {"num_layers": 1, "state_dim": 6, "embedding_dim": 9}],
    "mamba": [{}, {"num_layers": 1, "state_dim": 3, "embedding_dim": 9}],
    "nbow": [{}, {"dropout": 0.0}],
    "rnn": [*ONE_DIRECTION, {"nonlinearity": "relu", "init": "identity", "num_layers": 2, "bidirectional": True}],
    "lstm": [
        *ONE_DIRECTION,
        {"bidirectional": True, "forget_bias": 0.0},
        *({"forget_gate": False, **options} for options in ONE_DIRECTION),
    ],
    "attention-rnn": [
        *ONE_DIRECTION,
        {"cell": "gru", "score": "dot", "window": 3},
        {"cell": "rnn", "window": 9, "bidirectional": True},
    ],
    "gru": ONE_DIRECTION,
    "textcnn": [{}, {"kernel_sizes": (1, 9), "num_filters": 7}],
    "transformer": [
        {},
        {"positions": "sinusoidal"},
        {"positions": "none", "num_layers": 1},
        {"pooling": "cls", "num_heads": 2},
        {"pooling": "cls", "positions": "none"},
    ],
    "bert": [{}, {"size": "mini", "dropout": 0.0}],
    "mdlstm": [{}, {"directions": 1}, {"patch": 3, "hidden_dim": 7}],
    "grid-lstm": [{}, {"num_layers": 1}, {"num_layers": 3, "tied": True}],
    "mlp": [{}, {"num_layers": 3, "hidden_dim": 20}],
    "cnn": [{}, {"num_filters": 6}],
    "rnn-seq2seq": [
        {},
        {"cell": "lstm", "attention": "dot", "num_layers": 2},
        {"cell": "rnn", "attention": "none", "bidirectional": False},
    ],
    "transformer-seq2seq": [
        {},
        {"positions": "sinusoidal", "num_layers": 1},
        {"positions": "none", "num_heads": 2},
    ],
    "cnn-rnn": [{}, {"cell": "lstm", "attention": "none", "num_layers": 2}, {"cell": "rnn", "attention": "dot"}],
    "cnn-transformer": [{}, {"positions": "none", "num_layers": 1, "num_filters": 6}],
    "vae": [{}, {"hidden_dim": 31}],
    "gan": [{}, {"hidden_dim": 7, "dropout": 0.0}],
}


def made_task(name: str, tmp_path: Any, **given: Any) -> Task:
    """The task with these options, and a file where it cannot be without one."""
    kind = TASKS.get(name)
    if asked := [name for name in kind.asked_paths if required(kind.options, name)]:
        file = tmp_path / "texts.csv"
        lines = [f"{word} word {place},{word}\n" for place in range(20) for word in ("good", "bad")]
        file.write_text("text,label\n" + "".join(lines))
        given |= dict.fromkeys(asked, str(file))
    options, problems = fill(kind.options, given)
    assert not problems
    return kind.make(options)


def required(options: type[Any], name: str) -> bool:
    return any(field.name == name and field.default is dataclasses.MISSING for field in dataclasses.fields(options))


def spec_of(task: Task) -> Spec:
    return task.spec(64 if task.length_axis is LengthAxis.FREE else None)


def test_every_built_in_has_its_variants_here() -> None:
    assert sorted(VARIANTS) == ARCHITECTURES.built_in()


@pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name, many in VARIANTS.items() for options in many], ids=str
)
def test_built_ins_are_right_on_every_task_they_support(name: str, options: dict[str, Any], tmp_path: Any) -> None:
    architecture = ARCHITECTURES.get(name)
    hyperparameters, problems = fill(architecture.hyperparameters, options)
    assert not problems
    supported = 0
    several: list[tuple[str, dict[str, Any]]] = [("pos", {"suffixes": 2})]  # ids of each position
    for task_name, given in [*((one, {}) for one in (*TASKS.built_in(), fakes.Reverse.name, Captions.name)), *several]:
        task = made_task(task_name, tmp_path, **given)
        spec = spec_of(task)
        if architecture.supports(spec):
            assert check(architecture, task, spec, hyperparameters) == {}
            supported += 1
    assert supported


@pytest.mark.parametrize("name", TASKS.built_in())
def test_metrics_of_every_task_stand_in_the_tidy_table_with_unit_and_direction(name: str, tmp_path: Any) -> None:
    task = made_task(name, tmp_path)
    assert task.headline in [metric.name for metric in task.metrics]
    run, results = made_run(("lstm",), (64,))
    (result,) = [result for result in results if result.fits]
    found = {metric.name: 0.5 for metric in task.metrics}
    fits = tuple(dataclasses.replace(fit, metrics=found, correct=None) for fit in result.fits)
    rows = {row["metric"]: row for row in frames.rows(run, [dataclasses.replace(result, fits=fits)])}
    for metric in task.metrics:
        row = rows[metric.name]
        assert (row["value"], row["unit"], row["better"]) == (0.5, metric.unit.value, metric.better.value)
        assert metric.better is not Better.NEITHER


def test_phases_and_decoders_are_judged_by_their_own_training_step(tmp_path: Any) -> None:
    reverse = fakes.Reverse(fakes.ReverseOptions())
    decoder = ARCHITECTURES.get("fake-decoder")
    assert check(decoder, reverse, reverse.spec(9), decoder.hyperparameters()) == {}
    tabular = made_task("tabular", tmp_path)
    two_phase = ARCHITECTURES.get("fake-two-phase")
    assert check(two_phase, tabular, spec_of(tabular), two_phase.hyperparameters()) == {}
    # by the task's loss alone nothing would reach the discriminator
    one_phase = dataclasses.replace(two_phase, phases=None)
    assert list(check(one_phase, tabular, spec_of(tabular), two_phase.hyperparameters())) == ["gradients"]


# ── broken twins ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def imdb(tmp_path: Any) -> Task:
    return made_task("imdb", tmp_path)


def red(architecture: Architecture, task: Task, length: int = 64) -> dict[str, str]:
    return check(architecture, task, task.spec(length), fakes.NoHyperparameters())


def test_the_right_twin_is_green(imdb: Task) -> None:
    assert red(fakes.RIGHT, imdb) == {}


def test_every_contract_has_a_broken_twin() -> None:
    assert list(fakes.BROKEN) == sorted(fakes.BROKEN, key=list(CONTRACTS).index)
    assert set(fakes.BROKEN).union(*(names for _, names in fakes.BROKEN_DECODERS)) == set(CONTRACTS)


@pytest.mark.parametrize(("broken", "names"), fakes.BROKEN_DECODERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_decoder_is_red(broken: Any, names: list[str]) -> None:
    reverse, decoder = fakes.Reverse(fakes.ReverseOptions()), ARCHITECTURES.get("fake-decoder")
    twin = dataclasses.replace(decoder, build=broken)
    assert list(check(twin, reverse, reverse.spec(9), decoder.hyperparameters())) == names


def test_what_reads_padding_when_it_writes_by_itself_is_red() -> None:
    class ReadsPadding(fakes.FakeDecoder):
        def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:
            return super().start(inputs)

        def forward(self, inputs: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
            state, logits = fakes.FakeDecoder.start(self, inputs, lengths), []
            for token_B in shifted(targets).unbind(dim=1):
                answer, state = self.next(token_B, state)
                logits.append(answer)
            return torch.stack(logits, dim=1)

    reverse, decoder = fakes.Reverse(fakes.ReverseOptions()), ARCHITECTURES.get("fake-decoder")
    twin = dataclasses.replace(decoder, build=ReadsPadding)
    found = check(twin, reverse, reverse.spec(9), decoder.hyperparameters())
    assert list(found) == ["decoding"]
    assert "of padded texts alone is answered differently" in found["decoding"]


def test_what_cannot_write_by_itself_is_red() -> None:
    class OnlyForced(nn.Module):
        def __init__(self, *settings: Any) -> None:
            super().__init__()
            self.inner = fakes.FakeDecoder(*settings)

        def forward(self, *inputs: Tensor) -> Tensor:
            return self.inner(*inputs)

    reverse, decoder = fakes.Reverse(fakes.ReverseOptions()), ARCHITECTURES.get("fake-decoder")
    found = check(dataclasses.replace(decoder, build=OnlyForced), reverse, reverse.spec(9), decoder.hyperparameters())
    assert found == {"decoding": "it has no start and next, so nothing can be written with it"}


@pytest.mark.parametrize(
    ("contract", "twin"),
    [(contract, twin) for contract, twins in fakes.BROKEN.items() for twin in twins],
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.parametrize("length", [20, 64])
def test_a_broken_twin_turns_its_contract_red_and_no_other(
    contract: str, twin: Architecture, length: int, imdb: Task
) -> None:
    assert list(red(twin, imdb, length)) == [contract]


def test_neighbours_matter_to_items_without_a_length_too(tmp_path: Any) -> None:
    class Leaks(nn.Module):
        def __init__(self, spec: Spec) -> None:
            super().__init__()
            self.classifier = nn.Linear(spec.input_size or 0, spec.classes or 0)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.classifier(inputs - inputs.mean(dim=0))

    tabular = made_task("tabular", tmp_path)
    assert list(check(fakes.fake_architecture(Leaks), tabular, spec_of(tabular), None)) == ["rows"]


def test_what_starts_at_zero_is_not_mistaken_for_unused(imdb: Task) -> None:
    class StartsAtZero(fakes.Right):
        def __init__(self, spec: Spec) -> None:
            super().__init__(spec)
            nn.init.zeros_(self.classifier.weight)

    assert red(fakes.fake_architecture(StartsAtZero), imdb) == {}


def test_a_red_contract_says_what_is_wrong(imdb: Task) -> None:
    (unused, _), (last,), (values,) = (fakes.BROKEN[name] for name in ("gradients", "padding", "meta"))
    assert red(unused, imdb)["gradients"] == "no gradient reaches forgotten.weight, forgotten.bias"
    assert "a text of 1 padded to" in red(last, imdb)["padding"]
    assert red(values, imdb)["meta"].startswith("raised RuntimeError: ")


# ── models that cannot be judged at all ────────────────────────────────────────────────────────────────────────────


def test_a_model_that_does_not_run_is_one_sentence(imdb: Task) -> None:
    class Raises(fakes.Right):
        def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
            raise RuntimeError("no such thing")

    class OneLogit(fakes.Right):
        def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
            return super().forward(inputs, lengths)[:, :1]

    with pytest.raises(ModelError, match=r"Raises: building or running .* raised RuntimeError: no such thing"):
        red(fakes.fake_architecture(Raises), imdb)
    with pytest.raises(ModelError, match=r"OneLogit: forward returned \(4, 1\) for 4 items; expected logits \(4, 2\)"):
        red(fakes.fake_architecture(OneLogit), imdb)


def test_a_model_of_one_length_is_asked_at_that_length(imdb: Task) -> None:
    class OneLength(nn.Module):
        def __init__(self, spec: Spec) -> None:
            super().__init__()
            self.embedding = nn.Embedding(spec.vocabulary_size or 0, 4)
            self.classifier = nn.Linear(64 * 4, 2)

        def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
            return self.classifier(self.embedding(inputs).flatten(1))

    assert set(red(fakes.fake_architecture(OneLength), imdb, length=64)) == {"padding"}


def test_global_state_is_left_alone(imdb: Task) -> None:
    before = torch.get_rng_state()
    red(fakes.RIGHT, imdb)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.is_grad_enabled()
