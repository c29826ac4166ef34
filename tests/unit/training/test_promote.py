"""Training to promotion through a registry of its own."""

from __future__ import annotations

import copy
from datetime import timedelta

import made_examples
import pytest

import training
from candor import warehouse
from candor.errors import UsageError
from candor.scoring import registry
from training import evaluate, promote
from training.config import config

GOOD = {
    "overall": {"auc": 0.75, "calibration_error": 0.01, "calibration_noise": 0.005},
    "uplift": {
        "lift": {"value": 0.02, "lower": 0.01, "upper": 0.03},
        "lift_top": {"value": 0.03, "lower": -0.01, "upper": 0.05},
    },
}


@pytest.fixture
def quick(monkeypatch):
    """One learner, few rounds and resamples."""
    monkeypatch.setitem(config(), "learners", ["s"])
    monkeypatch.setitem(config()["lightgbm"], "rounds", {"least": 30, "most": 60})
    monkeypatch.setitem(config()["evaluation"], "bootstraps", 30)


@pytest.fixture
def warehouse_file(settings):
    made_examples.empty_registry(settings)
    with warehouse.connect(settings) as opened:
        made_examples.put(opened, made_examples.examples_table(6000, seed=1))
        made_examples.current_run(opened)
    return settings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda e: None, [], id="good_enough"),
        pytest.param(lambda e: e["overall"].update(auc=0.599), ["AUC 0.599 is below 0.6"], id="ranks_too_poorly"),
        pytest.param(lambda e: e["overall"].update(auc=None), ["AUC None is below 0.6"], id="auc_unknown_is_not_enough"),
        pytest.param(
            lambda e: e["overall"].update(calibration_error=0.05), ["calibration error 0.05 is above 0.04"], id="off_scale"
        ),
        pytest.param(
            lambda e: e["overall"].update(calibration_error=0.05, calibration_noise=0.01),
            [],
            id="off_scale_by_what_chance_gives",
        ),
        pytest.param(
            lambda e: e["uplift"]["lift"].update(lower=-0.001), ["lift among all test examples is"], id="lift_not_proven"
        ),
        pytest.param(
            lambda e: e["uplift"]["lift_top"].update(lower=-0.021),
            ["lift among the half"],
            id="harm_not_excluded_where_it_prefers",
        ),
        pytest.param(
            lambda e: (e["overall"].update(auc=0.5, calibration_error=0.2), e["uplift"]["lift"].update(lower=-1)),
            ["AUC", "calibration error", "lift"],
            id="every_reason_is_given",
        ),
    ],
)
def test_thresholds_refuse_with_all_reasons(change, said):
    evaluation = copy.deepcopy(GOOD)
    change(evaluation)
    reasons = promote.refusals(evaluation)
    assert len(reasons) == len(said)
    for reason, start in zip(reasons, said, strict=True):
        assert reason.startswith(start)


def test_thresholds_that_need_a_held_out_arm_are_said_to_be_not_applicable():
    evaluation = copy.deepcopy(GOOD)
    assert promote.not_applicable(evaluation) == []
    evaluation["uplift"] = {"not_applicable": evaluate.NOT_APPLICABLE}
    assert promote.refusals(evaluation) == []
    assert promote.not_applicable(evaluation) == [
        "min_lift_lower_bound: not applicable: outcome needs the offer",
        "min_top_lift_lower_bound: not applicable: outcome needs the offer",
    ]


def test_a_shop_whose_outcomes_need_the_offer_trains_on_the_shown_arm_alone(warehouse_file, quick, capsys):
    settings = warehouse_file
    with warehouse.connect(settings) as opened:
        opened.execute("update features.training_examples set outcome_needs_offer = true")
        held_out = opened.execute("select count(*) from features.training_examples where not is_exposed").fetchone()[0]
    made = training.run(made_examples.AS_OF, settings)
    assert made["learner"] == "shown"
    assert made["examples"]["labelled"] == 6000 - held_out
    assert made["metrics"]["lift"] == evaluate.NOT_APPLICABLE
    assert promote.run(made_examples.AS_OF, settings)["promoted"]
    assert "min_lift_lower_bound: not applicable: outcome needs the offer" in capsys.readouterr().out
    client = registry.client(settings)
    with registry.fetched(client, registry.versions(client)[0]) as model:
        assert set(model.boosters) == {"shown"}


def test_training_twice_registers_once_and_promotion_is_remembered(warehouse_file, quick, capsys):
    settings = warehouse_file
    first = training.run(made_examples.AS_OF, settings)
    again = training.run(made_examples.AS_OF, settings)
    assert first["is_new"]
    assert not again["is_new"]
    assert (first["model_version"], first["version"]) == (again["model_version"], again["version"])

    client = registry.client(settings)
    assert len(registry.versions(client)) == 1
    assert client.get_model_version_by_alias(registry.NAME, "candidate").version == first["version"]

    verdict = promote.run(made_examples.AS_OF, settings)
    assert verdict["promoted"], verdict["reasons"]
    assert promote.PROMOTED in capsys.readouterr().out
    assert promote.run(made_examples.AS_OF, settings)["promoted"]
    promoted = registry.versions(client)[0]
    assert promoted.promoted_for == made_examples.AS_OF
    assert registry.champion_before([promoted], made_examples.AS_OF) is None
    assert registry.champion_before([promoted], made_examples.AS_OF + timedelta(seconds=1)) == promoted

    run = client.get_run(first["mlflow_run_id"])
    assert run.data.tags["model_version"] == first["model_version"]
    assert run.data.tags["data_version"] == first["data_version"]
    assert {"test/auc", "test/channel/web/auc", "test/uplift/qini/lower"} <= set(run.data.metrics)
    logged = {
        entry.path for folder in ("", "plots", registry.FOLDER) for entry in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"plots/calibration.png", "plots/importance.png", f"{registry.FOLDER}/MLmodel", "evaluation.json"} <= logged


def test_a_model_worse_than_the_champion_in_a_segment_is_refused(warehouse_file, quick, monkeypatch):
    settings = warehouse_file
    assert training.run(made_examples.AS_OF, settings)["is_new"]
    assert promote.run(made_examples.AS_OF, settings)["promoted"]

    later = made_examples.AS_OF + timedelta(days=1)
    with warehouse.connect(settings) as opened:
        made_examples.current_run(opened, later)
    monkeypatch.setitem(config()["promotion"], "max_segment_log_loss_increase", -1.0)
    training.run(later, settings)
    verdict = promote.run(later, settings)
    assert not verdict["promoted"]
    assert any(reason.startswith("log loss in channel web is") for reason in verdict["reasons"])
    assert (
        registry.champion_before(registry.versions(registry.client(settings)), later + timedelta(days=1)).train_as_of
        == made_examples.AS_OF
    )


def test_nothing_trained_is_wrong_use(settings):
    made_examples.empty_registry(settings)
    with pytest.raises(UsageError, match="no model was trained as of 2026-11-23T15:00:00Z"):
        promote.run(made_examples.AS_OF, settings)
