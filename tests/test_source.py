"""What is measured comes from the checkout that a job names, and how it is measured does not: in real workers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import bench.architectures  # noqa: F401  what a process has imported cannot come from a checkout any more
from bench.errors import ModelError
from bench.executors.local import Server
from bench.jobs import Job, JobKind
from bench.lanes import Arm, Sourced, moved, of_checkouts
from bench.observations import Observation, Preflight
from bench.records import Case, Measure, Outcome, Variant
from bench.source import UNDER_TEST, holds, is_of_bench, use_checkout
from tests.repositories import write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")

PACKAGE = Path(__file__).parent.parent / "bench"
NET = """
from torch import nn
from {helper} import WIDTH

class Net(nn.Module):
    def __init__(self, input_size, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_size, WIDTH), nn.ReLU(), nn.Linear(WIDTH, num_classes))

    def forward(self, inputs):
        return self.layers(inputs)
"""


@pytest.fixture(scope="module")
def bare() -> Iterator[Server]:
    with Server(bare=True) as running:
        yield running


def job(architecture: str, folder: Path = Path()) -> Job:
    case = Case(
        id=f"tabular/{architecture}/inference",
        definition_hash="h",
        task="tabular",
        variant=Variant(architecture=architecture, label=architecture, hyperparameters={}),
        workload="inference",
        batch_size=4,
        precision="fp32",
        device="cpu",
        threads=1,
    )
    return Job(kind=JobKind.PREFLIGHT, case=case, measure=Measure(timeout_s=60), folder=str(folder))


def checked(answers: Iterator[Observation | str]) -> Preflight:
    (found,) = answers
    assert isinstance(found, Preflight)
    return found


def of_bench(folder: Path, mlp_width: int) -> Path:
    """A checkout of this package in which nothing but the default width of one architecture may differ."""
    for name in ("architectures", "tasks"):
        shutil.copytree(PACKAGE / name, folder / "bench" / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "bench/architectures/mlp.py"
    changed = file.read_text().replace("hidden_dim: int = option(128", f"hidden_dim: int = option({mlp_width}")
    file.write_text(changed)
    return folder


def test_arms_of_one_server_measure_the_architectures_of_their_own_checkouts(tmp_path: Path) -> None:
    checkouts = {Arm.BASE: of_bench(tmp_path / "base", 128), Arm.HEAD: of_bench(tmp_path / "head", 64)}
    with of_checkouts(checkouts, tmp_path / "project")([Arm.BASE, Arm.HEAD]) as lane:
        found = {arm: checked(executor.run(job("mlp"))) for arm, executor in lane.items()}
    assert {arm: one.outcome for arm, one in found.items()} == {Arm.BASE: Outcome.OK, Arm.HEAD: Outcome.OK}, found
    sizes = {arm: one.parameters for arm, one in found.items()}
    # breast cancer: 30 features, 2 classes
    assert sizes == {arm: 31 * width + width * 2 + 2 for arm, width in ((Arm.BASE, 128), (Arm.HEAD, 64))}


@pytest.mark.parametrize("place", ["", "src"])
def test_packages_of_a_user_come_from_the_checkout_with_all_that_they_import(
    bare: Server, tmp_path: Path, place: str
) -> None:
    sizes = []
    for name, width in (("base", 8), ("head", 16), ("project", 32)):
        files = {
            "mine/__init__.py": "",
            "mine/net.py": NET.format(helper="mine.sizes"),
            "mine/sizes.py": f"WIDTH = {width}",
        }
        write(tmp_path / name / place, files)
    for name in ("base", "head"):
        arm = Sourced(bare, tmp_path / name, tmp_path / "project")
        sizes.append(checked(arm.run(job("mine.net:Net", tmp_path / "project"))).parameters)
    assert sizes == [31 * width + width * 2 + 2 for width in (8, 16)]


def test_files_of_a_user_come_from_the_place_in_the_checkout_where_they_stand_in_the_project(
    bare: Server, tmp_path: Path
) -> None:
    for name, width in (("base", 8), ("project", 32)):
        write(tmp_path / name / "suites", {"net.py": NET.format(helper="sizes"), "sizes.py": f"WIDTH = {width}"})
    arm = Sourced(bare, tmp_path / "base", tmp_path / "project")
    assert checked(arm.run(job("net.py:Net", tmp_path / "project/suites"))).parameters == 31 * 8 + 8 * 2 + 2


def test_a_checkout_that_lacks_what_the_harness_asks_for_is_a_failure_of_that_case(
    bare: Server, tmp_path: Path
) -> None:
    folder = of_bench(tmp_path / "old", 128)
    (folder / "bench/architectures/__init__.py").write_text('"""Of another time."""\n')
    found = checked(Sourced(bare, folder, tmp_path / "project").run(job("mlp")))
    assert found.outcome is Outcome.FAILED
    assert "ImportError" in found.reason


def test_data_stay_where_the_suite_stands_and_code_moves_to_the_checkout(tmp_path: Path) -> None:
    jobs: list[Job] = []

    class Recorder:
        def run(self, job: Job) -> Iterator[Observation | str]:
            jobs.append(job)
            return iter(())

    top, checkout = tmp_path / "project", tmp_path / "base"
    list(Sourced(Recorder(), checkout, top).run(replace(job("mlp"), folder=str(top / "suites"))))
    (sent,) = jobs
    assert (sent.folder, sent.code_folder, sent.source) == (str(top / "suites"), checkout / "suites", str(checkout))


def test_what_stands_outside_of_the_repository_stays_there(tmp_path: Path) -> None:
    top, checkout = tmp_path / "project", tmp_path / "base"
    assert moved(tmp_path / "elsewhere", top, checkout) == tmp_path / "elsewhere"
    assert moved(top, top, checkout) == checkout


def test_a_process_that_has_imported_what_is_under_test_refuses(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"bench\.architectures.* imported before"):
        use_checkout(tmp_path)


def test_a_checkout_of_this_package_is_told_from_any_other(tmp_path: Path) -> None:
    assert is_of_bench(PACKAGE.parent)
    write(tmp_path, {"bench/architectures/__init__.py": ""})
    assert not is_of_bench(tmp_path)


def test_a_checkout_holds_packages_and_modules_of_its_top_and_of_src(tmp_path: Path) -> None:
    write(tmp_path, {"one.py": "", "two/net.py": "", "src/three/net.py": ""})
    assert [name for name in ("one", "two.net", "three.net", "numpy", "net") if holds(tmp_path, name)] == [
        "one",
        "two.net",
        "three.net",
    ]


def test_what_a_bare_server_has_imported_leaves_all_that_is_under_test_to_its_children() -> None:
    code = "import sys, importlib, bench.server\n"
    code += "[importlib.import_module(name) for name in bench.server.UNDER_NO_TEST]\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not [name for name in done.stdout.split() if name.startswith(UNDER_TEST)]
