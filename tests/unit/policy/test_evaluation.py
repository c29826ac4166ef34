"""Tables of cases: random ones against a slow oracle that reads the rule texts row by row; files, odd types, and what is refused.

The oracle derives age, regimes, permissions, quiet hours, consent and ends in plain Python and shares no line with the SQL.
"""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from candor.errors import UsageError
from candor.policy import conformance, evaluation, load
from candor.settings import PROJECT_ROOT

HERE = Path(__file__).parent
POLICY = load(PROJECT_ROOT / "policy", "crypto")
BASE = conformance._base(HERE / "cases.yml", None)
LINES = {line.product_line: line for line in POLICY.product_lines}
CHANNELS = {"web": "inapp", "email": "email", "sms": "sms", "push": "push", "chatbot": "chatbot",
    "third_party_ad": "third_party_ad", "public_ad": "public_ad"}  # fmt: skip
ZONES = [
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Mars/Olympus",
]
MARKETS = ["GB", "DE", "US-NY", "US-TX", "US-FL", "SG", "CA-ON", "ZZ"]


def random_case(number: int, of: random.Random) -> dict[str, Any]:
    """A case with a few facts unusual, unknown or near an edge."""

    def one(*values: Any) -> Any:
        return of.choice(values)

    at = one(
        datetime.fromisoformat("2026-11-01T04:00:00") + timedelta(minutes=of.randrange(6 * 60)),  # clocks change in New York
        datetime.fromisoformat("2026-11-23") + timedelta(minutes=of.randrange(2880)),
        datetime.fromisoformat("2027-01-17") + timedelta(hours=of.randrange(72)),
    )
    some = {
        "residence": one(*MARKETS, None), "other_countries": one([], [], [of.choice(MARKETS)], ["US"], ["GB", "DE"], None, ["GB", None]),
        "tzs": one(None, [], *([of.choice(ZONES)] for _ in range(4)), of.sample(ZONES[:-1], 2), of.sample(ZONES, 3)),
        "dob": one(None, "1985-05-05", str(at.date().replace(year=at.year - 18) + timedelta(days=of.randrange(-1, 2))), "2008-02-29"),
        "client_class": one("retail", "retail", "professional", None, "vip"), "kyc_tier": one(0, 1, 2, 2, None, 7),
        "kyc_expires_at": one(None, f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}", "2028-06-30T00:00:00Z"),
        "consent_email": one("granted", "none", "withdrawn", None), "consent_sms": one("granted", "none", None), "consent_push": one("granted", None),
        "consent_thirdparty": one("granted", "denied", None), "soft_opt_in": one(True, False, None), "unsub_email": one(True, False, False, None),
        "pep": one("none", "domestic", "foreign", None), "edd_approved": one(True, False, None), "aml_band": one("low", "high", None),
        "fatf": one("none", "IM", "CFA", None), "first_time": one(True, False, None),
        "dofp_requested_at": one(None, f"{at - timedelta(hours=24):%Y-%m-%dT%H:%M:%SZ}", f"{at - timedelta(seconds=86399):%Y-%m-%dT%H:%M:%SZ}"),
    }  # fmt: skip
    offered = {
        "product": one(*LINES, None, "lottery"), "incentive": one("none", "none", "monetary", None), "is_promotion": one(True, True, False, None),
        "is_dofp": one(True, False, None), "features": one([], ["gender"], ["asset_views_30d"], None),
        "from": one("2021-01-01T00:00:00Z", f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}", None),
        "to": one("2028-01-01T00:00:00Z", f"{at:%Y-%m-%dT%H:%M:%SZ}", None),
        "end_local": one(None, None, "2026-11-01 01:30:00", "2026-11-23 24:00", "2027-01-18T00:00"),
    }  # fmt: skip
    keep = of.choice([0.15, 0.5])  # few oddities at once, or many
    return {
        "id": f"R{number:05}", "p": "gb", "o": "spot", "at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "ch": of.choice([*CHANNELS, "carrier_pigeon"]),
        "u": {name: value for name, value in some.items() if of.random() < keep or name in ("residence", "tzs")},
        "of": {name: value for name, value in offered.items() if of.random() < keep or name == "product"},
        "vol": of.choice(["calm", "elevated", "stressed", "unknown"]), "age": of.choice([{}, {}, {"c_vol_rank": of.choice([36, 37, -1])}]),
    }  # fmt: skip


