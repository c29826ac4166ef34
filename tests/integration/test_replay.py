"""The replay's loop without the pipeline: a publisher of the test's own puts rows out, and the judge must tell the permitted from the others.

The publisher gives everybody a lesson, and whoever the judge lets have them promotions too; what stands for the pipeline is as simple as can
be, so that what is tested is the shop, the revocations, the judge and the leaks.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from io import StringIO
from pathlib import Path

import polars as pl
import pytest

from benchmarks import replay as replay_command
from benchmarks import replay_leaks
from benchmarks.landed import deliver
from benchmarks.replay import Replay
from benchmarks.replay_judge import SHOWN, Judge, read_store, text
from benchmarks.replay_shop import is_crash_known, market_after
from candor import revocations
from candor.contract import load as load_contract
from candor.ingest.deliveries import find
from candor.publishing import store
from candor.settings import PROJECT_ROOT
from candor.warehouse import utc
from tests.integration.conftest import differing

PEOPLE, DAYS, SEED = 300, 3, 5
OFFERED = (
    ("edu_basics", "web", 2),
    ("spot_btc", "web", 1),
    ("edu_risk", "email", 1),
    ("edu_risk", "sms", 1),
    ("stake_eth", "app", 2),
)
COLUMNS = (
    "decision_id", "run_id", "person_id", "channel", "market", "segment", "slot", "rank", "offer_id", "offer_version", "creative_id", "locale",
    "title", "body", "reason_text", "disclosures", "arm", "valid_from", "valid_until", "send_after", "send_before", "model_version",
    "policy_version",
)  # fmt: skip
NUMBERS = ("slot", "rank", "offer_version")


class WithoutPipeline(Replay):
    """A replay whose runs are a few inserts."""

    def _first_champion(self) -> str:
        store.prepare(self.settings)
        return "none"

    def _run(self, day, as_of):
        people = pl.read_parquet(self.folder / "truth" / "people" / "part-*.parquet")
        names = [("has_account", "account_id"), ("has_contact", "contact_id")]
        known = pl.concat(
            people.filter(pl.col(flag)).select(
                identifier_kind=pl.lit(kind), identifier=pl.col(kind), person_id=pl.col("true_person")
            )
            for flag, kind in names
        )
        window = {"valid_from": text(as_of), "valid_until": text(as_of + timedelta(hours=36))}
        # Messages go out at noon of Frankfurt or later, when it is day from San Francisco to Berlin only for some.
        rows = pl.concat(
            people.select(
                **{column: pl.lit(0 if column in NUMBERS else "", dtype=pl.Int64 if column in NUMBERS else pl.String) for column in COLUMNS}
                | {
                    "decision_id": pl.concat_str(pl.lit(f"d{day}-{offer}-{channel}-"), pl.col("true_person")),
                    "run_id": pl.lit(f"r{day}"), "person_id": pl.col("true_person"), "channel": pl.lit(channel), "offer_id": pl.lit(offer),
                    "arm": pl.lit("treated"), "send_after": pl.lit(text(as_of)), "send_before": pl.lit(text(as_of + timedelta(hours=6))),
                }
                | {name: pl.lit(value) for name, value in window.items()}
            )
            for offer, channel, _ in OFFERED
        )  # fmt: skip
        forbidden = self._judged_alone(rows.select(SHOWN), known, as_of)
        rows = rows.filter(~pl.col("decision_id").is_in(forbidden))
        folders, _ = find(self.settings.landing_dir, load_contract(), until=utc(as_of), tables=revocations.TABLES)
        with store.transaction(self.settings) as serving:
            serving.execute("update runs set is_current = 0")
            serving.execute("delete from person_lookup")
            serving.execute(
                "insert into runs values (?, ?, ?, 1, 0, 0, '', '', '', 1, '', '', null)", (f"r{day}", text(as_of), text(as_of))
            )
            serving.load("offers", rows.select(COLUMNS).to_arrow().cast(_texts(rows.select(COLUMNS))))
            lookups = known.with_columns(valid_from_run=pl.lit(f"r{day}"), valid_to_run=pl.lit(None, dtype=pl.String))
            serving.load("person_lookup", lookups.to_arrow().cast(_texts(lookups)))
            for place, folder in enumerate(folders):
                key = revocations._folder_key(self.settings, folder)
                serving.execute("insert into known_deliveries values (?, ?, ?)", (f"r{day}", key, f"c{place}"))
            # What this run knew is not kept back any more.
            serving.execute("update suppressions set until = ? where until is null", (text(as_of),))
        return {"status": "no champion", "refused": None, "kills": 0, "audit": 0, "audited": 0, "markets": "unknown"}

    def _judged_alone(self, rows, known, as_of):
        """The decisions that the judge would not permit at one of the day's readings, by what is landed now."""
        is_crash = is_crash_known((as_of - self.shop.begins).days, self.days)
        found = [
            self.judge.violations(rows, known, run=as_of, at=as_of + timedelta(minutes=minutes), is_crash=is_crash)
            for minutes in (1, 182, 482, 1439)
        ]
        self.__dict__.setdefault("against", set()).update(pl.concat(found)["why"].unique().to_list())
        self.__dict__["found"] = found[0]
        return pl.concat(found)["decision_id"].unique().to_list()

    def _links(self, standing):
        return []  # who is who is the truth here: no operator ties anybody


