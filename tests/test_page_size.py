"""A page of many cases stays small: charts are as many as can be looked at, and say what they leave out."""

from __future__ import annotations

import re

import pytest

from bench.report import render
from benchmarks.pages import SIZES, Size, made

MIB = 2**20


def _panels(page: str) -> list[str]:
    return re.findall(r"<svg viewBox[^>]*role.*?</svg>", page, flags=re.S)


@pytest.mark.slow
def test_a_page_of_two_hundred_cases_is_below_three_megabytes() -> None:
    run, results = made(SIZES[1])
    assert len(results) == 210
    page = render([(run, results)])
    assert len(page.encode()) < 3 * MIB
    assert sum(map(len, _panels(page))) < MIB / 2
    assert "Drawn:" not in page


@pytest.mark.slow
def test_charts_do_not_grow_with_the_cases() -> None:
    sizes = [Size(variants=14, lengths=2, batches=4, threads=threads) for threads in (3, 6)]
    few, many = (render([made(size)]) for size in sizes)
    assert len(_panels(few)) == len(_panels(many))
    # what is said of them has one digit more
    assert abs(sum(map(len, _panels(few))) - sum(map(len, _panels(many)))) < 2000
    assert "4 of 6 workloads and settings (those of the operating point first) and 12 of 14 architectures" in few
    assert "4 of 12 workloads and settings" in many
    assert "3 of 4 batch sizes" in few


def test_with_many_tasks_each_has_fewer_charts() -> None:
    size = Size(variants=2, lengths=1, batches=2, tasks=4, threads=2)
    page = render([made(size)])
    # speed, memory and roofline of four tasks
    assert page.count("2 of 4 workloads and settings") == 12
