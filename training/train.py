"""One training, from examples to a registered candidate."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from candor import runs
from candor import settings as settings_module
from candor.scoring import artifact, registry
from candor.settings import Settings
from candor.warehouse import connect
from training import dataset, evaluate, learners, plots
from training.config import config
from training.dataset import Examples

log = logging.getLogger("candor")


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """A model of the examples known at `as_of`, evaluated and registered as `candidate`: its version, data version and metrics.

    The same examples give the same version, and a version is registered once. Raises DatasetError when there is too little to learn
    from, or something that may not be learnt from.
    """
    settings = settings or settings_module.load()
    with connect(settings) as connection:
        runs.current(connection, as_of)
        examples = dataset.load(connection, as_of)
    model, evaluation = fit(examples, as_of, threads=settings.threads)
    with TemporaryDirectory() as folder:
        version = artifact.save(model, Path(folder) / registry.FOLDER)
        registered, is_new = register(model, version, evaluation, as_of, settings, Path(folder))
    overall, found = evaluation["overall"], evaluation["uplift"]
    return {
        "model_version": version,
        "version": registered.number,
        "is_new": is_new,
        "mlflow_run_id": registered.run_id,
        "learner": model.learner,
        "data_version": examples.data_version,
        "train_as_of": registry.instant_text(as_of),
        "examples": {**model.about["parts"], "labelled": len(examples)},
        "metrics": {
            **{name: overall[name] for name in ("auc", "log_loss", "brier", "calibration_error", "base_rate")},
            **{name: found.get(name, found.get("not_applicable")) for name in ("qini", "lift", "lift_top")},
        },
    }


def fit(examples: Examples, as_of: datetime, *, threads: int) -> tuple[artifact.Model, dict[str, Any]]:
    """The best of the configured learners, and how it does on the test examples."""
    parts = {name: examples.take(where) for name, where in dataset.split(examples).items()}
    dataset.refuse_leaks(parts["train"], config()["minimum"]["max_single_feature_auc"])
    about = {
        "train_as_of": registry.instant_text(as_of),
        "data_version": examples.data_version,
        "parts": {name: len(part) for name, part in parts.items()},
        "outcomes": {name: int(part.label.sum()) for name, part in parts.items()},
        "spans": {name: [_instant(part.assigned_at.min()), _instant(part.assigned_at.max())] for name, part in parts.items()},
    }
    names = ["shown"] if examples.all_need_offer else config()["learners"]
    fitted = learners.fit_all(names, parts["train"], parts["calibrate"], threads=threads, about=about)
    measured = {name: _qini(model, parts["calibrate"]) for name, model in fitted.items()}
    chosen = "shown" if examples.all_need_offer else _choose(measured)
    model = fitted[chosen]
    evaluation = evaluate.evaluate(model, parts["test"])
    evaluation["learners"] = {
        name: {"qini_calibrate": measured[name], "qini_test": _qini(other, parts["test"])} for name, other in fitted.items()
    }
    evaluation["chosen"] = chosen
    evaluation["importance"] = evaluate.importance(model)
    return model, evaluation


def _choose(measured: dict[str, dict[str, float]]) -> str:
    """The first learner, unless another's Qini on the calibration part is better by more than its standard error."""
    first = next(iter(measured))
    better = {
        name: qini["value"]
        for name, qini in measured.items()
        if qini["value"] > measured[first]["value"] + qini["standard_error"]
    }
    return max(better, key=lambda name: better[name], default=first)


def _qini(model: artifact.Model, examples: Examples) -> Any:
    found = evaluate.measured_uplift(examples, _effect(model, examples))
    return found.get("qini", found.get("not_applicable"))


def _effect(model: artifact.Model, examples: Examples) -> Any:
    predicted = model.predict(examples.inputs)
    return predicted["shown"] - predicted["held_out"]


def _instant(microseconds: int) -> str:
    from datetime import UTC, timedelta

    return registry.instant_text(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds)))


