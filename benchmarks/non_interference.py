"""Whether anything that a customer can see tells who is held for a suspicion from who is withheld at random.

    python -m benchmarks.non_interference [--people 60000] [--days 40] [--seed 41] [--keep FOLDER]

A made-up shop; suspicions planted on accounts drawn at random, and a standing withhold of the same size, so that both groups are alike but for
the reason. The day is run whole. Then, in pairs alike in market, segment, language and number of accounts, a classifier (LightGBM, five folds)
tries to tell the two apart by everything that a customer sees: which offers where, their rank, words, reasons and hours, and the answer to
"why not" for each offer. Printed: the area under its ROC curve with a 95 % interval (Hanley and McNeil, Radiology 143, 1982), and the same with
the leak put in on purpose.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from candor import pipeline
from candor.errors import CandorError
from candor.ledger import reassembly
from candor.settings import PROJECT_ROOT, Settings, load
from candor.withholding import quarter_of

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
SHARE = 0.3
FOLDS = 5


def make_shop(folder: Path, people: int, days: int, seed: int) -> Settings:
    """The settings of a shop whose day stands, with SHARE of its accounts held and SHARE of its people withheld."""
    from simulation import generate

    shutil.copytree(PROJECT_ROOT / "policy", folder / "policy")
    experiments = folder / "policy" / "experiments.yml"
    text = experiments.read_text(encoding="utf-8")
    changed = text.replace("withhold_share: 0.05", f"withhold_share: {SHARE}")
    assert changed != text
    experiments.write_text(changed, encoding="utf-8")
    settings = load(
        {"CANDOR_STATE_DIR": str(folder / "state"), "CANDOR_POLICY_DIR": str(folder / "policy"), "CANDOR_HASH_KEY": "5" * 64}
    )
    told(f"making {people:,} people, {days} days, seed {seed}")
    with (folder / "log.txt").open("w", encoding="utf-8") as log, redirect_stdout(log):
        generate(people=people, days=days, seed=seed, landing=settings.landing_dir, truth=folder / "truth", ends_at=DAY)
        before = DAY - timedelta(days=1)
        told("the day before, and one training")
        pipeline.prepare_training(before, settings)
        pipeline.train(before, settings)
        promoted = pipeline.promote(before, settings)
        if not promoted["promoted"]:
            raise CandorError(f"no model was promoted: {promoted['message']}", hint="give more --people, or another --seed")
        told(f"suspicions about {plant(settings.landing_dir, seed):,} accounts, then the day itself")
        pipeline.run(DAY, settings)
    return settings


def plant(landing: Path, seed: int) -> int:
    """How many accounts are held from an hour ago on: SHARE of them, drawn at random, written into the latest delivery of restrictions."""
    accounts = pl.concat(
        [pl.read_parquet(path, columns=["account_id"]) for path in sorted(landing.glob("exchange/accounts/*/*.parquet"))]
    )
    ids = accounts["account_id"].unique().sort().to_numpy()
    drawn = ids[np.random.default_rng(seed).random(ids.size) < SHARE]
    latest = sorted((landing / "compliance" / "restrictions").iterdir())[-1]
    path = next(latest.glob("*.parquet"))
    standing = pl.read_parquet(path)
    at = standing["source_updated_at"].max()
    made = pl.DataFrame({"account_id": drawn}).with_columns(
        restriction_id=pl.lit("planted-") + pl.col("account_id"),
        kind=pl.lit("fincrime_hold"),
        status=pl.lit("open"),
        starts_at=pl.lit(at),
        source_updated_at=pl.lit(at),
    )
    rows = pl.concat([standing, made], how="diagonal_relaxed").select(standing.columns).cast(dict(standing.schema))
    rows.write_parquet(path)
    manifest = latest / "_manifest.json"
    said = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(said | {"rows": rows.height}), encoding="utf-8")
    return drawn.size


def groups(settings: Settings) -> pl.DataFrame:
    """person_id, is_held, stratum: people who are held for a suspicion or withheld at random, not both, and are shown something."""
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        connection.execute(f"attach '{settings.warehouse_path}' as candor (read_only)")
        connection.execute(f"attach '{settings.vault_path}' as vault (read_only)")
        return connection.execute(
            """
            select facts.person_id, facts.u_fincrime_hold as is_held,
                -- Accounts are drawn, and who has two is twice as likely to be held.
                concat_ws('|', facts.market, facts.u_risk_profile, facts.u_stage, facts.language, accounts.accounts) as stratum
            from vault.eligibility.person_facts as facts
            inner join (select person_id, count(*) as accounts from candor.core.person_accounts group by person_id) as accounts using (person_id)
            where facts.u_fincrime_hold <> facts.u_is_withheld
                and exists (select 1 from candor.decisions.staged_offers as shown where shown.person_id = facts.person_id)
            order by facts.person_id
            """
        ).pl()


def matched(people: pl.DataFrame, seed: int) -> pl.DataFrame:
    """person_id, is_held, pair: as many held people as withheld ones in each stratum, drawn at random, each with one of the others."""
    shuffled = people.sample(fraction=1.0, shuffle=True, seed=seed)
    counted = shuffled.with_columns(
        pl.int_range(pl.len()).over("stratum", "is_held").alias("place"),
        pl.col("is_held").sum().over("stratum").alias("held"),
        (~pl.col("is_held")).sum().over("stratum").alias("drawn"),
    )
    both = counted.filter(pl.col("place") < pl.min_horizontal("held", "drawn"))
    pair = pl.struct("stratum", "place").rank("dense").cast(pl.Int64) - 1
    return both.with_columns(pair=pair).select("person_id", "is_held", "pair").sort("person_id")


def seen(settings: Settings, run_id: str, people: pl.DataFrame) -> pl.DataFrame:
    """One row per person with all that they see, as numbers: counts of offers, slots, words, reasons, hours and answers."""
    published = settings.published_dir / run_id
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        connection.register("people", people)
        shown = connection.execute(
            f"""
            select person_id,
                unnest([
                    'offer ' || offer_id || ' ' || channel || ' ' || slot, 'reason ' || coalesce(reason_text, ''), 'creative ' || creative_id,
                    'rank ' || channel || ' ' || rank, 'sent ' || channel || ' ' || coalesce(strftime(send_after, '%H:%M'), 'at once'),
                    'until ' || strftime(valid_until, '%d %H'), 'texts ' || md5(title || body || disclosures)
                ]) as field
            from read_parquet('{published}/offers.parquet') inner join people using (person_id)
            """
        ).pl()
        # The answer to "why not": the sentences of what may be told, else the constant one.
        reasons = reassembly.reasons_sql(published, published, one_person=False)
        pairs = reassembly.pairs_sql(published, one_person=False)
        told = connection.execute(
            f"""
            with sentences as (
                select reasons.person_id, reasons.offer_id, reasons.channel,
                    string_agg(distinct rules.customer_text, ' ' order by rules.customer_text) as answer
                from ({reasons}) as reasons
                inner join people using (person_id)
                left join read_parquet('{published}/ledger_rules.parquet') as rules
                    on reasons.code = rules.code and reasons.rule_id = rules.rule_id and reasons.v = rules.v
                        and reasons.visibility = 'safe' and reasons.effect <> 'DEMOTE'
                group by all
            )
            select pairs.person_id, 'why not ' || pairs.offer_id || ' ' || pairs.channel || ' ' || coalesce(md5(sentences.answer), '') as field
            from ({pairs}) as pairs
            inner join people using (person_id)
            left join sentences using (person_id, offer_id, channel)
            left join read_parquet('{published}/offers.parquet') as offers using (person_id, offer_id, channel)
            where offers.person_id is null
            """
        ).pl()
    return pl.concat([shown, told]).group_by("person_id", "field").len()


def auc(fields: pl.DataFrame, people: pl.DataFrame, seed: int) -> tuple[float, float]:
    """(area under the ROC curve over five folds, half-width of its 95 % interval) of telling held people from withheld ones.

    The two of a pair are in one fold. Were they not, whoever learns from the one guesses the contrary of the other, who sees much the same: an area
    below a half where there is nothing to learn.
    """
    import lightgbm
    from scipy.sparse import csr_matrix
    from sklearn.metrics import roc_auc_score

    order = people.with_row_index("row")
    joined = fields.join(order.select("person_id", "row"), on="person_id")
    codes = joined["field"].cast(pl.Categorical).to_physical().to_numpy()
    matrix = csr_matrix(
        (joined["len"].to_numpy().astype(np.float32), (joined["row"].to_numpy(), codes)),
        shape=(people.height, int(codes.max()) + 1),
    )
    label = people["is_held"].to_numpy().astype(int)
    pair = people["pair"].to_numpy()
    fold = np.random.default_rng(seed).integers(0, FOLDS, pair.max() + 1)[pair]
    score = np.zeros(people.height)
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        booster = lightgbm.train(
            {
                "objective": "binary",
                "verbose": -1,
                "num_leaves": 31,
                "learning_rate": 0.05,
                "num_threads": 1,
                "seed": seed,
                "deterministic": True,
            },
            lightgbm.Dataset(matrix[train], label[train]),
            num_boost_round=200,
        )
        score[test] = booster.predict(matrix[test])
    area = float(roc_auc_score(label, score))
    held, drawn = int(label.sum()), int((1 - label).sum())
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (held - 1) * (q1 - area**2) + (drawn - 1) * (q2 - area**2)) / (held * drawn)
    return area, 1.96 * math.sqrt(variance)


def told(line: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=60_000)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--keep", type=Path, help="a folder for the shop; one that stands there is used again")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep.resolve() if given.keep else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        stands = (folder / "stands").is_file()
        if stands:
            settings = load(
                {
                    "CANDOR_STATE_DIR": str(folder / "state"),
                    "CANDOR_POLICY_DIR": str(folder / "policy"),
                    "CANDOR_HASH_KEY": "5" * 64,
                }
            )
        else:
            settings = make_shop(folder, given.people, given.days, given.seed)
            (folder / "stands").touch()
        with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
            run_id = connection.execute("select run_id from state.batches order by batch_seq desc limit 1").fetchall()[0][0]
        everybody = groups(settings)
        people = matched(everybody, given.seed)
        fields = seen(settings, run_id, people)
        held = int(people["is_held"].sum())
        print(
            f"quarter {quarter_of(DAY)}: {everybody.height:,} people held or withheld, {held:,} pairs alike in market, segment and language"
        )
        print(f"{fields['field'].n_unique():,} different things to see, {fields['len'].sum():,} in all")
        area, half = auc(fields, people, given.seed)
        verdict = "cannot be told apart" if area - half <= 0.5 <= area + half else "CAN BE TOLD APART"
        print(
            f"held against withheld   AUC {area:.4f}  [{area - half:.4f}, {area + half:.4f}], half-width {half:.4f}: {verdict}"
        )
        # The leak on purpose: the neutral answer of whoever is held says so.
        held_people = people.filter("is_held").select("person_id")
        leaked = pl.concat(
            [
                fields,
                held_people.sample(fraction=0.5, seed=given.seed).with_columns(
                    field=pl.lit("why not: under review"), len=pl.lit(1, pl.UInt32)
                ),
            ]
        )
        area, half = auc(leaked, people, given.seed)
        print(f"with the rule in the text of half of them   AUC {area:.4f}  [{area - half:.4f}, {area + half:.4f}]")


if __name__ == "__main__":
    main()
