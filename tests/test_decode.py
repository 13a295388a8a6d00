"""The workloads `decode` and `generate`: what a call does, what is counted, and which tasks they are for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import DecoderHyperparameters, FakeDecoder, Reverse, ReverseOptions
from scripted import case
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES
from bench.batch import Batch
from bench.errors import ModelError, SuiteError
from bench.jobs import Job, JobKind, passes_of
from bench.observations import CaseResult, Pass
from bench.passes import split
from bench.plan import resolve
from bench.records import Case, Measure, Outcome, PassKind
from bench.report import sweeps
from bench.report import view as views
from bench.report.charts import select
from bench.report.grids import kinds
from bench.report.inside import inside
from bench.spec import END_ID, InputKind, OutputKind, Spec
from bench.suite import load
from bench.workloads import WORKLOADS, Measured, Subject

TASK = Reverse(ReverseOptions())
SPEC = TASK.spec(5)


def subject(new_tokens: int | None = 4, rows: int = 3) -> Subject:
    torch.manual_seed(0)
    architecture = ARCHITECTURES.get("fake-decoder")
    return Subject(
        case=replace(case("fake-decoder", workload="decode"), new_tokens=new_tokens),
        task=TASK,
        spec=SPEC,
        architecture=architecture,
        model=architecture.build(SPEC, DecoderHyperparameters()),
        device=torch.device("cpu"),
        batches=(TASK.random_batch(SPEC, rows, 0), TASK.random_batch(SPEC, rows, 1)),
    )


def prepared(name: str, given: Subject) -> Measured:
    prepare = WORKLOADS.get(name).prepare
    assert prepare is not None
    return prepare(given)


def test_every_row_writes_all_its_tokens_and_they_are_what_is_counted() -> None:
    given = subject(new_tokens=4)
    with torch.no_grad():  # a model that wants to end at once
        given.model.classifier.bias[END_ID] = 1e3  # type: ignore[index,union-attr]
    measured = prepared("decode", given)
    written = measured.call()
    assert isinstance(written, Tensor)
    assert written.tolist() == [[END_ID] * 4] * 3
    assert (measured.items, measured.tokens, measured.real_tokens) == (3, 12, 12)
    assert not given.model.training


def test_parts_are_the_first_token_and_those_after_it() -> None:
    marks: list[str] = []
    measured = prepared("decode", subject(new_tokens=4))
    assert measured.marked is not None
    measured.marked(marks.append)
    assert marks == ["first_token", "token", "token", "token"]
    assert measured.repeated == {"token": 3}
    assert prepared("decode", subject(new_tokens=1)).repeated == {"token": 1}


def test_the_input_is_read_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    start = FakeDecoder.start

    def counted(self: FakeDecoder, inputs: Tensor, lengths: Tensor | None = None) -> Any:
        reads.append(len(inputs))
        return start(self, inputs, lengths)

    monkeypatch.setattr(FakeDecoder, "start", counted)
    prepared("decode", subject(new_tokens=6)).call()
    assert reads == [3]


def test_what_cannot_decode_is_told() -> None:
    given = subject()
    with pytest.raises(ModelError, match="decodes nothing, its model has no start and next"):
        prepared("decode", replace(given, model=nn.Linear(1, 1)))
    with pytest.raises(ModelError, match="needs new_tokens"):
        prepared("decode", subject(new_tokens=None))


def test_a_fit_of_what_cannot_write_says_so() -> None:
    with pytest.raises(ModelError, match="Linear: writes nothing, it has no start and next"):
        TASK.evaluate(nn.Linear(1, 1), TASK.random_batch(SPEC, 2, 0), SPEC)


# ── generate ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Grey(nn.Module):
    """Noise (B, 4) as pictures (B, 1, 2, 2)."""

    def forward(self, noise: Tensor) -> Tensor:
        return noise.view(-1, 1, 2, 2)


def test_generate_draws_noise_of_its_own_in_every_call() -> None:
    spec = Spec(inputs=InputKind.NOISE, outputs=OutputKind.IMAGE, input_size=4, image_shape=(1, 2, 2))
    batch = Batch(inputs=torch.zeros(5, 4), items=5)
    given = replace(subject(), spec=spec, model=Grey(), batches=(batch,))
    measured = prepared("generate", given)
    first, second = measured.call(), measured.call()
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    assert (first.shape, measured.items, measured.tokens) == ((5, 1, 2, 2), 5, None)
    assert not torch.equal(first, second)
    assert first.std() > 0.3
    assert not batch.inputs.any()


# ── in suites, passes and pages ────────────────────────────────────────────────────────────────────────────────────


def plan_of(folder: Path, text: str) -> Any:
    path = folder / "made.toml"
    path.write_text(text, encoding="utf-8")
    return resolve(load(path), threads=1, device="cpu")


def suite(workload: str, more: str = "") -> str:
    return f"""
