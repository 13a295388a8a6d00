"""What two machines differ in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.machines import differences
from bench.records import Machine

HERE = Machine(
    name="here",
    hard={
        "cores": 2,
        "gpus": ["A", "A"],
        "torch": "2.12.0",
        "torch_build": "abc",
        "deterministic": False,
        "cuda": None,
    },
    soft={"python": "3.11"},
    state={"load": 1.0},
)


def test_the_same_machine_under_another_load_is_the_same() -> None:
    found = differences(HERE, replace(HERE, name="there", state={"load": 7.0}, hard={**HERE.hard, "gpus": ("A", "A")}))
    assert (found.hard, found.soft) == ((), ())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cores": 4}, ("cores 2 -> 4",)),
        ({"gpus": []}, ("gpus A, A -> none",)),
        ({"cuda": "12.8"}, ("cuda none -> 12.8",)),
        ({"deterministic": True}, ("deterministic off -> on",)),
        ({"torch": "2.13.0", "torch_build": "def"}, ("torch 2.12.0 -> 2.13.0",)),
        ({"torch_build": "def"}, ("torch_build abc -> def",)),
        ({"cores": 4, "new_fact": "x"}, ("cores 2 -> 4", "new_fact none -> x")),
    ],
)
def test_each_hard_fact_that_differs_is_told(changed: dict[str, object], said: tuple[str, ...]) -> None:
    assert differences(HERE, replace(HERE, hard={**HERE.hard, **changed})).hard == said


def test_a_fact_that_is_gone_differs_too() -> None:
    assert differences(HERE, replace(HERE, soft={})).soft == ("python 3.11 -> none",)