def _texts(frame: pl.DataFrame):
    import pyarrow as pa

    return pa.schema([(name, pa.int64() if kind == pl.Int64 else pa.string()) for name, kind in frame.schema.items()])


def lived(folder: Path) -> WithoutPipeline:
    replay = WithoutPipeline(folder, people=PEOPLE, days=DAYS, seed=SEED)
    replay.prepare()
    replay.rows = [replay.day(day) for day in range(DAYS)]
    return replay


@pytest.fixture(scope="module")
def replay(tmp_path_factory) -> WithoutPipeline:
    return lived(tmp_path_factory.mktemp("replay") / "one")


def test_what_is_taken_back_at_noon_is_gone_at_the_next_reading(replay):
    assert [row["judge"] for row in replay.rows] == [0] * DAYS, replay.reasons()
    assert all(row["revoked"] > 0 and row["served"] > 50 for row in replay.rows)
    assert all(row["judged"] > row["live"] > 300 for row in replay.rows)


def test_every_kind_of_day_is_lived(replay):
    assert sum(row["moves"] for row in replay.rows) > 0
    assert sum(row["merged"] for row in replay.rows) > 0
    assert [market_after(day, 60) for day in (0, 23, 24, 25, 26, 33, 34, 59)] == [
        "calm", "calm", "crash", "crash", "recovery", "recovery", "calm", "calm"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "reason",
    [
        "consent withdrawn", "consent denied", "never agreed to this channel", "personalisation switched off", "unsubscribed",
        "restriction self_exclusion", "restriction objection", "verified tier 0", "verified tier 1",
        "money laundering risk high", "no passed test of spot", "not permitted in US-NY", "under age", "a test account", "sent at night",
        "speculative while markets crash",
    ],
)  # fmt: skip
def test_with_everybody_shown_everything_each_reason_speaks_against_somebody(replay, reason):
    assert reason in replay.against, sorted(replay.against)


def test_everybody_who_switched_personalisation_off_is_found_and_nobody_else(replay):
    at = replay.shop.as_of(DAYS - 1) + timedelta(minutes=1)
    words = replay.judge.landed.rows(
        "select * from preferences where personalisation_off is not null and landed_at <= $at", at=at
    )
    people = pl.read_parquet(replay.folder / "truth" / "people" / "part-*.parquet")
    by_record = {
        record: person
        for flag, column in (("has_contact", "contact_id"), ("has_account", "account_id"))
        for record, person in people.filter(pl.col(flag)).select(column, "true_person").iter_rows()
    }
    latest: dict[str, tuple] = {}
    for row in words.iter_rows(named=True):
        person = by_record.get(row["contact_id"] or row["account_id"])
        if person is not None:
            latest[person] = max(
                latest.get(person, (at.replace(year=1990), False)), (row["recorded_at"], row["personalisation_off"])
            )
    expected = {person for person, (_, is_off) in latest.items() if is_off}
    found = set(replay.found.filter(pl.col("why") == "personalisation switched off")["person_id"])
    assert len(expected) > 2
    assert found <= expected
    assert expected - found == set(), "somebody's no is not seen"