name = "made"
task = "tabular"
[[architecture]]
name = "mlp"
[speed]
workloads = ["{workload}"]
batch_sizes = [1]
{more}
"""


@pytest.mark.parametrize(
    ("workload", "more", "kind"), [("decode", "new_tokens = [4]", "tokens"), ("generate", "", "image")]
)
def test_a_task_they_are_not_for_is_refused(workload: str, more: str, kind: str, tmp_path: Path) -> None:
    sentence = f"'{workload}' is for tasks with {kind} out, but task 'tabular' has classes; remove it"
    with pytest.raises(SuiteError) as caught:
        plan_of(tmp_path, suite(workload, more))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("written", "fits"), [(9, True), (10, False)])
def test_no_more_is_written_than_a_task_has_answers_for(written: int, fits: bool, tmp_path: Path) -> None:
    text = f"""
name = "made"
task = "fake-reverse"
[[architecture]]
name = "fake-decoder"
[speed]
workloads = ["decode"]
sequence_lengths = [8]
batch_sizes = [1]
new_tokens = [4, {written}]
"""
    if fits:
        assert [one.new_tokens for one in plan_of(tmp_path, text).cases] == [4, 9]
        return
    sentence = (
        "'speed.new_tokens' is 10; expected at most 9, the end included: task 'fake-reverse' has no longer answers"
    )
    with pytest.raises(SuiteError) as caught:
        plan_of(tmp_path, text)
    assert str(caught.value).count(sentence) == 1


def decode_case() -> Case:
    made = case("fake-decoder", workload="decode")
    return replace(made, task="fake-reverse", sequence_length=5, batch_size=3, new_tokens=4)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Measure]:
    measure = Measure(warmup_s=0.0, warmup_calls=1, warmup_cap_s=0.01, trial_s=0.0, samples=3)
    monkeypatch.setattr(split, "measured", lambda job: (given := subject(), prepared("decode", given)))
    return measure


def test_the_split_pass_times_one_token_of_those_after_the_first(
    quick: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ScriptedClock:
        def time(self, call: Any, iterations: int) -> float:
            call()
            return 1e-3

        def parts(self, call: Any) -> dict[str, float]:
            call(lambda name: None)
            return {"first_token": 0.5, "token": 0.9}

    monkeypatch.setattr(split, "clock_for", lambda device: ScriptedClock())
    job = Job(kind=JobKind.PASS, case=decode_case(), measure=quick, passing=PassKind.SPLIT)
    found = split.observe(job)
    assert set(found.samples_s["first_token"]) == {0.5}
    # three tokens after the first
    assert found.samples_s["token"] == pytest.approx([0.3] * len(found.samples_s["token"]))
    assert dict(found.values) == {}


def test_decoding_has_a_split_pass_and_inference_none() -> None:
    every = Measure(passes=(PassKind.SPLIT,))
    assert passes_of(decode_case(), every) == (PassKind.SPLIT,)
    assert passes_of(replace(decode_case(), workload="inference"), every) == ()


def test_cases_that_write_more_or_fewer_tokens_never_share_a_table() -> None:
    from made_run import made_run

    run, results = made_run(labels=["lstm"], lengths=(64,))
    few, many = (
        CaseResult(
            case=replace(results[0].case, id=f"N{count}", workload="decode", new_tokens=count),
            trials=tuple(replace(one, case_id=f"N{count}") for one in results[0].trials),
        )
        for count in (4, 64)
    )
    view = views.view(run, [few, many])
    assert [str(setting).rpartition(", ")[2] for _, setting in kinds(view, few.case.task_key)] == [
        "4 new tokens",
        "64 new tokens",
    ]


def test_charts_name_how_much_is_written_and_no_setting_that_all_share() -> None:
    from made_run import made_run

    run, results = made_run(labels=["lstm"], lengths=(64,))
    decoding = [
        CaseResult(
            case=replace(one.case, id=f"N{place}", workload="decode", new_tokens=4),
            trials=tuple(replace(trial, case_id=f"N{place}") for trial in one.trials),
        )
        for place, one in enumerate(results)
        if one.case.workload == "inference"
    ]
    view = views.view(run, [*results, *decoding])
    block = sweeps.speed(select(view, "imdb", "r"))
    assert block is not None
    drawn = " ".join(str(panel) for chart in block.charts for panel in chart.panels)
    assert "decode, 4 new tokens, length 64" in drawn
    assert "inference, length 64" in drawn
    assert "fp32 on cpu" not in drawn


def test_the_page_tells_first_and_next_token() -> None:
    from made_run import made_run

    run, results = made_run(labels=["lstm"], lengths=(64,))
    one = replace(results[0].case, workload="decode", new_tokens=4)
    samples = {"first_token": (0.2, 0.2), "token": (0.05, 0.05)}
    passed = Pass(case_id=one.id, name=PassKind.SPLIT, outcome=Outcome.OK, samples_s=samples)
    result = CaseResult(case=one, passes=(passed,), trials=results[0].trials)
    sections = inside(views.view(run, [result]), one.task_key)
    (told,) = [section for section in sections if section.title == "Decoding"]
    cells = {
        column.title: cell.text
        for column, cell in zip(told.tables[0].columns, told.tables[0].rows[0].cells, strict=True)
    }
    assert (cells["first token"], cells["next token"]) == ("200 ms", "50.0 ms")
