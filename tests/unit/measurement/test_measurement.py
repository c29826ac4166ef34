import hashlib
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from candor import measurement, runs, transform, warehouse
from candor.settings import PROJECT_ROOT, Settings

MONDAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
ARMS = ("shown", "held_out")


def pair(shown, held_out):
    """One row of ARM_PAIRS from the outcomes and assignments per person of each arm."""
    row = {"source": ["candor"], "dimension": ["overall"], "level": ["all"]}
    for arm, (k, n) in zip(ARMS, (shown, held_out), strict=True):
        k, n = np.asarray(k, dtype=np.int64), np.asarray(n, dtype=np.int64)
        sums = {"people": len(n), "assignments": n.sum(), "outcomes": k.sum(), "nn": n @ n, "kk": k @ k, "nk": n @ k}
        row |= {f"{name}_{arm}": [int(value)] for name, value in sums.items()}
    return pa.table(row)


def ones(outcomes, people):
    return [1] * outcomes + [0] * (people - outcomes), [1] * people


def lift(shown, held_out):
    return measurement.lifts(pair(shown, held_out)).to_pylist()[0]


def test_with_one_assignment_each_the_interval_is_newcombes():
    row = lift(ones(800, 10_000), ones(500, 8_000))
    expected = confint_proportions_2indep(800, 10_000, 500, 8_000, method="newcomb")
    assert row["difference"] == pytest.approx(0.08 - 0.0625)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("shown", "held_out", "verdict"),
    [
        pytest.param(ones(800, 10_000), ones(500, 10_000), "helps: +3.00 points [", id="clearly_better"),
        pytest.param(ones(500, 10_000), ones(800, 10_000), "harms: -3.00 points [", id="clearly_worse"),
        pytest.param(
            ones(500, 10_000), ones(500, 10_000), "cannot tell yet, needs 122,1", id="the_same_needs_the_known_number"
        ),
        pytest.param(
            ones(3, 100), ones(0, 30), "cannot tell yet, needs outcomes in the held-out arm first", id="no_outcome_held_out"
        ),
        pytest.param(ones(0, 5), ones(0, 5), "cannot tell yet, needs outcomes", id="nothing_happened"),
        pytest.param(ones(1, 1), ones(1, 1), "cannot tell yet", id="one_person_each"),
        pytest.param(([5], [5]), ([0], [5]), "cannot tell yet", id="one_person_with_many_assignments_proves_nothing"),
    ],
)
def test_the_verdict_follows_the_interval(shown, held_out, verdict):
    assert lift(shown, held_out)["verdict"].startswith(verdict)


