"""Did it help: outcomes of people who were shown offers against those of people held out.

Method. The rate of an arm is outcomes per assignment. People have several assignments whose outcomes are alike, so the variance of the
rate is that of a ratio over people (linearised, clustered by person); its quotient with the binomial one is the design effect, at least 1,
and divides the number of assignments into an effective one. The difference shown - held_out has Newcombe's interval: Wilson's of each arm
at its effective number, combined (method "newcomb" of statsmodels). It keeps its 95 % near rates of 0 and in small samples, where the
usual normal interval does not. An arm with no outcome at all has no variance to measure: its design effect is then the most it could
be, that of people whose assignments always end alike. Intervals are per row; nothing corrects for looking at many rows.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs, transform
from candor import settings as settings_module
from candor.publishing import export
from candor.warehouse import connect

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

    from candor.settings import Settings

CONFIDENCE = 0.95
POWER = 0.80
# The smallest lift worth finding: the lower end of "conversion +5 to 10 %, relative", which the business asks for.
TARGET_RELATIVE_LIFT = 0.05
DECIMALS = 9

ARM_PAIRS = """
select shown.source, shown.dimension, shown.level,
    shown.people as people_shown, held_out.people as people_held_out,
    shown.assignments as assignments_shown, held_out.assignments as assignments_held_out,
    shown.outcomes as outcomes_shown, held_out.outcomes as outcomes_held_out,
    shown.sum_assignments_squared as nn_shown, held_out.sum_assignments_squared as nn_held_out,
    shown.sum_outcomes_squared as kk_shown, held_out.sum_outcomes_squared as kk_held_out,
    shown.sum_assignments_x_outcomes as nk_shown, held_out.sum_assignments_x_outcomes as nk_held_out
from measurement.arm_outcomes as shown
inner join measurement.arm_outcomes as held_out
    on shown.source = held_out.source and shown.dimension = held_out.dimension and shown.level = held_out.level
where shown.arm = 'shown' and held_out.arm = 'held_out'
order by shown.source, shown.dimension, shown.level
"""

# file -> (query, order)
FILES = {
    "exposures": ("select * from measurement.exposures", "assignment_id"),
    "outcomes": ("select * from measurement.outcomes", "assignment_id"),
    "arm_outcomes": ("select * from measurement.arm_outcomes", "source, dimension, level, arm"),
    "lifts": ("select * from measurement.lifts", "source, dimension, level"),
}


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """How many windows have closed, and per source the overall lift in words; the tables are in the run's published folder."""
    settings = settings or settings_module.load()
    with connect(settings) as connection:
        current = runs.current(connection, as_of)
    built = transform.build("measurement", as_of, settings)
    folder = settings.published_dir / current.run_id / "measurement"
    beside = folder.with_name(".measurement.next")
    with connect(settings) as connection:
        add_lifts(connection)
        shutil.rmtree(beside, ignore_errors=True)  # left behind by an execution that was killed
        beside.mkdir(parents=True)
        rows = {
            name: export.to_parquet(connection, query, order, beside / f"{name}.parquet", current)
            for name, (query, order) in FILES.items()
        }
        export.replace_files(beside, folder)
        overall = connection.execute(
            "select source, verdict from measurement.lifts where dimension = 'overall' order by source"
        ).fetchall()
        by_arm = connection.execute(
            "select source, arm, people, assignments, outcomes from measurement.arm_outcomes where dimension = 'overall' "
            "order by source, arm"
        ).fetchall()
    names = ("source", "arm", "people", "assignments", "outcomes")
    return {
        "run_id": current.run_id,
        "rows": rows,
        "arms": [dict(zip(names, row, strict=True)) for row in by_arm],
        "verdicts": dict(overall),
        "models": built["models"],
        "tests": built["tests"],
    }


def add_lifts(connection: duckdb.DuckDBPyConnection) -> None:
    """Write measurement.lifts: one row per source, dimension and level that has both arms."""
    made = lifts(connection.execute(ARM_PAIRS).to_arrow_table())
    connection.register("made_lifts", made)
    connection.execute("create or replace table measurement.lifts as select * from made_lifts")
    connection.unregister("made_lifts")


