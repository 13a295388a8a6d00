"""A run in a notebook: what it shows of itself, and its plots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from made_run import LABELS, made_quick_run, made_run
from made_runs import failed, kept, pending

import bench
from bench import StoredRun
from bench.errors import UsageError

NASTY = "<script>alert(1)</script>"


@cache
def whole() -> StoredRun:
    return StoredRun(*made_run())


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    """Without a screen, and every figure closed again."""
    import matplotlib

    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


class Page(HTMLParser):
    """The tags and texts of a fragment."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "id")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] != ["style"] else ""


# ── what it shows of itself ────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_tells_itself_in_a_line() -> None:
    assert repr(whole()) == (
        "<bench run 20250102T030405Z-sentiment-ab12, suite sentiment, 136 cases: "
        "132 ok, 1 skipped, 2 failed, 1 out of memory>"
    )
    assert repr(StoredRun(*pending(made_quick_run(), 8))).endswith("8 cases: 1 ok, 7 not measured>")


def test_a_run_shows_its_answer_and_its_league() -> None:
    shown = Page(whole()._repr_html_())
    words = " ".join(shown.text.split())
    assert shown.open == []
    assert shown.tags[0] == "div"
    assert shown.tags.count("div") == 2
    assert shown.tags.count("table") == 1
    for expected in (
        "Made Processor 3000, 2 cores",
        "nbow (218 k/s ±1.2 %) is the fastest, 13.2 times (13.0 to 13.4) as fast as the next, rnn (16.5 k/s ±1.2 %).",
        "nbow is the fastest at every measured length from 64 to 512 (inference, batch 32).",
        "Of 136 cases 132 have figures; 1 skipped, 2 failed, 1 does not fit.",
        "159 MiB",
        "breaks a contract: padding",
        NASTY,
    ):
        assert expected in words, expected
    assert "script" not in shown.tags


def test_its_style_touches_nothing_else() -> None:
    style = (files("bench.report") / "notebook.css").read_text(encoding="utf-8")
    for rule in re.findall(r"([^{}]+)\{", style):
        assert all(selector.strip().startswith(".bench-run") for selector in rule.split(",")), rule
    # the notebook's own colours, so that it reads on light and dark
    assert set(re.findall(r"(?:color|background): ([^;]+);", style)) == {"inherit", "none"}


@pytest.mark.parametrize(
    "run",
    [failed(made_quick_run()), pending(made_quick_run()), kept(made_run(("lstm",), lengths=(64,)), ("lstm",))],
    ids=["failed", "half done", "one architecture"],
)
def test_whatever_there_is_shows(run: object) -> None:
    stored = StoredRun(*run)  # type: ignore[misc]
    shown = Page(stored._repr_html_())
    assert shown.open == []
    assert stored.run.run_id in shown.text


# ── plots ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_throughput_over_lengths_with_panels_of_what_varies() -> None:
    import seaborn as sns

    grid = whole().plot()
    assert isinstance(grid, sns.FacetGrid)
    assert grid.row_names == ["inference", "training"]
    assert grid.col_names == [1, 32]
    assert grid.hue_names == list(LABELS)
    assert [text.get_text() for text in grid.legend.get_texts()] == list(LABELS)
    low = grid.axes[-1, 0]
    assert low.get_xlabel() == "sequence length"
    assert low.get_ylabel() == "throughput (items/s)"
    assert low.get_xscale() == low.get_yscale() == "log"
    assert list(low.get_xticks()) == [64, 128, 256, 512]


def test_what_is_drawn_is_the_table() -> None:
    frame = whole().to_frame().query("metric == 'latency_s' and workload == 'training' and batch_size == 32")
    grid = whole().plot("latency_s", workload="training")
    (axes,) = [axes for axes, column in zip(grid.axes[0], grid.col_names, strict=True) if column == 32]
    bars = {container.get_label(): container for container in axes.containers}
    for label in LABELS:
        rows = frame[(frame["label"] == label) & frame["value"].notna()].sort_values("sequence_length")
        line, _, (stems,) = bars[label]
        assert list(line.get_xdata()) == list(rows["sequence_length"])
        assert list(line.get_ydata()) == pytest.approx(list(rows["value"]))
        ends = [(low, high) for (_, low), (_, high) in stems.get_segments()]
        assert ends == [pytest.approx(pair) for pair in zip(rows["low"], rows["high"], strict=True)]


def test_what_does_not_fit_is_crossed_and_what_is_marked_is_hollow() -> None:
    grid = whole().plot("latency_s", workload="training")
    axes = grid.axes[0][list(grid.col_names).index(32)]
    crosses = [line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in crosses] == [[512]]
    sizes = whole().plot("parameters", workload="training")
    known = {container.get_label(): container[0] for container in sizes.axes[0][1].containers}
    assert list(known["transformer"].get_ydata()) == [1_379_970] * 4
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == axes.get_facecolor()]
    marked = {64: {"textcnn"}, 128: {"gru"}}
    assert sum(len(line.get_xdata()) for line in hollow) == 4 + sum(map(len, marked.values()))


