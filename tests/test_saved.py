"""Kept models: what is written is read again, and whatever else a file may hold is refused in one sentence."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_models import LEGEND, SPEC, about
from safetensors.torch import save_file
from scripted import case
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES
from bench.architectures.foreign import lookup
from bench.batch import Batch
from bench.errors import BenchError, ModelError, NotComparableError, StoreError
from bench.saved import SavedModel, ask, expect_of, read, restored, write
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS, Answer, Legend, Reading
from bench.tasks.imdb import Imdb, Options

TEXTS = (
    "good",
    "not so bad a film",
    "it",
    "so so very very very bad the the the film film it it it it it it it it it",
    "x",
)
TASK = Imdb(Options(vocabulary_size=SPEC.vocabulary_size or 0))
READERS = [name for name in ARCHITECTURES.built_in() if ARCHITECTURES.get(name).supports(SPEC)]


def model_of(said: SavedModel) -> nn.Module:
    torch.manual_seed(0)
    architecture = lookup(said.architecture, Path())
    return architecture.build(said.legend.spec, architecture.hyperparameters(**said.hyperparameters)).eval()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A kept model of an `nbow`."""
    said = about("nbow", embedding_dim=4, dropout=0.0)
    write(tmp_path / "models" / "made.safetensors", said, model_of(said).state_dict())
    return tmp_path / "models" / "made.safetensors"


# ── what is written ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", READERS)
def test_every_reader_answers_as_before_and_in_a_batch_as_alone(tmp_path: Path, name: str) -> None:
    said = about(name)
    model = model_of(said)
    write(tmp_path / "it.safetensors", said, model.state_dict())
    found, weights = read(tmp_path / "it.safetensors")
    assert replace(found, sha256="") == said
    again = restored(tmp_path / "it.safetensors", found, weights, tmp_path)
    before, after, alone = (
        [list(answer.probabilities.values()) for answer in ask(one, TASK, LEGEND, TEXTS, at_once=size)]
        for one, size in ((model, 64), (again, 64), (again, 1))
    )
    assert before == after
    assert torch.allclose(torch.tensor(after), torch.tensor(alone), rtol=0, atol=1e-5)
    assert len({tuple(row) for row in before}) == len(TEXTS), "every text has an answer of its own"


def test_the_folder_holds_the_file_and_nothing_else(path: Path) -> None:
    assert [one.name for one in path.parent.iterdir()] == ["made.safetensors"]


class Tied(nn.Module):
    """One matrix under two names, another that stands on its side, and one number that many share."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 3)
        self.out = nn.Linear(3, 11, bias=False)
        self.out.weight = self.table.weight
        self.turned = nn.Parameter(torch.randn(3, 5).T)
        self.register_buffer("spread", torch.ones(1).expand(4))
        self.register_buffer("count", torch.tensor(7))


def test_shared_turned_and_spread_tensors_are_written(tmp_path: Path) -> None:
    model = Tied()
    write(tmp_path / "it.safetensors", about("nbow"), model.state_dict())
    _, weights = read(tmp_path / "it.safetensors")
    assert weights.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(weights[name], value), name
    again = Tied()
    again.load_state_dict({name: value for name, value in weights.items() if name != "spread"}, strict=False)
    assert again.out.weight is again.table.weight


def test_every_type_of_numbers_comes_back(tmp_path: Path) -> None:
    kinds = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64)
    weights = {str(kind): torch.ones(2, 3).to(kind) for kind in kinds} | {"none": torch.empty(0, 4)}
    write(tmp_path / "it.safetensors", about("nbow"), weights)
    _, found = read(tmp_path / "it.safetensors")
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in weights.items())


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"models/it\.safetensors: cannot be written"):
        write(tmp_path / "models" / "it.safetensors", about("nbow"), {"a": torch.ones(1)})
    with pytest.raises(StoreError, match="cannot be written"):
        write(tmp_path / "it.safetensors", about("nbow"), {"a": torch.ones(1, dtype=torch.complex128)})
    assert [one.name for one in tmp_path.iterdir()] == ["models"]


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("dump", [lambda thing: pickle.dumps(thing), lambda thing: pickle.dumps(thing, protocol=0)])
def test_a_pickle_is_refused_and_not_run(path: Path, tmp_path: Path, dump: Callable[[object], bytes]) -> None:
    path.write_bytes(dump({"weights": Bomb(tmp_path / "ran")}))
    with pytest.raises(StoreError, match="is no whole safetensors file"):
        read(path)
    torch.save({"weights": Bomb(tmp_path / "ran")}, path)
    with pytest.raises(StoreError, match="is no whole safetensors file"):
        read(path)
    assert not (tmp_path / "ran").exists()


def raw(header: object, data: bytes = bytes(16), length: int | None = None) -> bytes:
    """The format written by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: object = (2, 2), dtype: object = "F32", offsets: object = (0, 16)) -> dict[str, object]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        raw({}, length=2**64 - 1),
        raw({}, length=2**40),
        raw(b"not json"),
        raw(b'{"a": ' * 100_000),
        raw([1, 2]),
        raw(tensor(shape=(-2, -2))),
        raw(tensor(shape=(2**62, 2**62))),
        raw(tensor(shape="wide")),
        raw(tensor(dtype="PICKLE")),
        raw(tensor(offsets=(0, 2**50))),
        raw(tensor(offsets=(-16, 0))),
        raw(tensor(offsets=(16, 0))),
        raw({**tensor(), "__metadata__": {"bench_model": 1}}),
        raw({**tensor(), "__metadata__": "bench_model"}),
    ],
)
def test_a_hostile_header_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"made\.safetensors: is no whole safetensors file"):
        read(path)