def test_ten_alike_assignments_of_a_person_count_as_one():
    outcomes, assignments = ones(80, 1000)
    once = lift((outcomes, assignments), ones(50, 1000))
    tenfold = lift(([10 * k for k in outcomes], [10] * 1000), ones(50, 1000))
    assert tenfold["design_effect_shown"] == pytest.approx(10, rel=0.01)
    assert tenfold["difference_low"] == pytest.approx(once["difference_low"], abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_holds_the_truth_19_times_in_20_with_clustered_people(seed):
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(300):
        arms = []
        for rate in (0.06, 0.05):
            n = rng.integers(1, 6, 800)
            own_rates = rng.beta(rate * 4, (1 - rate) * 4, 800)
            arms.append((rng.binomial(n, own_rates), n))
        row = lift(*arms)
        held += row["difference_low"] <= 0.01 <= row["difference_high"]
    assert 0.92 <= held / 300 <= 0.99


INPUTS = """
create schema core; create schema staging; create schema features; create schema raw;
create table staging.stg_catalogue__offers as
select 'o' as offer_id, 1::bigint as version, 7::bigint as outcome_window_days, 10::decimal(38, 12) as unit_value_usd,
    1::decimal(38, 12) as cost_usd;
create table raw.feeds as
select 'exchange' as source, unnest(['trades', 'ledger_entries']) as table_name, timestamp '2026-11-23 14:50:00' as known_whole_at;
create table core.assignments as
select 'a' || range as assignment_id, 'p' || (range % 900) as person_id, 'o' as offer_id, 1::bigint as offer_version, 'spot' as product_line,
    case range % 2 when 0 then 'web' else 'email' end as channel, case when range % 900 % 10 = 0 then 'held_out' else 'shown' end as arm,
    0.9::double as propensity, timestamp '2026-11-01' + to_hours((range % 700)::integer) as assigned_at,
    case when range < 100 then 'candor' else 'past' end as source
from range(1800);
create table core.product_uses as
select 'p' || range as person_id, 'spot' as product_line, timestamp '2026-11-05' as occurred_at from range(0, 900, 3);
create table core.events as
select 'e' || range as event_id, 'p1' as person_id, 'offer_shown' as event_name, 'a' || (range % 5 + 101) as decision_id,
    timestamp '2026-11-02' + to_hours(range::integer) as occurred_at
from range(10);
create table features.training_examples as select assignment_id, 'new' as activity_stage from core.assignments;
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    folder = tmp_path_factory.mktemp("state")
    settings = Settings(
        state_dir=folder,
        landing_dir=folder / "landing",
        policy_dir=PROJECT_ROOT / "policy",
        serving_url=f"sqlite:///{folder / 'serving' / 'offers.sqlite'}",
        mlflow_tracking_uri="",
        hash_key="k" * 64,
        threads=2,
        memory_limit="1GB",
        shop="crypto",
    )
    with warehouse.connect(settings) as connection:
        runs.prepare(connection)
        connection.execute(
            "insert into state.deliveries values ('d1', 'crm', 'consents', 'x', timestamp '2026-11-23', 'h', 1, 1, 1, 0, true, null, null, 's')"
        )
        runs.pin(connection, MONDAY, policy_version="p1")
        connection.execute(INPUTS)
    return settings


def hashes(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def test_a_run_is_measured_and_again_to_the_byte(settings):
    result = measurement.run(MONDAY, settings)
    folder = settings.published_dir / result["run_id"] / "measurement"
    first = hashes(folder)
    assert set(first) == {"exposures.parquet", "outcomes.parquet", "arm_outcomes.parquet", "lifts.parquet"}
    assert [arm["source"] for arm in result["arms"]] == ["candor", "candor", "past", "past"]
    assert set(result["verdicts"]) == {"candor", "past"}

    # The same from the slow, obvious reading of the definition.
    with warehouse.connect(settings) as connection:
        expected = connection.execute(
            """
            select arm, count(*), count(*) filter (where exists (
                select 1 from core.product_uses as uses where uses.person_id = assignments.person_id
                    and uses.occurred_at > assignments.assigned_at and uses.occurred_at <= assignments.assigned_at + interval 7 day))
            from core.assignments as assignments
            where source = 'past' and assigned_at + interval 7 day <= timestamp '2026-11-23 14:50:00'
            group by arm order by arm
            """
        ).fetchall()
    past = [(arm["arm"], arm["assignments"], arm["outcomes"]) for arm in result["arms"] if arm["source"] == "past"]
    assert past == expected
    assert min(row[2] for row in past) > 0

    exposures = pq.read_table(folder / "exposures.parquet").to_pylist()
    assert sum(row["times_shown"] for row in exposures) == 10
    assert sum(row["first_shown_at"] is not None for row in exposures) == 5

    measurement.run(MONDAY, settings)
    assert hashes(folder) == first


def test_the_models_own_unit_tests_pass(settings):
    with warehouse.connect(settings) as connection:
        connection.execute("create table if not exists state.decisions (decision_id varchar, segment varchar)")
    results = transform._dbt(
        ["test", "--select", "path:models/measurement,test_type:unit"],
        settings,
        target="open",
        variables={"as_of": "2026-11-23 15:00:00", "run_id": "r1", "batch_seq": 1},
    )
    tested = [result for result in results.results if result.node.resource_type == "unit_test"]
    assert {result.node.name: str(result.status) for result in tested if str(result.status) != "pass"} == {}
    assert len(tested) == 2
