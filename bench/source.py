"""Measuring the modules of a checkout instead of those that are installed, in a child that has imported neither yet."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

from bench.errors import ModelError

# What is compared. How it is measured is the same for every checkout: that of the installed package.
UNDER_TEST = ("bench.architectures", "bench.tasks")


class _Checkout:
    """Finds the packages under test in a checkout of this very package; everything else stays as it is installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """The package's spec in the checkout; None for what is not under test."""
        if name not in UNDER_TEST:
            return None
        place = _package(self._folder, name)
        return spec_from_file_location(name, place / "__init__.py", submodule_search_locations=[str(place)])


def _package(folder: Path, name: str) -> Path:
    return folder.joinpath(*name.split("."))


def is_of_bench(folder: Path) -> bool:
    """Whether a folder is a checkout of this very package, so that what it compares by itself is under test."""
    return all((_package(folder, name) / "__init__.py").is_file() for name in UNDER_TEST)


def use_checkout(folder: Path) -> None:
    """From now on import from a checkout: a user's own packages by its folder, ours by their names.

    Raises:
        ModelError: modules under test have been imported already.
    """
    if early := sorted(name for name in UNDER_TEST if name in sys.modules):
        raise ModelError(f"checkout {folder.name}: {', '.join(early)} was imported before; start a bare server")
    if is_of_bench(folder):
        sys.meta_path.insert(0, _Checkout(folder))
    sys.path[:0] = [str(place) for place in _roots(folder)]


def holds(folder: Path, module: str) -> bool:
    """Whether a module of this dotted name would be imported from a checkout."""
    first = module.partition(".")[0]
    return any((root / first).is_dir() or (root / f"{first}.py").is_file() for root in _roots(folder))


def _roots(folder: Path) -> list[Path]:
    return [place for place in (folder / "src", folder) if place.is_dir()]
