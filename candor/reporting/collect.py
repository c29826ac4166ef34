"""Gather what a run's stages, gates, audit and published files say into one JSON-able summary."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import runs, warehouse
from candor.errors import UsageError

if TYPE_CHECKING:
    from candor.settings import Settings


def read_json(path: Path) -> dict[str, Any] | None:
    """The content of a report file, or None when the stage that writes it has not run."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def find_run_id(as_of: datetime, settings: Settings) -> str:
    """The run id of `as_of`, from the report folders. Raises UsageError when there is none."""
    wanted = warehouse.utc(as_of).isoformat()
    for path in sorted(settings.reports_dir.glob("*/run.json")):
        if (found := read_json(path)) and found["as_of"] == wanted:
            return found["run_id"]
    raise UsageError(f"there is no run of {wanted}Z", hint=f"candor run --as-of {wanted}Z")


def _stages(folder: Path) -> list[dict[str, Any]]:
    from candor.pipeline import NAMES

    found = [read_json(folder / "stages" / f"{name}.json") for name in NAMES]
    return [stage for stage in found if stage is not None]


# How the run decided, from the files of the same names.
DECIDED = {
    "choices": "select * from {} order by outcome = 'given' desc, candidates desc, outcome, is_promotion",
    "shadow_prices": "select * from {} order by price_usd desc, offer_id",
    "catalogue_findings": """
        select offer_id, offer_version, creative_id, channel, locale, field, string_agg(distinct finding, ', ' order by finding) as findings,
            quote, place, bool_or(becomes is null) as is_offer_refused
        from {} group by offer_id, offer_version, creative_id, channel, locale, field, quote, place
        order by offer_id, offer_version, creative_id, field, place
        """,
    "market_states": """
        select date_trunc('day', bar_end) as day, max(vol_rank) as vol_rank, arg_max(vol_rank, bar_end) as last_rank, max(bar_end) as bar_end,
            arg_max(volatility_24h, bar_end) as volatility_24h, arg_max(volatility_7d, bar_end) as volatility_7d,
            arg_max(drawdown, bar_end) as drawdown
        from {} group by day order by day
        """,
}


def _published(folder: Path, settings: Settings) -> dict[str, Any]:
    """Counts over the published files of one run; empty when it published nothing."""
    if not (folder / "offers.parquet").is_file():
        return {}
    with warehouse.scratch(settings) as connection:

        def rows(query: str) -> list[dict[str, Any]]:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

        offers = f"read_parquet('{folder / 'offers.parquet'}')"
        result: dict[str, Any] = {
            "offers": rows(f"select count(*) as offers, count(distinct person_id) as people from {offers}")[0],
            "by_channel": rows(
                f"select channel, count(*) as offers, count(distinct person_id) as people from {offers} group by all order by all"
            ),
            "by_segment": rows(
                f"select segment, count(*) as offers, count(distinct person_id) as people from {offers} "
                "group by all order by offers desc, segment"
            ),
            "by_offer": rows(f"select offer_id, count(*) as offers from {offers} group by all order by offers desc, offer_id"),
            "example": rows(
                f"select person_id, channel, offer_id, title, body, reason_text, segment, market from {offers} "
                "order by md5(decision_id) limit 1"
            ),
        }
        if (folder / "exclusion_counts.parquet").is_file():
            result["exclusions"] = rows(
                f"select * from read_parquet('{folder / 'exclusion_counts.parquet'}') order by people desc, code, grain"
            )
        if (folder / "hygiene.parquet").is_file():
            result["hygiene"] = rows(
                f"select * from read_parquet('{folder / 'hygiene.parquet'}') order by source = 'all' desc, source"
            )
        for name, query in DECIDED.items():
            if (folder / f"{name}.parquet").is_file():
                result[name] = rows(query.format(f"read_parquet('{folder / f'{name}.parquet'}')"))
        lifts = folder / "measurement" / "lifts.parquet"
        if lifts.is_file():
            result["lifts"] = rows(
                "select source, dimension, level, assignments_shown, assignments_held_out, rate_shown, rate_held_out, verdict "
                f"from read_parquet('{lifts}') order by source, dimension = 'overall' desc, dimension, level"
            )
        return result


def collect(as_of: datetime, settings: Settings) -> dict[str, Any]:
    """Everything the summary shows about the run of `as_of`. Raises UsageError when it never ran."""
    run_id = find_run_id(as_of, settings)
    folder = settings.reports_dir / run_id
    stages = _stages(folder)
    by_name = {stage["stage"]: stage for stage in stages}
    failed = [stage for stage in stages if stage["status"] in ("refused", "failed")]
    status = "done"
    if failed:
        status = f"stopped at {failed[0]['stage']}"
    elif by_name.get("champion", {}).get("status") == "no champion":
        status = "no champion"
    gates = [read_json(path) for path in sorted((folder / "gates").glob("*.json"))]
    return {
        "run_id": run_id,
        "as_of": runs.parse_as_of(as_of.isoformat()).astimezone(UTC).isoformat(),
        "status": status,
        "stages": stages,
        "gates": [gate for gate in gates if gate is not None],
        "silos": _silos(by_name),
        "hygiene": [row for rows in (read_json(folder / "hygiene.json") or {}).values() for row in rows],
        "audit": read_json(folder / "audit.json"),
        "review": read_json(folder / "review.json"),
        "model": _model(settings, by_name.get("champion", {}).get("result", {}).get("champion_version")),
        "training": read_json(folder / "training.json"),
        "promotion": read_json(folder / "promotion.json"),
        "published": _published(settings.published_dir / run_id, settings),
        "assumptions": _assumptions(settings),
    }


def _silos(stages: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables that were late or missing, since when, and the offers withheld because of each (None: not yet decided)."""
    behind = stages.get("ingest", {}).get("result", {}).get("silos_behind", [])
    eligibility = stages.get("eligibility", {}).get("result")
    withheld = {row["feed"]: row for row in (eligibility or {}).get("silos_withholding", [])}
    return [
        {
            **silo,
            "offers_withheld": None if eligibility is None else withheld.get(silo["feed"], {}).get("offers", 0),
            "offer_ids": withheld.get(silo["feed"], {}).get("offer_ids", []),
        }
        for silo in behind
    ]


def _model(settings: Settings, version: str | None) -> dict[str, Any] | None:
    """The training and promotion reports of the champion, from the run it was trained at."""
    for path in sorted(settings.reports_dir.glob("*/training.json")):
        training = read_json(path)
        if version is not None and training is not None and training.get("model_version") == version:
            return {"training": training, "promotion": read_json(path.with_name("promotion.json"))}
    return None


def _assumptions(settings: Settings) -> list[str]:
    """What an adapter assumed where real data is silent, one line each; an adapter leaves them beside its deliveries."""
    path = settings.landing_dir / "_assumptions.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
