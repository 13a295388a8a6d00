"""Settings for all tests."""

from __future__ import annotations

import os

# Small models on small machines: a second thread only waits for its turn beside other processes. Workers set their own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
