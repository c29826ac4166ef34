"""How well a score ranks outcomes; used to evaluate models and to refuse features that give the outcome away."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def auc(label: np.ndarray, score: np.ndarray) -> float | None:
    """Probability that a positive outranks a negative, ties counting half; None when there is only one kind."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if positives == 0 or negatives == 0:
        return None
    ranks = rankdata(score)
    return float((ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
