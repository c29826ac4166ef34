"""How good a model is on examples it has not seen: ranking, calibration, and what offering where it says so would gain."""

from __future__ import annotations

from typing import Any

import numpy as np

from candor.scoring.artifact import Model
from training.config import config
from training.dataset import Examples
from training.ranking import auc

GRID = 100  # points of the Qini curve
HALF_NORMAL_MEAN = float(np.sqrt(2 / np.pi))  # mean of |x| for x normal with standard deviation 1
NOT_APPLICABLE = "not applicable: outcome needs the offer"


def evaluate(model: Model, examples: Examples) -> dict[str, Any]:
    """Metrics of `model` on `examples`: overall, by segment, and of its uplift, as JSON-able figures."""
    predicted = model.predict(examples.inputs)
    factual = np.where(examples.exposed, predicted["shown"], predicted["held_out"])
    return {
        "overall": metrics(examples.label, factual),
        "segments": segment_metrics(examples, factual),
        "uplift": measured_uplift(examples, predicted["shown"] - predicted["held_out"]),
        "curves": {
            "calibration": calibration_table(examples.label, factual),
            "precision_recall": precision_recall(examples.label, factual),
        },
    }


def metrics(label: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """AUC, log loss, Brier score and calibration error of probabilities.

    calibration_error: mean of |predicted - observed| over bins of equally many examples (expected calibration error, Naeini et al. 2015).
    calibration_noise: what that mean would be for a perfect model with these bins, from the standard error of each observed share.
    """
    calibration = calibration_table(label, predicted)
    return {
        "examples": len(label),
        "outcomes": int(label.sum()),
        "base_rate": _round(label.mean()),
        "mean_predicted": _round(predicted.mean()),
        "auc": _round(auc(label, predicted)),
        "average_precision": _round(average_precision(label, predicted)),
        "log_loss": _round(log_loss(label, predicted)),
        "brier": _round(np.mean((predicted - label) ** 2)),
        "calibration_error": _round(sum(row["share"] * abs(row["mean_predicted"] - row["observed"]) for row in calibration)),
        "calibration_noise": _round(sum(row["share"] * row["standard_error"] for row in calibration) * HALF_NORMAL_MEAN),
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def log_loss(label: np.ndarray, predicted: np.ndarray) -> float:
    """Mean negative log likelihood."""
    clipped = np.clip(predicted, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(label == 1, np.log(clipped), np.log1p(-clipped))))


def average_precision(label: np.ndarray, predicted: np.ndarray) -> float | None:
    """Mean precision at each positive, best first; None without positives."""
    if label.sum() == 0:
        return None
    ordered = label[np.argsort(-predicted, kind="stable")]
    precision = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return float(precision[ordered == 1].mean())


def calibration_table(label: np.ndarray, predicted: np.ndarray) -> list[dict[str, Any]]:
    """Per bin of equally many examples, lowest first: what was predicted and what happened."""
    order = np.argsort(predicted, kind="stable")
    rows = []
    for place, where in enumerate(np.array_split(order, min(config()["evaluation"]["bins"], len(order)))):
        observed = float(label[where].mean())
        rows.append(
            {
                "bin": place + 1,
                "examples": len(where),
                "share": len(where) / len(order),
                "mean_predicted": round(float(predicted[where].mean()), 6),
                "observed": round(observed, 6),
                "standard_error": round(float(np.sqrt(observed * (1 - observed) / len(where))), 6),
            }
        )
    return rows


def precision_recall(label: np.ndarray, predicted: np.ndarray) -> list[dict[str, float]]:
    """Precision and recall when the top 1 %, 2 %, … 100 % are called positive."""
    ordered = label[np.argsort(-predicted, kind="stable")]
    hits = np.cumsum(ordered)
    places = np.unique(np.maximum(1, np.round(np.linspace(0.01, 1, GRID) * len(ordered)).astype(int)))
    total = max(int(hits[-1]), 1)
    return [{"precision": round(float(hits[k - 1] / k), 6), "recall": round(float(hits[k - 1] / total), 6)} for k in places]


def segment_metrics(examples: Examples, predicted: np.ndarray) -> dict[str, dict[str, dict[str, Any]]]:
    """The same metrics by risk profile, lifecycle stage and channel; a segment too small to say has only its counts."""
    told = config()["evaluation"]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, values in examples.segments.items():
        found[kind] = {}
        for value in sorted(set(values.tolist())):
            where = values == value
            outcomes = int(examples.label[where].sum())
            small = where.sum() < told["segment_min_examples"] or outcomes < told["segment_min_outcomes"]
            found[kind][value] = (
                {"examples": int(where.sum()), "outcomes": outcomes, "too_small": True}
                if small
                else metrics(examples.label[where], predicted[where])
            )
    return found


def measured_uplift(examples: Examples, effect: np.ndarray) -> dict[str, Any]:
    """The uplift on the examples whose outcome can happen without the offer, or {not_applicable: why} when there is none.

    Where the outcome needs the offer nobody can measure what holding it out does: it is 0 by definition.
    """
    if examples.all_need_offer:
        return {"not_applicable": NOT_APPLICABLE}
    where = np.flatnonzero(~examples.needs_offer)
    return uplift(examples.take(where), effect[where])


def uplift(examples: Examples, effect: np.ndarray, *, bootstraps: int | None = None) -> dict[str, Any]:
    """What the predicted effects are worth against the arms that were drawn: Qini, overall lift and lift among the better half.

    Intervals resample people. Qini is the area between the curve and a random order, in outcomes per example offered; a useless
    order has 0. Assignment to arms was random with one share everywhere, so plain differences of means are unbiased.
    """
    told = config()["evaluation"]
    n = len(examples)
    order = np.argsort(-effect, kind="stable")
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n) * GRID // n
    top = place < GRID * told["top_share"]
    label, shown = examples.label.astype(float), examples.exposed.astype(float)

    def figures(weight: np.ndarray) -> tuple[float, float, float]:
        def summed(values: np.ndarray) -> np.ndarray:
            return np.bincount(place, weights=weight * values, minlength=GRID)

        n1, n0 = summed(shown), summed(1 - shown)
        y1, y0 = summed(shown * label), summed((1 - shown) * label)
        return (
            _qini(n1, n0, y1, y0),
            _difference(n1, n0, y1, y0),
            _difference(*(v[: int(GRID * told["top_share"])] for v in (n1, n0, y1, y0))),
        )

    generator = np.random.default_rng(config()["seed"])
    _, person = np.unique(examples.person, return_inverse=True)
    people = int(person.max()) + 1
    resampled = np.array(
        [figures(generator.poisson(1.0, people)[person].astype(float)) for _ in range(bootstraps or told["bootstraps"])]
    )
    tail = (1 - told["confidence"]) / 2
    observed = figures(np.ones(n))
    found: dict[str, Any] = {"confidence": told["confidence"], "people": people, "top_share": told["top_share"]}
    for name, value, column in zip(("qini", "lift", "lift_top"), observed, resampled.T, strict=True):
        found[name] = {
            "value": _round(value),
            "lower": _round(np.quantile(column, tail)),
            "upper": _round(np.quantile(column, 1 - tail)),
            "standard_error": _round(column.std(ddof=1)),
        }
    found["mean_predicted_effect"] = _round(effect.mean())
    found["mean_predicted_effect_top"] = _round(effect[top].mean())
    found["curve"] = _curve(place, label, shown)
    return found


