"""What compliance holds: KYC records, screening runs and hits, restrictions, assessments. Never late."""

from __future__ import annotations

import numpy as np
import polars as pl

from simulation import geography as geo
from simulation import rates
from simulation.records import birth_dates, holders
from simulation.tools import DAY, HOUR, MINUTE, generator, ids, maybe, pick, times, weighted


def kyc_records(people: pl.DataFrame, where: pl.DataFrame, ends_at: int, seed: int) -> pl.DataFrame:
    """Every version of every KYC record, with `_known`."""
    rng = generator(seed, "kyc", int(people["number"][0]))
    base = holders(people.hstack(where))
    base = base[np.flatnonzero(rng.random(len(base)) >= rates.KYC_MISSING_SHARE)]
    count = len(base)
    _, birth = birth_dates(base, seed)
    opened = base["opened"].to_numpy()
    verified = opened + ((0.02 + 2 * rng.random(count)) * DAY).astype(np.int64)
    status = weighted(rng, list(rates.KYC_STATUS.values()), count)
    tier = weighted(rng, rates.KYC_TIERS, count)
    draw = rng.random(count)
    valid = np.where(
        draw < rates.KYC_PAST_EXPIRY_SHARE, ends_at - (rng.random(count) * 40 * DAY).astype(np.int64), ends_at + 400 * DAY
    )
    soon = (draw >= rates.KYC_PAST_EXPIRY_SHARE) & (draw < rates.KYC_PAST_EXPIRY_SHARE + rates.KYC_EXPIRES_SOON_SHARE)
    expires = np.where(
        soon,
        ends_at + (rng.random(count) * 10 * DAY).astype(np.int64),
        valid + (rng.random(count) * 900 * DAY).astype(np.int64) * (valid > ends_at),
    )
    scored = np.maximum(verified, ends_at - (rng.random(count) * 25 * DAY).astype(np.int64))
    scored = np.where(rng.random(count) < 0.03, np.minimum(scored, ends_at - 45 * DAY), scored)
    place = base["market"].to_numpy()
    gaps = generator(seed, "kyc_gaps", int(people["number"][0]))
    names = list(rates.KYC_STATUS)
    record = pl.DataFrame(
        {
            "kyc_id": ids("ky", base["number"].to_numpy() * 2 + base["is_second"].to_numpy(), "kyc"),
            "account_id": base["account"],
            "full_name": base.select(pl.concat_str("first_name", pl.lit(" "), "last_name")).to_series(),
            "birth_date": birth,
            "residence_country": pick([row[2] for row in geo.MARKETS], place),
            "residence_region": pick([row[3] for row in geo.MARKETS], place),
            "nationality": pick(
                [row[2] for row in geo.MARKETS],
                np.where(rng.random(count) < 0.9, place, weighted(rng, [row[1] for row in geo.MARKETS], count)),
            ),
            "tier": tier,
            "status": pick(names, status),
            "risk_band": pick(list(rates.RISK_BANDS), weighted(rng, list(rates.RISK_BANDS.values()), count)),
            "risk_scored_at": times(scored),
            "pep": pick(
                ("domestic", "foreign", "none"), np.where(rng.random(count) < rates.PEP_SHARE, rng.integers(0, 2, count), 2)
            ),
            "client_class": pick(
                ("retail", "professional", "institutional"),
                weighted(
                    rng, (1 - rates.PROFESSIONAL_SHARE, rates.PROFESSIONAL_SHARE * 0.85, rates.PROFESSIONAL_SHARE * 0.15), count
                ),
            ),
            "verified_at": times(verified, status == 0),
            "expires_at": times(expires, np.isin(status, (0, 3))),
            "updated": verified,
        }
    )
    record = record.with_columns(
        nationality=maybe(record["nationality"], gaps.random(count) >= rates.KYC_GAP_SHARE),
        pep=maybe(record["pep"], gaps.random(count) >= rates.KYC_GAP_SHARE),
        risk_band=maybe(record["risk_band"], gaps.random(count) >= rates.KYC_GAP_SHARE),
    )
    started = record.with_columns(
        status=pl.lit("pending"), tier=pl.lit(0, dtype=pl.Int64), verified_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
        expires_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")), updated=pl.Series(opened + HOUR // 4),
        risk_scored_at=times(opened + HOUR // 4),
    )  # fmt: skip
    rescored = record.with_columns(updated=pl.Series(scored), risk_scored_at=times(scored))[np.flatnonzero(scored > verified)]
    record = record.with_columns(risk_scored_at=times(np.minimum(scored, verified)))
    return _finish(pl.concat([started, record, rescored]))


def screening(people: pl.DataFrame, run_at: list[int], seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Screening runs (the same for every chunk of people) and the hits of each run, with `_known`."""
    runs, hits = [], []
    rng = generator(seed, "screening", int(people["number"][0]))
    base = holders(people)
    draw = rng.random(len(base))
    flagged = np.flatnonzero(draw < rates.HIT_POTENTIAL_SHARE + rates.HIT_CONFIRMED_SHARE)
    confirmed = draw[flagged] < rates.HIT_CONFIRMED_SHARE
    cleared_at = base["opened"].to_numpy()[flagged] + (rng.random(len(flagged)) * 400 * DAY).astype(np.int64)
    wallets = people.filter(pl.col("wallet").is_not_null())
    listed = np.flatnonzero(rng.random(len(wallets)) < rates.WALLET_HIT_SHARE)
    listed_for_sure = rng.random(len(listed)) < 0.4
    for at in run_at:
        day = at // DAY
        for scope in ("accounts", "wallets"):
            run_id = f"sr-{day}-{scope}"
            runs.append(
                {
                    "screening_run_id": run_id,
                    "scope": scope,
                    "list_version": f"list-{day - day % 3}",
                    "list_parse_complete": True,
                    "at": at,
                }
            )
        there = base["opened"].to_numpy()[flagged] < at
        outcome = np.where(confirmed, "confirmed", np.where(cleared_at < at, "cleared", "potential"))[there]
        here = flagged[there]
        hits.append(
            pl.DataFrame(
                {
                    "hit_id": ids(f"ha{day}", base["number"].to_numpy()[here] * 2 + base["is_second"].to_numpy()[here], "hit"),
                    "screening_run_id": pl.repeat(f"sr-{day}-accounts", len(here), dtype=pl.String, eager=True),
                    "account_id": base["account"].gather(here),
                    "wallet_address": pl.repeat(None, len(here), dtype=pl.String, eager=True),
                    "chain": pl.repeat(None, len(here), dtype=pl.String, eager=True),
                    "outcome": pl.Series(outcome, dtype=pl.String),
                    "_known": pl.repeat(at + 5 * MINUTE, len(here), dtype=pl.Int64, eager=True),
                }
            )
        )
        hits.append(
            pl.DataFrame(
                {
                    "hit_id": ids(f"hw{day}", wallets["number"].to_numpy()[listed], "hit"),
                    "screening_run_id": pl.repeat(f"sr-{day}-wallets", len(listed), dtype=pl.String, eager=True),
                    "account_id": pl.repeat(None, len(listed), dtype=pl.String, eager=True),
                    "wallet_address": wallets["wallet"].gather(listed),
                    "chain": pl.repeat("ethereum", len(listed), dtype=pl.String, eager=True),
                    "outcome": pl.Series(np.where(listed_for_sure, "confirmed", "potential"), dtype=pl.String),
                    "_known": pl.repeat(at + 5 * MINUTE, len(listed), dtype=pl.Int64, eager=True),
                }
            )
        )
    frame = pl.DataFrame(
        runs,
        schema={
            "screening_run_id": pl.String,
            "scope": pl.String,
            "list_version": pl.String,
            "list_parse_complete": pl.Boolean,
            "at": pl.Int64,
        },
    )
    frame = frame.with_columns(screened_at=pl.col("at").cast(pl.Datetime("us", "UTC")), _known=pl.col("at") + 5 * MINUTE).drop(
        "at"
    )
    return frame, pl.concat(hits)


def restrictions(people: pl.DataFrame, starts_at: int, ends_at: int, seed: int) -> pl.DataFrame:
    """Every version of every restriction, with `_known`: open, resolved or ended."""
    rng = generator(seed, "restrictions", int(people["number"][0]))
    base = people.filter(pl.col("has_account") | pl.col("has_contact"))
    iran = base["market"].to_numpy() == [row[0] for row in geo.MARKETS].index("IR")
    versions = []
    for place, (kind, share) in enumerate(rates.RESTRICTIONS.items()):
        chosen = np.flatnonzero(iran if kind == "embargo" else rng.random(len(base)) < share)
        count = len(chosen)
        own = base[chosen]
        begin = np.maximum(own["created_at"].to_numpy(), starts_at - (rng.random(count) * 100 * DAY).astype(np.int64))
        begin = np.where(
            rng.random(count) < 0.4,
            np.maximum(begin, starts_at + (rng.random(count) * (ends_at - starts_at)).astype(np.int64)),
            begin,
        )
        account = own["has_account"].to_numpy() & (rng.random(count) < 0.85)
        ends = np.minimum(begin + 30 * DAY, ends_at - HOUR)
        row = pl.DataFrame(
            {
                "restriction_id": ids("rs", own["number"].to_numpy() * 16 + place, "restriction"),
                "account_id": maybe(own["account_id"], account),
                "wallet_address": pl.repeat(None, count, dtype=pl.String, eager=True),
                "email": maybe(pl.select(pl.coalesce(pl.lit(own["account_email"]))).to_series(), ~account),
                "kind": pl.repeat(kind, count, dtype=pl.String, eager=True),
                "scope": pl.repeat(None, count, dtype=pl.String, eager=True),
                "status": pl.repeat("open", count, dtype=pl.String, eager=True),
                "starts_at": times(begin),
                "ends_at": times(ends, (rng.random(count) < rates.RESTRICTION_ENDED_SHARE) & (kind != "embargo")),
                "updated": begin,
            }
        )
        later = begin + (rng.random(count) * (ends_at - begin)).astype(np.int64)
        done = np.flatnonzero((rng.random(count) < rates.RESTRICTION_RESOLVED_SHARE) & (kind != "embargo"))
        versions += [row, row[done].with_columns(status=pl.lit("resolved"), updated=pl.Series(later[done]))]
    return _finish(pl.concat(versions))


def assessments(people: pl.DataFrame, ends_at: int, seed: int) -> pl.DataFrame:
    """Every assessment taken, with `_known`: risk profile, appropriateness per product line, and those some markets ask for."""
    rng = generator(seed, "assessments", int(people["number"][0]))
    base = holders(people)
    count = len(base)
    market = np.array([row[2] for row in geo.MARKETS])[base["market"].to_numpy()]
    opened = base["opened"].to_numpy()
    rows = []

    def add(
        place: int, kind: str, chosen: np.ndarray, result: pl.Series, lasts_days: int | None, line: str | None = None
    ) -> None:
        index = np.flatnonzero(chosen)
        latest = np.maximum(opened[index] + HOUR, ends_at - 300 * DAY)
        at = latest + (rng.random(len(index)) ** 2 * 0.9 * (ends_at - latest)).astype(np.int64)
        rows.append(
            pl.DataFrame(
                {
                    "assessment_id": ids(
                        "as",
                        base["number"].to_numpy()[index] * 64 + place * 2 + base["is_second"].to_numpy()[index],
                        "assessment",
                    ),
                    "account_id": base["account"].gather(index),
                    "kind": pl.repeat(kind, len(index), dtype=pl.String, eager=True),
                    "product_line": pl.repeat(line, len(index), dtype=pl.String, eager=True),
                    "offer_id": pl.repeat(None, len(index), dtype=pl.String, eager=True),
                    "result": result.gather(index),
                    "taken_at": times(at),
                    "expires_at": times(at + (lasts_days or 0) * DAY, np.full(len(index), lasts_days is not None)),
                    "_known": at + MINUTE,
                }
            )
        )

    add(0, "risk_profile", rng.random(count) < rates.RISK_PROFILE_SHARE, base["profile"], 730)
    for place, (line, share) in enumerate(rates.APPROPRIATENESS_SHARE.items()):
        passed = pick(("failed", "passed"), (rng.random(count) < rates.APPROPRIATENESS_PASSED).astype(int))
        add(1 + place, "appropriateness", rng.random(count) < share, passed, 365, line)
    yes = pl.repeat("passed", count, dtype=pl.String, eager=True)
    add(10, "risk_awareness", (market == "SG") & (rng.random(count) < 0.7), yes, 365)
    add(11, "knowledge_test", (market == "HK") & (rng.random(count) < 0.7), yes, None)
    category = pick(("restricted", "high_net_worth", "certified_sophisticated"), weighted(rng, (0.8, 0.12, 0.08), count))
    add(12, "uk_category", (market == "GB") & (rng.random(count) < 0.8), category, 365)
    add(
        13,
        "personal_risk_warning",
        (market == "GB") & (rng.random(count) < 0.7),
        pl.repeat("shown", count, dtype=pl.String, eager=True),
        None,
    )
    add(
        14,
        "direct_offer_request",
        (market == "GB") & (rng.random(count) < 0.4),
        pl.repeat("requested", count, dtype=pl.String, eager=True),
        None,
    )
    add(
        15,
        "direct_offer_reconfirmed",
        (market == "GB") & (rng.random(count) < 0.3),
        pl.repeat("reconfirmed", count, dtype=pl.String, eager=True),
        None,
    )
    add(
        16,
        "target_market",
        (market == "AU") & (rng.random(count) < 0.7),
        pl.repeat("inside", count, dtype=pl.String, eager=True),
        365,
    )
    return pl.concat(
        [
            *rows,
            due_diligence(people, ends_at, seed),
            trust(people, ends_at - rates.RESCORED_AFTER_DAYS * DAY, ends_at, ends_at, seed),
        ]
    )


def due_diligence(people: pl.DataFrame, ends_at: int, seed: int) -> pl.DataFrame:
    """What compliance found of people and their counterparties, with `_known`: enhanced due diligence, readiness for the Travel Rule."""
    rng = generator(seed, "due_diligence", int(people["number"][0]))
    base = holders(people)
    count = len(base)
    watched = np.isin(np.array([row[2] for row in geo.MARKETS])[base["market"].to_numpy()], ("IR", "MM", "VN"))
    examined = rng.random(count) < np.where(watched, rates.EDD_WATCHED_SHARE, rates.EDD_SHARE)
    checked = rng.random(count) < rates.TRAVEL_RULE_SHARE
    opened = base["opened"].to_numpy()
    found = (
        ("enhanced_due_diligence", ("refused", "approved"), rates.EDD_APPROVED, examined),
        ("travel_rule", ("failed", "verified"), rates.TRAVEL_RULE_VERIFIED, checked),
    )
    rows = []
    for place, (kind, results, share, chosen) in enumerate(found):
        index = np.flatnonzero(chosen)
        since = np.maximum(opened[index] + HOUR, ends_at - 300 * DAY)
        at = since + (rng.random(len(index)) * 0.9 * (ends_at - since)).astype(np.int64)
        result = pick(results, (rng.random(len(index)) < share).astype(int))
        rows.append(_assessed(base, index, f"{kind}", 18 + place, kind, result, at, at + MINUTE))
    return pl.concat(rows)


def trust(people: pl.DataFrame, begin: int, end: int, ends_at: int, seed: int) -> pl.DataFrame:
    """Trust scores given in [begin, end), with `_known`. Whoever is scored is so every RESCORED_AFTER_DAYS, and keeps their score.

    `ends_at` is when the history ends. A few scores are no number; a few accounts were forgotten for weeks, and are forever.
    """
    rng = generator(seed, "trust", int(people["number"][0]))
    base = holders(people)
    count = len(base)
    scored = rng.random(count) < rates.TRUST_SHARE
    score = pl.Series(np.round(40 + 55 * rng.beta(3, 1.5, count) - 15 * (rng.random(count) < 0.15)).astype(np.int64)).cast(
        pl.String
    )
    trouble = rng.random(count)
    score = score.set(pl.Series(trouble < rates.TRUST_UNREADABLE_SHARE), "under review")
    forgotten = trouble >= 1 - rates.TRUST_OLD_SHARE
    opened = base["opened"].to_numpy() + HOUR
    since = np.minimum(np.maximum(ends_at - rates.RESCORED_AFTER_DAYS * DAY, opened), ends_at - 1)
    first = since + (rng.random(count) * (ends_at - since)).astype(np.int64)
    at = _again(first, begin, end)
    at = np.where(forgotten & (at == first), np.maximum(opened, first - 45 * DAY), at)
    index = np.flatnonzero(scored & (at >= 0) & ~(forgotten & (begin >= ends_at)))
    return _assessed(base, index, f"trust{begin // DAY}", 0, "trust", score.gather(index), at[index], at[index] + MINUTE)


def rescored(people: pl.DataFrame, where: pl.DataFrame, begin: int, end: int, ends_at: int, seed: int) -> pl.DataFrame:
    """The KYC records whose AML band is looked at anew in [begin, end), each as it was at the history's end, with `_known`."""
    records = kyc_records(people, where, ends_at, seed).sort("_known").unique("kyc_id", keep="last", maintain_order=True)
    scored = records["risk_scored_at"].cast(pl.Int64).to_numpy()
    at = np.where(scored < ends_at - (rates.RESCORED_AFTER_DAYS + 1) * DAY, -1, _again(scored, begin, end))
    index = np.flatnonzero(at >= 0)
    return records[index].with_columns(
        risk_scored_at=times(at[index]), source_updated_at=times(at[index]), _known=pl.Series(at[index] + MINUTE)
    )


def _again(first: np.ndarray, begin: int, end: int) -> np.ndarray:
    """When in [begin, end) what was first done at `first` is done, or done again as it is every RESCORED_AFTER_DAYS; -1 when it is not."""
    every = rates.RESCORED_AFTER_DAYS * DAY
    at = first + np.maximum(0, -(-(begin - first) // every)) * every
    return np.where((at >= begin) & (at < end), at, -1)


def _assessed(
    base: pl.DataFrame,
    index: np.ndarray,
    salt: str,
    place: int,
    kind: str,
    result: pl.Series,
    at: np.ndarray,
    known: np.ndarray,
) -> pl.DataFrame:
    """Assessments of the accounts at `index`, that never expire."""
    count = len(index)
    number, is_second = base["number"].to_numpy()[index], base["is_second"].to_numpy()[index]
    return pl.DataFrame(
        {
            "assessment_id": ids("at", number * 64 + place * 2 + is_second, salt),
            "account_id": base["account"].gather(index),
            "kind": pl.repeat(kind, count, dtype=pl.String, eager=True),
            "product_line": pl.repeat(None, count, dtype=pl.String, eager=True),
            "offer_id": pl.repeat(None, count, dtype=pl.String, eager=True),
            "result": result,
            "taken_at": times(at),
            "expires_at": times(at, np.zeros(count, dtype=bool)),
            "_known": known,
        }
    )


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        source_updated_at=pl.col("updated").cast(pl.Datetime("us", "UTC")), _known=pl.col("updated") + MINUTE
    ).drop("updated")
