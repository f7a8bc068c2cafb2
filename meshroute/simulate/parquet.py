"""What a story came to, as a table in a Parquet file: the rows of the CSV, with types.

Inputs    what a story came to, and the file. Needs the extra `parquet`.
Exactness the same numbers, the same bytes with one version of pyarrow: there is no date in the file.
Errors    OSError where the file cannot be written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

try:
    import pyarrow
    from pyarrow import parquet
except ModuleNotFoundError as error:
    if error.name != "pyarrow":
        raise
    raise ModuleNotFoundError(
        'Parquet needs the extra `parquet`: pip install "meshroute[parquet]"', name="pyarrow"
    ) from None

from meshroute.simulate.tally import Columns
from meshroute.simulate.telling import Told

_TYPES: Final = {
    "run": pyarrow.string(),
    "partial": pyarrow.bool_(),
    "pod": pyarrow.string(),
    "concurrency": pyarrow.float64(),
}
"""Of columns that are no whole numbers."""
_SOMETIMES_NONE: Final = ("p50", "p90", "p99")


def write_parquet(told: Told, path: str | Path) -> None:
    """Write the table into a file. Raises OSError.

    Columns are those of `Columns`, with `run` and `partial` before them. Times are microseconds; percentiles are null
    where nothing ended.
    """
    schema = pyarrow.schema(
        [
            pyarrow.field(name, _TYPES.get(name, pyarrow.int64()), nullable=name in _SOMETIMES_NONE)
            for name in ("run", "partial", *Columns.__struct_fields__)
        ]
    )
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(told.table(), schema=schema), sink, use_dictionary=["run", "pod"])
    Path(path).write_bytes(sink.getvalue().to_pybytes())
