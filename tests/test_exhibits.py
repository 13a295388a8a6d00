"""What fits got right and wrong, as the page shows it."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import pytest
from made_run import LABELS, made_quick_run, made_run

from bench.frames import Runs
from bench.observations import PICTURE, CaseResult, Exhibit, Fit, Line
from bench.records import Outcome, Run
from bench.report import render, summary
from bench.report import view as views
from bench.report.beside import Beside
from bench.report.exhibits import MOST_CLASSES, Gallery, gallery
from bench.report.league import league

# one grey pixel
PNG = (
    PICTURE
    + base64.b64encode(
        bytes.fromhex(
            "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
            "3a7e9b550000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
        )
    ).decode()
)
NASTY = "<script>alert(1)</script>"
EXAMPLES = Exhibit(
    title="Examples",
    says="The first ones.",
    columns=("source", "picture"),
    rows=((NASTY, PNG), ("javascript:alert(1)", f'{PICTURE}x" onerror="alert(1)')),
)
FORECAST = Exhibit(
    title="A week",
    says="The truth and what was forecast.",
    lines=(Line(name="truth", x=(0, 1, 2), y=(3, 4, 5)), Line(name="forecast", x=(1, 2), y=(4, 4.5))),
    x_title="hours",
    unit="°C",
)
CONFUSION = ((90, 10), (30, 70))


def small() -> tuple[Run, list[CaseResult]]:
    return made_run(labels=LABELS[:3], lengths=(256,))


def with_fits(made: tuple[Run, list[CaseResult]], **more: object) -> tuple[Run, list[CaseResult]]:
    run, results = made

    def changed(fit: Fit) -> Fit:
        return replace(fit, **more)  # type: ignore[arg-type]

    return run, [replace(result, fits=tuple(map(changed, result.fits))) for result in results]


def shown(made: tuple[Run, list[CaseResult]]) -> Gallery | None:
    view = views.view(*made)
    return gallery(view, view.tasks[0], "r-1x")


def page(made: tuple[Run, list[CaseResult]]) -> str:
    runs: Runs = [made]
    return render(runs, Beside(chance={"imdb": 0.5}))


def test_without_anything_to_show_there_is_no_gallery() -> None:
    assert shown(small()) is None
    assert "Right and wrong" not in page(small())


def test_confusion_is_of_the_first_seed_and_told_with_f1() -> None:
    found = shown(with_fits(small(), confusion=CONFUSION, classes=("negative", "positive")))
    assert found is not None
    first = found.fits[0]
    assert first.says.startswith("seed 0")
    assert first.confusion is not None
    assert [[cell.count for cell in row] for row in first.confusion.rows] == [[90, 10], [30, 70]]
    assert [[cell.share for cell in row] for row in first.confusion.rows] == [[0.9, 0.1], [0.3, 0.7]]
    assert found.classes is not None
    # 2 x 90 of 120 said and 100 true; 2 x 70 of 80 and 100
    assert [(row.name, row.items, row.scores[0]) for row in found.classes.rows] == [
        ("negative", 100, "81.8 %"),
        ("positive", 100, "77.8 %"),
    ]
    assert len(found.classes.variants) == len(found.fits)


def test_folds_have_items_of_their_own_and_add_up() -> None:
    run, results = with_fits(made_quick_run(), confusion=CONFUSION, classes=("a", "b"))
    found = shown((run, results))
    assert found is not None
    assert found.fits[0].confusion is not None
    assert [[cell.count for cell in row] for row in found.fits[0].confusion.rows] == [[450, 50], [150, 350]]
    assert found.fits[0].says == "seed 0, 5 folds"


def test_many_classes_are_cut_to_the_commonest_and_have_no_matrix() -> None:
    size = MOST_CLASSES + 2
    matrix = tuple(tuple(column + 1 if row == column else 0 for column in range(size)) for row in range(size))
    found = shown(with_fits(small(), confusion=matrix, classes=tuple(map(str, range(size)))))
    assert found is not None
    assert found.fits == ()
    assert found.classes is not None
    assert (found.classes.left_out, found.classes.rows[0].name) == (2, str(size - 1))
    assert "2 rarer ones left out" in page(with_fits(small(), confusion=matrix, classes=tuple(map(str, range(size)))))


def test_a_class_that_nobody_has_or_says_has_no_score() -> None:
    found = shown(with_fits(small(), confusion=((5, 0), (0, 0)), classes=("a", "b")))
    assert found is not None
    assert found.classes is not None
    assert [row.scores[0] for row in found.classes.rows] == ["100.0 %", "n/a"]


def test_a_fit_that_knows_other_classes_has_no_scores_beside_the_first() -> None:
    run, results = with_fits(small(), confusion=CONFUSION, classes=("negative", "positive"))
    places = [place for place, result in enumerate(results) if result.case.fit]
    odd = results[places[1]]
    fits = tuple(replace(fit, classes=("no", "yes")) for fit in odd.fits)
    results[places[1]] = replace(odd, fits=fits)
    found = shown((run, results))
    assert found is not None
    assert found.classes is not None
    assert [row.scores[1] for row in found.classes.rows] == ["", ""]


def test_examples_are_text_and_only_a_png_is_a_picture() -> None:
    text = page(with_fits(small(), exhibits=(EXAMPLES,)))
    assert NASTY not in text
    assert "onerror=" not in re.sub(r"&#34;", "", text.replace("&#34; onerror=", ""))
    sources = set(re.findall(r'<img src="([^"]*)"', text))
    assert sources == {PNG}


def test_lines_are_drawn_and_broken_ones_are_not() -> None:
    good = shown(with_fits(small(), exhibits=(FORECAST,)))
    assert good is not None
    chart = good.fits[0].pieces[0].chart
    assert chart is not None
    assert "truth" in chart
    assert "forecast" in chart
    broken = replace(FORECAST, lines=(Line(name="truth", x=(0, 1), y=(1,)),))
    bad = shown(with_fits(small(), exhibits=(broken,)))
    assert bad is not None
    assert bad.fits[0].pieces[0].chart is None


def test_ids_are_unique_over_all_charts() -> None:
    text = page(with_fits(small(), exhibits=(FORECAST, FORECAST)))
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_floors_stand_in_the_note_and_in_the_chart() -> None:
    made = with_fits(small(), floors={"most frequent tag": 0.8, "coin": 0.1})
    assert "Simple rules on the same test items: most frequent tag 80.0 %, coin 10.0 %." in league(*made)[0].note
    text = page(made)
    assert "most frequent tag 80 %" in text  # drawn within the chart
    assert "Dotted: what simple rules score" in text
    assert "Simple rules" not in page(small())


def test_floors_are_those_of_the_length_that_is_told() -> None:
    run, results = made_run(labels=LABELS[:2], lengths=(256,))
    fits = [result for result in results if result.fits]
    short = [
        replace(result, case=replace(result.case, id=f"{result.case.id}-short", sequence_length=64)) for result in fits
    ]
    made = [
        *(with_fits((run, [one]), floors={"rule": 0.1})[1][0] for one in short),
        *(one for one in results if not one.fits),
        *(with_fits((run, [one]), floors={"rule": 0.7})[1][0] for one in fits),
    ]
    assert views.view(run, made).floors("imdb") == {"rule": pytest.approx(0.7)}


def test_floors_need_no_good_fit_of_the_first_variant() -> None:
    run, results = with_fits(small(), floors={"rule": 0.7})
    first = next(place for place, result in enumerate(results) if result.fits)
    lost = tuple(replace(fit, outcome=Outcome.FAILED, floors={}) for fit in results[first].fits)
    results[first] = replace(results[first], fits=lost)
    assert views.view(run, results).floors("imdb") == {"rule": pytest.approx(0.7)}
    none = [replace(result, fits=()) for result in results]
    assert views.view(run, none).floors("imdb") == {}


def test_a_task_none_of_whose_fits_ended_well_has_its_own_headline() -> None:
    run, results = small()
    lost = [replace(result, fits=()) for result in results]
    told = replace(run, plan=replace(run.plan, headlines={"imdb": "bleu"}))
    assert views.view(told, lost).headline("imdb").title == "BLEU"
    assert views.view(run, lost).headline("imdb").name == "accuracy"


def test_who_does_not_beat_a_simple_rule_is_named() -> None:
    def said(**floors: float) -> str:
        made = with_fits(small(), floors=floors)
        return " ".join(map(str, summary.lead(views.view(*made), "imdb")))

    assert "Every one of them is better than the best simple rule, coin (50.0 %)." in said(coin=0.5, worse=0.4)
    # rnn learns 69 %
    assert "Not shown to be better than a simple rule, counting (75.0 %): <strong>rnn</strong>." in said(counting=0.75)
    every = said(oracle=0.999, coin=0.5)
    assert "oracle (99.9 %)" in every
    assert all(f"<strong>{label}</strong>" in every.partition("simple rule")[2] for label in LABELS[:3])
    assert "simple rule" not in said()


def test_a_lone_variant_is_it() -> None:
    made = with_fits(
        made_run(labels=LABELS[:1], lengths=(256,)), metrics={"bleu": 20.0}, correct=None, floors={"copying": 1.0}
    )
    said = " ".join(map(str, summary.lead(views.view(*made), "imdb")))
    assert "BLEU: <strong>nbow</strong>" in said
    assert "It is better than the best simple rule, copying (1.00)." in said


def test_of_an_error_the_lowest_rule_counts() -> None:
    made = with_fits(small(), metrics={"mse": 2.0}, correct=None, floors={"last value": 1.0, "mean": 3.0})
    said = " ".join(map(str, summary.lead(views.view(*made), "imdb")))
    assert "Not shown to be better than a simple rule, last value (1.00)" in said


@pytest.mark.parametrize("epochs", [1, 3])
def test_losses_of_phases_are_drawn_from_the_second_epoch_on(epochs: int) -> None:
    run, results = small()
    phases = {"discriminator": 1.3, "generator": 0.7}
    told = [
        replace(
            result,
            epochs=tuple(replace(one, losses=phases) for one in result.epochs if one.epoch <= epochs),
        )
        for result in results
    ]
    text = page((run, told))
    assert ("Losses against each other" in text) is (epochs > 1)
    assert ("discriminator" in text) is (epochs > 1)
