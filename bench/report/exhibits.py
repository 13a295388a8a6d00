"""What a fit got right and wrong, for people to look at: confusion, scores class by class, examples, pictures and lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench import estimates
from bench.observations import PICTURE, Exhibit, Fit
from bench.quantity import Unit, format_value
from bench.report import view as views
from bench.report.charts import looks
from bench.report.curves import Curve, draw_curves
from bench.report.svg import INK, Look
from bench.report.view import Shown, View

# a larger matrix is not read, and its classes are many for a table
MOST_CLASSES = 30
_PICTURE = re.compile(re.escape(PICTURE) + r"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """One class: how many test items have it, and what each variant makes of it."""

    name: str
    items: int
    scores: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTable:
    """F1 of each class, a column for each variant."""

    variants: tuple[tuple[str, Look], ...]
    rows: tuple[ClassRow, ...]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionCell:
    """Items of a class (the row) that were taken for another; `share` of the row's items."""

    count: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Rows are what is true, columns what was said."""

    classes: tuple[str, ...]
    rows: tuple[tuple[ConfusionCell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """An exhibit made ready: a table of texts and pictures, a picture, or a chart."""

    title: str
    says: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]
    picture: str
    chart: Markup | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPart:
    """What is shown of one variant, and of which of its fits."""

    label: str
    look: Look
    says: str
    confusion: Confusion | None
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """All that is shown of a task's fits."""

    classes: ClassTable | None
    fits: tuple[FitPart, ...]


def gallery(view: View, task: str, prefix: str) -> Gallery | None:
    """What there is to show of the fits that stand beside the speeds; None where there is nothing."""
    place = views.point(view.run, (shown.case for shown in view.timed(task)))
    chosen = views.fits_for(view.fits(task), place.sequence_length if place else None)
    told = [
        (shown, fits, look)
        for variant_id, look in looks(view).items()
        if (shown := chosen.get(variant_id)) and (fits := _first_seed(shown))
    ]
    counts = [(shown.case.variant.label, look, _counts(fits), fits[0].classes) for shown, fits, look in told]
    parts = [
        _part(view, task, told_one, confusion, f"{prefix}{number}")
        for number, (told_one, (_, _, confusion, _)) in enumerate(zip(told, counts, strict=True))
    ]
    parts = [part for part in parts if part.confusion or part.pieces]
    known = [(label, look, matrix, classes) for label, look, matrix, classes in counts if matrix and classes]
    if not parts and not known:
        return None
    return Gallery(classes=_class_table(known) if known else None, fits=tuple(parts))


def _first_seed(shown: Shown) -> list[Fit]:
    """The fits of the lowest seed, one a fold."""
    fits = estimates.good_fits(shown.result)
    first = min((fit.seed for fit in fits), default=0)
    return [fit for fit in fits if fit.seed == first]


def _counts(fits: Sequence[Fit]) -> list[list[int]] | None:
    """The confusion over the folds, whose test items are different ones."""
    matrices = [fit.confusion for fit in fits]
    first = matrices[0]
    if first is None or any(matrix is None or len(matrix) != len(first) for matrix in matrices):
        return None
    return [
        [sum(matrix[row][column] for matrix in matrices if matrix) for column in range(len(first))]
        for row in range(len(first))
    ]


def _part(
    view: View, task: str, told: tuple[Shown, list[Fit], Look], counts: list[list[int]] | None, prefix: str
) -> FitPart:
    shown, fits, look = told
    first, metric, label = fits[0], view.headline(task), shown.case.variant.label
    says = [f"seed {first.seed}"]
    says += [f"{len(fits)} folds"] if len(fits) > 1 else [f"epoch {first.best_epoch}"] if first.best_epoch else []
    if metric.name in first.metrics and len(fits) == 1:
        says.append(f"{metric.title} {format_value(first.metrics[metric.name], metric.unit)}")
    return FitPart(
        label=label,
        look=look,
        says=", ".join(says),
        confusion=_confusion(first.classes, counts),
        pieces=tuple(_piece(one, label, look, f"{prefix}-{place}") for place, one in enumerate(first.exhibits)),
    )


def _confusion(classes: Sequence[str], counts: list[list[int]] | None) -> Confusion | None:
    if counts is None or len(classes) != len(counts) or len(classes) > MOST_CLASSES:
        return None
    rows = [[ConfusionCell(count=one, share=one / (sum(row) or 1)) for one in row] for row in counts]
    return Confusion(classes=tuple(classes), rows=tuple(map(tuple, rows)))


def _class_table(known: Sequence[tuple[str, Look, list[list[int]], tuple[str, ...]]]) -> ClassTable:
    """The commonest classes first; a variant whose fit knows other classes has no scores."""
    names = known[0][3]
    fitting = [(label, look, matrix if classes == names else None) for label, look, matrix, classes in known]
    support = [sum(row) for row in known[0][2]]
    order = sorted(range(len(names)), key=lambda place: -support[place])
    rows = [
        ClassRow(
            name=names[place],
            items=support[place],
            scores=tuple(
                format_value(_f1(matrix, place), Unit.SHARE) if matrix and len(matrix) == len(names) else ""
                for _, _, matrix in fitting
            ),
        )
        for place in order[:MOST_CLASSES]
    ]
    return ClassTable(
        variants=tuple((label, look) for label, look, _ in fitting),
        rows=tuple(rows),
        left_out=len(names) - len(rows),
    )


def _f1(matrix: Sequence[Sequence[int]], place: int) -> float | None:
    """2 x right / (said + true); unknown for a class that is neither."""
    said, true = sum(row[place] for row in matrix), sum(matrix[place])
    return 2 * matrix[place][place] / (said + true) if said + true else None


def _piece(exhibit: Exhibit, label: str, look: Look, prefix: str) -> Piece:
    return Piece(
        title=exhibit.title,
        says=exhibit.says,
        columns=exhibit.columns,
        rows=tuple(tuple((cell, _is_picture(cell)) for cell in row) for row in exhibit.rows),
        picture=exhibit.picture if _is_picture(exhibit.picture) else "",
        chart=_chart(exhibit, label, look, prefix) if exhibit.lines else None,
    )


def _is_picture(text: str) -> bool:
    """A record may come from anywhere: only a PNG of the right form becomes one, all else stays text."""
    return _PICTURE.fullmatch(text) is not None


def _chart(exhibit: Exhibit, label: str, look: Look, prefix: str) -> Markup | None:
    """The first line is the truth and drawn in ink, the others in the variant's colour."""
    lines = [line for line in exhibit.lines if line.x and len(line.x) == len(line.y)]
    if not lines:
        return None
    curves = [
        Curve(name=line.name, x=line.x, y=line.y, color=look.color if place else INK)
        for place, line in enumerate(lines)
    ]
    return draw_curves(
        curves,
        heading=label,
        shows=exhibit.unit,
        x_title=exhibit.x_title,
        prefix=f"{prefix}-",
        description=exhibit.says,
    )