def test_colours_and_markers_are_those_of_the_page() -> None:
    from matplotlib.colors import to_hex

    from bench.report import view as views
    from bench.report.charts import looks
    from bench.report.plots import palette

    style = (files("bench.report") / "page.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"--series-(\d): (#[0-9a-f]{6})", style.split("@media")[0]))
    assert palette() == [light[str(number)] for number in range(8)]
    grid = whole().plot(workload="inference")
    lines = {container.get_label(): container[0] for container in grid.axes[0, 0].containers}
    view = views.view(whole().run, whole().results)
    for variant in view.variants:
        look, line = looks(view)[variant.variant_id], lines[variant.label]
        assert to_hex(line.get_color()) == palette()[look.series]
        assert line.get_marker() == look.marker


def test_scores_are_points_with_the_interval_over_seeds() -> None:
    frame = whole().to_frame().query("metric == 'accuracy' and interval == 't95_seeds'")
    grid = whole().plot("accuracy")
    (axes,) = grid.axes.flat
    assert [text.get_text() for text in axes.get_xticklabels()] == list(LABELS)
    assert axes.get_ylabel() == "accuracy (%)"
    assert grid.legend is None
    drawn = {container.get_label(): container[0].get_ydata()[0] for container in axes.containers}
    assert drawn == pytest.approx(dict(zip(frame["label"], frame["value"], strict=True)))


def test_one_seed_has_the_interval_over_test_items() -> None:
    run, results = made_run(("nbow", "lstm"), lengths=(64,))
    single = [replace(result, fits=result.fits[:1]) for result in results]
    (axes,) = StoredRun(run, single).plot("accuracy").axes.flat
    frame = StoredRun(run, single).to_frame().query("metric == 'accuracy'")
    assert set(frame["interval"]) == {"wilson95"}
    _, _, (stems,) = axes.containers[0]
    assert [end for _, end in stems.get_segments()[0]] == pytest.approx([frame["low"].iloc[0], frame["high"].iloc[0]])


def test_batch_sizes_are_swept_where_lengths_are_not() -> None:
    grid = StoredRun(*made_quick_run()).plot(height=2, aspect=1)
    (axes,) = grid.axes.flat
    assert axes.get_xlabel() == "batch size"
    assert list(axes.get_xticks()) == [1, 32, 256]
    assert tuple(grid.figure.get_size_inches())[1] == 2


def test_other_columns_may_be_asked_for() -> None:
    grid = whole().plot("latency_s", x="batch_size", col="sequence_length", row="workload", sharey="row")
    assert grid.col_names == [64, 128, 256, 512]
    grid = whole().plot("parameters", x="label", hue="label", workload="fit")
    assert [text.get_text() for text in grid.axes[0, 0].get_xticklabels()] == list(LABELS)
    grid = whole().plot("latency_s", hue="batch_size", col="label", workload="inference")
    assert grid.hue_names == [1, 32]


def test_a_label_with_dollars_is_no_formula() -> None:
    run, results = made_run(("nbow", "lstm"), lengths=(64, 128))
    label = r"$\frac{1}$ a"
    named = [
        replace(result, case=replace(result.case, variant=replace(result.case.variant, label=label)))
        if result.case.variant.label == "lstm"
        else result
        for result in results
    ]
    grid = StoredRun(run, named).plot()
    grid.figure.canvas.draw()
    assert label in [text.get_text() for text in grid.legend.get_texts()]


def test_the_figure_is_made_under_the_settings_of_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib
    from matplotlib import pyplot as plt

    settings = []
    made = plt.figure

    def figure(*arguments: object, **more: object) -> object:
        settings.append(dict(matplotlib.rcParams))
        return made(*arguments, **more)  # type: ignore[arg-type]

    before = dict(matplotlib.rcParams)
    monkeypatch.setattr(plt, "figure", figure)
    whole().plot()
    # the first figure of a notebook turns on that figures are shown: no context may take that back
    assert settings[0] == before


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(
        UsageError, match=r"metric 'latency' is not in this run; did you mean 'latency_s'\? It has .*accuracy"
    ):
        whole().plot("latency")
    with pytest.raises(UsageError, match="metric 'kernel_count' has no value \\(no kernels on a CPU\\)"):
        whole().plot("kernel_count")
    with pytest.raises(UsageError, match="workload 'trainin' is not in this run; did you mean 'training'"):
        whole().plot(workload="trainin")
    with pytest.raises(UsageError, match="task 'imdp' is not in this run; did you mean 'imdb'"):
        whole().plot(task="imdp")
    with pytest.raises(UsageError, match="column 'labels' is unknown; did you mean 'label'"):
        whole().plot(hue="labels")
    with pytest.raises(UsageError, match="has no value \\(made to fail <b>\\); nothing of it was measured"):
        StoredRun(*failed(made_quick_run())).plot()


def test_figures_of_several_cases_are_never_averaged() -> None:
    with pytest.raises(UsageError, match="several cases fall on one spot; they differ in label"):
        whole().plot("latency_s", hue="batch_size")
    run, results = made_run(("nbow", "lstm"), lengths=(64, 128))
    twice = [
        replace(result, case=replace(result.case, id=f"{result.case.id} {rate}", precision=rate))
        for rate in ("fp32", "bf16")
        for result in results
    ]
    assert StoredRun(run, twice).plot("latency_s").row_names == [
        "inference, fp32",
        "training, fp32",
        "inference, bf16",
        "training, bf16",
    ]


def test_importing_is_light() -> None:
    import subprocess
    import sys

    heavy = {"torch", "pandas", "matplotlib", "seaborn", "jinja2"}
    code = f"import bench, sys; bench.StoredRun; print(*{heavy!r} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == ""
    assert bench.load.__doc__
