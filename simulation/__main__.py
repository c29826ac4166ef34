"""`python -m simulation`: make a crypto shop's deliveries and, in another folder, the truth about them."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from simulation.shop import ENDS_AT, generate


def main(arguments: list[str] | None = None) -> int:
    """Make the shop that the arguments describe; 0 when it is landed."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--people", type=int, default=5000, help="how many people (default 5000)")
    parser.add_argument("--days", type=int, default=60, help="event-rich days before the end (default 60)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same bytes (default 7)")
    parser.add_argument("--landing", type=Path, required=True, help="folder to deliver into; must be empty or new")
    parser.add_argument("--truth", type=Path, required=True, help="folder for the planted truth; must be empty or new")
    parser.add_argument(
        "--ends-at", type=datetime.fromisoformat, default=ENDS_AT, help=f"last as_of (default {ENDS_AT.isoformat()})"
    )
    given = parser.parse_args(arguments)
    ends_at = given.ends_at if given.ends_at.tzinfo else given.ends_at.replace(tzinfo=UTC)
    began = time.monotonic()
    generate(people=given.people, days=given.days, seed=given.seed, landing=given.landing, truth=given.truth, ends_at=ends_at,
             progress=lambda line: print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
