"""bench: honest comparison of neural architectures. Importing it imports neither torch, pandas nor matplotlib."""

from __future__ import annotations

__version__ = "0.1.0"
