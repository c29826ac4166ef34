"""Fitting: the same bytes from the same data, honest probabilities, refused mistakes."""

from __future__ import annotations

import duckdb
import made_examples
import numpy as np
import pytest

from candor.scoring import artifact
from candor.scoring.artifact import ArtifactError, Model
from training import dataset, learners


@pytest.fixture(scope="module")
def parts():
    with duckdb.connect(":memory:") as connection:
        made_examples.put(connection, made_examples.examples_table(5000, seed=1))
        examples = dataset.load(connection, made_examples.AS_OF)
    return {name: examples.take(where) for name, where in dataset.split(examples).items()}


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    """Twenty rounds instead of two hundred: these tests are about bytes and shapes."""
    from training.config import config

    monkeypatch.setitem(config()["lightgbm"], "rounds", {"least": 10, "most": 20})
    monkeypatch.setitem(config(), "threads_from", 0)


@pytest.mark.parametrize("learner", sorted(artifact.LEARNERS))
def test_the_same_data_gives_the_same_version_whatever_the_threads(parts, tmp_path, learner):
    made = [
        artifact.save(
            learners.fit(learner, parts["train"], parts["calibrate"], threads=threads, about={}), tmp_path / str(threads)
        )
        for threads in (1, 2)
    ]
    assert made[0] == made[1]


@pytest.mark.parametrize("learner", sorted(artifact.LEARNERS))
def test_a_saved_model_predicts_what_the_fitted_one_does(parts, tmp_path, learner):
    fitted = learners.fit(learner, parts["train"], parts["calibrate"], threads=1, about={})
    version = artifact.save(fitted, tmp_path)
    loaded = artifact.load(tmp_path, version=version)
    for arm in artifact.ARMS:
        before, after = (model.predict(parts["test"].inputs)[arm] for model in (fitted, loaded))
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("learner", sorted(artifact.LEARNERS))
def test_the_planted_effect_is_found(parts, learner):
    fitted = learners.fit(learner, parts["train"], parts["calibrate"], threads=2, about={})
    predicted = fitted.predict(parts["test"].inputs)
    effect = predicted["shown"] - predicted["held_out"]
    interested = parts["test"].inputs.column("line_views_last_30_days").to_numpy() > 0
    assert effect[interested].mean() > effect[~interested].mean() + 0.05


def test_columns_in_another_order_missing_or_not_double_are_refused(parts):
    model = learners.fit("s", parts["train"], parts["calibrate"], threads=2, about={})
    inputs = parts["test"].inputs
    names = inputs.column_names
    with pytest.raises(ArtifactError, match="in another order"):
        model.predict(inputs.select(names[::-1]))
    with pytest.raises(ArtifactError, match=f"missing {names[0]}"):
        model.predict(inputs.select(names[1:]))
    with pytest.raises(ArtifactError, match=f"{names[0]} int64"):
        model.predict(inputs.set_column(0, names[0], [np.zeros(inputs.num_rows, dtype=np.int64)]))


@pytest.mark.parametrize("seed", range(5))
def test_calibration_increases_and_corrects_a_scale_that_is_off(seed):
    generator = np.random.default_rng(seed)
    truth = generator.normal(-2, 1, 20_000)
    label = (generator.random(20_000) < 1 / (1 + np.exp(-truth))).astype(float)
    margin = 2 * truth + 1
    coefficients = learners.platt(margin, label, prior_sd=0.5)
    calibrated = artifact.calibrate(np.sort(margin), coefficients)
    assert np.all(np.diff(calibrated) >= 0)
    assert abs(artifact.calibrate(margin, coefficients).mean() - label.mean()) < 0.01


def test_calibration_never_turns_a_ranking_round():
    margin = np.linspace(-3, 3, 5000)
    assert learners.platt(margin, (margin < 0).astype(float), prior_sd=0.5)["slope"] > 0


def test_unknown_categories_and_absent_rows_become_what_the_artifact_says():
    category = artifact.Feature("channel", "opportunity", "category", None, ("app", "it's"))
    number = artifact.Feature("line_views", "line", "number", 0.0)
    rows = duckdb.sql(
        f"select {category.sql('given')}, {number.sql('given')} from (values ('it''s', 2), ('new', null)) as given (channel, line_views)"
    ).fetchall()
    assert rows == [(1.0, 2.0), (None, 0.0)]


def test_a_changed_booster_or_calibration_is_refused(parts, tmp_path):
    version = artifact.save(learners.fit("t", parts["train"], parts["calibrate"], threads=2, about={}), tmp_path)
    path = tmp_path / "model.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"learner": "t"', '"learner":  "t"'), encoding="utf-8")
    with pytest.raises(ArtifactError, match="changed after training"):
        artifact.load(tmp_path, version=version)


def test_a_model_without_one_of_its_boosters_is_refused(parts, tmp_path):
    artifact.save(learners.fit("t", parts["train"], parts["calibrate"], threads=2, about={}), tmp_path)
    (tmp_path / "booster_shown.txt").unlink()
    with pytest.raises(ArtifactError, match="boosters missing: shown"):
        artifact.load(tmp_path)


def test_margins_of_the_offset_learner_add_the_effect_to_the_held_out_arm():
    class Constant:
        def __init__(self, value):
            self.value = value

        def predict(self, table, raw_score):
            assert raw_score
            return np.full(table.num_rows, self.value)

    import pyarrow as pa

    feature = artifact.Feature("x", "person", "number")
    model = Model("offset", (feature,), {"held_out": Constant(-2.0), "effect": Constant(0.5)}, {}, {})
    margins = model.margins(pa.table({"x": [1.0, 2.0]}))
    assert margins["held_out"].tolist() == [-2.0, -2.0]
    assert margins["shown"].tolist() == [-1.5, -1.5]