def test_a_foreign_file_is_told_from_a_damaged_one(path: Path) -> None:
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": torch.ones(2)}, path, metadata)
        with pytest.raises(StoreError, match=r"is a safetensors file, but no model that `bench run` kept"):
            read(path)
    path.unlink()
    with pytest.raises(StoreError, match="is no whole safetensors file"):
        read(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("legend", "7"),
        ("legend", '{"spec": {"inputs": "smells", "outputs": "classes"}}'),
        ("legend", '{"spec": {"inputs": "tokens", "outputs": "classes", "vocabulary_size": "many"}}'),
        ("legend", '{"spec": {"inputs": "tokens", "outputs": "classes", "classes": 2}, "classes": ["one"]}'),
        ("legend", '{"spec": {"inputs": "tokens", "outputs": "classes", "vocabulary_size": 1}, "words": ["", ""]}'),
        ("legend", '{"spec": {"inputs": "features", "outputs": "classes"}, "scales": [[1.0, 2.0, 3.0]]}'),
        ("legend", '{"spec": {"inputs": "tokens", "outputs": "classes", "vocabulary_size": -5}}'),
        ("hyperparameters", "[]"),
        ("hyperparameters", "{"),
        ("task_options", "[" * 100_000),
        ("seed", '"3"'),
        ("seed", "NaN"),
        ("bench_model", '"1"'),
        ("bench_model", "true"),
        ("architecture", "null"),
    ],
)
def test_metadata_of_the_wrong_kind_are_refused(path: Path, key: str, value: str) -> None:
    _changed(path, lambda header: header | {key: value})
    with pytest.raises(StoreError, match="its header is damaged"):
        read(path)


def test_missing_metadata_are_refused(path: Path) -> None:
    _changed(path, lambda header: {name: value for name, value in header.items() if name != "legend"})
    with pytest.raises(StoreError, match=r"its header is damaged .*legend"):
        read(path)


def test_a_newer_format_is_not_comparable(path: Path) -> None:
    _changed(path, lambda header: header | {"bench_model": "2", "legend": '"as it may be then"'})
    with pytest.raises(NotComparableError, match="version 2, expected at most 1"):
        read(path)


