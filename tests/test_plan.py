import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch

from bench.codec import dumps, from_json
from bench.compare import EXACT
from bench.errors import SuiteError, UsageError
from bench.matrix import definition_hash, skip_reason, slugs
from bench.plan import _recorded, choose_device, resolve
from bench.records import Case, FitSettings, OperatingPoint, Plan, Variant
from bench.spec import InputKind, OutputKind, Spec
from bench.suite import find, load
from bench.verdicts import TIME
from bench.workloads import WORKLOADS, Workload

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
IMAGES = """
name = "digits"
task = "images"
[[architecture]]
name = "cnn"
[speed]
workloads = ["inference"]
batch_sizes = [1]
[accuracy]
epochs = 1
"""
SECOND = '[[architecture]]\nname = "gru"\n[speed]'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(
        "XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache"))
    )  # texts of the user's are prepared there


def planned(folder: Path, text: str, overrides: tuple[str, ...] = (), **asked: object) -> Plan:
    path = folder / "mine.toml"
    path.write_text(text)
    return resolve(load(path, overrides), **{"device": "cpu", "threads": 2, **asked})


def refused(folder: Path, text: str, **asked: object) -> tuple[str, ...]:
    with pytest.raises(SuiteError) as caught:
        planned(folder, text, **asked)
    return caught.value.problems


def changed(old: str, new: str, text: str = SMALL) -> str:
    assert old in text
    return text.replace(old, new)


