"""Reference models: the ruler everything is measured with, trained or loaded."""

from __future__ import annotations

import os

# Threads that wait by spinning keep a core from whoever else wants it: with one other busy process on two
# cores, steps of a small model take up to a hundred times longer. OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
