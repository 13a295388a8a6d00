"""Rows of different lengths: the mix, batches made of it, what one call gets through, and suites that ask for it."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import platformdirs
import pytest
import torch
from made_reviews import made_source, write_wheel
from scripted import FakeClock, case, run_of

from bench.cli import fetching
from bench.errors import ModelError, SuiteError
from bench.estimates import estimates
from bench.jobs import Job, JobKind
from bench.lengths import deal
from bench.observations import CaseResult, Trial
from bench.plan import resolve
from bench.records import LengthDistribution, Measure, Outcome, Plan
from bench.report.view import setting
from bench.sampling import calibrate
from bench.subjects import build_subject, measured
from bench.suite import load
from bench.tasks.imdb import Imdb
from bench.tasks.imdb import Options as ImdbOptions
from bench.tasks.text_classification import Options, TextClassification
from bench.workloads import Measured

UNIFORM = LengthDistribution.UNIFORM


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("BENCH_DATA", raising=False)


def job(name: str = "gru", seed: int = 1, folder: Path = Path(), **more: object) -> Job:
    settings = {"task_options": {"vocabulary_size": 100}, "length_distribution": UNIFORM}
    return Job(
        kind=JobKind.TRIAL, case=case(name, **(settings | more)), measure=Measure(), seed=seed, folder=str(folder)
    )


# ── the mix ──


def test_every_length_of_a_small_range_comes_as_often_as_any_other() -> None:
    dealt = deal(range(1, 9), sets=4, rows=4)
    assert [len(rows) for rows in dealt] == [4] * 4
    assert Counter(itertools.chain(*dealt)) == dict.fromkeys(range(1, 9), 2)


def test_lengths_are_quantiles_of_the_population() -> None:
    population = [3] * 75 + [10] * 20 + [99] * 5
    assert sorted(itertools.chain(*deal(population, sets=2, rows=10))) == [3] * 15 + [10] * 4 + [99]
    # the one length in the middle stands for all of them: neither the shortest nor the longest
    assert deal([1, 2, 3, 4, 100], sets=1, rows=1) == [[3]]


def test_the_mix_is_the_same_under_every_python() -> None:
    assert deal(range(1, 9), sets=2, rows=4) == [[4, 8, 6, 3], [5, 2, 7, 1]]


def test_lengths_are_shuffled_over_batches() -> None:
    dealt = deal(range(1, 257), sets=4, rows=64)
    assert all(110 < sum(rows) / 64 < 147 for rows in dealt)


def test_nothing_to_deal_is_an_error() -> None:
    with pytest.raises(ValueError, match="no length"):
        deal([], sets=1, rows=1)


# ── batches ──


def test_rounds_see_the_same_lengths_of_other_words() -> None:
    first, second = (build_subject(job(seed=seed), seed=0).batches for seed in (1, 9))
    assert len(first) == 4
    for one, other in zip(first, second, strict=True):
        assert one.lengths is not None
        assert other.lengths is not None
        assert one.lengths.tolist() == other.lengths.tolist()
        assert not torch.equal(one.inputs, other.inputs)


def test_batches_are_padded_to_their_own_longest_row() -> None:
    batches = build_subject(job(sequence_length=40, batch_size=3), seed=0).batches
    longest = [batch.inputs.shape[1] for batch in batches]
    assert len(set(longest)) > 1
    for batch, columns in zip(batches, longest, strict=True):
        assert batch.lengths is not None
        assert int(batch.lengths.max()) == columns
        assert (batch.tokens, batch.real_tokens) == (3 * columns, int(batch.lengths.sum()))
        for row, length in zip(batch.inputs, batch.lengths, strict=True):
            assert (row[:length] > 0).all()
            assert (row[length:] == 0).all()


def test_long_batches_are_rotated_as_well() -> None:
    # 16 MiB of ids: four full batches of that size would be one
    assert len(build_subject(job(sequence_length=512, batch_size=4096), seed=0).batches) == 4
    fixed = job(sequence_length=512, batch_size=4096, length_distribution=LengthDistribution.FIXED)
    assert len(build_subject(fixed, seed=0).batches) == 1


@pytest.mark.parametrize("workload", ["inference", "training"])
@pytest.mark.parametrize("name", ["nbow", "gru", "textcnn", "transformer"])
def test_models_run_on_the_real_lengths(name: str, workload: str) -> None:
    _, step = measured(job(name, workload=workload))
    for _ in range(step.rotation):
        result = step.call()
        assert isinstance(result, torch.Tensor)
        assert torch.isfinite(result).all()


def test_packing_runs_on_the_real_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    made = job()
    variant = made.case.variant.__class__(architecture="gru", label="gru", hyperparameters={"bidirectional": True})
    seen = []
    packing = torch.nn.utils.rnn.pack_padded_sequence
    monkeypatch.setattr(
        "bench.architectures.cells.pack_padded_sequence",
        lambda inputs, lengths, **more: seen.append(lengths.tolist()) or packing(inputs, lengths, **more),
    )
    _, step = measured(job(variant=variant))
    step.call()
    assert len(set(seen[0])) > 1


# ── what one call gets through ──


def test_a_sample_holds_whole_rotations() -> None:
    _, step = measured(job())
    _, full = measured(job(length_distribution=LengthDistribution.FIXED))
    assert (step.rotation, full.rotation) == (4, 1)
    clock = FakeClock([0.0003])
    assert calibrate(clock, lambda: None, 0.0003, step.rotation) % 4 == 0
    assert calibrate(clock, lambda: None, 0.0003, full.rotation) == 7


def test_tokens_of_a_call_are_the_mean_over_the_rotation() -> None:
    subject, step = measured(job(batch_size=3))
    assert step.items == 3
    assert step.tokens == sum(batch.tokens or 0 for batch in subject.batches) / 4
    assert step.real_tokens == sum(batch.real_tokens or 0 for batch in subject.batches) / 4
    assert step.real_tokens < step.tokens


def padding_share(step: Measured) -> float | None:
    trial = Trial(
        case_id="", round=1, outcome=Outcome.OK, samples_s=(0.1,), tokens=step.tokens, real_tokens=step.real_tokens
    )
    return estimates(CaseResult(case=case(), trials=(trial,)))["padding_share"].value


@pytest.mark.parametrize("length", [8, 64, 255])
def test_the_padding_share_of_uniform_lengths_has_a_closed_form(length: int) -> None:
    _, step = measured(job("nbow", sequence_length=length, batch_size=512))
    assert padding_share(step) == pytest.approx(1 - (length + 1) / (2 * length), abs=0.005)


# ── lengths as in the data ──


def write_texts(folder: Path) -> list[int]:
    """A file of texts whose number of words tells their number; returns the lengths, in no order."""
    lengths = [3 + number % 50 for number in range(200)]
    lines = [f"{'word ' * (length - 2)}w{number} x\t{number % 2}" for number, length in enumerate(lengths)]
    (folder / "mine.tsv").write_text("\n".join(["text\tlabel", *lines]))
    return lengths


def test_the_training_lengths_are_those_of_the_training_split_and_cut(tmp_path: Path) -> None:
    lengths = write_texts(tmp_path)
    task = TextClassification(Options(file=str(tmp_path / "mine.tsv")))
    spec = task.spec(20)
    found = task.training_lengths(spec)
    train = task.load(task.spec(1000)).train
    whole = train.batch(range(len(train))).lengths
    assert whole is not None
    assert found == [min(length, 20) for length in whole.tolist()]
    assert 0 < len(found) < len(lengths)
    assert len(set(found)) == 18


def test_data_lengths_are_those_of_the_task(tmp_path: Path) -> None:
    write_texts(tmp_path)
    options = {"file": "mine.tsv"}
    more = {"task": "text-classification", "task_options": options, "length_distribution": LengthDistribution.DATA}
    subject, step = measured(job("nbow", folder=tmp_path, sequence_length=20, batch_size=64, **more))
    lengths = torch.cat([batch.lengths for batch in subject.batches if batch.lengths is not None])
    known = subject.task.training_lengths(subject.spec)
    assert known is not None
    assert sorted(lengths.tolist()) == sorted(itertools.chain(*deal(known, 4, 64)))
    mean = sum(known) / len(known)
    assert padding_share(step) == pytest.approx(1 - mean / 20, abs=0.01)


def test_reviews_give_their_lengths_without_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.tasks.imdb.IMDB", made_source(wheel=write_wheel(tmp_path / "mine")))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "mine"))
    task = Imdb(ImdbOptions(vocabulary_size=100))
    train = task.load(task.spec(100)).train
    assert task.training_lengths(task.spec(3)) == [3] * len(train)
    assert set(task.training_lengths(task.spec(100))) == {5}
    assert set(task.arrays("train_offsets")) == {"train_offsets"}


def test_items_without_a_length_are_an_error() -> None:
    with pytest.raises(ModelError, match="no length"):
        build_subject(job("mlp", task="tabular", task_options={}, sequence_length=None), seed=0)


def test_a_task_without_training_lengths_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Imdb, "training_lengths", lambda *_: None)
    with pytest.raises(ModelError, match="take 'fixed' or 'uniform'"):
        build_subject(job(length_distribution=LengthDistribution.DATA), seed=0)


# ── suites ──

SUITE = """
name = "made"
task = "imdb"
[[architecture]]
name = "gru"
[speed]
workloads = ["inference"]
sequence_lengths = [64]
batch_sizes = [8]
"""


def planned(folder: Path, text: str) -> Plan:
    (folder / "mine.toml").write_text(text)
    return resolve(load(folder / "mine.toml"), device="cpu", threads=2)


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(SuiteError) as caught:
        planned(folder, text)
    return caught.value.problems


def test_distributions_are_an_axis_and_full_rows_the_usual(tmp_path: Path) -> None:
    (usual,) = planned(tmp_path, SUITE).cases
    cases = planned(tmp_path, SUITE + 'length_distributions = ["fixed", "data", "uniform"]').cases
    start = "imdb/gru/inference/L64-B8-fp32-cpu-t2"
    assert [one.id for one in cases] == [start, f"{start}-data", f"{start}-uniform"]
    assert [one.length_distribution for one in cases] == ["fixed", "data", "uniform"]
    assert cases[0] == usual
    assert len({one.definition_hash for one in cases}) == 3
    assert len({setting(one) for one in cases}) == 3
    assert len({str(setting(one)) for one in cases}) == 3


def test_wrong_distributions_are_told(tmp_path: Path) -> None:
    (sentence,) = problems(tmp_path, SUITE + 'length_distributions = ["normal"]')
    assert "'speed.length_distributions'" in sentence
    assert "'uniform'" in sentence
    (sentence,) = problems(tmp_path, SUITE.replace('"gru"', '"gru"\nlength_distribution = "data"'))
    assert "sweep it with length_distributions" in sentence


def test_a_task_without_lengths_has_full_rows_only(tmp_path: Path) -> None:
    suite = SUITE.replace('"imdb"', '"images"').replace('"gru"', '"cnn"').replace("sequence_lengths = [64]\n", "")
    assert len(planned(tmp_path, suite + 'length_distributions = ["fixed"]').cases) == 1
    (sentence,) = problems(tmp_path, suite + 'length_distributions = ["data"]')
    assert sentence.endswith(
        "'speed.length_distributions' is ['data'], but task 'images' has no sequence length; remove it"
    )


@pytest.mark.parametrize(
    ("distribution", "skip", "fetched"),
    [("data", "", ["imdb"]), ("uniform", "", []), ("fixed", "", []), ("data", "not on cpu", [])],
)
def test_data_are_brought_for_their_lengths_alone(
    monkeypatch: pytest.MonkeyPatch, distribution: str, skip: str, fetched: list[str]
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(fetching, "fetch", lambda source: seen.append(source.name))
    fetching.bring_data(run_of(case(length_distribution=LengthDistribution(distribution), skip=skip)).plan)
    assert seen == fetched