# ── the shipped suites ──


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_suite_resolves_without_its_data(path, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    plan = resolve(load(path), threads=2, device="cpu")
    assert plan.suite == path.stem
    assert plan.description
    assert plan.cases
    assert not any(case.skip for case in plan.cases)
    assert (
        len({case.id for case in plan.cases}) == len({case.definition_hash for case in plan.cases}) == len(plan.cases)
    )
    again = from_json(Plan, json.loads(dumps(plan)))
    assert (again.measure, again.gate) == (plan.measure, plan.gate)


def test_quick_is_what_the_issue_asks_for():
    plan = resolve(load(find("quick")), threads=2, device="cpu")
    timed = [case for case in plan.cases if case.fit is None]
    fits = [case for case in plan.cases if case.fit is not None]
    names = ["nbow", "rnn", "lstm", "gru", "textcnn", "transformer"]
    assert [case.variant.label for case in fits] == names
    assert len(timed) == len(names) * 2 * 2 * 2
    assert {(case.sequence_length, case.batch_size) for case in timed} == {(64, 1), (64, 32), (256, 1), (256, 32)}
    assert {case.workload for case in timed} == {"inference", "training"}
    assert (plan.measure.budget_s, plan.measure.min_rounds, plan.measure.target) == (240, 5, 0.05)
    assert all((case.sequence_length, case.fit.train_items, case.fit.epochs) == (128, 2000, 2) for case in fits)
    assert plan.seeds == (0,)
    assert plan.folds == {}


# ── the matrix ──


def test_ids_are_readable(tmp_path):
    text = changed('name = "lstm"', 'name = "lstm"\nlabel = "BiLSTM x2"\nbidirectional = true')
    plan = planned(tmp_path, changed('["inference"]', '["inference", "training"]', text))
    assert [case.id for case in plan.cases] == [
        "imdb/bilstm-x2/inference/L64-B1-fp32-cpu-t2",
        "imdb/bilstm-x2/training/L64-B1-fp32-cpu-t2",
        "imdb/bilstm-x2/fit/L64",
    ]
    assert [case.id for case in planned(tmp_path, IMAGES).cases] == [
        "images/cnn/inference/B1-fp32-cpu-t2",
        "images/cnn/fit",
    ]


def test_the_matrix_is_the_product_of_its_axes(tmp_path):
    text = changed("sequence_lengths = [64]\nbatch_sizes = [1]", "sequence_lengths = [8, 16]\nbatch_sizes = [1, 2, 3]")
    text = changed("[accuracy]", 'precisions = ["fp32", "bf16"]\nthreads = [1, 4]\n[accuracy]', text)
    cases = planned(tmp_path, changed("[speed]", SECOND, text)).cases
    points = {
        (c.variant.label, c.sequence_length, c.batch_size, c.precision, c.threads) for c in cases if c.fit is None
    }
    assert len(points) == 2 * 2 * 3 * 2 * 2
    assert len(cases) == len(points) + 2


def test_variants_carry_every_hyperparameter_and_cases_survive_json(tmp_path):
    plan = planned(tmp_path, changed('name = "lstm"', 'name = "lstm"\nhidden_dim = 7'))
    values = plan.cases[0].variant.hyperparameters
    assert values["hidden_dim"] == 7
    assert set(values) >= {"embedding_dim", "num_layers", "dropout", "bidirectional", "forget_bias"}
    again = from_json(Plan, json.loads(dumps(plan)))
    assert [case.variant.variant_id for case in again.cases] == [case.variant.variant_id for case in plan.cases]


def test_an_entry_replaces_the_axes_that_it_names(tmp_path):
    text = changed("[speed]", '[[architecture]]\nname = "gru"\n[architecture.speed]\nbatch_sizes = [8, 9]\n[speed]')
    cases = [case for case in planned(tmp_path, text).cases if case.fit is None]
    assert [(case.variant.label, case.batch_size, case.sequence_length) for case in cases] == [
        ("lstm", 1, 64),
        ("gru", 8, 64),
        ("gru", 9, 64),
    ]


def test_an_entry_may_bring_all_its_axes(tmp_path):
    own = 'speed = { workloads = ["training"], sequence_lengths = [4], batch_sizes = [2] }'
    text = f'name = "own"\ntask = "imdb"\n[[architecture]]\nname = "lstm"\n{own}\n[[architecture]]\nname = "gru"\n'
    assert [case.id for case in planned(tmp_path, text).cases] == ["imdb/lstm/training/L4-B2-fp32-cpu-t2"]


def test_lengths_are_for_the_tasks_that_take_them(tmp_path):
    (tmp_path / "mine.csv").write_text("text,label\ngood,1\nbad,0\nfine,1\npoor,0\ngreat,1\nsad,0\n")
    model = "from torch import nn\nclass Mine(nn.Module):\n    def __init__(self, num_classes): super().__init__()\n"
    (tmp_path / "models.py").write_text(model)
    text = changed('task = "imdb"', '[[task]]\nname = "images"\n[[task]]\nname = "imdb"')
    cases = planned(tmp_path, changed('"lstm"', '"models.py:Mine"', text)).cases
    assert [(case.task, case.workload, case.sequence_length) for case in cases] == [
        ("images", "inference", None),
        ("images", "fit", None),
        ("imdb", "inference", 64),
        ("imdb", "fit", 64),
    ]
    assert {case.variant.label for case in cases} == {"Mine"}


def test_what_cpus_do_not_compute_is_skipped_with_a_reason(tmp_path):
    text = changed("batch_sizes = [1]", 'batch_sizes = [1]\nprecisions = ["fp32", "tf32", "bf16", "fp16"]')
    skips = {case.precision: case.skip for case in planned(tmp_path, text).cases if case.fit is None}
    assert [name for name, skip in skips.items() if skip] == ["tf32", "fp16"]
    assert skips["fp16"].startswith("fp16 is not measured on cpu: ")
    assert not skip_reason("fp16", "cuda")


def test_threads_come_from_the_suite_before_the_machine(tmp_path):
    text = changed("batch_sizes = [1]", "batch_sizes = [1]\nthreads = [1]")
    assert [case.threads for case in planned(tmp_path, text, threads=6).cases] == [1, 6]


def test_a_workload_with_an_axis_of_its_own_sweeps_it(tmp_path, monkeypatch):
    generate = Workload(
        name="generate", summary="", axes=("new_tokens",), metrics=("latency_s",), prepare=lambda _: None
    )
    monkeypatch.setitem(WORKLOADS._things, "generate", generate)
    text = changed('["inference"]', '["generate"]')
    cases = planned(tmp_path, changed("batch_sizes = [1]", "batch_sizes = [1]\nnew_tokens = [4, 8]", text)).cases
    assert [case.id for case in cases][:2] == [
        "imdb/lstm/generate/L64-B1-N4-fp32-cpu-t2",
        "imdb/lstm/generate/L64-B1-N8-fp32-cpu-t2",
    ]
    (problem,) = refused(tmp_path, text)
    assert "'speed.new_tokens' is missing; workload 'generate' needs it" in problem


# ── labels and slugs ──


def labels(plan: Plan) -> list[str]:
    return list(dict.fromkeys(case.variant.label for case in plan.cases))


def test_entries_of_one_architecture_are_told_apart_by_what_differs(tmp_path):
    more = '[[architecture]]\nname = "lstm"\nbidirectional = true\nnum_layers = 2\nembedding_dim = 9\n[speed]'
    text = changed("[speed]", more, changed('name = "lstm"', 'name = "lstm"\nembedding_dim = 9'))
    assert labels(planned(tmp_path, text)) == ["lstm", "lstm num_layers=2 bidirectional=true"]


def test_slugs_differ_where_names_do():
    assert slugs(["LSTM", "lstm", "a b", "a/b", "模型", "!"]) == {
        "LSTM": "lstm",
        "lstm": "lstm-2",
        "a b": "a-b",
        "a/b": "a-b-2",
        "模型": "模型",
        "!": "x",
    }


# ── folds, operating point, folder, filter, device ──


def test_folds_come_from_the_task_unless_the_suite_wants_fewer(tmp_path):
    assert planned(tmp_path, IMAGES).folds == {"images": 5}
    assert planned(tmp_path, IMAGES + "folds = 2").folds == {"images": 2}
    assert planned(tmp_path, IMAGES + "folds = 0").folds == {}
    assert planned(tmp_path, SMALL + "folds = 0").folds == {}
    assert planned(tmp_path, IMAGES.partition("[accuracy]")[0]).folds == {}


@pytest.mark.parametrize(
    ("speed", "accuracy", "asked", "expected"),
    [
        ("[64, 256]", "[64]", "", ("inference", 64, 2)),
        ("[64, 256]", "[64, 256]", "", ("inference", 256, 2)),
        ("[64, 256]", "[128]", "", ("inference", 256, 2)),
        ("[64, 256]", "[64]", "sequence_length = 256", ("inference", 256, 2)),
        ("[64, 256]", "[64]", 'workload = "training", batch_size = 1', ("training", 64, 1)),
    ],
)
def test_the_operating_point(tmp_path, speed, accuracy, asked, expected):
    text = changed("sequence_lengths = [64]\nbatch_sizes = [1]", f"sequence_lengths = {speed}\nbatch_sizes = [2, 1]")
    text = changed("sequence_lengths = [64]\nepochs", f"sequence_lengths = {accuracy}\nepochs", text)
    text = changed('["inference"]', '["training", "inference"]', text)
    point = planned(tmp_path, f"{text}[report]\noperating_point = {{ {asked} }}").operating_point
    assert (point.workload, point.sequence_length, point.batch_size) == expected


def test_the_operating_point_of_what_is_not_inference(tmp_path):
    assert planned(tmp_path, changed("inference", "training")).operating_point.workload == "training"
    only_fits = changed(SMALL[SMALL.index("[speed]") : SMALL.index("[accuracy]")], "")
    assert planned(tmp_path, only_fits).operating_point == OperatingPoint()


def test_a_folder_is_kept_only_where_the_suite_names_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    assert planned(Path("sub"), SMALL).folder == "."
    (tmp_path / "sub" / "mine.csv").write_text("text,label\ngood,1\nbad,0\nfine,1\npoor,0\ngreat,1\nsad,0\n")
    text = changed('task = "imdb"', '[[task]]\nname = "text-classification"\nfile = "mine.csv"')
    plan = planned(Path("sub"), text)
    assert plan.folder == "sub"
    assert plan.cases[0].task_options == {"file": "mine.csv"}
    assert plan.cases[0].id.startswith("text-classification-file=mine.csv/lstm/")


def test_a_folder_outside_is_recorded_without_whose_home_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "alice"
    for folder in (home / "mine", tmp_path / "work", tmp_path / "other"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path / "work")
    assert _recorded(home / "mine") == "~/mine"
    assert Path(_recorded(home / "mine")).expanduser() == home / "mine"
    assert _recorded(tmp_path / "other") == str(tmp_path / "other")
    assert _recorded(Path("sub")) == "sub"


def test_modules_are_imported_before_names_are_looked_up(tmp_path):
    module = "from bench.architectures import ARCHITECTURES\nimport dataclasses\n"
    module += "twin = dataclasses.replace(ARCHITECTURES.get('lstm'), name='planned-twin')\n"
    (tmp_path / "planned_twins.py").write_text(module + "ARCHITECTURES.register('planned-twin', twin)\n")
    text = changed('"lstm"', '"planned-twin"')
    assert "'planned-twin' is unknown" in refused(tmp_path, text)[0]
    plan = planned(tmp_path, 'import = ["planned_twins"]\n' + text)
    assert plan.imports == ("planned_twins",)
    assert plan.cases[0].variant.architecture == "planned-twin"
    assert planned(tmp_path, text, imports=("planned_twins",)).imports == ("planned_twins",)


def test_the_filter_keeps_what_contains_or_matches_it(tmp_path):
    text = changed("[speed]", SECOND)
    assert [case.id for case in planned(tmp_path, text, filter="gru/fit").cases] == ["imdb/gru/fit/L64"]
    assert [case.id for case in planned(tmp_path, text, filter="*/fit/*").cases] == [
        "imdb/lstm/fit/L64",
        "imdb/gru/fit/L64",
    ]
    assert len(planned(tmp_path, text, filter="l64-b1").cases) == 2
    assert not planned(tmp_path, text, filter="imdb/*/fit/L6?").cases[0].skip
    with pytest.raises(UsageError, match=r"--filter 'nbow' leaves none of the 4 cases; .*imdb/lstm/inference/L64-B1"):
        planned(tmp_path, text, filter="nbow")


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="device 'cuda' is not here"):
        choose_device("cuda")
    with pytest.raises(UsageError, match=r"device 'cude' is unknown; did you mean 'cuda'\?"):
        choose_device("cude")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == "cuda"


