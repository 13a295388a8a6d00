"""Made sentences whose words have tags, in a wheel as the treebank's, and a source that expects just this one."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

from made_reviews import expected

from bench.tasks.data.sources import PORTTINARI, Package, Source

Sentence = Sequence[tuple[str, str]]
"""Words with their tags."""

WHEEL = "dante_corpora-2.0.5-py3-none-any.whl"


def conllu(sentences: Sequence[Sentence]) -> str:
    """A CoNLL-U file with comments."""
    blocks = []
    for number, sentence in enumerate(sentences):
        lines = [f"# sent_id = {number}", "# text = " + " ".join(word for word, _ in sentence)]
        lines += ["\t".join([str(place), word, "_", tag, *"______"]) for place, (word, tag) in enumerate(sentence, 1)]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def pairs(sentences: Sequence[Sentence], between: str = "\t") -> str:
    """A word and its tag a line."""
    return "\n".join("".join(f"{word}{between}{tag}\n" for word, tag in sentence) for sentence in sentences)


def numbered(count: int) -> list[Sentence]:
    """Different sentences `o gatoN dorme .`; the second of them is there once more, at the end."""
    made: list[Sentence] = [
        [("o", "DET"), (f"gato{number}", "NOUN"), ("dorme", "VERB"), (".", "PUNCT")] for number in range(count)
    ]
    return [*made, made[1]]


def write_wheel(folder: Path, sentences: Sequence[Sentence]) -> Path:
    """The package's wheel with these sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("dante/data/portinari/annotated.conllu", conllu(sentences))
    return folder / WHEEL


def made_source(wheel: Path) -> Source:
    """The treebank, brought by this wheel alone."""
    (package,) = PORTTINARI.providers
    assert isinstance(package, Package)
    return dataclasses.replace(PORTTINARI, providers=(dataclasses.replace(package, **expected(wheel)),))