@pytest.mark.parametrize("kind", sorted(replay_leaks.OF_THE_STORE))
def test_the_judge_sees_a_leak_planted_in_the_store(replay, kind):
    what, by, how = replay_leaks._in_the_store(replay, kind, DAYS - 1)
    assert by == "judge", f"{what}: {how}"


def test_a_leak_nobody_knows_is_refused_with_the_names_of_those_there_are(replay):
    with pytest.raises(replay_leaks.CandorError, match="no leak is called sieve"):
        replay_leaks.plant(replay, ["sieve"], DAYS - 1, StringIO())


def test_offers_read_are_those_that_were_live_when_they_were_read(replay):
    for day in range(DAYS):
        folder = replay.folder / "read" / f"{day:03}"
        served = pl.read_parquet(folder / "offers.parquet")
        assert served["decision_id"].is_unique().all()
        for row in served.sample(20, seed=SEED).iter_rows(named=True):
            (number,) = [
                path for path in folder.glob("[0-9].parquet") if text(pl.read_parquet(path)["read_at"][0]) == row["valid_from"]
            ]
            assert row["decision_id"] in set(pl.read_parquet(number)["decision_id"])


def test_the_same_seed_gives_the_same_bytes_also_after_a_kill_in_the_middle_of_a_day(replay, tmp_path):
    again = WithoutPipeline(tmp_path / "two", people=PEOPLE, days=DAYS, seed=SEED)
    again.prepare()
    again.day(0)
    landed = again.shop.land
    try:
        again.shop.__dict__["land"] = lambda day, visit: (
            landed(day, visit) if visit == 0 else (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            again.day(1)
    finally:
        del again.shop.__dict__["land"]
    resumed = lived(tmp_path / "two")
    assert [{**row, "seconds": 0, "hidden in": ""} for row in resumed.rows] == [
        {**row, "seconds": 0, "hidden in": ""} for row in replay.rows
    ]
    assert differing(replay.bytes(), resumed.bytes()) == []
    assert resumed.digest() == replay.digest()


def test_who_does_not_come_by_sees_no_offer_of_the_site_but_gets_the_messages(replay):
    folder = replay.folder / "read" / "000"
    everybody = replay.served(folder)
    few = WithoutPipeline(replay.folder, people=PEOPLE, days=DAYS, seed=SEED)
    few.comes_by = 0.25
    some = few.served(folder)

    def people(rows, is_message):
        return rows.filter(pl.col("channel").is_in(["email", "sms", "push"]) == is_message)["person_id"].n_unique()

    assert people(some, True) == people(everybody, True) > 10
    assert 0.1 < people(some, False) / people(everybody, False) < 0.4


def test_the_command_tells_a_lived_replay_again_day_by_day(replay, monkeypatch, capsys):
    monkeypatch.setattr(replay_command, "Replay", WithoutPipeline)
    asked = ["--people", str(PEOPLE), "--days", str(DAYS), "--seed", str(SEED), "--comes-by", "1"]
    assert replay_command.main([*asked, "--folder", str(replay.folder), "--resume"]) == 0
    said = capsys.readouterr().out
    assert replay.digest() in said
    assert [said_of.split()[:2] for said_of in said.splitlines()[1 : DAYS + 1]] == [
        [str(row["day"]), row["date"]] for row in replay.rows
    ]


def test_a_folder_of_another_replay_is_refused(replay):
    with pytest.raises(replay_leaks.CandorError, match="holds a replay of"):
        WithoutPipeline(replay.folder, people=PEOPLE + 1, days=DAYS, seed=SEED)


def test_a_hit_of_the_latest_screening_speaks_against_its_person_and_a_hit_that_was_replaced_does_not(replay, tmp_path):
    landing = tmp_path / "landing"
    shutil.copytree(replay.settings.landing_dir, landing)
    at = replay.shop.visit_at(DAYS - 1, 1) + timedelta(minutes=3)
    live, lookups = read_store(replay.store, at)
    accounts = lookups.filter(
        (pl.col("identifier_kind") == "account_id") & pl.col("person_id").is_in(live["person_id"].to_list())
    )
    hit, replaced = accounts["identifier"][0], accounts["identifier"][-1]
    screenings = replay.judge.landed.rows(
        "select screening_run_id from screening_runs where scope = 'accounts' and landed_at <= $at order by screened_at desc",
        at=at,
    )["screening_run_id"]
    rows = pl.DataFrame(
        {
            "hit_id": ["planted-1", "planted-2"],
            "screening_run_id": [screenings[0], screenings[1]],
            "account_id": [hit, replaced],
            "outcome": ["potential", "confirmed"],
        }
    )
    deliver(landing, "compliance.screening_hits", rows, at - timedelta(minutes=1))
    found = Judge(landing, replay.folder / "truth", PROJECT_ROOT / "policy").violations(
        live, lookups, run=replay.shop.as_of(DAYS - 1), at=at, is_crash=False
    )
    person = dict(accounts.select("identifier", "person_id").iter_rows())
    assert set(found.filter(pl.col("why").str.starts_with("screening"))["person_id"]) == {person[hit]}
    assert person[hit] != person[replaced]


@pytest.mark.parametrize(("kind", "forbids_lessons"), [("fincrime_hold", False), ("vulnerable", False), ("objection", True)])
def test_what_lands_at_noon_forbids_promotions_and_only_a_word_against_everything_forbids_lessons(
    replay, tmp_path, kind, forbids_lessons
):
    landing = tmp_path / "landing"
    shutil.copytree(replay.settings.landing_dir, landing)
    at = replay.shop.visit_at(DAYS - 1, 1) + timedelta(minutes=3)
    live, lookups = read_store(replay.store, at)
    is_lesson = pl.col("offer_id").str.starts_with("edu_")
    both = live.group_by("person_id").agg(is_lesson.any().alias("taught"), (~is_lesson).any().alias("promoted"))
    both = both.filter("taught", "promoted").join(lookups.filter(pl.col("identifier_kind") == "account_id"), on="person_id")
    person, account = both.sort("identifier").select("person_id", "identifier").row(0)
    began = at - timedelta(minutes=2)
    row = {"restriction_id": ["planted"], "account_id": [account], "kind": [kind], "status": ["open"], "starts_at": [began]}
    deliver(landing, "compliance.restrictions", pl.DataFrame(row).with_columns(source_updated_at=pl.lit(began)), began)
    found = Judge(landing, replay.folder / "truth", PROJECT_ROOT / "policy").violations(
        live, lookups, run=replay.shop.as_of(DAYS - 1), at=at, is_crash=False
    )
    said = found.filter(pl.col("why") == f"restriction {kind}", pl.col("person_id") == person)["offer_id"]
    of_person = live.filter(pl.col("person_id") == person)
    promoted = set(of_person.filter(~is_lesson)["offer_id"])
    assert set(said) == (set(of_person["offer_id"]) if forbids_lessons else promoted)


def test_the_store_is_read_at_the_instant_of_the_replay_and_not_by_the_wall_clock(replay):
    as_of = replay.shop.as_of(DAYS - 1)
    assert read_store(replay.store, as_of + timedelta(hours=1))[0].height > 0
    assert read_store(replay.store, as_of + timedelta(days=400))[0].height == 0


def test_an_offer_that_had_not_started_is_forbidden_until_the_day_it_starts_and_one_that_nobody_approved_for_good(replay):
    at = replay.shop.visit_at(DAYS - 1, 1) + timedelta(minutes=3)
    live, lookups = read_store(replay.store, at)
    lesson = live.filter(pl.col("offer_id").str.starts_with("edu_")).head(1)
    begins = replay.shop.begins + timedelta(days=30)
    of_whom = {}
    for offer, run in (("usdc_new_year", begins - timedelta(days=1)), ("usdc_new_year", begins), ("spot_refer", begins)):
        row = lesson.with_columns(offer_id=pl.lit(offer))
        found = replay.judge.violations(row, lookups, run=run, at=at, is_crash=False)
        of_whom[offer, run == begins] = "an offer the shop may not make" in found["why"].to_list()
    assert of_whom == {("usdc_new_year", False): True, ("usdc_new_year", True): False, ("spot_refer", True): True}
