import datetime
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench import suite
from bench.errors import SuiteError, UsageError
from bench.records import Gate, PassKind
from bench.suite import LARGEST_FILE_BYTES, catalogue, find, load
from bench.suite_check import _TABLES, _keys, read
from bench.workloads.training import OPTIMIZERS

SHIPPED = Path(__file__).parent.parent / "suites"
SMALL = """
name = "small"
task = "imdb"
[[architecture]]
name = "lstm"
[speed]
workloads = ["inference"]
sequence_lengths = [64]
batch_sizes = [1]
[accuracy]
sequence_lengths = [64]
epochs = 1
"""


def written(folder: Path, text: str | bytes, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ── finding and listing ──


def test_a_name_is_found_in_the_working_folder_before_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find("quick").resolve() == SHIPPED / "quick.toml"
    (tmp_path / "suites").mkdir()
    written(tmp_path / "suites", SMALL, "quick.toml")
    assert find("quick").resolve() == tmp_path / "suites" / "quick.toml"


def test_suites_are_found_inside_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "bench"
    (package / "suites").mkdir(parents=True)
    inside = written(package / "suites", SMALL, "quick.toml")
    monkeypatch.setattr(suite, "__file__", str(package / "suite.py"))
    monkeypatch.chdir(tmp_path)
    assert find("quick") == inside


@pytest.mark.parametrize("path", ["mine.toml", "./mine", "a/b.toml"])
def test_what_looks_like_a_path_is_one(path):
    assert find(path) == Path(path)


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(UsageError, match=r"suite 'quik' is unknown; did you mean 'quick'\?"):
        find("quik")
    with pytest.raises(UsageError, match=r"is unknown; expected one of: addition, attention, .*images"):
        find("x" * 5000)


def test_the_catalogue_lists_every_suite_once_with_its_description(monkeypatch):
    monkeypatch.chdir(SHIPPED.parent)
    entries = {entry.name: entry for entry in catalogue()}
    assert list(entries) == sorted(path.stem for path in SHIPPED.glob("*.toml"))
    assert {"quick", "sentiment", "images", "tabular", "smoke", "gpu"} <= set(entries)
    assert entries["gpu"].description == tomllib.loads((SHIPPED / "gpu.toml").read_text())["description"]


def test_the_catalogue_shows_the_suite_that_its_name_finds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    written(tmp_path / "suites", SMALL, "quick.toml")
    entries = {entry.name: entry for entry in catalogue()}
    assert entries["quick"].path == find("quick") == Path("suites/quick.toml")
    assert entries["gpu"].path.resolve() == SHIPPED / "gpu.toml"


def test_the_catalogue_says_why_a_file_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    written(tmp_path / "suites", "name = [", "broken.toml")
    (entry,) = [entry for entry in catalogue() if entry.name == "broken"]
    assert "cannot be read" in entry.description
    assert "not TOML" in entry.description


def test_listing_imports_neither_torch_nor_pydantic():
    code = (
        "import sys; from bench.suite import catalogue, find; catalogue(); find('quick');"
        "print(sorted({'torch', 'pydantic', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# ── reading ──


def test_a_suite_keeps_its_text_and_its_content(tmp_path):
    loaded = load(written(tmp_path, SMALL))
    assert loaded.text == SMALL
    assert loaded.problems == ()
    assert [entry.name for entry in loaded.content.task] == ["imdb"]
    assert loaded.architectures[0].name == "lstm"
    assert loaded.content.speed.precisions == ("fp32",)
    assert loaded.content.accuracy.settings().batch_size == 32


def test_hyperparameters_are_the_further_keys_of_an_entry(tmp_path):
    text = SMALL.replace(
        'name = "lstm"', 'name = "lstm"\nhidden_dim = 7\nlabel = "seven"\nspeed = { batch_sizes = [2] }'
    )
    entry = load(written(tmp_path, text)).content.architecture[0]
    assert entry.options == {"hidden_dim": 7}
    assert entry.label == "seven"
    assert entry.speed.batch_sizes == (2,)


def test_measure_and_fit_become_records(tmp_path):
    text = (
        SMALL
        + 'clip_norm = 0\n[measure]\nbudget = "2m"\nwarmup = 0.5\nmin_rounds = 3\nfit_timeout = "1h"\npasses = ["memory"]\n'
    )
    content = load(written(tmp_path, text)).content
    record = content.measure.record()
    assert (record.budget_s, record.warmup_s, record.min_rounds, record.fit_timeout_s) == (120, 0.5, 3, 3600)
    assert record.passes == (PassKind.MEMORY,)
    assert record.max_rounds == 20
    assert content.accuracy.settings().clip_norm is None
    assert content.accuracy.settings().learning_rates == (1e-3,)


def test_the_gate_becomes_a_record_and_later_cases_win(tmp_path):
    text = (
        SMALL
        + """[gate]
thresholds = { latency_s = 0.05, peak_rss_bytes = 0.1 }
max_pairs = 20
[[gate.case]]
match = "*/training/*"
thresholds = { latency_s = 0.08 }
[[gate.case]]
match = "imdb/lstm/*"
ignore = ["peak_rss_bytes"]
allow_missing = true
"""
    )
    gate = load(written(tmp_path, text)).content.gate.record()
    asked = ("imdb/lstm/training/L64", "imdb/gru/training/L64", "imdb/gru/inference/L64")
    assert [gate.threshold(case, "latency_s", 0.03) for case in asked] == [0.08, 0.08, 0.05]
    assert [gate.threshold(case, "peak_rss_bytes", 0.03) for case in asked] == [None, 0.1, 0.1]
    assert [gate.threshold(case, "kernel_count", 0.0) for case in asked] == [0.0, 0.0, 0.0]
    assert [gate.allows_missing(case) for case in asked] == [True, False, False]
    assert gate.max_pairs == 20
    assert load(written(tmp_path, SMALL)).content.gate.record() == Gate()


def test_every_optimizer_that_can_be_built_can_be_asked_for(tmp_path):
    for name in OPTIMIZERS:
        assert load(written(tmp_path, SMALL + f'optimizer = "{name}"')).problems == ()
    (problem,) = load(written(tmp_path, SMALL + 'optimizer = "adam"')).problems
    assert problem == "'accuracy.optimizer' is \"adam\"; did you mean 'adamw'?"
    assert all(name in str(load(written(tmp_path, SMALL + 'optimizer = "x"')).problems) for name in OPTIMIZERS)


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    assert load(written(tmp_path, SMALL.encode("utf-8-sig"))).problems == ()


FILES = {
    "not TOML": (b'name = "x\n', ["not TOML", "line 1, column 10"]),
    "a key twice": (b"name = 1\nname = 2\n", ["not TOML", "line 2"]),
    "not UTF-8": (b'name = "\xff"', ["byte 9", "UTF-8"]),
    "empty": (b" \n\n", ["empty", "bench list suites"]),
    "zero bytes": (b"\0" * 100, ["not TOML", "line 1"]),
    "ten megabytes of brackets": (b"x = " + b"[" * 10_000_000, ["10,000,004 bytes", f"at most {LARGEST_FILE_BYTES:,}"]),
    "brackets": (b"x = " + b"[" * 50_000, ["nested too deeply"]),
    "tables": (b"x = " + b"{a=" * 20_000, ["nested too deeply"]),
    "a number of 5,000 digits": (b"x = " + b"1" * 5_000, ["not TOML", "digits"]),
}


@pytest.mark.parametrize(("content", "parts"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_suite(tmp_path, content, parts):
    with pytest.raises(SuiteError) as caught:
        load(written(tmp_path, content))
    assert all(part in str(caught.value) for part in ["mine.toml: ", *parts])


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(SuiteError, match=r"there is no such file; `bench list suites` shows"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(SuiteError, match=r"this is a folder; name one \.toml file in it"):
        load(tmp_path)
    with pytest.raises(SuiteError, match=r"expected a plain file"):
        load(Path("/dev/null"))


# ── overrides ──


def test_an_override_replaces_or_adds_a_key(tmp_path):
    path = written(tmp_path, SMALL)
    loaded = load(path, ["speed.batch_sizes=[3, 4]", "measure.budget='9s'", 'task = "images"'])
    assert loaded.content.speed.batch_sizes == (3, 4)
    assert loaded.content.measure.record().budget_s == 9
    assert loaded.content.task[0].name == "images"


@pytest.mark.parametrize(
    ("option", "parts"),
    [
        ("accuracy.epochs", ["expected key=value"]),
        ("=3", ["expected key=value"]),
        ("accuracy..epochs=3", ["expected key=value"]),
        ("task=imdb", ["'imdb' is not a TOML value", "with its quotes"]),
        ("name.x=1", ["'name' is no table"]),
        ("architecture.hidden_dim=1", ["'architecture' is no table"]),
    ],
)
def test_an_override_that_cannot_be_read_names_its_option(tmp_path, option, parts):
    with pytest.raises(UsageError) as caught:
        load(written(tmp_path, SMALL), [option])
    assert all(part in str(caught.value) for part in [f"--set {option}:", *parts])


def test_a_problem_that_an_override_made_names_its_option(tmp_path):
    loaded = load(written(tmp_path, SMALL), ["speed.batch_size=[1]", "accuracy.epochs=0"])
    assert [loaded.sentence(problem) for problem in loaded.problems] == [
        "--set speed.batch_size=[1]: 'speed.batch_size' is unknown; did you mean 'batch_sizes'?",
        "--set accuracy.epochs=0: 'accuracy.epochs' is 0; expected at least 1",
    ]
    assert loaded.sentence("'accuracy.seeds' is odd") == f"{tmp_path}/mine.toml: 'accuracy.seeds' is odd"


# ── shape ──


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


SHAPES = {
    "unknown key": (SMALL + "[extra]\nx = 1", ["'extra' is unknown", "expected one of: accuracy"]),
    "key of fairness": (
        SMALL + "[fairness]\nmatch_parameter = 1_000_000",
        ["'fairness.match_parameter' is unknown", "did you mean 'match_parameters'?"],
    ),
    "no size to match": (SMALL + "[fairness]\nmatch_parameters = 0", ["'fairness.match_parameters' is 0", "at least 1"]),
    "a size in words": (
        SMALL + '[fairness]\nmatch_parameters = "1M"',
        ["'fairness.match_parameters' is \"1M\"", "a whole number"],
    ),
    "unknown key under speed": (changed("batch_sizes", "batchsizes"), ["'speed.batchsizes'", "did you mean 'batch_sizes'?"]),
    "key at the wrong place": ("epochs = 3\n" + SMALL, ["'epochs' is unknown", "it belongs under [accuracy]"]),
    "wrong type": (changed("[1]", "1"), ["'speed.batch_sizes' is 1", "expected a list, such as [1, 32]"]),
    "text for a number": (changed("[1]", '["1"]'), ["'speed.batch_sizes' entry 1 is \"1\"", "expected a whole number"]),
    "true for a number": (changed("[1]", "[true]"), ["'speed.batch_sizes' entry 1 is true", "expected a whole number"]),
    "fraction": (changed("[1]", "[1.0]"), ["'speed.batch_sizes' entry 1 is 1.0", "expected a whole number"]),
    "negative size": (changed("[1]", "[1, -2]"), ["'speed.batch_sizes' entry 2 is -2", "expected at least 1"]),
    "huge size": (changed("[1]", "[99999999999999999999]"), ["'speed.batch_sizes' entry 1", "expected at most 1000000000"]),
    "empty axis": (changed("[1]", "[]"), ["'speed.batch_sizes' is []", "expected at least one value"]),
    "a value twice": (changed("[1]", "[1, 2, 1]"), ["'speed.batch_sizes' is [1, 2, 1]", "1 stands there twice"]),
    "seeds twice": (SMALL + "seeds = [0, 0]", ["'accuracy.seeds' is [0, 0]", "0 stands there twice"]),
    "unknown precision": (
        changed("batch_sizes", 'precisions = ["fp23"]\nbatch_sizes'),
        ["'speed.precisions' entry 1 is \"fp23\"", "did you mean 'fp32'?"],
    ),
    "bad label": (
        changed('name = "lstm"', 'name = "lstm"\nlabel = 3'),
        ["[[architecture]] 1 (lstm): 'label' is 3", "expected text"],
    ),
    "label of control characters": (
        changed('name = "lstm"', 'name = "lstm"\nlabel = "\\u001b[31m"'),
        ["[[architecture]] 1", "'label' is \"\\u001b[31m\"", "can be seen"],
    ),
    "date for a hyperparameter": (
        changed('name = "lstm"', 'name = "lstm"\nhidden_dim = 1979-05-27'),
        ["[[architecture]] 1 (lstm): 'hidden_dim' is 1979-05-27", "expected a finite number, text"],
    ),
    "infinite hyperparameter": (
        changed('name = "lstm"', 'name = "lstm"\ndropout = inf'),
        ["'dropout' is inf", "finite number"],
    ),
    "deep hyperparameter": (
        changed('name = "lstm"', 'name = "lstm"\nx' + ".x" * 500 + " = 1"),
        ["[[architecture]] 1 (lstm): 'x' is a table", "expected a finite number, text"],
    ),
    "not finite": (SMALL + "target = nan", ["'accuracy.target' is nan", "expected a finite number"]),
    "bad budget": (SMALL + '[measure]\nbudget = "soon"', ["'measure.budget' is \"soon\"", '"150s"']),
    "no budget": (SMALL + "[measure]\nbudget = 0", ["'measure.budget' is 0", "more than 0"]),
    "rounds in the wrong order": (
        SMALL + "[measure]\nmin_rounds = 6\nmax_rounds = 5",
        ["'measure' cannot be met", "min_rounds (6) not above max_rounds (5)"],
    ),
    "target of measure": (SMALL + "[measure]\ntarget = 5", ["'measure.target' is 5", "less than 1"]),
    "no architecture": (changed('[[architecture]]\nname = "lstm"\n', ""), ["'architecture' is missing", "[[architecture]]"]),
    "architecture in single brackets": (
        changed("[[architecture]]", "[architecture]"),
        ["'architecture' is a table", "double brackets"],
    ),
    "architecture without a name": (
        changed('name = "lstm"', "hidden_dim = 3"),
        ["[[architecture]] 1: 'name' is missing", 'add name = "lstm"'],
    ),
    "architecture without entries": (
        "architecture = []\n" + changed('[[architecture]]\nname = "lstm"\n', ""),
        ["'architecture' is []", "at least one"],
    ),
    "no task": (changed('task = "imdb"\n', ""), ["'task' is missing", 'add task = "imdb"']),
    "task of another type": (changed('task = "imdb"', "task = 3"), ["'task' is 3", "[[task]]"]),
    "no name": (changed('name = "small"\n', ""), ["'name' is missing", 'add name = "my-suite"']),
    "name that is no file name": (changed('"small"', '"../small"'), ["'name' is \"../small\"", "letters, digits"]),
    "no epochs": (changed("epochs = 1", "seeds = [0]"), ["'accuracy.epochs' is missing", "add epochs = 3"]),
    "negative seed": (SMALL + "seeds = [-1]", ["'accuracy.seeds' entry 1 is -1", "at least 0"]),
    "operating point of another type": (
        SMALL + "[report]\noperating_point = 3",
        ["'report.operating_point' is 3", "expected a table"],
    ),
    "key of the gate": (SMALL + "[gate]\nthreshold = 1", ["'gate.threshold' is unknown", "did you mean 'thresholds'?"]),
    "a threshold that is no number": (
        SMALL + '[gate]\nthresholds = { latency_s = "5 %" }',
        ["'gate.thresholds.latency_s' is \"5 %\"", "expected a number"],
    ),
    "thresholds that are no table": (SMALL + "[gate]\nthresholds = 0.05", ["'gate.thresholds' is 0.05", "expected a table"]),
    "a threshold in per cent": (
        SMALL + "[gate]\nthresholds = { latency_s = 10 }",
        ["'gate.thresholds.latency_s' is 10", "expected less than 10"],
    ),
    "too few pairs": (SMALL + "[gate]\nmax_pairs = 1", ["'gate.max_pairs' is 1", "expected at least 2"]),
    "a metric ignored twice": (
        SMALL + '[gate]\nignore = ["kernel_count", "kernel_count"]',
        ["kernel_count stands there twice"],
    ),
    "cases of the gate in single brackets": (
        SMALL + '[gate.case]\nmatch = "*"',
        ["'gate.case' is a table", "expected [[gate.case]] in double brackets"],
    ),
    "a case of the gate without a pattern": (
        SMALL + "[[gate.case]]\nallow_missing = true",
        ["[[gate.case]] 1: 'match' is missing", 'add match = "*/lstm/*"'],
    ),
    "key of a case of the gate": (
        SMALL + '[[gate.case]]\nmatch = "*/lstm/*"\nallow_mising = true',
        ["[[gate.case]] 1 (*/lstm/*): 'allow_mising' is unknown", "did you mean 'allow_missing'?"],
    ),
    "a case of the gate that is text": (SMALL + '[gate]\ncase = ["*"]', ['[[gate.case]] 1 is "*"', "expected a table"]),
    "pattern at the top of the gate": (
        SMALL + '[gate]\nmatch = "*"',
        ["'gate.match' is unknown", "it belongs under [[gate.case]]"],
    ),
    "pretrained as a table": (
        changed('name = "lstm"', 'name = "lstm"\npretrained = { path = "x" }'),
        ["[[architecture]] 1 (lstm): 'pretrained' is a table"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), SHAPES.values(), ids=SHAPES)
def test_a_wrong_shape_is_one_sentence_with_key_and_advice(tmp_path, text, parts):
    loaded = load(written(tmp_path, text))
    (problem,) = loaded.problems
    assert all(part in problem for part in parts), problem
    assert loaded.content is None


def test_all_problems_come_at_once_and_sound_entries_are_kept(tmp_path):
    text = changed("[1]", "[0]").replace("epochs = 1", "epoch = 1").replace('name = "lstm"', 'name = "lstm"\nlabel = 3')
    loaded = load(written(tmp_path, text + '[[architecture]]\nname = "gru"\n'))
    assert len(loaded.problems) == 4  # label, batch size, `epochs` missing, `epoch` unknown
    assert {place: entry.name for place, entry in loaded.architectures.items()} == {1: "gru"}
    assert loaded.tasks[0].name == "imdb"


ODD_VALUES = (
    True,
    0,
    -1,
    1.5,
    float("nan"),
    "",
    "x" * 200,
    [],
    ["x"],
    [[]],
    [{}],
    {},
    {"x": 1},
    datetime.date(2000, 1, 1),
)


def test_any_value_at_any_key_is_answered_in_our_words():
    seen = 0
    for place, model in _TABLES.items():
        for key in _keys(model):
            for value in ODD_VALUES:
                tables = tomllib.loads(SMALL)
                innermost = {key: value}
                for part in reversed(place):
                    innermost = {part: [innermost] if part in ("task", "architecture", "case") else innermost}
                loaded = read({**tables, **innermost}, path=Path("x"), where="x", text="", options={})
                assert loaded.content is None or not loaded.problems
                for problem in loaded.problems:
                    assert re.search("; (expected|did you mean|it belongs|none is allowed)|; add ", problem), problem
                    assert not re.search("Input|should|valid |None", problem), problem
                    seen += 1
    assert seen > 300
    required = [entry for model in _TABLES.values() for entry in model.model_fields.values() if entry.is_required()]
    assert all(entry.examples for entry in required)
