"""What happens to the replayed shop beyond an ordinary day: words taken back in the middle of it, moves, profiles that merge and split, a crash.

`simulation.respond` lives the day and lands it as its sources do, just before the next run. What is here lands earlier, in increments that
claim no completeness, so that `candor revoke` has something to read while offers are live. Everything depends on the seed and the day alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.landed import Landed, deliver
from benchmarks.replay_judge import Link
from simulation import geography as geo
from simulation import rates
from simulation.tools import generator, instant, micros

# Hours after a run at which something lands early, and `candor revoke` reads it. The last reading is just before the next run.
VISITS = (3, 8)
# Shares of people, each visit (at least one): of a thousand people about twelve take something back in a day, a lively month in a few weeks.
WITHDRAW, GRANT, SWITCH_OFF, RESTRICT, REFUSE_IDENTITY = 0.002, 0.002, 0.0005, 0.0008, 0.0008
# Shares of people, each day (at least one).
MOVE, IDENTIFY_LATE = 0.0008, 0.0008
MOVED_AFTER_DAYS = 2  # from the announcement; weeks in life, but the replay is to see it whole
MISTAKE_EVERY_DAYS, MISTAKE_LASTS_DAYS = 2, 3
CRASH_AT, CRASH_DAYS, RECOVERY_DAYS = 0.4, 2, 8  # the crash begins at this share of the replay
CHANNELS = ("email", "sms", "push", "chat", None)
CHANNEL_WEIGHTS = (0.4, 0.2, 0.2, 0.1, 0.1)
UTC_TIME = pl.Datetime("us", "UTC")


def market_after(day: int, days: int) -> str:
    """What prices do in the 24 hours after the run of `day`: calm, crash or recovery."""
    since = day - max(1, round(days * CRASH_AT))
    return "calm" if not 0 <= since < CRASH_DAYS + RECOVERY_DAYS else "crash" if since < CRASH_DAYS else "recovery"


def is_crash_known(day: int, days: int) -> bool:
    """Whether the run of `day` has seen a whole day of a crash."""
    return day > 0 and market_after(day - 1, days) == "crash"


@dataclass(frozen=True)
class Shop:
    """The landing and truth folders of a generated shop, and what is to happen in it."""

    landing: Path
    truth: Path
    seed: int
    begins: datetime  # the first run

    @cached_property
    def people(self) -> pl.DataFrame:
        return pl.read_parquet(self.truth / "people" / "part-*.parquet").filter(~pl.col("is_test") & ~pl.col("is_closed"))

    @cached_property
    def landed(self) -> Landed:
        return Landed(self.landing, ("exchange.accounts", "crm.contacts", "compliance.kyc_records"))

    def as_of(self, day: int) -> datetime:
        """When the run of `day` is."""
        return self.begins + timedelta(days=day)

    def visit_at(self, day: int, visit: int) -> datetime:
        """When the deliveries of a visit are extracted."""
        return self.as_of(day) + timedelta(hours=VISITS[visit])

    def land(self, day: int, visit: int) -> dict[str, int]:
        """Land what happened since the last reading; gives counts by what it was."""
        at = self.visit_at(day, visit)
        self.landed.read(at)
        rng = generator(self.seed, "replay", day, visit)
        known = self.people.filter(pl.col("has_contact"))
        held = self.people.filter(pl.col("has_account"))
        counts = self._consents(known, day, visit, rng, at) | {
            "switched off": self._switched_off(known, day, visit, rng, at),
            "restrictions": self._restrictions(held, day, visit, rng, at),
            "identity refused": self._identity_refused(held, day, visit, rng, at),
        }
        if visit == len(VISITS) - 1:
            counts |= {"announced moves": self._announce(day, at), "late identifications": self._identify(day, at)}
        return counts | self._move(day, visit, at)

    # --- operators ---------------------------------------------------------------------------------------------------

    def mistakes(self, day: int) -> list[tuple[int, Link]]:
        """The pairs of two true people that operators hold for one on `day`, each with the day on which they said so."""
        wholly = self.people.filter(pl.col("has_account") & (pl.col("shares") == 0))
        unknown = self.people.filter(pl.col("has_contact") & ~pl.col("has_account"))
        last = min(len(wholly), len(unknown))
        ones, others = self._order(wholly, "mistaken"), self._order(unknown, "taken for")
        found = []
        for place, said in enumerate(range(1, day + 1, MISTAKE_EVERY_DAYS)):
            if place < last and said <= day < said + MISTAKE_LASTS_DAYS:
                pair = Link(("account_id", ones["account_id"][place]), ("contact_id", others["contact_id"][place]))
                found.append((said, pair))
        return found

    def write_overrides(self, policy: Path, day: int) -> dict[str, int]:
        """Write what operators hold on `day` into the policy; gives how many pairs they tied since the day before, and parted."""
        now, before = self.mistakes(day), self.mistakes(day - 1) if day else []
        rows = [
            f'- {{action: link, one: {"/".join(link.one)}, other: {"/".join(link.other)}, owner: data, reason: "taken for one person", '
            f"since: {self.as_of(said).isoformat()}, until: {self.as_of(said + 30).isoformat()}}}"
            for said, link in now
        ]
        listed = "\n" + "\n".join(rows) if rows else " []"
        (policy / "identity_overrides.yml").write_text(f"schema: identity-overrides/1\noverrides:{listed}\n", encoding="utf-8")
        return {
            "tied": len([1 for pair in now if pair not in before]),
            "parted": len([1 for pair in before if pair not in now]),
        }

    # --- what people and compliance do -------------------------------------------------------------------------------

    def _order(self, pool: pl.DataFrame, what: str) -> pl.DataFrame:
        """The pool in an order of its own, from which days take one after the other."""
        return pool[generator(self.seed, "replay", what).permutation(len(pool))]

    def _some(self, pool: pl.DataFrame, share: float, rng: np.random.Generator) -> pl.DataFrame:
        count = min(len(pool), max(1, round(len(self.people) * share)))
        return pool[np.sort(rng.choice(len(pool), count, replace=False))] if count else pool[:0]

    def _of_the_day(self, pool: pl.DataFrame, share: float, what: str, day: int) -> pl.DataFrame:
        """The people whose turn it is: nobody twice."""
        count = max(1, round(len(self.people) * share))
        return self._order(pool, what)[day * count : (day + 1) * count]

    def _since(self, rows: pl.DataFrame, rng: np.random.Generator, at: datetime) -> pl.Series:
        minutes = rng.integers(5, 170, len(rows))
        return pl.Series([at - timedelta(minutes=int(minute)) for minute in minutes], dtype=UTC_TIME)

    def _consents(self, pool: pl.DataFrame, day: int, visit: int, rng: np.random.Generator, at: datetime) -> dict[str, int]:
        """Some withdraw and others agree, in one delivery."""
        made = []
        for status, share in (("withdrawn", WITHDRAW), ("granted", GRANT)):
            rows = self._some(pool, share, rng)
            turn = pl.Series(rng.choice(len(CHANNELS), len(rows), p=CHANNEL_WEIGHTS))
            made.append(
                rows.select("contact_id").with_columns(
                    consent_id=pl.concat_str(pl.lit(f"cv-{status}-{day}-{visit}-"), pl.col("contact_id")),
                    channel=pl.Series(CHANNELS, dtype=pl.String).gather(turn),
                    purpose=pl.lit("marketing"),
                    status=pl.lit(status),
                    recorded_at=self._since(rows, rng, at),
                )
            )
        deliver(self.landing, "crm.consents", pl.concat(made), at)
        return {"withdrawals": len(made[0]), "grants": len(made[1])}

    def _switched_off(self, pool: pl.DataFrame, day: int, visit: int, rng: np.random.Generator, at: datetime) -> int:
        rows = self._some(pool, SWITCH_OFF, rng)
        made = rows.select("contact_id").with_columns(
            preference_id=pl.concat_str(pl.lit(f"pv-{day}-{visit}-"), pl.col("contact_id")),
            personalisation_off=pl.lit(True),
            recorded_at=self._since(rows, rng, at),
        )
        return deliver(self.landing, "crm.preferences", made, at)

    def _restrictions(self, pool: pl.DataFrame, day: int, visit: int, rng: np.random.Generator, at: datetime) -> int:
        rows = self._some(pool, RESTRICT, rng)
        kinds = pl.Series([kind for kind, share in rates.RESTRICTIONS.items() if share > 0])
        began = self._since(rows, rng, at)
        made = rows.select("account_id").with_columns(
            restriction_id=pl.concat_str(pl.lit(f"rv-{day}-{visit}-"), pl.col("account_id")),
            kind=kinds.gather(pl.Series(rng.integers(0, len(kinds), len(rows)))),
            status=pl.lit("open"),
            starts_at=began,
            source_updated_at=began,
        )
        return deliver(self.landing, "compliance.restrictions", made, at)

    def _identity_refused(self, pool: pl.DataFrame, day: int, visit: int, rng: np.random.Generator, at: datetime) -> int:
        rows = self._kyc_now(self._some(pool, REFUSE_IDENTITY, rng)["account_id"], at)
        made = rows.with_columns(status=pl.lit("rejected"), source_updated_at=self._since(rows, rng, at))
        return self._deliver_kyc(made, day, visit, at)

    def _deliver_kyc(self, refused: pl.DataFrame, day: int, visit: int, at: datetime) -> int:
        """Land the refused, and on the last visit the records of those who have moved, which name their new home."""
        moved = pl.DataFrame(schema=refused.schema)
        if visit == len(VISITS) - 1 and day >= MOVED_AFTER_DAYS:
            goes = self._movers(day - MOVED_AFTER_DAYS).filter(~pl.col("account_id").is_in(refused["account_id"].to_list()))
            to = {account: geo.MARKETS[place] for account, place in goes.select("account_id", "to").iter_rows()}
            now = self._kyc_now(goes["account_id"], at)
            moved = now.with_columns(
                residence_country=now["account_id"].replace_strict({key: row[2] for key, row in to.items()}, return_dtype=pl.String),
                residence_region=now["account_id"].replace_strict({key: row[3] for key, row in to.items()}, return_dtype=pl.String),
                source_updated_at=pl.lit(at - timedelta(minutes=10)).cast(UTC_TIME),
            ) if len(now) else moved  # fmt: skip
        deliver(
            self.landing,
            "compliance.kyc_records",
            pl.concat([refused, moved.select(refused.columns).cast(dict(refused.schema))]),
            at,
        )
        return refused.height

    def _kyc_now(self, accounts: pl.Series, at: datetime) -> pl.DataFrame:
        return self._newest("kyc_records", "account_id", "kyc_id", accounts, at)

    def _newest(self, table: str, subject: str, key: str, wanted: pl.Series, at: datetime) -> pl.DataFrame:
        """The newest landed row of each key whose subject is wanted."""
        rows = self.landed.rows(
            f"""
            select * exclude (landed_at) from {table}
            where landed_at < $at and list_contains($wanted::varchar[], {subject})
            qualify row_number() over (partition by {key} order by source_updated_at desc, landed_at desc) = 1
            order by {key}
            """,
            at=at,
            wanted=wanted.to_list(),
        )
        return rows.cast({name: UTC_TIME for name, kind in rows.schema.items() if isinstance(kind, pl.Datetime)})

    # --- moves and late identification -------------------------------------------------------------------------------

    def _movers(self, day: int) -> pl.DataFrame:
        """Who announces a move on `day`, and the place in geography's list they move to."""
        pool = self.people.filter(pl.col("has_account") & pl.col("second_account_id").is_null())
        goes = self._of_the_day(pool, MOVE, "movers", day)
        # To the next market but one: somewhere else, never to one that allows nothing at all.
        return goes.with_columns(to=(pl.col("market") + 2) % 12)

    def _announce(self, day: int, at: datetime) -> int:
        goes = self._movers(day)
        rows = self._newest("accounts", "account_id", "account_id", goes["account_id"], at)
        return deliver(self.landing, "exchange.accounts", self._with_home(rows, goes, at, pending=True), at)

    def _move(self, day: int, visit: int, at: datetime) -> dict[str, int]:
        if visit > 0 or day < MOVED_AFTER_DAYS:
            return {}
        goes = self._movers(day - MOVED_AFTER_DAYS)
        rows = self._newest("accounts", "account_id", "account_id", goes["account_id"], at)
        return {"moves": deliver(self.landing, "exchange.accounts", self._with_home(rows, goes, at, pending=False), at)}

    def _with_home(self, rows: pl.DataFrame, goes: pl.DataFrame, at: datetime, *, pending: bool) -> pl.DataFrame:
        """The accounts with where they go, announced or done."""
        if rows.is_empty():
            return rows
        to = {account: geo.MARKETS[place] for account, place in goes.select("account_id", "to").iter_rows()}
        there = {
            name: rows["account_id"].replace_strict(
                {account: row[place] for account, row in to.items()}, return_dtype=pl.String
            )
            for name, place in (("country", 2), ("region", 3), ("time_zone", 4))
        }
        changed = rows.with_columns(source_updated_at=pl.lit(at - timedelta(minutes=15)).cast(UTC_TIME))
        if pending:
            return changed.with_columns(pending_country=there["country"], pending_region=there["region"])
        nowhere = pl.lit(None, dtype=pl.String)
        return changed.with_columns(
            pending_country=nowhere, pending_region=nowhere,
            country_code=there["country"], region_code=there["region"], time_zone=there["time_zone"],
        )  # fmt: skip

    def _identify(self, day: int, at: datetime) -> int:
        """People whom the CRM knew by another address state that of their account: two profiles become one."""
        pool = self.people.filter(pl.col("split_crm") & pl.col("has_contact") & pl.col("has_account"))
        said = self._of_the_day(pool, IDENTIFY_LATE, "identified", day)
        rows = self._newest("contacts", "contact_id", "contact_id", said["contact_id"], at)
        if rows.is_empty():
            return 0
        own = dict(said.select("contact_id", "account_email").iter_rows())
        made = rows.with_columns(
            email=rows["contact_id"].replace_strict(own, return_dtype=pl.String),
            source_updated_at=pl.lit(at - timedelta(minutes=20)).cast(UTC_TIME),
        )
        return deliver(self.landing, "crm.contacts", made, at)


def last_reading(as_of: datetime) -> datetime:
    """When the day's last revocation before the run at `as_of` is read: everything of the day is landed."""
    return instant(micros(as_of)) - timedelta(minutes=2)
