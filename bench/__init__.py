"""bench: honest comparison of neural architectures. Importing it imports neither torch, pandas nor matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import seaborn as sns

    from bench.observations import CaseResult
    from bench.records import Run

__version__ = "0.1.0"
__all__ = ["StoredRun", "__version__", "load"]


class StoredRun:
    """A run that was read back: `run`, its `results` by case, one tidy table, and what a notebook shows of it."""

    def __init__(self, run: Run, results: list[CaseResult]) -> None:
        self.run = run
        self.results = results

    def to_frame(self) -> pd.DataFrame:
        """One row per case and metric, with the columns of `bench.frames.COLUMNS`."""
        from bench.frames import to_frame

        return to_frame([(self.run, self.results)])

    def plot(
        self,
        metric: str = "throughput_items_per_s",
        *,
        x: str | None = None,
        hue: str = "label",
        col: str | None = None,
        row: str | None = None,
        task: str | None = None,
        workload: str | None = None,
        **facets: Any,
    ) -> sns.FacetGrid:
        """A metric over lengths, batch sizes or architectures, with its intervals; hollow: marked cases, x: does not fit.

        Args:
            metric: a name from the table's column `metric`.
            x: a column of the table; if None the lengths, else the batch sizes, else the architectures.
            hue: the column that colours tell apart.
            col: the column of which each panel has one value; what else varies of lengths and batch sizes if None.
            row: as col, from top to bottom; all else that varies if None.
            task: this one only.
            workload: this one only.
            **facets: for `seaborn.FacetGrid`: height, aspect, sharey, ...

        Raises:
            UsageError: there is no such metric, task, workload or column, or several cases would fall on one spot.
        """
        from bench.report.plots import plot

        return plot(
            self.run,
            self.results,
            metric,
            x=x,
            hue=hue,
            col=col,
            row=row,
            task=task,
            workload=workload,
            **facets,
        )

    def __repr__(self) -> str:
        from collections import Counter

        outcomes = (result.verdict[0] for result in self.results)
        counts = Counter("not measured" if one is None else one.value.replace("_", " ") for one in outcomes)
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        return (
            f"<bench run {self.run.run_id}, suite {self.run.plan.suite}, {len(self.results)} cases: {told or 'none'}>"
        )

    def _repr_html_(self) -> str:
        from bench.report.notebook import fragment

        return fragment([(self.run, self.results)])


def load(run: str | Path = "latest", results: str | Path = "results") -> StoredRun:
    """Read a stored run: by path, run id, unique beginning of one, or `latest`.

    Raises:
        UsageError, StoreError: there is no such run, or it cannot be read.
    """
    from bench import store

    folder = store.open_run(store.find(Path(results), str(run)))
    return StoredRun(folder.run, folder.results())
