"""What a page is made of: blocks of sentences, charts and tables, one after the other. The template knows nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from bench.report.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Panels that belong together; `panels` are SVG elements, `tables` the figures behind them."""

    title: str
    panels: tuple[Markup, ...]
    caption: str
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of a page.

    Attributes:
        title: its heading; empty where it goes on with what stands above it.
        says: paragraphs; plain text is escaped.
        folded: whether only its title is seen until a reader opens it; `brief` then stands beside the title.
    """

    title: str
    says: tuple[str | Markup, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: bool = False
    brief: str = ""