def conj(*values: bool | None) -> bool | None:
    return False if False in values else None if None in values else True


def disj(*values: bool | None) -> bool | None:
    return True if True in values else None if None in values else False


def no(value: bool | None) -> bool | None:
    return None if value is None else not value


def when(condition: Any, *needed: Any) -> Any:
    """`condition()` unless one of `needed` is unknown."""
    return None if None in needed else condition()


def utc(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).replace(tzinfo=None)


def local(zone: str, at: datetime) -> datetime:
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def oracle(case: dict[str, Any]) -> dict[str, bool | None]:
    """code -> whether its requirement is met or does not apply; None where it rests on something unknown. Derived by hand."""
    u = {**BASE["user"], **case["u"]}
    o = {**BASE["offer"], **case["of"]}
    at = utc(case["at"])
    assert at is not None
    u["client_class"] = u["client_class"] if u["client_class"] in ("retail", "professional", "institutional") else None
    u["kyc_tier"] = u["kyc_tier"] if u["kyc_tier"] in (0, 1, 2) else None
    channel = CHANNELS.get(case["ch"])
    zones = u["tzs"] if u["tzs"] and all(zone != "Mars/Olympus" for zone in u["tzs"]) else None
    line = LINES.get(o["product"])

    regimes: set[str] | None = None
    permitting: set[str] | None = None
    if u["residence"] is not None and u["other_countries"] is not None and None not in u["other_countries"]:
        signals = {
            u["residence"] if place == u["residence"].split("-")[0] else place
            for place in [u["residence"], *u["other_countries"]]
        }
        if all(place in POLICY.regime_map for place in signals):
            regimes = {regime for place in signals for regime in POLICY.regime_map[place][0]}
            permitting = {POLICY.regime_map[place][1] for place in signals}

    born = None if u["dob"] is None else date.fromisoformat(u["dob"])
    days = [local(zone, at).date() for zone in zones] if zones else [(at - timedelta(hours=12)).date()]
    age = None if born is None else min(day.year - born.year - ((day.month, day.day) < (born.month, born.day)) for day in days)

    def quiet(matching: set[str]) -> int | None:
        if zones is None:
            return None
        found = 0
        for zone in zones:
            clock = local(zone, at)
            for regime, weekdays, opens, closes in POLICY.quiet_hours:
                shuts = (datetime.combine(clock, time.fromisoformat(closes)) - timedelta(minutes=10)).time()
                if (
                    regime in matching
                    and clock.isoweekday() in weekdays
                    and not time.fromisoformat(opens) <= clock.time() < shuts
                ):
                    found += 1
        return found

    ends = utc(o["to"])
    over_locally: bool | None = False
    if o["end_local"] is not None:
        text = o["end_local"].replace("T", " ")
        wall = datetime.fromisoformat(text[:10]) + timedelta(days=1) if text.endswith("24:00") else datetime.fromisoformat(text)
        instants = [wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None) for zone in zones or []]
        over_locally = at >= min(instants or [wall - timedelta(hours=14)])

    subscribed = no(u["unsub_email"])
    consent = u["consent_email"]
    asked = disj(when(lambda: consent == "granted", consent), conj(u["soft_opt_in"], when(lambda: consent == "none", consent)))
    ok = {
        "email": None if permitting is None else subscribed if all(one.startswith("US") for one in permitting) else conj(subscribed, asked),
        "sms": when(lambda: u["consent_sms"] == "granted", u["consent_sms"]), "push": when(lambda: u["consent_push"] == "granted", u["consent_push"]),
        "third_party_ad": when(lambda: u["consent_thirdparty"] == "granted", u["consent_thirdparty"]),
        "inapp": True, "chatbot": True, "public_ad": True,
    }.get(channel)  # fmt: skip

    lacking = None
    if permitting is not None and u["client_class"] is not None and line is not None:
        granted = {
            regime for regime, whom, products, since, until in POLICY.permissions
            if whom == u["client_class"] and line.product_line in products and since <= at < until
        }  # fmt: skip
        lacking = len(permitting - granted)
    volatility = conformance.MARKET_STATES.get(case["vol"])
    if case["age"].get("c_vol_rank", 0) not in (0, 36):
        volatility = None
    rank = None if line is None else line.rank
    is_promotion = o["is_promotion"]
    in_gb = when(lambda: "GB" in regimes, regimes)
    in_us = when(lambda: "US" in regimes, regimes)
    is_retail = when(lambda: u["client_class"] == "retail", u["client_class"])
    is_risky = disj(when(lambda: rank >= 3, rank), when(lambda: o["incentive"] != "none", o["incentive"]))
    kyc_applies = conj(is_promotion, when(lambda: line.min_kyc > 0, line))
    pep = u["pep"]
    low = when(lambda: u["aml_band"] == "low", u["aml_band"])
    pep_ok = disj(
        when(lambda: pep == "none", pep), u["edd_approved"], conj(when(lambda: pep == "domestic", pep), in_gb is True, low)
    )
    fatf_ok = disj(
        when(lambda: u["fatf"] != "IM", u["fatf"]),
        when(lambda: rank < 3, rank),
        when(lambda: u["kyc_tier"] >= 2, u["kyc_tier"]),
    )
    requested = utc(u["dofp_requested_at"])
    us_rows = {regime for regime in regimes or set() if regime.startswith("US")}

    def is_none(count: int | None) -> bool | None:
        return when(lambda: count == 0, count)

    rules: dict[str, tuple[tuple[bool | None, ...], bool | None]] = {
        "OFFER_NOT_STARTED": ((), when(lambda: at >= utc(o["from"]), o["from"])),
        "OFFER_EXPIRED": ((), conj(no(over_locally), when(lambda: at < ends, ends))),
        "AGE_UNDER_18": ((), when(lambda: age >= 18, age)),
        "JUR_UNKNOWN": ((), regimes is not None),
        "JUR_NO_PERMISSION": ((), is_none(lacking)),
        "PRV_NO_CHANNEL_CONSENT": ((), ok),
        "BRD_QUIET_HOURS": ((is_promotion,), disj(when(lambda: channel not in ("sms", "push"), channel), is_none(quiet({"*"})))),
        "US_QUIET_HOURS": ((is_promotion, in_us, when(lambda: channel == "sms", channel)), is_none(quiet(us_rows))),
        "KYC_TIER_LOW": ((kyc_applies,), when(lambda: u["kyc_tier"] >= line.min_kyc, u["kyc_tier"], line)),
        "KYC_EXPIRED": ((kyc_applies,), when(lambda: at < utc(u["kyc_expires_at"]), u["kyc_expires_at"])),
        "UK_INCENTIVE_BAN": ((is_promotion, in_gb, is_retail, when(lambda: o["incentive"] != "none", o["incentive"])), when(lambda: rank < 1, rank)),
        "UK_COOLING_OFF": (
            (is_promotion, in_gb, is_retail, conj(o["is_dofp"], u["first_time"])),
            when(lambda: at >= requested + timedelta(hours=24), requested),
        ),
        "PRV_SENSITIVE_FEATURE": ((is_promotion,), when(lambda: "gender" not in o["features"], o["features"])),
        "FC_PEP_EDD": ((is_promotion, is_risky), pep_ok),
        "FC_FATF_IM": ((is_promotion,), fatf_ok),
        "SUI_VOLATILITY": (
            (is_promotion, when(lambda: line.vol_max < 2, line)),
            when(lambda: volatility <= line.vol_max, volatility, line),
        ),
    }  # fmt: skip
    fired = {}
    for code, (conditions, requirement) in rules.items():
        if False not in conditions and requirement is not True:
            fired[code + ("_UNKNOWN" if None in (*conditions, requirement) else "")] = code
    return fired | {"": list(rules)}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_cases_get_the_codes_that_a_slow_reading_of_the_rules_gives(seed: int) -> None:
    of = random.Random(seed)
    cases = [random_case(number, of) for number in range(1500)]
    rows = {row["case_id"]: row for row in evaluation.evaluate_rows(POLICY, conformance.as_table(POLICY, cases, BASE))}
    seen: set[str] = set()
    for case in cases:
        expected = oracle(case)
        covered = {code + suffix for code in expected.pop("") for suffix in ("", "_UNKNOWN")}
        got = rows[case["id"]]
        assert {code for code in got["codes"] if code in covered} == set(expected), case
        seen |= set(expected)
        if any(not code.startswith("FC_") for code in expected):  # the covered FC rules hold, all others block
            assert got["decision"] == "BLOCK"
    assert len(seen) >= 28, f"the cases reach too few codes: {sorted(seen)}"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three cases as a Parquet file."""
    cases = [{"id": f"c{number}", "p": persona, "o": "spot"} for number, persona in enumerate(("gb", "de", "ny"))]
    table = conformance.as_table(POLICY, cases, BASE)
    connection = duckdb.connect()
    connection.register("given", table)
    connection.execute(f"copy given to '{tmp_path / 'facts.parquet'}'")
    return tmp_path / "facts.parquet"


def remade(small: Path, select: str, suffix: str = ".parquet") -> Path:
    path = small.with_name(f"remade{suffix}")
    kind = "parquet" if suffix == ".parquet" else "csv, header"
    source = "" if " from " in select else f" from '{small}'"
    duckdb.connect().execute(f"copy (select {select}{source}) to '{path}' (format {kind})")
    return path


def decide(path: Path, **more: Any) -> list[tuple[Any, ...]]:
    out = path.with_name("out.parquet")
    evaluation.evaluate_file(POLICY, path, out, **more)
    return duckdb.connect().execute(f"from '{out}'").fetchall()


def test_a_file_is_decided_in_the_order_of_its_cases_and_to_the_same_bytes(small: Path) -> None:
    made = decide(small)
    assert [(row[0], row[1], row[2]) for row in made] == [("c0", "ALLOW", []), ("c1", "ALLOW", []), ("c2", "ALLOW", [])]
    first = small.with_name("out.parquet").read_bytes()
    assert decide(remade(small, f"* from (from '{small}' order by case_id desc)")) == made
    assert small.with_name("out.parquet").read_bytes() == first


def test_a_csv_says_the_same_as_a_parquet(small: Path) -> None:
    lists = [name for name, kind, *_ in duckdb.connect().execute(f"describe from '{small}'").fetchall() if kind.endswith("[]")]
    path = remade(small, f"* replace ({', '.join(f'to_json({name}) as {name}' for name in lists)})", ".csv")
    assert decide(path) == decide(small)


def test_other_types_of_the_same_values_say_the_same(small: Path) -> None:
    path = remade(
        small,
        "* replace (u_kyc_tier::double as u_kyc_tier, c_as_of::timestamptz as c_as_of, u_dob::varchar as u_dob, "
        "strftime(o_to, '%Y-%m-%dT%H:%M:%SZ') as o_to, null::integer as o_end_local)",
    )
    assert decide(path) == decide(small)


def test_a_batch_and_many_batches_give_the_same(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decide(small)
    monkeypatch.setattr(evaluation, "BATCH", 1)
    assert decide(small) == whole


def test_a_table_without_cases_gives_one_without_decisions(small: Path) -> None:
    assert decide(remade(small, f"* from (from '{small}' limit 0)")) == []


def test_the_instant_of_a_table_that_has_none_is_given(small: Path) -> None:
    path = remade(small, "* exclude (c_as_of)")
    assert decide(path, as_of=datetime(2026, 11, 23, 15, tzinfo=UTC)) == decide(small)


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("* exclude (case_id)", "no column case_id"),
        ("* exclude (c_as_of)", "no column c_as_of"),
        ("* exclude (case_id), case_id as caseid", r"caseid is no declared fact \(did you mean case_id\?\)|did you mean caseid"),
        ("*, 1 as u_kyc_teir", r"u_kyc_teir is no declared fact \(did you mean u_kyc_tier\?\)"),
        ("*, 18 as d_age", "d_age is derived"),
        ("*, ['GB'] as u_regimes", "u_regimes is derived: give u_residence and u_other_countries"),
        ("*, o_to as o_ends_at", "o_ends_at and o_to are the same fact"),
        ("* replace ('yes' || u_kyc_conflict as u_kyc_conflict)", "u_kyc_conflict of case c0 is 'yesfalse', not true or false, and 2 more"),
        ("* replace ([1] as u_tzs)", "u_tzs must be a list of texts, is INTEGER\\[\\]"),
        ("* replace (true as u_kyc_tier)", "u_kyc_tier must be a whole number, is BOOLEAN"),
        ("* replace (1.5::double as u_kyc_tier)", "u_kyc_tier of case c0 is '1.5', not a whole number"),
        ("* replace ('soon' as o_end_local)", "o_end_local of case c0 is 'soon', not a wall-clock time"),
        ("* replace ('c' as case_id)", r"case_id must be unique; there is c \(3 times\)"),
        ("* replace (null::varchar as case_id)", "3 cases have no case_id"),
        ("* replace (null::timestamp as c_as_of)", "3 cases have no c_as_of, the first is c0"),
        ("*, 'UK-002' as c_releases", "c_releases must be a list of structs with rule and until"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused_and_says_why(small: Path, select: str, said: str) -> None:
    path = remade(small, select)
    with pytest.raises(UsageError, match=said):
        evaluation.evaluate_file(POLICY, path, small.with_name("out.parquet"))
    assert not small.with_name("out.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["conformance", str(HERE / "cases.yml")], 0, "cases agree"),
        (["conformance", "nowhere.yaml"], 2, "there is no file nowhere.yaml"),
        (["evaluate", "nowhere.parquet", "--out", "x.parquet"], 2, "there is no file nowhere.parquet"),
        (["explain", "UK_INCENTIVE_BAN"], 0, "No incentive to invest"),
        (["explain", "uk-001"], 0, "v2: Lawful promotion route (from 25 Oct 2027)"),
        (["explain", "UK_INCENTVE_BAN"], 2, "did you mean UK_INCENTIVE_BAN"),
        (["check"], 0, "wait for facts that the daily run does not know yet"),
        (["facts"], 0, "u_kyc_tier"),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else None,
)
def test_the_command_says_it_and_exits_accordingly(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from candor.cli import main; main()", "policy", *arguments],
        capture_output=True, text=True, cwd=PROJECT_ROOT, check=False, env={"CANDOR_STATE_DIR": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr


def test_a_case_that_differs_gives_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text("- {id: C1, p: gb, o: refer, d: ALLOW}\n")
    command = [sys.executable, "-c", "from candor.cli import main; main()", "policy"]
    done = subprocess.run(
        [*command, "conformance", str(tmp_path / "cases.yaml"), "--base", str(HERE / "base.yml")],
        capture_output=True, text=True, cwd=PROJECT_ROOT, check=False, env={"CANDOR_STATE_DIR": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "decision  ALLOW     BLOCK" in done.stdout
    assert "0 of 1 cases agree" in done.stderr
