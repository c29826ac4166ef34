"""Figures against slower, obvious ways of getting them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from training import evaluate, ranking
from training.dataset import Examples


def made(rows: int, seed: int, *, effect_of_x: float) -> tuple[Examples, np.ndarray]:
    """Examples whose true effect grows with x, and x."""
    generator = np.random.default_rng(seed)
    x = generator.random(rows)
    exposed = generator.random(rows) < 0.7
    label = (generator.random(rows) < 0.1 + effect_of_x * x * exposed).astype(int)
    person = generator.integers(0, rows // 3, rows)
    blank = np.zeros(rows, dtype=np.int64)
    segments = {"channel": np.where(x < 0.01, "rare", "web").astype(object)}
    return Examples(pa.table({"x": x}), (), label, exposed, np.ones(rows), person, blank, blank, segments, "v", x > 2), x


@pytest.mark.parametrize("seed", range(5))
def test_auc_equals_the_share_of_ordered_pairs(seed):
    generator = np.random.default_rng(seed)
    label, score = generator.integers(0, 2, 60), generator.integers(0, 6, 60).astype(float)
    pairs = [(p > n) + 0.5 * (p == n) for p in score[label == 1] for n in score[label == 0]]
    assert ranking.auc(label, score) == pytest.approx(np.mean(pairs))


def test_auc_of_one_class_is_unknown():
    assert ranking.auc(np.zeros(5), np.arange(5.0)) is None


def test_a_useful_order_has_a_qini_above_zero_and_a_random_one_does_not():
    examples, x = made(12_000, 3, effect_of_x=0.3)
    useful = evaluate.uplift(examples, x, bootstraps=50)
    useless = evaluate.uplift(examples, np.random.default_rng(0).random(len(x)), bootstraps=50)
    assert useful["qini"]["lower"] > 0
    assert useless["qini"]["lower"] < 0 < useless["qini"]["upper"]
    assert useful["lift_top"]["value"] > useful["lift"]["value"] > 0


def test_lift_is_the_plain_difference_of_shares():
    examples, x = made(2_000, 4, effect_of_x=0.3)
    found = evaluate.uplift(examples, x, bootstraps=10)
    plain = examples.label[examples.exposed].mean() - examples.label[~examples.exposed].mean()
    assert found["lift"]["value"] == pytest.approx(plain, abs=1e-6)
    assert found["lift"]["lower"] < plain < found["lift"]["upper"]


def test_the_noise_of_calibration_is_what_a_perfect_model_shows():
    chance = np.random.default_rng(3)
    predicted = chance.uniform(0.02, 0.3, 4000)
    errors, noises = [], []
    for _ in range(60):
        found = evaluate.metrics((chance.uniform(size=4000) < predicted).astype(float), predicted)
        errors.append(found["calibration_error"])
        noises.append(found["calibration_noise"])
    assert np.mean(errors) == pytest.approx(np.mean(noises), rel=0.1)


def test_calibration_error_is_zero_for_the_base_rate_and_large_for_a_shift():
    label = np.tile([1, 0, 0, 0], 500)
    assert evaluate.metrics(label, np.full(2000, 0.25))["calibration_error"] == pytest.approx(0, abs=1e-9)
    assert evaluate.metrics(label, np.full(2000, 0.45))["calibration_error"] == pytest.approx(0.2)


def test_a_segment_too_small_to_say_has_counts_only():
    examples, x = made(3_000, 5, effect_of_x=0.1)
    found = evaluate.segment_metrics(examples, np.clip(x, 0.01, 0.99))["channel"]
    assert found["rare"]["too_small"]
    assert set(found["web"]) > {"auc", "log_loss", "calibration_error"}
