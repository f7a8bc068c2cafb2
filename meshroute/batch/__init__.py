"""Many at once, with numpy: Maglev tables, rings, and the endpoints of whole columns of keys.

What it answers is what `meshroute.balance` answers, number for number. Needs the extra `batch`.
"""

from __future__ import annotations

try:
    import numpy as np
except ModuleNotFoundError as error:
    if error.name != "numpy":
        raise
    raise ModuleNotFoundError(
        'meshroute.batch needs the extra `batch`: pip install "meshroute[batch]"', name="numpy"
    ) from None

from meshroute.batch.maglev import maglev_table
from meshroute.batch.picks import NOBODY, Ready, picks
from meshroute.batch.ring import Entries, ring

__all__ = ["NOBODY", "Entries", "Ready", "maglev_table", "picks", "ring"]

del np
