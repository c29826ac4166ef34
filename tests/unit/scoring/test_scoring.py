"""Which model a run uses, and what it says about every candidate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import made_examples
import numpy as np
import pyarrow as pa
import pytest

from candor import runs, scoring, warehouse
from candor.errors import CandorError, NoChampion
from candor.scoring import artifact, registry
from candor.scoring.artifact import ArtifactError
from training import dataset, learners, train
from training.config import config
from training.config import registry as columns

DAY = timedelta(days=1)
AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)
PEOPLE = 300


def version(number: int, trained: datetime, promoted: datetime | None = None) -> registry.Registered:
    return registry.Registered(number, f"hash{number}", f"run{number}", trained, promoted)


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        pytest.param([], None, id="nothing_trained"),
        pytest.param([version(1, AS_OF - DAY)], None, id="trained_but_not_promoted"),
        pytest.param([version(1, AS_OF, AS_OF)], None, id="trained_at_the_same_instant_is_not_earlier"),
        pytest.param([version(1, AS_OF + DAY, AS_OF + DAY)], None, id="trained_later"),
        pytest.param([version(1, AS_OF - DAY, AS_OF - DAY)], 1, id="promoted_the_day_before"),
        pytest.param(
            [version(1, AS_OF - 2 * DAY, AS_OF - 2 * DAY), version(2, AS_OF - DAY, AS_OF - DAY)], 2, id="the_one_promoted_last"
        ),
        pytest.param(
            [version(1, AS_OF - DAY, AS_OF - DAY), version(2, AS_OF - 3 * DAY, AS_OF - 3 * DAY)],
            1,
            id="a_backfill_does_not_overtake",
        ),
        pytest.param(
            [version(1, AS_OF - 2 * DAY, AS_OF - 2 * DAY), version(2, AS_OF, AS_OF)], 1, id="todays_model_is_for_tomorrow"
        ),
    ],
)
def test_the_champion_is_the_last_promoted_from_a_strictly_earlier_training(known, chosen):
    found = registry.champion_before(known, AS_OF)
    assert (None if found is None else found.number) == chosen


@pytest.fixture(scope="module")
def model():
    """A small fitted model, not yet saved."""
    rounds, before = {"least": 20, "most": 30}, config()["lightgbm"]["rounds"]
    config()["lightgbm"]["rounds"] = rounds
    try:
        with duckdb.connect(":memory:") as connection:
            made_examples.put(connection, made_examples.examples_table(5000, seed=2))
            examples = dataset.load(connection, made_examples.AS_OF)
        parts = {name: examples.take(where) for name, where in dataset.split(examples).items()}
        return learners.fit("s", parts["train"], parts["calibrate"], threads=1, about={"data_version": "d", "parts": {}})
    finally:
        config()["lightgbm"]["rounds"] = before


def put_candidates(connection) -> None:
    """300 people x 2 offers x 2 channels, their features, and the offers."""
    generator = np.random.default_rng(5)
    person = [f"p{number:04d}" for number in range(PEOPLE)]
    for schema in ("features", "eligibility", "staging"):
        connection.execute(f"create schema {schema}")

    def put(name: str, table: pa.Table) -> None:
        connection.register("given", table)
        connection.execute(f"create table {name} as select * from given")
        connection.unregister("given")

    def made(source: str, rows: int) -> dict[str, np.ndarray]:
        return {
            column.name: generator.choice(np.array(made_examples.CATEGORIES[column.name], dtype=object), rows)
            if column.kind == "category"
            else generator.poisson(1.5, rows).astype(float)
            for column in columns().allowed
            if column.source == source
        }

    put("features.person_features", pa.table({"person_id": person, **made("person", PEOPLE)}))
    put(
        "features.person_line_features",
        pa.table({"person_id": person[::2], "product_line": ["spot"] * (PEOPLE // 2), **made("line", PEOPLE // 2)}),
    )
    connection.execute(
        """
