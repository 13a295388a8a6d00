"""bench: honest comparison of neural architectures. Importing it imports neither torch, pandas nor matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from bench.observations import CaseResult
    from bench.records import Run

__version__ = "0.1.0"
__all__ = ["StoredRun", "__version__", "load"]


class StoredRun:
    """A run that was read back: `run`, its `results` by case, and one tidy table."""

    def __init__(self, run: Run, results: list[CaseResult]) -> None:
        self.run = run
        self.results = results

    def to_frame(self) -> pd.DataFrame:
        """One row per case and metric, with the columns of `bench.frames.COLUMNS`."""
        from bench.frames import to_frame

        return to_frame([(self.run, self.results)])


def load(run: str | Path = "latest", results: str | Path = "results") -> StoredRun:
    """Read a stored run: by path, run id, unique beginning of one, or `latest`.

    Raises:
        UsageError, StoreError: there is no such run, or it cannot be read.
    """
    from bench import store

    folder = store.open_run(store.find(Path(results), str(run)))
    return StoredRun(folder.run, folder.results())
