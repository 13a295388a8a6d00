"""Variants of one size: solved, counted two ways, refused, left alone, and told."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Reverse, ReverseOptions
from made_captions import Captions
from torch import nn

from bench.architectures import ARCHITECTURES
from bench.architectures.transformer import Hyperparameters, widened
from bench.cli import main
from bench.codec import dumps, from_json
from bench.errors import SuiteError
from bench.fairness import size_of
from bench.options import fill
from bench.plan import resolve
from bench.records import MatchedSize, Plan, Variant
from bench.spec import InputKind, OutputKind, Spec
from bench.suite import load

TOP = Path(__file__).parent.parent
TEXT = """
[speed]
workloads = ["inference"]
sequence_lengths = [16, 64]
batch_sizes = [2]
"""
PLAIN = """
[speed]
workloads = ["inference"]
batch_sizes = [2]
"""
READERS = {
    "rnn": "",
    "lstm": "",
    "BiLSTM x2": "name = 'lstm'\nnum_layers = 2\nbidirectional = true",
    "LSTM of 1997": "name = 'lstm'\nforget_gate = false",
    "gru": "",
    "attention-rnn": "",
    "grid-lstm": "",
    "goru": "",
    "rotated": "name = 'goru'\nrotations = 4",
    "textcnn": "",
    "transformer": "",
    "sinusoidal": "name = 'transformer'\npositions = 'sinusoidal'",
    "deep": "name = 'transformer'\nnum_heads = 8\nnum_layers = 4",
    "six heads": "name = 'transformer'\nnum_heads = 6\nembedding_dim = 48",
    "thin": "name = 'transformer'\nnum_heads = 8\nfeedforward_dim = 16",
    "linear-attention": "",
    "tcn": "name = 'tcn'\nnum_layers = 4",  # its own number of blocks would grow with the length
    "mingru": "",
    "minlstm": "",
    "s4d": "",
    "mamba": "",
}


def entry(label: str, text: str) -> str:
    """One labelled entry; without a name, its label is its name."""
    name = "" if "name =" in text else f"name = '{label}'"
    return f"[[architecture]]\nlabel = '{label}'\n{name}\n{text}\n"


def suite(target: int | None, entries: dict[str, str], axes: str = TEXT, task: str = 'task = "imdb"') -> str:
    """A suite of labelled entries, matched to a target if there is one."""
    tables = "".join(entry(label, text) for label, text in entries.items())
    return f'name = "sizes"\n{task}\n{tables}{axes}' + (f"[fairness]\nmatch_parameters = {target}\n" if target else "")


def planned(folder: Path, text: str) -> Plan:
    path = folder / "mine.toml"
    path.write_text(text)
    return resolve(load(path), device="cpu", threads=1)


def refused(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(SuiteError) as caught:
        planned(folder, text)
    return tuple(problem.partition("mine.toml: ")[2] for problem in caught.value.problems)


def variants(plan: Plan) -> dict[str, Variant]:
    return {case.variant.label: case.variant for case in plan.cases}


def beside_tables(variant: Variant, spec: Spec) -> int:
    """The closed form of what is matched."""
    architecture = ARCHITECTURES.get(variant.architecture)
    settings, _ = fill(architecture.hyperparameters, variant.hyperparameters)
    assert architecture.parameter_count is not None
    count = architecture.parameter_count(spec, settings)
    values = variant.hyperparameters
    if spec.vocabulary_size is not None:
        count -= spec.vocabulary_size * values["embedding_dim"]
    if values.get("positions") == "learned":
        count -= (spec.sequence_length or 0) * values["embedding_dim"]
    return count


# ── what is solved ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target", [50_000, 200_000, 1_000_000])
def test_every_reader_comes_within_two_per_cent(tmp_path: Path, target: int) -> None:
    found = variants(planned(tmp_path, suite(target, READERS)))
    spec = Spec(
        inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=64, vocabulary_size=20_000, classes=2
    )
    assert list(found) == list(READERS)
    for label, variant in found.items():
        assert variant.size is not None, label
        assert variant.size.target == target
        assert variant.size.parameters == beside_tables(variant, spec), label
        assert variant.size.parameters == pytest.approx(target, rel=0.02), label


@pytest.mark.parametrize(
    ("task", "names"), [("images", ["mlp", "cnn", "mdlstm"]), ("tabular", ["mlp"]), ("generation", ["vae", "gan"])]
)
@pytest.mark.parametrize("target", [200_000, 1_000_000])
def test_pictures_and_rows_as_well(tmp_path: Path, task: str, names: list[str], target: int) -> None:
    text = suite(target, dict.fromkeys(names, ""), PLAIN, f'task = "{task}"')
    for name, variant in variants(planned(tmp_path, text)).items():
        assert variant.size is not None
        assert variant.size.parameters == pytest.approx(target, rel=0.02), name


@pytest.mark.parametrize(
    ("task", "axes", "names"),
    [
        (Reverse.name, TEXT, ["rnn-seq2seq", "transformer-seq2seq"]),
        (Captions.name, PLAIN, ["cnn-rnn", "cnn-transformer"]),
    ],
)
def test_what_writes_as_well(tmp_path: Path, task: str, axes: str, names: list[str]) -> None:
    text = suite(1_000_000, dict.fromkeys(names, ""), axes, f'task = "{task}"')
    for name, variant in variants(planned(tmp_path, text)).items():
        assert variant.size is not None
        assert variant.size.parameters == pytest.approx(1_000_000, rel=0.02), name


def test_positions_of_what_is_written_are_a_table_too() -> None:
    architecture = ARCHITECTURES.get("cnn-transformer")
    spec = Captions(ReverseOptions()).spec(None)
    learned, without = (
        size_of(architecture, spec, architecture.hyperparameters(positions=how)) for how in ("learned", "none")
    )
    assert learned.matched == without.matched
    assert learned.tables - without.tables == 128 * (spec.target_length or 0)


def test_every_architecture_with_a_width_is_tried_above() -> None:
    tried = {text.partition("name = '")[2].partition("'")[0] or label for label, text in READERS.items()}
    tried |= {"mlp", "cnn", "mdlstm", "vae", "gan", "rnn-seq2seq", "transformer-seq2seq", "cnn-rnn", "cnn-transformer"}
    assert tried == {name for name in ARCHITECTURES.built_in() if ARCHITECTURES.get(name).width}


@pytest.mark.parametrize("target", [20_000, 77_777, 1_000_000])
def test_heads_stay_divisors_and_the_feedforward_part_takes_up_the_rest(tmp_path: Path, target: int) -> None:
    entries = {label: READERS[label] for label in ("transformer", "deep", "six heads", "thin")}
    for label, variant in variants(planned(tmp_path, suite(target, entries))).items():
        values = variant.hyperparameters
        assert values["embedding_dim"] % values["num_heads"] == 0, label
        assert variant.size is not None
        assert variant.size.parameters == pytest.approx(target, rel=0.02), label


def test_what_is_left_over_is_filled_from_below(tmp_path: Path) -> None:
    (variant,) = variants(planned(tmp_path, suite(4_500, {"thin": READERS["thin"]}))).values()
    assert variant.hyperparameters["embedding_dim"] == 16  # 24 wide is too large, however thin the feed-forward part
    assert variant.hyperparameters["feedforward_dim"] > 16
    assert variant.size is not None
    assert variant.size.parameters == pytest.approx(4_500, rel=0.02)


def test_the_feedforward_part_keeps_its_ratio_where_whole_heads_come_near_enough(tmp_path: Path) -> None:
    asked = {"usual": "name = 'transformer'", "twice": "name = 'transformer'\nfeedforward_dim = 128"}
    found = variants(planned(tmp_path, suite(1_000_000, asked)))
    ratios = [one.hyperparameters["feedforward_dim"] / one.hyperparameters["embedding_dim"] for one in found.values()]
    assert ratios == [4, 2]
    assert widened(Hyperparameters(num_heads=8), 3).embedding_dim == 8
    assert [widened(Hyperparameters(), width).embedding_dim for width in (64, 65, 67)] == [64, 64, 68]


def test_round_widths_come_first(tmp_path: Path) -> None:
    (large,) = variants(planned(tmp_path, suite(1_000_000, {"lstm": ""}))).values()
    (small,) = variants(planned(tmp_path, suite(20_000, {"lstm": ""}))).values()
    assert large.hyperparameters["hidden_dim"] % 8 == 0
    assert small.hyperparameters["hidden_dim"] % 8  # where no such width is near enough, the nearest


def test_a_width_that_was_asked_for_is_overridden_and_stands_in_no_label(tmp_path: Path) -> None:
    (usual,) = variants(planned(tmp_path, suite(200_000, {"lstm": ""}))).values()
    text = suite(200_000, {"lstm": "hidden_dim = 7", "other": "name = 'lstm'\nbidirectional = true"})
    text = text.replace("label = 'lstm'\n", "").replace("label = 'other'\n", "")
    found = variants(planned(tmp_path, text))
    assert list(found) == ["lstm", "lstm bidirectional=true"]
    assert found["lstm"].variant_id == usual.variant_id
    assert found["lstm"].hyperparameters["hidden_dim"] != 7


def test_tables_of_words_and_positions_do_not_count(tmp_path: Path) -> None:
    found = []
    for lengths in ("[16]", "[64, 4096, 16]"):
        text = suite(200_000, {"transformer": ""}, TEXT.replace("[16, 64]", lengths))
        found += [case.variant.hyperparameters for case in planned(tmp_path, text).cases]
    assert all(one == found[0] for one in found)
    transformer, bert = ARCHITECTURES.get("transformer"), ARCHITECTURES.get("bert")
    spec = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=600, vocabulary_size=50, classes=2)
    size = size_of(transformer, spec, Hyperparameters())
    assert size.tables == (600 + 50) * 64
    assert sum(size) == transformer.parameter_count(spec, Hyperparameters())  # type: ignore[misc]
    # 512 positions are made whatever the length; beyond them there is one for each, and one for [CLS]
    assert size_of(bert, spec, bert.hyperparameters()).tables == (51 + 601) * 128


def test_an_entry_with_lengths_of_its_own_is_matched_at_those(tmp_path: Path) -> None:
    own = {"tcn": "[architecture.speed]\nsequence_lengths = [64]", "gru": ""}
    found = variants(planned(tmp_path, suite(200_000, own)))
    assert found["tcn"].size is not None
    assert found["tcn"].size.parameters == pytest.approx(200_000, rel=0.02)
    with pytest.raises(SuiteError, match="make a suite of each, or set what follows the length"):
        planned(tmp_path, suite(200_000, {"tcn": ""}))


# ── what is left alone ─────────────────────────────────────────────────────────────────────────────────────────────

OWN = """
from torch import nn

