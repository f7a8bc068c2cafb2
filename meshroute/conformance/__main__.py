"""`python -m meshroute.conformance FOLDER [CLAUSE ...]`: meshroute against the vectors of a folder."""

from __future__ import annotations

import sys

from meshroute.conformance import Meshroute, VectorError, run_vectors


def main(arguments: list[str]) -> int:
    """Run and print; 0 when every case agrees, 1 when one does not, 2 when the vectors cannot be read."""
    if not arguments:
        print("usage: python -m meshroute.conformance FOLDER [CLAUSE ...]", file=sys.stderr)
        return 2
    try:
        report = run_vectors(Meshroute(), arguments[0], arguments[1:])
    except (VectorError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for failure in report.failures:
        print(failure)
    print(f"{report.passed} agree, {len(report.failures)} differ, {len(report.skipped)} not claimed")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
