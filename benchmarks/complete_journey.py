"""How well the pipeline's model tells who redeems a coupon, against published references on Complete Journey.

Reads the state folder that `make run DATA=complete-journey` left: campaigns that started from 2017-09-01 on (original dates) are told
by a model fitted on those before. Features are those of `features.training_examples`, as known when each campaign began. The label is
made again as "redeemed any coupon of the campaign by the end of the data", because five campaigns are still open at the last run.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import lightgbm
import numpy as np
import pyarrow as pa

from candor.errors import CandorError, UsageError
from candor.settings import load
from examples.complete_journey import shift
from training import dataset, learners, ranking
from training.config import config

SPLIT = datetime(2017, 9, 1, tzinfo=UTC)
# Of the same 2,662 assignments, measured before this pipeline was built: past redemptions counted, and LightGBM on five features.
REFERENCE = {"rows": 2662, "base_rate": 0.119, "counting": 0.721, "lightgbm": 0.809}


def measure(warehouse: Path) -> dict[str, Any]:
    """Rows, base rate and AUCs. Raises UsageError when the folder does not hold a run on Complete Journey."""
    if not warehouse.is_file():
        raise UsageError(
            f"there is no warehouse at {warehouse}", hint="make run DATA=complete-journey, or --state with its state folder"
        )
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        features = dataset.input_features(connection)
        inputs = ", ".join(feature.sql("examples") for feature in features)
        # A redemption counts for the label whenever it happened after the campaign began, and for the past when it was known by then.
        table = connection.execute(
            f"""
with examples as (
    select * from features.training_examples where product_line like 'coupons_%'
), redemptions as (
    select person_id, product_line, occurred_at, greatest(occurred_at, known_at) as usable_at
    from core.product_uses where product_line like 'coupons_%'
), labels as (
    select distinct examples.assignment_id from examples inner join redemptions
        on examples.person_id = redemptions.person_id and examples.product_line = redemptions.product_line
        and redemptions.occurred_at > examples.assigned_at
), counts as (
    select examples.assignment_id, count(*) as past from examples inner join redemptions
        on examples.person_id = redemptions.person_id and redemptions.usable_at <= examples.assigned_at
    group by examples.assignment_id
)
select {inputs},
    (labels.assignment_id is not null)::integer as _label, coalesce(counts.past, 0)::double as _past,
    examples.assigned_at >= ? as _is_late
from examples
left join labels on examples.assignment_id = labels.assignment_id
left join counts on examples.assignment_id = counts.assignment_id
order by examples.assigned_at, examples.assignment_id
""",
            [(SPLIT + shift()).replace(tzinfo=None)],
        ).to_arrow_table()
    label, past, is_late = (table.column(name).to_numpy() for name in ("_label", "_past", "_is_late"))
    if not is_late.any() or is_late.all():
        raise UsageError(
            f"{warehouse} holds no campaigns on both sides of {SPLIT:%Y-%m-%d}", hint="run the last day, 2026-11-23, first"
        )
    names = [feature.name for feature in features]
    predicted = _predict(
        table.select(names).combine_chunks(), label, is_late, [f.name for f in features if f.kind == "category"]
    )
    return {
        "rows_before": int((~is_late).sum()),
        "rows": int(is_late.sum()),
        "base_rate": float(label[is_late].mean()),
        "features": len(names),
        "counting": ranking.auc(label[is_late], past[is_late]),
        "lightgbm": ranking.auc(label[is_late], predicted),
    }


def _predict(inputs: pa.Table, label: np.ndarray, is_late: np.ndarray, categories: list[str]) -> np.ndarray:
    """The later rows' margins of a booster with the pipeline's parameters; a fixed number of rounds, as nothing is left to choose it on."""
    early, late = (inputs.take(pa.array(np.flatnonzero(where))) for where in (~is_late, is_late))
    fitting = lightgbm.Dataset(early, label=label[~is_late].astype(float), categorical_feature=categories)
    rounds = config()["lightgbm"]["rounds"]
    booster = lightgbm.train(learners.parameters(1), fitting, num_boost_round=(rounds["least"] + rounds["most"]) // 2)
    return np.asarray(booster.predict(late, raw_score=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.complete_journey", description=__doc__)
    parser.add_argument("--state", type=Path, help="state folder of the run (default: complete-journey in the configured one)")
    chosen = parser.parse_args()
    state = chosen.state or load().state_dir / "complete-journey"
    found = measure(state / "warehouse" / "candor.duckdb")
    print(f"Campaigns that started from {SPLIT:%Y-%m-%d} on, told from {found['rows_before']:,} earlier assignments")
    print(f"{'':<34}{'here':>9}{'reference':>11}")
    print(f"{'rows':<34}{found['rows']:>9,}{REFERENCE['rows']:>11,}")
    print(f"{'base rate':<34}{found['base_rate']:>9.3f}{REFERENCE['base_rate']:>11.3f}")
    print(f"{'AUC, past redemptions counted':<34}{found['counting']:>9.3f}{REFERENCE['counting']:>11.3f}")
    print(
        f"{'AUC, LightGBM, ' + str(found['features']) + ' features here':<34}{found['lightgbm']:>9.3f}{REFERENCE['lightgbm']:>11.3f}"
    )


if __name__ == "__main__":
    try:
        main()
    except CandorError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
