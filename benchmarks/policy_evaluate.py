"""How fast `candor policy evaluate` decides a large table of made-up cases, beside reading the same file once with one predicate.

`python -m benchmarks.policy_evaluate --cases 1000000 --seed 7` prints seconds, peak memory and the ratio. The cases are the base's facts
with every fact changed or unknown in a share of them, each at an instant of its own, in one to three time zones.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import duckdb

from candor.policy import columns, load
from candor.policy.compiling import quoted
from candor.policy.evaluation import evaluate_file
from candor.settings import PROJECT_ROOT

ZONES = (
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "America/Chicago",
    "Asia/Singapore",
    "Australia/Sydney",
)
VALUES = {
    "u_residence": ["GB", "DE", "US-NY", "US-TX", "US-CA", "SG", "HK", "AU", "CA-ON", "IN", "AE-DU"],
    "u_stage": ["new", "developing", "experienced", "dormant"], "u_uk_cat": ["restricted", "hnw"],
    "o_uk_route": ["authorised", "s21_approved", "mlr_registered", "none"],
    "o_product": ["education", "fiat_wallet", "stablecoin", "spot", "staking", "nft", "earn_yield", "borrow", "defi", "derivatives"],
    "c_channel": ["web", "app", "email", "sms", "push", "chatbot", "third_party_ad"],
    "o_end_local": ["2026-12-24 24:00", "2026-11-01 01:30:00", "2027-03-14 02:30:00"],
}  # fmt: skip


def make(path: Path, cases: int, seed: int) -> None:
    """Write `cases` made-up cases to `path`: every column that a table of cases may have."""
    policy = load(PROJECT_ROOT / "policy", "crypto")
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.execute("select setseed(?)", [seed / 1000])

    def pick(values: list[object]) -> str:
        listed = ", ".join(quoted(value) if isinstance(value, str) else str(value) for value in values)
        return f"[{listed}][1 + floor(random() * {len(values)})::int]"

    made = ["'case-' || lpad(i::varchar, 9, '0') as case_id"]
    for name, kind in columns.accepted(policy).items():
        fact = policy.facts.get(name)
        values = VALUES.get(name) or (list(fact.domain) if fact is not None and fact.domain else None)
        if name == "c_as_of":
            made.append("timestamp '2026-11-01' + to_seconds((random() * 3000000)::bigint) as c_as_of")
            continue
        if values is not None:
            value = pick(values)
        elif name == "u_tzs":
            value = f"list_distinct([{pick(list(ZONES))}, {pick(list(ZONES))}])"
        elif name == "u_other_countries":
            value = f"case when random() < 0.9 then cast([] as varchar[]) else [{pick(VALUES['u_residence'])}] end"
        elif name == "o_features":
            value = f"[{pick(['asset_views_30d', 'deposit_count_90d', 'gender'])}]"
        else:
            value = {
                "bool": "random() < 0.5", "int": "(random() * 4)::int", "number": "round(random() * 100)", "string": "'unknown'",
                "instant": "timestamp '2026-06-01' + to_hours((random() * 20000)::int)", "date": "date '1990-01-01' + (random() * 7300)::int",
                "strings": "cast([] as varchar[])",
            }[kind]  # fmt: skip
        if name == "o_disclosures":
            value = "['AD_LABEL', 'OPT_OUT', 'WHY_THIS_OFFER', 'UK_RISK_WARNING']"
        made.append(f"case when random() >= 0.02 then {value} end as {name}")
    observed = "c_as_of - to_minutes((random() * 100)::int) as u_consent_email__observed_at"
    connection.execute(
        f"copy (select *, {observed} from (select {', '.join(made)} from range({cases}) as cases(i))) to {quoted(str(path))} (format parquet)"
    )


def _measured(facts: Path, out: Path, threads: int, memory: str, told: multiprocessing.Queue) -> None:
    started = time.perf_counter()
    counts = evaluate_file(load(PROJECT_ROOT / "policy", "crypto"), facts, out, threads=threads, memory=memory)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    told.put((time.perf_counter() - started, peak, counts.decisions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="4GB")
    given = parser.parse_args()
    print(f"{'cases':>10} {'seconds':>8} {'cases/s':>9} {'peak GiB':>9} {'scan s':>7} {'ratio':>6}  decisions")
    for cases in given.cases:
        with tempfile.TemporaryDirectory() as folder:
            facts, out = Path(folder) / "facts.parquet", Path(folder) / "decisions.parquet"
            make(facts, cases, given.seed)
            connection = duckdb.connect()
            connection.execute(f"set threads = {given.threads}")
            everything = " or ".join(
                f"{name} is null" for name, *_ in connection.execute(f"describe from {quoted(str(facts))}").fetchall()
            )
            started = time.perf_counter()
            connection.execute(f"select count(*) from {quoted(str(facts))} where {everything}").fetchone()
            scan = time.perf_counter() - started
            told: multiprocessing.Queue = multiprocessing.get_context("spawn").Queue()
            process = multiprocessing.get_context("spawn").Process(
                target=_measured, args=(facts, out, given.threads, given.memory, told)
            )
            process.start()
            seconds, peak, decisions = told.get()
            process.join()
        print(
            f"{cases:>10,} {seconds:>8.1f} {cases / seconds:>9,.0f} {peak:>9.2f} {scan:>7.2f} {seconds / scan:>6.0f}  {decisions}",
            flush=True,
        )


if __name__ == "__main__":
    main()