# ── what is refused ──

LSTM = 'name = "lstm"'
REFUSED = {
    "unknown architecture": (
        changed('"lstm"', '"lstn"'),
        ["[[architecture]] 1 (lstn): ", "'lstn' is unknown", "did you mean 'lstm'?"],
    ),
    "unknown task": (changed('"imdb"', '"imbd"'), ["[[task]] 1 (imbd): ", "'imbd' is unknown", "did you mean 'imdb'?"]),
    "unknown workload": (
        changed('"inference"', '"inferense"'),
        ["'speed.workloads': ", "'inferense' is unknown", "'inference'?"],
    ),
    "fit as a timed workload": (changed('"inference"', '"fit"'), ["'speed.workloads': 'fit' is trained", "[accuracy]"]),
    "unknown task option": (
        changed('task = "imdb"', '[[task]]\nname = "imdb"\ndelay = 3'),
        ["[[task]] 1 (imdb): 'delay' is unknown"],
    ),
    "missing task option": (
        changed('task = "imdb"', 'task = "text-classification"'),
        ["[[task]] 1 (text-classification): 'file' is missing"],
    ),
    "missing file": (
        changed('task = "imdb"', '[[task]]\nname = "text-classification"\nfile = "none.csv"'),
        ["[[task]] 1 (text-classification): ", "none.csv"],
    ),
    "the same task twice": (
        changed('task = "imdb"', '[[task]]\nname = "imdb"\n[[task]]\nname = "imdb"'),
        ["[[task]] 2 (imdb): is the same as [[task]] 1 (imdb)", "remove one"],
    ),
    "unsupported pair": (
        changed('"lstm"', '"cnn"'),
        ["[[architecture]] 1 (cnn): does not fit task 'imdb'", "architectures that do: ", "gru, linear-attention, lstm"],
    ),
    "unknown hyperparameter": (
        changed(LSTM, f"{LSTM}\nhidden_size = 3"),
        ["[[architecture]] 1 (lstm): 'hidden_size' is unknown", "did you mean 'hidden_dim'?"],
    ),
    "pretrained": (changed(LSTM, f'{LSTM}\npretrained = "x"'), ["[[architecture]] 1 (lstm): 'pretrained' is unknown"]),
    "hyperparameter of another type": (
        changed(LSTM, f'{LSTM}\nhidden_dim = "3"'),
        ["[[architecture]] 1 (lstm): 'hidden_dim' is '3'", "expected int"],
    ),
    "hyperparameter out of range": (
        changed(LSTM, f"{LSTM}\ndropout = 1.5"),
        ["[[architecture]] 1 (lstm): 'dropout' is 1.5", "expected below 1"],
    ),
    "hyperparameter with an axis's name": (
        changed(LSTM, f"{LSTM}\nbatch_size = 3"),
        ["[[architecture]] 1 (lstm): 'batch_size' is an axis", "batch_sizes under [speed]"],
    ),
    "device as a hyperparameter": (
        changed(LSTM, f'{LSTM}\ndevice = "cuda"'),
        ["[[architecture]] 1 (lstm): 'device' is an axis", "remove it"],
    ),
    "a label twice": (
        changed("[speed]", '[[architecture]]\nname = "gru"\nlabel = "lstm"\n[speed]'),
        ["label 'lstm' stands 2 times", "a label of its own"],
    ),
    "the same case twice": (
        changed("[speed]", '[[architecture]]\nname = "lstm"\nlabel = "twin"\nhidden_dim = 128\n[speed]'),
        ["[[architecture]] 2 (twin): makes the same cases as [[architecture]] 1 (lstm)", "remove one"],
    ),
    "a length for a task that has none": (
        changed("batch_sizes", "sequence_lengths = [64]\nbatch_sizes", IMAGES),
        ["'speed.sequence_lengths' is [64]", "task 'images' has no sequence length", "remove it"],
    ),
    "a fitted length for a task that has none": (
        IMAGES + "sequence_lengths = [64]",
        ["'accuracy.sequence_lengths' is [64]", "remove it"],
    ),
    "an entry's length for a task that has none": (
        changed("[speed]", "[architecture.speed]\nsequence_lengths = [8]\n[speed]", IMAGES),
        ["[[architecture]] 1 (cnn): 'speed.sequence_lengths' is [8]", "remove it"],
    ),
    "no lengths": (
        changed("sequence_lengths = [64]\nbatch_sizes", "batch_sizes"),
        ["'speed.sequence_lengths' is missing", "such as sequence_lengths = [64, 256]"],
    ),
    "no fitted lengths": (
        changed("sequence_lengths = [64]\nepochs", "epochs"),
        ["'accuracy.sequence_lengths' is missing", "such as sequence_lengths"],
    ),
    "no batch sizes": (changed("batch_sizes = [1]", ""), ["'speed.batch_sizes' is missing", "add batch_sizes = [1, 32]"]),
    "no workloads": (changed('workloads = ["inference"]', ""), ["'speed.workloads' is missing", "add workloads ="]),
    "new tokens that nobody makes": (
        changed("batch_sizes = [1]", "batch_sizes = [1]\nnew_tokens = [3]"),
        ["'speed.new_tokens' is given", "remove it"],
    ),
    "neither speed nor accuracy": (SMALL.partition("[speed]")[0], ["neither [speed] nor [accuracy]", "add one"]),
    "folds of a fixed split": (SMALL + "folds = 3", ["'accuracy.folds' is 3", "one fixed split", "remove it"]),
    "too many folds": (IMAGES + "folds = 9", ["'accuracy.folds' is 9", "at most 5"]),
    "operating point that is not timed": (
        SMALL + "[report]\noperating_point = { batch_size = 7 }",
        ["'report.operating_point.batch_size' is 7", "expected one that is timed: 1"],
    ),
    "operating point of a length where there is none": (
        IMAGES + "[report]\noperating_point = { sequence_length = 7 }",
        ["'report.operating_point.sequence_length' is 7", "none"],
    ),
    "a threshold of no metric": (
        SMALL + "[gate]\nthresholds = { latncy_s = 0.05 }",
        ["'gate.thresholds.latncy_s' is unknown", "did you mean 'latency_s'?"],
    ),
    "a threshold of a metric that is not judged": (
        SMALL + "[gate]\nthresholds = { padding_share = 0.05 }",
        ["'gate.thresholds.padding_share' is unknown", "expected one of: accuracy, activations_bytes"],
    ),
    "a metric ignored for nothing": (
        SMALL + '[[gate.case]]\nmatch = "*"\nignore = ["kernel_count", "f1_macro"]',
        ["[[gate.case]] 1 (*): 'ignore' entry 2 is 'f1_macro'", "expected one of: accuracy"],
    ),
    "a module that is not there": ('import = ["no_such_module"]\n' + SMALL, ["'import': ", "no_such_module"]),
    "a class that is not there": (
        changed('"lstm"', '"nowhere.py:Net"'),
        ["[[architecture]] 1 (nowhere.py:Net): ", "no such file"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_one_sentence_with_key_and_advice(tmp_path, text, parts):
    (problem,) = refused(tmp_path, text)
    assert problem.startswith(f"{tmp_path}/mine.toml: ")
    assert all(part in problem for part in parts), problem


def test_all_problems_come_in_one_message(tmp_path):
    text = changed(LSTM, 'name = "lstn"\n[[architecture]]\nname = "gru"\nhidden_dim = -1\nbatch_size = 3')
    text = changed('"inference"', '"inferense"', changed('"imdb"', '"imbd"', text)) + "folds = 99\n"
    problems = refused(tmp_path, text)
    for part in ("'lstn'", "'hidden_dim'", "'batch_size'", "'inferense'", "'imbd'"):
        assert sum(part in problem for problem in problems) == 1, problems
    assert len(problems) == 5  # nothing is known of the folds of an unknown task


def test_names_in_the_gate_are_told_with_all_others(tmp_path):
    text = changed(LSTM, 'name = "lstn"') + "folds = 99\n[gate]\nthresholds = { latncy_s = 0.1, accuracy = 0.02 }\n"
    problems = refused(tmp_path, text)
    assert len(problems) == 3
    for part in ("'lstn'", "'accuracy.folds'", "'gate.thresholds.latncy_s'"):
        assert sum(part in problem for problem in problems) == 1, problems


def test_every_metric_that_is_judged_may_stand_in_the_gate(tmp_path):
    names = ", ".join(f"{name} = 0.5" for name in (TIME, *EXACT, "accuracy"))
    gate = planned(tmp_path, SMALL + f"[gate]\nthresholds = {{ {names} }}").gate
    assert set(gate.rules[0].thresholds) == {TIME, *EXACT, "accuracy"}


def test_shape_and_names_are_told_together(tmp_path):
    text = changed('"lstm"', '"lstn"') + "epoch = 3\n"
    problems = refused(tmp_path, text)
    assert len(problems) == 2
    assert "'accuracy.epoch' is unknown" in problems[0]
    assert "'lstn' is unknown" in problems[1]


def test_a_problem_that_an_override_made_names_its_option(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    with pytest.raises(SuiteError, match=r"^--set accuracy\.folds=3: 'accuracy\.folds' is 3"):
        resolve(load(path, ["accuracy.folds=3"]), threads=2, device="cpu")


# ── the definition hash ──

SPEC = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=64, classes=2)
CASE = Case(
    id="an id",
    definition_hash="",
    task="imdb",
    variant=Variant(architecture="lstm", label="a label", hyperparameters={"hidden_dim": 3, "num_layers": 1}),
    workload="inference",
    sequence_length=64,
    batch_size=1,
    precision="fp32",
    device="cpu",
    threads=2,
)
OTHER = {
    "task": {"task": "other"},
    "architecture": {"variant": dataclasses.replace(CASE.variant, architecture="gru")},
    "hyperparameters": {
        "variant": dataclasses.replace(CASE.variant, hyperparameters={"hidden_dim": 4, "num_layers": 1})
    },
    "workload": {"workload": "training"},
    "sequence_length": {"sequence_length": 65},
    "batch_size": {"batch_size": 2},
    "precision": {"precision": "bf16"},
    "device": {"device": "cuda"},
    "threads": {"threads": 1},
    "compile": {"compile": "default"},
    "new_tokens": {"new_tokens": 1},
    "fit": {"fit": FitSettings(epochs=1, batch_size=1)},
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_every_ingredient_changes_the_definition_hash(change):
    assert definition_hash(dataclasses.replace(CASE, **change), {}, SPEC) != definition_hash(CASE, {}, SPEC)


def test_options_spec_and_method_change_the_definition_hash(monkeypatch):
    plain = definition_hash(CASE, {"delay": 1}, SPEC)
    assert re.fullmatch("[0-9a-f]{12}", plain)
    assert definition_hash(CASE, {"delay": 2}, SPEC) != plain
    assert definition_hash(CASE, {"delay": 1}, dataclasses.replace(SPEC, classes=3)) != plain
    monkeypatch.setattr("bench.matrix.METHOD_VERSION", 99)
    assert definition_hash(CASE, {"delay": 1}, SPEC) != plain


def test_label_id_skip_and_the_order_of_keys_do_not_change_it():
    turned = Variant(architecture="lstm", label="other", hyperparameters={"num_layers": 1, "hidden_dim": 3})
    twin = dataclasses.replace(CASE, id="other", skip="why", definition_hash="other", variant=turned)
    assert definition_hash(twin, {"a": 1, "b": 2}, SPEC) == definition_hash(CASE, {"b": 2, "a": 1}, SPEC)


def test_other_cases_names_defaults_and_folders_do_not_change_it(tmp_path):
    first = planned(tmp_path, SMALL).cases[0]
    text = changed(LSTM, 'name = "gru"\n[[architecture]]\nlabel = "other"\nhidden_dim = 128\nname = "lstm"')
    text = changed('"small"', '"other"', changed("batch_sizes = [1]", "batch_sizes = [5, 1]", text))
    (twin,) = (case for case in planned(tmp_path, text).cases if case.id == "imdb/other/inference/L64-B1-fp32-cpu-t2")
    assert twin.definition_hash == first.definition_hash
    hashes = set()
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.csv").write_text("text,label\ngood,1\nbad,0\nfine,1\npoor,0\ngreat,1\nsad,0\n")
        option = f'[[task]]\nname = "text-classification"\nfile = "{folder}/mine.csv"'
        hashes.add(planned(tmp_path, changed('task = "imdb"', option)).cases[0].definition_hash)
    assert len(hashes) == 1