class MyNet(nn.Module):
    def __init__(self, vocab_size, num_classes, hidden=5):
        super().__init__()
        self.table = nn.Embedding(vocab_size, hidden)
        self.out = nn.Linear(hidden, num_classes)

    def forward(self, x):
        return self.out(self.table(x).mean(1))
"""


def test_what_has_no_width_is_left_alone_and_marked(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(OWN)
    entries = {"nbow": "", "bert": "", "own": "name = 'models.py:MyNet'", "gru": ""}
    found = variants(planned(tmp_path, suite(200_000, entries)))
    asked = variants(planned(tmp_path, suite(None, entries)))
    for label in ("nbow", "bert", "own"):
        assert found[label].size == MatchedSize(target=200_000, parameters=None)
        assert found[label].variant_id == asked[label].variant_id
        assert asked[label].size is None
    assert found["gru"].size != MatchedSize(target=200_000, parameters=None)


def test_a_width_of_hardly_more_than_a_table_is_left_alone(tmp_path: Path) -> None:
    # a copy by another name: whatever else has imported the example in this process does not matter
    example = (TOP / "examples" / "gated_average.py").read_text().replace('"gated-average"', '"gated-twin"')
    (tmp_path / "gated_twin.py").write_text(example)
    text = suite(1_000_000, {"gated-twin": "name = 'gated_twin.py:build'"})
    (variant,) = variants(planned(tmp_path, text)).values()
    assert variant.size == MatchedSize(target=1_000_000, parameters=None)
    assert variant.hyperparameters == {"embedding_dim": 128}


# ── what cannot be ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_problems_name_what_can_be_had_all_at_once(tmp_path: Path) -> None:
    text = suite(20_000, {"mdlstm": "", "gruu": ""}, PLAIN + "[gate]\nignore = ['nothing']\n", 'task = "images"')
    unknown, coarse, gate = refused(tmp_path, text)
    assert "'gruu' is unknown" in unknown
    assert "[[architecture]] 1 (mdlstm): cannot come within 2 %" in coarse
    assert "19,330 at hidden_dim 21 and 21,130 at hidden_dim 22" in coarse
    assert "gate.ignore" in gate
    (small,) = refused(tmp_path, suite(300, {"lstm": ""}))
    assert "'fairness.match_parameters', 300: embedding tables apart it has 528 at hidden_dim 1; that is its" in small


def test_one_width_must_do_for_every_task_of_a_suite(tmp_path: Path) -> None:
    task = '[[task]]\nname = "imdb"\n[[task]]\nname = "first-token"\n'
    (variant,) = variants(planned(tmp_path, suite(200_000, {"lstm": ""}, task=task))).values()
    assert variant.size is not None
    (problem,) = refused(tmp_path, suite(200_000, {"lstm": ""}, task=task + "symbols = 500\n"))
    assert "parameters on task 'imdb', length 64, but 28" in problem
    assert "on task 'first-token[symbols=500]', length 64" in problem
    assert "make a suite of each" in problem


def test_a_model_that_cannot_be_built_is_a_problem_of_the_suite(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from bench.architectures import architecture\n"
        "from bench.options import option\n"
        "@dataclass(frozen=True)\n"
        "class Options:\n"
        "    size: int = option(4, 'a size')\n"
        "@architecture('broken', summary='', source='', inputs=['tokens'], outputs=['classes'],\n"
        "              hyperparameters=Options, width='size')\n"
        "def build(spec, settings):\n"
        "    raise ValueError('no')\n"
    )
    (problem,) = refused(tmp_path, suite(1000, {"broken": "name = 'mine.py:build'"}))
    assert problem == "[[architecture]] 1 (broken): it cannot be built on `meta`: ValueError: no"


# ── what a suite without it says ───────────────────────────────────────────────────────────────────────────────────


def test_hashes_cover_the_solved_hyperparameters_and_nothing_else_of_it(tmp_path: Path) -> None:
    matched = planned(tmp_path, suite(200_000, {"gru": ""}))
    values = matched.cases[0].variant.hyperparameters
    asked = planned(tmp_path, suite(None, {"gru": f"hidden_dim = {values['hidden_dim']}"}))
    usual = planned(tmp_path, suite(None, {"gru": ""}))
    assert [case.definition_hash for case in asked.cases] == [case.definition_hash for case in matched.cases]
    assert [case.definition_hash for case in usual.cases] != [case.definition_hash for case in matched.cases]
    assert from_json(Plan, json.loads(dumps(matched))) == matched
    old = json.loads(dumps(usual))
    for case in old["cases"]:
        del case["variant"]["size"]  # as older runs have it
    assert from_json(Plan, old) == usual


@pytest.mark.slow
def test_planning_imports_no_compiler(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(suite(200_000, {"gru": "", "transformer": ""}))
    code = (
        "import sys; from pathlib import Path; from bench.plan import resolve; from bench.suite import load\n"
        "resolve(load(Path('mine.toml')), device='cpu', threads=1); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "False"  # it would take longer than the planning


# ── what is told ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_lists_of_cases_show_what_was_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "mine.toml").write_text(suite(20_000, {"rnn": "", "nbow": ""}))
    with pytest.raises(SystemExit):
        main(["list", "cases", "mine.toml"])
    head, _, first, *_, last = capsys.readouterr().out.strip().splitlines()
    assert head.split(maxsplit=1)[1].strip() == "matched to 20,000"
    assert "19,982 (-0.090 %)" in first
    assert "not matched" in last
    with pytest.raises(SystemExit):
        main(["list", "cases", "mine.toml", "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["size"] == {"target": 20_000, "parameters": 19_982}
    assert rows[-1]["size"] == {"target": 20_000, "parameters": None}


OWN_ROWS = """
from torch import nn