def _changed(path: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = change(header["__metadata__"])
    path.write_bytes(raw(header, content[8 + length :]))


def test_one_other_bit_or_a_lost_end_is_seen(path: Path) -> None:
    whole = path.read_bytes()
    chance = random.Random(0)
    for _ in range(400):
        place, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        _refused_or_the_same(path)
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        with pytest.raises(StoreError):
            read(path)
    path.write_bytes(whole)
    read(path)


def _refused_or_the_same(path: Path) -> None:
    """A blank in the header's padding may become another one: then all is as it was."""
    expected = about("nbow", embedding_dim=4, dropout=0.0)
    try:
        found, weights = read(path)
    except BenchError:
        return
    assert replace(found, sha256="") == expected
    assert all(torch.equal(weights[name], value) for name, value in model_of(expected).state_dict().items())


# ── what does not fit ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"vocabulary_size": 10**12}, "do not fit 'nbow'"),
        ({"classes": 3}, "do not fit 'nbow'"),
        ({"classes": 10**13}, "do not fit 'nbow'"),
        ({"classes": -3}, "cannot be built"),
        ({"vocabulary_size": None}, "gives no vocabulary_size"),
    ],
)
def test_sizes_that_a_file_lies_about_cost_no_memory(path: Path, sizes: dict[str, Any], said: str) -> None:
    found, weights = read(path)
    lying = replace(found, legend=Legend(spec=replace(SPEC, **sizes)))
    with pytest.raises(BenchError, match=said):
        restored(path, lying, weights, path.parent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights: weights | {"more": torch.ones(1)}, r"more is float32 \(1,\), expected none"),
        (lambda weights: dict(list(weights.items())[1:]), r"is none, expected float32"),
        (lambda weights: {name: value.double() for name, value in weights.items()}, "is float64"),
        (lambda weights: {name: value[..., :1] for name, value in weights.items()}, "expected float32"),
    ],
)
def test_weights_that_do_not_fit_are_told(
    path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], said: str
) -> None:
    found, weights = read(path)
    with pytest.raises(StoreError, match=f"its weights do not fit 'nbow': .*{said}"):
        restored(path, found, change(weights), path.parent)


def test_hyperparameters_that_are_none_any_more_are_told(path: Path) -> None:
    found, weights = read(path)
    with pytest.raises(ModelError, match="'wings' is unknown"):
        restored(path, replace(found, hyperparameters={"wings": 2}), weights, path.parent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 4}, "seed: found 4, expected 3"),
        ({"fold": 0}, "fold: found 0, expected None"),
        ({"architecture": "evil.py:Net"}, "architecture: found evil.py:Net, expected nbow"),
        ({"hyperparameters": {"embedding_dim": 5}}, "hyperparameters: found"),
        ({"task": "tabular"}, "task: found tabular, expected imdb"),
        ({"task_options": {"vocabulary_size": 9}}, "task options: found"),
        ({"definition_hash": "0"}, "definition: found 0"),
        ({"legend": replace(LEGEND, spec=replace(SPEC, sequence_length=10**9))}, "sequence length: found 1000000000"),
    ],
)
def test_the_model_of_another_fit_is_told(path: Path, change: dict[str, Any], said: str) -> None:
    found, _ = read(path)
    mine = case(
        "nbow",
        workload="fit",
        definition_hash=found.definition_hash,
        sequence_length=16,
        variant=replace(case("nbow").variant, hyperparameters=found.hyperparameters),
    )
    expect_of(path, found, mine, 3, None)
    with pytest.raises(StoreError, match=f"is the model of another fit .*{said}"):
        expect_of(path, replace(found, **change), mine, 3, None)


class Raising(nn.Module):
    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        raise IndexError("out of everything\nand more")


class NotANumber(nn.Module):
    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return torch.full((len(inputs), 2), float("nan"))


def test_a_model_that_cannot_answer_is_an_error_in_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"IndexError: out of everything$"):
        ask(Raising(), TASK, LEGEND, TEXTS, at_once=2)
    with pytest.raises(ModelError, match="are no numbers"):
        ask(NotANumber(), TASK, LEGEND, TEXTS, at_once=2)


def test_values_that_are_no_numbers_are_an_error_too() -> None:
    class Forecasts(Imdb):
        def answers(self, model: nn.Module, batch: Batch, legend: Legend) -> list[Answer]:
            return [Answer(said=(1.0, float("inf")))] * batch.items

    with pytest.raises(ModelError, match="are no numbers"):
        ask(NotANumber(), Forecasts(Options(vocabulary_size=SPEC.vocabulary_size or 0)), LEGEND, TEXTS, at_once=2)


def test_a_legend_of_features_needs_no_words() -> None:
    spec = Spec(inputs=InputKind.FEATURES, outputs=OutputKind.CLASSES, input_size=2, classes=None)
    assert Legend(spec=spec, classes=("any", "number", "of them")).words == ()


def test_tasks_that_read_say_so() -> None:
    reading = {"imdb", "rotten-tomatoes", "images", "pixels", "tabular"}
    for name in sorted(reading):
        assert isinstance(TASKS.get(name).make(TASKS.get(name).options()), Reading), name
    assert not isinstance(TASKS.get("parity").make(TASKS.get("parity").options()), Reading)