def register(
    model: artifact.Model, version: str, evaluation: dict[str, Any], as_of: datetime, settings: Settings, folder: Path
) -> tuple[registry.Registered, bool]:
    """The registered version of these bytes, and whether it is new. The alias `candidate` points at it afterwards."""
    client = registry.client(settings)
    known = [found for found in registry.versions(client) if found.model_version == version]
    if known:
        client.set_registered_model_alias(registry.NAME, "candidate", str(known[0].number))
        if client.get_run(known[0].run_id).info.status != "FINISHED":  # killed between registering and ending the run
            client.set_terminated(known[0].run_id, "FINISHED")
        return known[0], False

    run_id = _log(client, model, version, evaluation, as_of, settings, folder)
    if not client.search_registered_models(f"name = '{registry.NAME}'"):
        client.create_registered_model(registry.NAME, description="Probability of an offer's outcome, shown and held out.")
    created = client.create_model_version(
        registry.NAME,
        source=f"{client.get_run(run_id).info.artifact_uri}/{registry.FOLDER}",
        run_id=run_id,
        tags={
            "model_version": version,
            "train_as_of": registry.instant_text(as_of),
            "training_run_id": run_id,
            "data_version": model.about["data_version"],
            "promoted": "false",
        },
        description=f"{model.learner} learner, trained as of {registry.instant_text(as_of)}",
    )
    client.set_registered_model_alias(registry.NAME, "candidate", str(created.version))
    client.set_terminated(run_id, "FINISHED")
    return registry.Registered(int(created.version), version, run_id, as_of, None), True


def _log(
    client: Any,
    model: artifact.Model,
    version: str,
    evaluation: dict[str, Any],
    as_of: datetime,
    settings: Settings,
    folder: Path,
) -> str:
    """A run in MLflow with parameters, metrics, plots and the model's files; gives its id."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.models import Model as ModelDescription
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    name = config()["experiment"]
    found = client.get_experiment_by_name(name)
    if found is not None:
        experiment_id = found.experiment_id
    else:
        # without an explicit location the files would land in ./mlruns of whoever runs this
        experiment_id = client.create_experiment(name, artifact_location=(settings.mlflow_dir / "artifacts").as_uri())
    text = registry.instant_text(as_of)
    started = time.time_ns() // 1_000_000
    run_id = client.create_run(experiment_id, start_time=started, run_name=f"{registry.NAME} {text} {version[:8]}").info.run_id

    parameters = {**learners.parameters(settings.threads), "learner": model.learner, "features": len(model.features)}
    parameters |= {f"examples_{part}": count for part, count in model.about["parts"].items()}
    tags = {"train_as_of": text, "model_version": version, "run_id": run_id, "data_version": model.about["data_version"]}
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, started, 0) for key, value in sorted(flat_metrics(evaluation).items())],
        params=[Param(key, str(value)) for key, value in sorted(parameters.items())],
        tags=[RunTag(key, value) for key, value in sorted(tags.items())],
    )
    description = ModelDescription(artifact_path=registry.FOLDER, run_id=run_id)
    description.signature = ModelSignature(
        inputs=Schema([ColSpec("double", feature) for feature in model.names]),
        outputs=Schema([ColSpec("double", "p_if_shown"), ColSpec("double", "p_if_held_out")]),
    )
    description.add_flavor("candor", learner=model.learner, model_version=version, schema=artifact.SCHEMA)
    description.save(str(folder / registry.FOLDER / "MLmodel"))
    client.log_artifacts(run_id, str(folder / registry.FOLDER), registry.FOLDER)
    (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    client.log_artifact(run_id, str(folder / "evaluation.json"))
    plots.write(evaluation, evaluation["importance"], folder / "plots")
    client.log_artifacts(run_id, str(folder / "plots"), "plots")
    return run_id


def flat_metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    """The evaluation as MLflow metrics: names with slashes, numbers only."""
    flat: dict[str, float] = {f"test/{name}": value for name, value in evaluation["overall"].items()}
    for name in ("qini", "lift", "lift_top"):
        flat |= {f"test/uplift/{name}/{part}": value for part, value in evaluation["uplift"].get(name, {}).items()}
    for kind, segments in evaluation["segments"].items():
        for segment, values in segments.items():
            flat |= {f"test/{kind}/{segment}/{name}": value for name, value in values.items() if name != "too_small"}
    return {name: float(value) for name, value in flat.items() if value is not None}