class Own(nn.Linear):
    def __init__(self, input_dim, num_classes):
        super().__init__(input_dim, num_classes)
"""
RUN = """
[measure]
min_rounds = 3
max_rounds = 3
warmup = 0.01
warmup_calls = 3
warmup_cap = 0.2
trial = 0.1
passes = []
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")
def test_a_run_measures_the_solved_models_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(OWN_ROWS)
    text = suite(5_000, {"mlp": "", "own": "name = 'models.py:Own'"}, PLAIN + RUN, 'task = "tabular"')
    (tmp_path / "mine.toml").write_text(text)

    def bench(*arguments: str) -> str:
        command = [sys.executable, "-m", "bench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True).stdout

    shown = bench("run", "mine.toml")
    assert "size not matched" in shown
    rows = list(csv.DictReader(io.StringIO(bench("report", "latest", "--format", "csv"))))
    found = {(row["label"], row["metric"]): float(row["value"]) for row in rows if row["value"]}
    # an MLP on rows has no tables, so what is matched is what is measured
    assert found["mlp", "matched_parameters"] == found["mlp", "parameters"] == pytest.approx(5_000, rel=0.02)
    assert ("own", "matched_parameters") not in found
    (page,) = (tmp_path / "reports").glob("*.html")
    assert "Sizes: matched to 5,000 parameters" in page.read_text(encoding="utf-8")


def test_nothing_is_left_of_a_count_but_shapes() -> None:
    """Widths far beyond the memory of any machine can be tried."""
    settings = ARCHITECTURES.get("mlp").hyperparameters(hidden_dim=10**6, num_layers=3)
    spec = Spec(inputs=InputKind.FEATURES, outputs=OutputKind.CLASSES, input_size=10, classes=2)
    assert size_of(ARCHITECTURES.get("mlp"), spec, settings).matched > 2 * 10**12


def test_shared_and_bagged_tables_are_tables() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.bag, self.out = nn.Embedding(9, 4), nn.EmbeddingBag(7, 4), nn.Linear(4, 9)
            self.out.weight = self.words.weight

    spec = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES)
    tied = replace(ARCHITECTURES.get("nbow"), build=lambda spec, settings: Tied())
    assert size_of(tied, spec, None) == (9, (9 + 7) * 4)
