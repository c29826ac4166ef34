"""What kill switches forbid, read again from both places where they are said, by no code that applies them."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from candor.audit.rulebook import instant

if TYPE_CHECKING:
    import polars as pl

# What a switch may name, and the column of a staged row that it is compared with.
NAMED = ("offer_id", "product_line", "channel", "market", "segment")


def switches(policy_folder: Path, state_file: Path, as_of: datetime) -> list[dict[str, str]]:
    """What each switch names that holds at `as_of` (naive UTC)."""
    said: list[dict[str, Any]] = []
    reviewed = policy_folder / "kill_switches.yml"
    if reviewed.is_file():
        said += yaml.safe_load(reviewed.read_text(encoding="utf-8"))["kill_switches"] or []
    lines = [json.loads(line) for line in state_file.read_text(encoding="utf-8").splitlines()] if state_file.is_file() else []
    # A lift names one of the state file by its id, which is made of what the switch names and since when.
    ends = {line["lift"]: line["until"] for line in lines if "lift" in line}
    said += [line | ({"until": ends[_name(line)]} if _name(line) in ends else {}) for line in lines if "lift" not in line]
    holding = []
    for switch in said:
        until = instant(switch["until"]) if switch.get("until") else None
        if instant(switch["since"]) <= as_of and (until is None or as_of < until):
            holding.append({name: switch[name] for name in NAMED if switch.get(name) is not None})
    return holding


def is_named(holding: list[dict[str, str]]) -> pl.Expr:
    """Whether a row is what one of the switches names; what a row does not say is taken to be what the switch names."""
    import polars as pl

    # A column in it, so that the answer is one per row also without a switch.
    named = pl.col("offer_id").is_null()
    for switch in holding:
        every = [pl.col(name).eq(value).fill_null(True) for name, value in switch.items()]
        named = named | pl.all_horizontal(every)
    return named


def _name(switch: dict[str, Any]) -> str:
    told = [[switch.get(name) for name in NAMED], f"{instant(switch['since']):%Y-%m-%dT%H:%M:%SZ}"]
    return "k" + hashlib.sha256(json.dumps(told).encode()).hexdigest()[:11]