create table staging.stg_catalogue__offers as
select offer_id, 1 as version, product_line, 'none' as incentive, 'other' as asset_kind, 'everybody' as target_market, 20.0 as unit_value_usd
from (values ('spot_btc', 'spot'), ('stake_eth', 'staking')) as offers (offer_id, product_line);
create schema policy;
create table policy.product_lines as select * from (values ('spot', false), ('staking', false)) as lines (product_line, outcome_needs_offer);
create table eligibility.candidates as
select person_id, offer_id, version as offer_version, product_line, channel
from features.person_features cross join staging.stg_catalogue__offers cross join (values ('web'), ('email')) as channels (channel)
order by md5(person_id || offer_id || channel)
"""
    )


@pytest.fixture
def opened(settings):
    with warehouse.connect(settings) as connection:
        put_candidates(connection)
        yield connection


def test_every_candidate_is_scored_once_and_batches_do_not_matter(opened, model):
    assert scoring.score_candidates(opened, model, batch_rows=2048)[0] == PEOPLE * 4
    whole = opened.execute("select * from decisions.scores").fetchall()
    rows, batches = scoring.score_candidates(opened, model, batch_rows=100)
    assert (rows, opened.execute("select * from decisions.scores").fetchall()) == (PEOPLE * 4, whole)
    assert batches >= 1
    assert [row[:4] for row in whole] == sorted(row[:4] for row in whole)


def test_a_batch_that_was_written_is_let_go(opened, model, monkeypatch):
    import weakref

    written, most = [], 0
    score_batch = scoring.score_batch

    def watched(batch, model):
        nonlocal most
        most = max(most, sum(one() is not None for one in written))
        scores = score_batch(batch, model)
        written.append(weakref.ref(scores))
        return scores

    monkeypatch.setattr(scoring, "score_batch", watched)
    _, batches = scoring.score_candidates(opened, model, batch_rows=100)
    assert batches > 5
    assert most <= 2


def test_scores_equal_a_direct_prediction_rounded(opened, model):
    scoring.score_candidates(opened, model, batch_rows=2048)
    query = scoring.candidates_sql(opened, model)
    table = opened.execute(f"select * from ({query}) order by key_person_id, key_offer_id, key_channel").to_arrow_table()
    direct = model.predict(table.select(model.names).combine_chunks())
    stored = opened.execute(
        "select p_if_shown, p_if_held_out from decisions.scores order by person_id, offer_id, channel"
    ).fetchnumpy()
    np.testing.assert_array_equal(stored["p_if_shown"], np.round(direct["shown"], 6))
    np.testing.assert_array_equal(stored["p_if_held_out"], np.round(direct["held_out"], 6))


def test_a_pair_without_line_activity_gets_the_zeros_of_training(opened, model):
    query = scoring.candidates_sql(opened, model)
    found = opened.execute(
        f"select distinct line_ever_used, days_since_last_line_use from ({query}) where key_offer_id = 'stake_eth'"
    ).fetchall()
    assert found == [(0.0, None)]


def test_where_the_outcome_needs_the_offer_holding_it_out_gives_zero_and_only_there(opened, model):
    opened.execute("update policy.product_lines set outcome_needs_offer = true where product_line = 'staking'")
    scoring.score_candidates(opened, model, batch_rows=2048)
    found = opened.execute(
        "select offer_id, min(p_if_held_out) > 0, max(p_if_held_out) = 0, min(p_if_shown) > 0 from decisions.scores group by all order by all"
    ).fetchall()
    assert found == [("spot_btc", True, False, True), ("stake_eth", False, True, True)]


def test_a_model_of_outcomes_that_need_the_offer_scores_no_others(opened, model):
    shown = replace(model, learner="shown", boosters={"shown": constant_booster()})
    opened.execute("update policy.product_lines set outcome_needs_offer = true")
    scoring.score_candidates(opened, shown, batch_rows=2048)
    assert opened.execute("select max(p_if_held_out), min(p_if_shown) > 0 from decisions.scores").fetchone() == (0.0, True)
    opened.execute("update policy.product_lines set outcome_needs_offer = false where product_line = 'spot'")
    with pytest.raises(ArtifactError, match="was trained on outcomes that need the offer"):
        scoring.score_candidates(opened, shown, batch_rows=2048)


def constant_booster():
    """A booster that gives everybody the same margin."""

    class Booster:
        def predict(self, table, raw_score):
            return np.full(table.num_rows, -2.0)

    return Booster()


def test_a_missing_feature_stops_scoring_and_is_named(opened, model):
    opened.execute("alter table features.person_features drop column searches_last_30_days")
    with pytest.raises(ArtifactError, match=r"features\.person_features\.searches_last_30_days"):
        scoring.score_candidates(opened, model, batch_rows=100)


def test_a_candidate_without_features_stops_scoring_and_leaves_the_old_scores(opened, model):
    scoring.score_candidates(opened, model, batch_rows=2048)
    before = opened.execute("select count(*) from decisions.scores").fetchone()
    opened.execute("insert into eligibility.candidates values ('nobody', 'spot_btc', 1, 'spot', 'web')")
    with pytest.raises(CandorError, match="1200 rows were scored for 1201 candidates"):
        scoring.score_candidates(opened, model, batch_rows=2048)
    assert opened.execute("select count(*) from decisions.scores").fetchone() == before


EVALUATION = {
    "overall": {"auc": 0.7, "base_rate": 0.1},
    "segments": {},
    "importance": [{"feature": "x", "share_of_gain": 1.0}],
    "uplift": {
        **{name: {"value": 0.1, "lower": 0.0, "upper": 0.2, "standard_error": 0.1} for name in ("qini", "lift", "lift_top")},
        "curve": [{"share": 1.0, "gain": 0.1, "random": 0.1}],
    },
    "curves": {
        "calibration": [{"bin": 1, "mean_predicted": 0.1, "observed": 0.1, "standard_error": 0.01}],
        "precision_recall": [{"precision": 0.1, "recall": 1.0}],
    },
}


def test_a_run_keeps_its_champion_scores_with_it_and_refuses_it_changed(settings, model, tmp_path):
    made_examples.empty_registry(settings)
    before, later = AS_OF - DAY, AS_OF + DAY
    with warehouse.connect(settings) as connection:
        put_candidates(connection)
        made_examples.current_run(connection, AS_OF)

    with pytest.raises(NoChampion, match="0 trained, none promoted"):
        scoring.choose_champion(AS_OF, settings)
    with pytest.raises(NoChampion, match="has no champion yet"):
        scoring.run(AS_OF, settings)

    model_version = artifact.save(model, tmp_path / registry.FOLDER)
    registered, is_new = train.register(model, model_version, EVALUATION, before, settings, tmp_path)
    assert is_new
    with pytest.raises(NoChampion, match="1 trained, none promoted"):
        scoring.choose_champion(AS_OF, settings)

    client = registry.client(settings)
    client.set_model_version_tag(registry.NAME, str(registered.number), "promoted_for", registry.instant_text(before))
    client.set_model_version_tag(registry.NAME, str(registered.number), "promoted", "true")
    assert scoring.choose_champion(AS_OF, settings)["champion_version"] == model_version
    with warehouse.connect(settings) as connection:
        assert runs.get(connection, AS_OF).champion_version == model_version

    # taking the promotion back changes later runs only
    client.set_model_version_tag(registry.NAME, str(registered.number), "promoted", "false")
    assert scoring.choose_champion(AS_OF, settings)["champion_version"] == model_version
    assert registry.champion_before(registry.versions(client), later) is None

    done = scoring.run(AS_OF, settings)
    assert (done["model_version"], done["candidates_scored"]) == (model_version, PEOPLE * 4)

    stored = next(settings.mlflow_dir.rglob("booster_both.txt"))
    stored.write_text(stored.read_text(encoding="utf-8").replace("shrinkage=0.04", "shrinkage=0.05", 1), encoding="utf-8")
    with pytest.raises(ArtifactError, match="changed after training"):
        scoring.run(AS_OF, settings)
    with warehouse.connect(settings) as connection:
        assert connection.execute("select count(*) from decisions.scores").fetchone() == (PEOPLE * 4,)
