"""`python -m candor.ingest --as-of 2026-11-23T15:00:00Z`: the stage by itself, its counts as JSON."""

from __future__ import annotations

import argparse
import json
import sys

from candor import ingest, runs
from candor.errors import CandorError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m candor.ingest", description=__doc__)
    parser.add_argument("--as-of", required=True, help="an instant, e.g. 2026-11-23T15:00:00Z")
    parser.add_argument("--full-refresh", action="store_true", help="read every delivery again")
    given = parser.parse_args()
    try:
        result = ingest.run(runs.parse_as_of(given.as_of), full_refresh=given.full_refresh)
    except CandorError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    print(json.dumps(result, indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
