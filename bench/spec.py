"""What goes into a model and what comes out of it: kinds and sizes, no data and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# what every target vocabulary begins with; 0 pads
TARGET_PADDING_ID, TARGET_UNKNOWN_ID, START_ID, END_ID = range(4)
FIRST_TARGET_ID = 4
# the class of padding where each step has one: torch's cross-entropy leaves it out
PADDED_CLASS = -100


class InputKind(StrEnum):
    """What one item looks like before it is batched."""

    TOKENS = "tokens"  # (L,) integers, or (L, F) where a position has several
    VECTORS = "vectors"  # (L, D)
    FEATURES = "features"  # (D,)
    IMAGE = "image"  # (C, H, W)
    NOISE = "noise"  # (D,)

    @property
    def is_sequence(self) -> bool:
        """Whether items have a length, so that batches are padded and `forward` takes `lengths`."""
        return self in (InputKind.TOKENS, InputKind.VECTORS)


class OutputKind(StrEnum):
    """What a model answers for one item."""

    CLASSES = "classes"  # (classes,) logits
    STEP_CLASSES = "step_classes"  # (L, classes) logits
    VALUE = "value"  # (output_size,)
    TOKENS = "tokens"  # (target L, target vocabulary) logits under teacher forcing
    IMAGE = "image"  # (C, H, W)


class LengthAxis(StrEnum):
    """Whether a suite may sweep the sequence length of a task."""

    FREE = "free"
    FIXED = "fixed"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Kinds and sizes of a task's inputs and outputs: all that an architecture needs to be built.

    Attributes:
        sequence_length: the longest sequence that comes, in tokens or steps; None where items have no length.
        vocabulary_size: declared number of token ids, `padding_id` and the unknown word included.
        ids_per_token: ids of one position, F (a word and its suffixes, say), all of one vocabulary; their vectors are added.
        input_size: D of vectors, features or noise.
        image_shape: (C, H, W) of the image, whichever side it is on.
        classes: number of classes, of an item or of a step.
        output_size: number of values of a `value` output.
        target_vocabulary_size: declared number of target ids, the four that `FIRST_TARGET_ID` comes after included.
        target_length: the most target tokens of an item, the end included.
    """

    inputs: InputKind
    outputs: OutputKind
    sequence_length: int | None = None
    vocabulary_size: int | None = None
    padding_id: int = 0
    ids_per_token: int = 1
    input_size: int | None = None
    image_shape: tuple[int, int, int] | None = None
    classes: int | None = None
    output_size: int | None = None
    target_vocabulary_size: int | None = None
    target_length: int | None = None
