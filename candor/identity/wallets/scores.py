"""How much each wallet looks like one of many in one hand, from 0 to 1: a rank of suspicion, not a probability of guilt."""

from __future__ import annotations

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets.graph import Bools, Floats, Ints, TransferGraph
from candor.identity.wallets.hubs import LARGEST_OWNER, Look
from candor.identity.wallets.stars import NOBODY, Verdict

# Half suspicion at five wallets: one person with two or three wallets is ordinary, airdrop reports begin at ten or twenty.
HALF = 5.0


def score(graph: TransferGraph, look: Look, cluster: Ints, is_wallet: Bools, verdicts: dict[str, Verdict]) -> Floats:
    """Per node its sybil score, rounded to six digits. A cluster's size counts by its wallets; a hub scores 0."""
    is_hub = look.is_hub
    size = np.bincount(cluster[is_wallet], minlength=graph.count)[cluster]
    in_cluster = np.where(size >= 2, (size - 1) / (size - 1 + HALF), 0.0)
    soft = np.zeros(graph.count)
    own = np.zeros(graph.count)
    for verdict in verdicts.values():
        label = verdict.groups.label
        at = np.maximum(label, 0)
        # what is too large for an owner is a market, however alike its wallets are
        odds = np.where(verdict.members <= LARGEST_OWNER * look.heads, _logistic(verdict.log_odds / 2), 0.0)[at]
        many = (verdict.members - 1) / (verdict.members - 1 + HALF)
        fits = _logistic(verdict.fit)
        here = np.where((label != NOBODY) & verdict.informative, odds * many[at] * fits, 0.0)
        soft = np.maximum(soft, here)
        own = np.maximum(own, np.where(verdict.informative, _logistic(verdict.fit), 0.0))
    # Certain membership weighs most; what a wallet's own stars say comes second; its habits alone break ties.
    total = 0.7 * np.maximum(in_cluster, 0.6 * soft) + 0.2 * soft + 0.1 * own
    return np.round(np.where(is_hub, 0.0, np.clip(total, 0.0, 1.0)), 6)


def _logistic(values: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -30, 30)))
