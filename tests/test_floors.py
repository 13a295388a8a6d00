"""Imports point down only, and heavy libraries stay where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bench"

# From the ground up: a module imports from its own floor and from those below it.
FLOORS = [
    {"errors", "codec", "options", "registry", "quantity", "stats", "source", "worktrees"},
    {"spec", "records", "machines", "observations", "trust", "bisection", "cost_model", "estimates", "trust_record"},
    {"suite", "suite_file", "suite_check", "jobs", "lengths", "progress", "sampling", "rounds", "doctor"},
    {"verdicts", "differences", "compare_times", "compare", "scaling", "crossover"},
    {"batch", "architectures", "tasks", "workloads", "contracts"},
    {"choices", "blueprints", "fairness", "matrix", "plan"},
    {"probes"},
    {"compilation", "subjects", "saved"},
    {"passes"},
    {"datasheet"},
    {"worker", "server", "executors", "runner", "selftest", "lanes", "environments", "ab"},
    {"store", "baseline"},
    {"frames", "history", "report"},
    {"cli", "__main__", "pytest_plugin"},
]
WITH_TORCH = {"batch", "architectures", "tasks", "workloads", "contracts", "choices", "matrix", "plan", "probes"}
WITH_TORCH |= {"blueprints", "fairness", "datasheet", "compilation", "subjects", "saved", "passes", "worker", "server"}
WITH_TORCH |= {"executors"}
TORCH_FREE = {"__init__"}.union(*FLOORS) - WITH_TORCH
# parts of torch floors that commands use before, or without, any measuring
TORCH_FREE_FILES = {"probes/machine.py", "probes/backends.py", "tasks/data"}
SLOW = {"torch", "pandas", "matplotlib", "seaborn", "scipy.stats", "sklearn"}


def _files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def _part(path: Path) -> str:
    """The file or folder directly below `bench` that a path belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def _floor(part: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if part in floor)


def _imports(node: ast.AST, *, deep: bool) -> Iterator[str]:
    """Modules that are imported; not deep leaves out what functions import when they run, and what is for types only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        elif deep or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(child, deep=deep)


def test_every_module_has_a_floor() -> None:
    known = {part for floor in FLOORS for part in floor} | {"__init__", "py"}
    assert {_part(path) for path in _files()} <= known


@pytest.mark.parametrize("path", _files(), ids=_name)
def test_imports_point_down(path: Path) -> None:
    part = _part(path)
    if part == "__init__":
        return  # the public API is lazy: it reaches up inside functions only, as the next tests see
    for module in _imports(ast.parse(path.read_text()), deep=True):
        root, _, rest = module.partition(".")
        if root != "bench" or rest.partition(".")[0] in ("", "__version__"):
            continue
        target = rest.partition(".")[0]
        assert _floor(target) <= _floor(part), f"{_name(path)} imports bench.{target}, which stands above it"


def test_store_and_runner_do_not_know_each_other() -> None:
    for one, other in (("store", "runner"), ("runner", "store"), ("runner", "cli"), ("sampling", "runner")):
        imports = list(_imports(ast.parse((PACKAGE / f"{one}.py").read_text()), deep=True))
        assert not [module for module in imports if module.startswith(f"bench.{other}")]


def _is_torch_free(path: Path) -> bool:
    place = str(path.relative_to(PACKAGE))
    return _part(path) in TORCH_FREE or any(place.startswith(start) for start in TORCH_FREE_FILES)


@pytest.mark.parametrize("path", [path for path in _files() if _is_torch_free(path)], ids=_name)
def test_torch_free_modules_import_no_torch(path: Path) -> None:
    for module in _imports(ast.parse(path.read_text()), deep=False):
        first, *rest = module.split(".")
        assert first != "torch", _name(path)
        free = (
            not rest
            or rest[0] not in WITH_TORCH
            or any("/".join(rest).startswith(f.removesuffix(".py")) for f in TORCH_FREE_FILES)
        )
        assert first != "bench" or free, f"{_name(path)} imports {module}, which needs torch"


@pytest.mark.parametrize("path", _files(), ids=_name)
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if _part(path) == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "sys.exit", "exit", "typer.echo"), f"{_name(path)}:{node.lineno} {called}"


def _loaded_after(code: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys\n{code}\nprint('\\n'.join(sys.modules))"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_importing_bench_is_cheap() -> None:
    assert not _loaded_after("import bench") & (SLOW | {"numpy", "pydantic"})


def test_suites_are_listed_without_heavy_libraries() -> None:
    code = "import contextlib, io\nfrom bench.cli import main\n"
    code += (
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n    main(['list', 'suites'])"
    )
    assert not _loaded_after(code) & (SLOW | {"scipy", "numpy", "bench.architectures", "bench.suite_file"})