def _difference(n1: np.ndarray, n0: np.ndarray, y1: np.ndarray, y0: np.ndarray) -> float:
    # An empty arm can only happen in a resample of a tiny sample; no difference is then the cautious reading.
    if n1.sum() == 0 or n0.sum() == 0:
        return 0.0
    return float(y1.sum() / n1.sum() - y0.sum() / n0.sum())


def _gains(n1: np.ndarray, n0: np.ndarray, y1: np.ndarray, y0: np.ndarray) -> np.ndarray:
    c1, c0, g1, g0 = (np.cumsum(values) for values in (n1, n0, y1, y0))
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(c0 > 0, g0 * c1 / c0, 0.0)
    return (g1 - expected) / max(c1[-1], 1.0)


def _qini(n1: np.ndarray, n0: np.ndarray, y1: np.ndarray, y0: np.ndarray) -> float:
    gains = np.concatenate([[0.0], _gains(n1, n0, y1, y0)])
    random_order = np.linspace(0.0, gains[-1], len(gains))
    return float(np.mean(gains - random_order))


def _curve(place: np.ndarray, label: np.ndarray, shown: np.ndarray) -> list[dict[str, float]]:
    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights=values, minlength=GRID)

    gains = _gains(summed(shown), summed(1 - shown), summed(shown * label), summed((1 - shown) * label))
    return [
        {
            "share": round((k + 1) / GRID, 4),
            "gain": round(float(gain), 6),
            "random": round(float(gains[-1]) * (k + 1) / GRID, 6),
        }
        for k, gain in enumerate(gains)
    ]


def importance(model: Model) -> list[dict[str, Any]]:
    """Each feature's share of the gain over the model's boosters, largest first; ties by name."""
    gains: dict[str, float] = {}
    for role in sorted(model.boosters):
        booster = model.boosters[role]
        for name, gain in zip(booster.feature_name(), booster.feature_importance("gain"), strict=True):
            gains[name] = gains.get(name, 0.0) + float(gain)
    total = sum(gains.values()) or 1.0
    return [
        {"feature": name, "share_of_gain": round(gain / total, 6)}
        for name, gain in sorted(gains.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
