"""Names to things: one registry per kind, filled by a decorator in the thing's own file.

Built-in names are listed with the module that registers them, so that names can be shown without importing torch and a
child imports only what its case needs. Other packages join through entry points.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from bench.errors import BenchError, ModelError, UsageError

T = TypeVar("T")


def did_you_mean(found: str, valid: Iterable[str]) -> str:
    """The end of an error sentence: the nearest valid name, else all of them.

    >>> did_you_mean("lstn", ["gru", "lstm"])
    "did you mean 'lstm'?"
    """
    names = sorted(valid)
    near = nearest(found, names)
    if near is not None:
        return f"did you mean '{near}'?"
    return f"expected one of: {', '.join(names)}" if names else "none is allowed here"


def nearest(found: str, valid: Iterable[str]) -> str | None:
    """The valid name that a mistyped one is near to; None if it is near to none."""
    return next(iter(difflib.get_close_matches(found, sorted(valid), n=1, cutoff=0.6)), None)


class Registry(Generic[T]):
    """The things of one kind, by name.

    Args:
        kind: what the things are, for error sentences (`"architecture"`).
        catalogue: built-in names and the module whose import registers them.
        group: the entry-point group in which other packages announce theirs.
    """

    def __init__(self, kind: str, catalogue: Mapping[str, str], group: str) -> None:
        self.kind = kind
        self._catalogue = dict(catalogue)
        self._group = group
        self._things: dict[str, T] = {}

    def register(self, name: str, thing: T) -> T:
        """Add a thing; a name stands for one thing only.

        Raises:
            UsageError: the name is taken by another thing.
        """
        if name in self._things and self._things[name] is not thing:
            raise UsageError(f"{self.kind} '{name}' is registered twice; give one of them another name")
        self._things[name] = thing
        return thing

    def built_in(self) -> list[str]:
        """Names that come with this package."""
        return sorted(self._catalogue)

    def names(self) -> list[str]:
        """All names, without importing what is behind them."""
        return sorted({*self._catalogue, *self._things, *(entry.name for entry in entry_points(group=self._group))})

    def loaded(self) -> list[T]:
        """The things whose modules have been imported so far."""
        return list(self._things.values())

    def get(self, name: str) -> T:
        """The thing of that name; imports its module when it is first asked for.

        Raises:
            UsageError: nobody registers that name.
            ModelError: another package announces it, and raises while it is imported.
        """
        if name not in self._things and name in self._catalogue:
            importlib.import_module(self._catalogue[name])
        if name not in self._things:
            for entry in entry_points(group=self._group, name=name):
                self._load(entry)
        if name not in self._things:
            raise UsageError(f"{self.kind} '{name}' is unknown; {did_you_mean(name, self.names())}")
        return self._things[name]

    def _load(self, entry: EntryPoint) -> None:
        try:
            entry.load()
        except BenchError:
            raise
        except Exception as error:
            package = entry.dist.name if entry.dist is not None else "a package"
            raise ModelError(
                f"{self.kind} '{entry.name}': {package} announces it as '{entry.value}', and importing that raised "
                f"{type(error).__name__}: {error}; mend or remove {package}"
            ) from error
