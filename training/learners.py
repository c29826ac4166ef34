"""Fitting the candidates: three ways to learn an outcome with and without the offer, and their calibration.

All are deterministic: one seed, fixed order of rows, and a result that does not depend on the number of threads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np

from candor.scoring.artifact import ARMS, LEARNERS, Model, with_exposed
from training.config import config
from training.dataset import Examples


def parameters(threads: int) -> dict[str, Any]:
    """What LightGBM is told."""
    wanted = {name: value for name, value in config()["lightgbm"].items() if name != "rounds"}
    return {
        **wanted,
        "seed": config()["seed"],
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbosity": -1,
        "metric": "binary_logloss",
    }


def fit_all(names: list[str], train: Examples, calibrate: Examples, *, threads: int, about: dict[str, Any]) -> dict[str, Model]:
    """A calibrated model of each kind; boosters that two kinds share are fitted once."""
    threads = threads if len(train) >= config()["threads_from"] else 1
    shown, shown_calibrate = train.take(_of(train, True)), calibrate.take(_of(calibrate, True))
    made: dict[str, lightgbm.Booster] = {}

    def booster(role: str) -> lightgbm.Booster:
        if role not in made:
            if role == "both":
                made[role] = _booster(train, calibrate, threads, exposed=True)
            elif role == "held_out":
                made[role] = _booster(train.take(_of(train, False)), calibrate.take(_of(calibrate, False)), threads)
            elif role == "shown":
                made[role] = _booster(shown, shown_calibrate, threads)
            else:
                made[role] = _booster(shown, shown_calibrate, threads, base=booster("held_out"))
        return made[role]

    neutral = {arm: {"intercept": 0.0, "slope": 1.0} for arm in ARMS}
    fitted = {}
    for name in names:
        raw = Model(name, train.features, {role: booster(role) for role in LEARNERS[name]}, neutral, about)
        fitted[name] = replace(raw, calibration=_calibration(raw, calibrate))
    return fitted


def fit(learner: str, train: Examples, calibrate: Examples, *, threads: int, about: dict[str, Any]) -> Model:
    """A calibrated model of one kind."""
    return fit_all([learner], train, calibrate, threads=threads, about=about)[learner]


def _of(examples: Examples, exposed: bool) -> np.ndarray:
    return np.flatnonzero(examples.exposed == exposed)


def _booster(
    train: Examples, valid: Examples, threads: int, *, exposed: bool = False, base: lightgbm.Booster | None = None
) -> lightgbm.Booster:
    """A booster cut at the round with the best log loss on `valid`; with `base`, it learns what is left of the base's margin."""
    rounds = config()["lightgbm"]["rounds"]
    categories = [feature.name for feature in train.features if feature.kind == "category"]

    def dataset(examples: Examples, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
        inputs = examples.inputs
        if exposed:
            inputs = with_exposed(inputs, examples.exposed)
        return lightgbm.Dataset(
            inputs,
            label=examples.label.astype(float),
            weight=examples.weight,
            init_score=None if base is None else base.predict(examples.inputs, raw_score=True),
            categorical_feature=categories,
            reference=reference,
            free_raw_data=False,
        )

    told = parameters(threads)
    history: dict[str, Any] = {}
    fitting = dataset(train)
    booster = lightgbm.train(
        told,
        fitting,
        num_boost_round=rounds["most"],
        valid_sets=[dataset(valid, fitting)],
        valid_names=["calibrate"],
        callbacks=[lightgbm.record_evaluation(history)],
    )
    losses = history["calibrate"]["binary_logloss"][rounds["least"] - 1 :]
    best = rounds["least"] + int(np.argmin(losses))
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=best))


def _calibration(model: Model, examples: Examples) -> dict[str, dict[str, float]]:
    """Intercept and slope per arm, from that arm's own examples; an arm that is 0 by definition stays as it is."""
    margins = model.margins(examples.inputs)
    learnt = ("shown",) if model.learner == "shown" else ARMS
    return model.calibration | {
        arm: platt(margins[arm][where], examples.label[where], prior_sd=config()["calibration"]["prior_sd"])
        for arm in learnt
        for where in [_of(examples, arm == "shown")]
    }


def platt(margin: np.ndarray, label: np.ndarray, *, prior_sd: float) -> dict[str, float]:
    """Intercept and slope that make the margin's log-odds true, drawn towards (0, 1) by a normal prior.

    The slope is never below 0.05, so that calibration never turns or flattens a ranking.
    """
    theta = np.array([0.0, 1.0])
    precision = 1.0 / prior_sd**2
    design = np.column_stack([np.ones_like(margin), margin])
    for _ in range(50):
        predicted = 1.0 / (1.0 + np.exp(-(design @ theta)))
        gradient = design.T @ (predicted - label) + precision * (theta - np.array([0.0, 1.0]))
        hessian = (design * (predicted * (1 - predicted))[:, None]).T @ design + precision * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta = theta - np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-10:
            break
    # rounded so that the last bits of a sum, which may differ between machines, do not change the model's version
    return {"intercept": round(float(theta[0]), 9), "slope": round(max(float(theta[1]), 0.05), 9)}