def lifts(pairs: pa.Table) -> pa.Table:
    """The rows of ARM_PAIRS with rates, difference, interval, verdict, and how many assignments an answer would take."""
    import numpy as np
    import pyarrow as pa

    columns = {
        name: pairs[name].to_numpy().astype(float) for name in pairs.column_names if pairs.schema.field(name).type == pa.int64()
    }
    shown, held_out = (_rate(columns, arm) for arm in ("shown", "held_out"))
    difference = shown["rate"] - held_out["rate"]
    low = difference - np.hypot(shown["rate"] - shown["low"], held_out["high"] - held_out["rate"])
    high = difference + np.hypot(shown["high"] - shown["rate"], held_out["rate"] - held_out["low"])
    effect = (shown["design_effect"] + held_out["design_effect"]) / 2
    needed = [_needed(rate, deff) for rate, deff in zip(held_out["rate"], effect, strict=True)]
    verdicts = [_verdict(*row) for row in zip(difference, low, high, needed, strict=True)]

    def rounded(values: np.ndarray) -> pa.Array:
        return pa.array(np.round(values, DECIMALS) + 0.0, pa.float64())  # + 0.0: never -0.0

    kept = [name for name in pairs.column_names if not name.startswith(("nn_", "kk_", "nk_"))]
    table = pairs.select(kept)
    for name, values in (
        ("rate_shown", shown["rate"]),
        ("rate_held_out", held_out["rate"]),
        ("design_effect_shown", shown["design_effect"]),
        ("design_effect_held_out", held_out["design_effect"]),
        ("difference", difference),
        ("difference_low", low),
        ("difference_high", high),
    ):
        table = table.append_column(name, rounded(values))
    table = table.append_column("needed_per_arm", pa.array(needed, pa.int64()))
    return table.append_column("verdict", pa.array(verdicts, pa.string()))


def _rate(columns: dict[str, np.ndarray], arm: str) -> dict[str, np.ndarray]:
    """An arm's rate, its design effect, and Wilson's interval at the effective number of assignments."""
    import numpy as np
    from statsmodels.stats.proportion import proportion_confint

    people, n, k = (columns[f"{name}_{arm}"] for name in ("people", "assignments", "outcomes"))
    nn, kk, nk = (columns[f"{name}_{arm}"] for name in ("nn", "kk", "nk"))
    rate = k / n
    binomial = rate * (1 - rate) / n
    measurable = (people > 1) & (binomial > 0)
    clustered = np.maximum(kk - 2 * rate * nk + rate**2 * nn, 0) / n**2 * people / np.maximum(people - 1, 1)
    design_effect = np.where(measurable, np.maximum(clustered / np.where(measurable, binomial, 1), 1), nn / n)
    effective = n / design_effect
    low, high = proportion_confint(rate * effective, effective, alpha=1 - CONFIDENCE, method="wilson")
    return {"rate": rate, "design_effect": design_effect, "low": np.asarray(low), "high": np.asarray(high)}


def _needed(rate: float, design_effect: float) -> int | None:
    """Assignments per arm at which the target lift over `rate` would be seen with the power above; None when there is no rate."""
    import math

    from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

    lift = rate * TARGET_RELATIVE_LIFT
    if not 0 < rate < 1 or rate + lift >= 1:
        return None
    # The two-sided 95 % is a one-sided 97.5 %.
    alone = samplesize_proportions_2indep_onetail(lift, rate, POWER, alpha=(1 - CONFIDENCE) / 2, alternative="larger")
    return math.ceil(round(float(alone) * design_effect, 6))


def _verdict(difference: float, low: float, high: float, needed: int | None) -> str:
    interval = f"{difference:+.2%} points [{low:+.2%}, {high:+.2%}]".replace("%", "")
    if low > 0:
        return f"helps: {interval}"
    if high < 0:
        return f"harms: {interval}"
    needs = "needs outcomes in the held-out arm first" if needed is None else f"needs {needed:,} assignments per arm"
    return f"cannot tell yet, {needs}: {interval}"
