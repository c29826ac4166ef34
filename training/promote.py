"""Whether a candidate becomes the champion: thresholds of config.yml, and no segment worse than with the present champion."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from candor import runs
from candor import settings as settings_module
from candor.errors import UsageError
from candor.scoring import registry
from candor.scoring.artifact import ArtifactError, Model
from candor.settings import Settings
from candor.warehouse import connect
from training import dataset, evaluate
from training.config import config

PROMOTED = "promoted by thresholds, no human approval"


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """{promoted, message, reasons, model_version, …} for the model trained at `as_of`.

    A promoted model serves runs later than `as_of`. Calling it again changes nothing. Raises UsageError when none was trained.
    """
    settings = settings or settings_module.load()
    client = registry.client(settings)
    known = registry.versions(client)
    trained = [version for version in known if version.train_as_of == as_of]
    if not trained:
        raise UsageError(f"no model was trained as of {registry.instant_text(as_of)}", hint="candor train --as-of … makes one")
    candidate = trained[-1]
    result = {
        "model_version": candidate.model_version,
        "version": candidate.number,
        "train_as_of": registry.instant_text(as_of),
    }
    if candidate.promoted_for is not None:
        excused = not_applicable(_evaluation(client, candidate))
        return _told({**result, "promoted": True, "reasons": [], "not_applicable": excused, "champion_before": None})

    champion = registry.champion_before(known, as_of)
    with connect(settings) as connection, registry.fetched(client, candidate) as model:
        runs.current(connection, as_of)
        evaluation = _evaluation(client, candidate)
        reasons = refusals(evaluation)
        result["not_applicable"] = not_applicable(evaluation)
        if champion is not None:
            with registry.fetched(client, champion) as present:
                reasons += regressions(connection, as_of, model, present)
    result |= {"reasons": reasons, "promoted": not reasons, "champion_before": champion.model_version if champion else None}
    if not reasons:
        number = str(candidate.number)
        # the tag that counts comes last, so that a promotion cut short is no promotion and is made again
        client.set_model_version_tag(registry.NAME, number, "promoted_for", registry.instant_text(as_of))
        client.set_registered_model_alias(registry.NAME, "champion", number)
        client.set_model_version_tag(registry.NAME, number, "promoted", "true")
    return _told(result)


def _told(result: dict[str, Any]) -> dict[str, Any]:
    short = result["model_version"][:12]
    if result["promoted"]:
        result["message"] = f"model {short}: {PROMOTED}"
    else:
        result["message"] = f"model {short}: not promoted\n" + "\n".join(f"  {reason}" for reason in result["reasons"])
    result["message"] += "".join(f"\n  {line}" for line in result["not_applicable"])
    print(result["message"])
    return result


def refusals(evaluation: dict[str, Any]) -> list[str]:
    """Every threshold that the evaluation misses, with both numbers; empty when it passes."""
    told = config()["promotion"]
    overall, uplift = evaluation["overall"], evaluation["uplift"]
    reasons = []
    if overall["auc"] is None or overall["auc"] < told["min_auc"]:
        reasons.append(f"AUC {overall['auc']} is below {told['min_auc']}")
    if overall["calibration_error"] > told["max_calibration_error"] + overall["calibration_noise"]:
        reasons.append(
            f"calibration error {overall['calibration_error']} is above {told['max_calibration_error']}, "
            f"and by more than the {overall['calibration_noise']} that chance gives at this many examples"
        )
    for name, among, least in (
        ("lift", "all test examples", told["min_lift_lower_bound"]),
        ("lift_top", "the half the model prefers", told["min_top_lift_lower_bound"]),
    ):
        if "not_applicable" in uplift:
            continue  # said by not_applicable(): no arm was held out, and none could tell anything
        if uplift[name]["lower"] < least:
            reasons.append(
                f"lift among {among} is {uplift[name]['value']} with lower bound {uplift[name]['lower']}, which is below {least}"
            )
    return reasons


def not_applicable(evaluation: dict[str, Any]) -> list[str]:
    """The thresholds that could not be asked of this model, each with the reason."""
    why = evaluation["uplift"].get("not_applicable")
    return [f"{name}: {why}" for name in ("min_lift_lower_bound", "min_top_lift_lower_bound")] if why else []


def regressions(connection: Any, as_of: datetime, model: Model, champion: Model) -> list[str]:
    """Where the candidate is worse than the champion on the same test examples, overall and in every segment large enough to say."""
    told = config()["promotion"]
    examples = dataset.load(connection, as_of)
    if examples.data_version != model.about["data_version"]:
        return [
            f"the examples changed since training ({model.about['data_version'][:8]} then, {examples.data_version[:8]} now): train again"
        ]
    places = dataset.split(examples)["test"]
    test = examples.take(places)
    try:
        theirs = dataset.load(connection, as_of, features=champion.features).take(places)
        before = _factual(champion, theirs)
    except (ArtifactError, dataset.DatasetError) as error:
        return [f"the champion {champion.version[:12]} cannot be compared: {error.message}"]
    after = _factual(model, test)

    reasons = []
    worse = evaluate.log_loss(test.label, after) - evaluate.log_loss(test.label, before)
    if worse > told["max_log_loss_increase"]:
        reasons.append(f"log loss is {worse:.4f} above the champion's, more than {told['max_log_loss_increase']}")
    now, then = evaluate.segment_metrics(test, after), evaluate.segment_metrics(test, before)
    for kind, segments in now.items():
        for segment, values in segments.items():
            if values.get("too_small"):
                continue
            worse = values["log_loss"] - then[kind][segment]["log_loss"]
            if worse > told["max_segment_log_loss_increase"]:
                reasons.append(
                    f"log loss in {kind} {segment} is {worse:.4f} above the champion's, more than {told['max_segment_log_loss_increase']}"
                )
    return reasons


def _factual(model: Model, examples: dataset.Examples) -> np.ndarray:
    predicted = model.predict(examples.inputs)
    return np.where(examples.exposed, predicted["shown"], predicted["held_out"])


def _evaluation(client: Any, version: registry.Registered) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = client.download_artifacts(version.run_id, "evaluation.json", folder)
        return json.loads(Path(path).read_text(encoding="utf-8"))
