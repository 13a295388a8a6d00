"""Runs, told: as one HTML page, as Markdown, and as the tidy table. Drawing libraries load only when something is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.frames import Runs, to_csv, to_json_text, to_parquet


def render(runs: Runs, *, chance: Mapping[str, float] | None = None, sources: Sequence[tuple[str, str]] = ()) -> str:
    """Some runs as one self-contained HTML page.

    Args:
        runs: each run with its results in the order of its plan.
        chance: what a know-nothing predictor scores, by task key; drawn beside accuracies.
        sources: where data came from and under which licence: (task, one line).
    """
    from bench.report import page

    return page.render(runs, chance or {}, sources)


def _markdown(runs: Runs) -> str:
    from bench.report import markdown

    return markdown.render(runs)


FORMATS: Mapping[str, Callable[[Runs], str | bytes]] = {
    "html": render,
    "markdown": _markdown,
    "csv": to_csv,
    "json": to_json_text,
    "parquet": to_parquet,
}
"""Every format that runs can be told in, by the name it has on the command line."""
