"""What may be learnt from, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import made_examples
import numpy as np
import pyarrow as pa
import pytest
import yaml

from training import dataset
from training.config import HERE, config, registry
from training.dataset import DatasetError


def test_every_allowed_column_becomes_a_double_in_the_registrys_order(connection):
    examples = dataset.load(connection, made_examples.AS_OF)
    assert examples.inputs.column_names == [column.name for column in registry().allowed]
    assert {field.type for field in examples.inputs.schema} == {pa.float64()}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("age_years", "age_years: forbidden", id="listed_as_forbidden"),
        pytest.param("account_balance_usd", "holds 'balance'", id="renamed_copy_of_a_forbidden_one"),
        pytest.param("country_code", "country_code: derived_only", id="only_in_a_coarser_form"),
        pytest.param("shoe_size", "shoe_size: not registered", id="nobody_registered_it"),
    ],
)
def test_a_column_that_no_model_may_read_stops_training_even_if_nobody_asked_for_it(connection, name, said):
    connection.execute(f"alter table features.training_examples add column {name} double default 1.0")
    with pytest.raises(DatasetError, match=said):
        dataset.load(connection, made_examples.AS_OF)


@pytest.mark.parametrize("name", ["label", "label_known_at", "is_exposed", "person_id", "gender"])
def test_bookkeeping_and_forbidden_columns_cannot_be_asked_for(connection, name):
    with pytest.raises(DatasetError, match=f"not allowed as features: {name}"):
        dataset.load(connection, made_examples.AS_OF, columns=["sessions_last_30_days", name])


def test_all_refused_columns_are_named_at_once(connection):
    connection.execute("alter table features.training_examples add column gender varchar")
    connection.execute("alter table features.training_examples add column kyc_tier integer")
    with pytest.raises(DatasetError, match="gender: forbidden; kyc_tier: forbidden"):
        dataset.load(connection, made_examples.AS_OF)


def test_a_label_known_after_as_of_is_not_used(connection):
    all_of_them = len(dataset.load(connection, made_examples.AS_OF))
    earlier = dataset.load(connection, made_examples.AS_OF - timedelta(days=20))
    assert 0 < len(earlier) < all_of_them
    assert earlier.label_known_at.max() <= np.datetime64("2026-11-03T15:00:00", "us").astype(np.int64)


def test_the_data_version_ignores_row_order_and_sees_every_value(connection):
    before = dataset.data_version(connection)
    connection.execute(
        "create or replace table features.training_examples as select * from features.training_examples order by assignment_id desc"
    )
    assert dataset.data_version(connection) == before
    connection.execute("update features.training_examples set searches_last_30_days = 99 where assignment_id = 'a000007'")
    assert dataset.data_version(connection) != before


def test_a_column_that_has_seen_the_outcome_is_refused(connection):
    connection.execute("update features.training_examples set searches_last_30_days = label * 10 + 1")
    examples = dataset.load(connection, made_examples.AS_OF)
    with pytest.raises(DatasetError, match=r"searches_last_30_days .AUC 1\.000"):
        dataset.refuse_leaks(examples, config()["minimum"]["max_single_feature_auc"])


def test_a_column_that_is_missing_when_the_outcome_comes_is_refused(connection):
    connection.execute("update features.training_examples set days_since_last_trade = case when label = 0 then 3 end")
    examples = dataset.load(connection, made_examples.AS_OF)
    with pytest.raises(DatasetError, match="days_since_last_trade"):
        dataset.refuse_leaks(examples, config()["minimum"]["max_single_feature_auc"])


def test_no_earlier_part_knows_a_label_that_came_after_the_next_part_began(connection):
    examples = dataset.load(connection, made_examples.AS_OF)
    parts = dataset.split(examples)
    known, at = examples.label_known_at, examples.assigned_at
    assert known[parts["train"]].max() <= at[parts["calibrate"]].min()
    assert known[parts["calibrate"]].max() <= at[parts["test"]].min()
    assert at[parts["test"]].max() == at.max()


@pytest.mark.parametrize("seed", [3, 4])
def test_a_shop_whose_offers_are_mostly_of_the_last_days_still_learns_from_the_days_before(connection, seed):
    made_examples.put(connection, made_examples.examples_table(20_000, seed))
    connection.execute(
        "delete from features.training_examples where assigned_at < timestamp '2026-11-07' and right(assignment_id, 1) <> '0'"
    )
    examples = dataset.load(connection, made_examples.AS_OF)
    parts = dataset.split(examples)
    known_before_test = (examples.label_known_at <= examples.assigned_at[parts["test"]].min()).sum()
    assert known_before_test < 2 * len(examples) * config()["split"]["calibrate_share"]
    assert len(parts["calibrate"]) == pytest.approx(known_before_test / 2, abs=2)
    assert examples.label_known_at[parts["train"]].max() <= examples.assigned_at[parts["calibrate"]].min()


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        pytest.param("false", "cannot train: 0 examples", id="none"),
        pytest.param("assignment_id < 'a000100'", "cannot train: 100 examples", id="too_few"),
        pytest.param("is_exposed", "only shown examples", id="no_held_out_arm"),
        pytest.param("label = 0", "0 outcomes", id="no_outcomes"),
    ],
)
def test_too_little_to_learn_from_says_what_is_missing(connection, keep, said):
    connection.execute(f"delete from features.training_examples where not ({keep})")
    examples = dataset.load(connection, made_examples.AS_OF)
    with pytest.raises(DatasetError, match=said):
        dataset.split(examples)


def test_registry_and_feature_contracts_name_the_same_columns():
    """Read without dbt: every allowed column is in the contract of the table that scoring reads it from, and the reverse."""
    described = yaml.safe_load(
        (HERE.parent / "dbt_project" / "models" / "features" / "features.yml").read_text(encoding="utf-8")
    )
    columns = {model["name"]: {column["name"] for column in model["columns"]} for model in described["models"]}
    keys = {"as_of", "person_id", "product_line"}
    wanted = {
        source: {c.name for c in registry().allowed if c.source == source}
        for source in ("person", "line", "offer", "opportunity")
    }
    assert columns["person_features"] - keys == wanted["person"]
    assert columns["person_line_features"] - keys == wanted["line"]
    assert set().union(*wanted.values()) <= columns["training_examples"]
    assert columns["training_examples"] <= set(registry().columns)
