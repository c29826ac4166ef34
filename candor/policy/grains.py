"""Where a rule can be decided, and which facts are known there.

A rule is evaluated at its own grain before people, offers and channels are multiplied. `offer_x_regime` is a creative in a
place: the few combinations of regimes, client class and time zones that people have.
"""

from __future__ import annotations

# Facts that the engine computes; policy/facts.yml defines the others.
MATRIX_FACTS = frozenset({"m_product", "m_rank", "m_min_kyc", "m_approp", "m_vol_max", "m_profiles", "m_stages"})
DERIVED_FACTS = frozenset(
    {"d_age", "d_perm_missing", "d_quiet_us_violations", "d_quiet_house_violations", "d_channel_ok", "d_sensitive_feature"}
)
CONTEXT_FACTS = frozenset({"c_as_of", "c_channel"})
BUILT_IN = MATRIX_FACTS | DERIVED_FACTS | CONTEXT_FACTS

PLACE_FACTS = frozenset({"u_regimes", "u_perm_regimes", "u_client_class", "u_tzs"})
# Person facts that also need a product line to be known.
PRODUCT_FACTS = frozenset({"u_approp"})
# What offers of one class have in common besides the product line (eligibility.offer_classes).
CLASS_FACTS = frozenset({"o_is_promotion", "o_incentive", "o_is_dofp", "o_requires_transfer", "o_au_fin_product"})

# Key columns of the hits of each grain, with their types.
KEYS: dict[str, dict[str, str]] = {
    "user": {"person_id": "varchar", "is_promotion": "boolean"},
    "user_x_product": {"person_id": "varchar", "offer_class": "varchar"},
    "user_x_channel": {"person_id": "varchar", "rule_channel": "varchar", "is_promotion": "boolean"},
    "offer": {"creative_id": "varchar"},
    "offer_x_regime": {"creative_id": "varchar", "place_id": "varchar"},
}
GRAINS = tuple(KEYS)  # of the daily run
# Everything at once: one case is one row. The daily run judges pairs last, only those that nothing else speaks against.
PAIR = "pair"
KEYS[PAIR] = {"person_id": "varchar", "creative_id": "varchar"}
ALL_GRAINS = (*GRAINS, PAIR)
# Where many people share the few facts that a rule reads, the daily run asks it once per combination of them instead of once per person.
PATTERNED = ("user_x_product",)
PATTERN_KEYS = {"pattern_id": "bigint", "offer_class": "varchar"}
# What needs a place or a planned delivery besides the pair; the daily run has judged it at its own grain before pairs are made.
NOT_OF_PAIRS = PRODUCT_FACTS | {
    "o_ends_at", "c_vol_rank", "d_perm_missing", "d_channel_ok", "d_quiet_us_violations", "d_quiet_house_violations",
}  # fmt: skip


def known_at(grain: str, fact: str, dictionary: frozenset[str]) -> bool:
    """Whether `fact` has a value at `grain`. `dictionary` holds the names of policy/facts.yml."""
    if fact not in dictionary | BUILT_IN:
        return False
    if fact == "c_as_of" or grain == PAIR:
        return True
    kind = fact[:2]
    of_person = (kind == "u_" and fact not in PRODUCT_FACTS) or fact in {"d_age", "c_list_parse_complete"}
    if grain == "user":
        return of_person or fact in {"o_is_promotion", "u_is_test", "u_is_withheld"}
    if grain == "user_x_product":
        return of_person or fact in PRODUCT_FACTS or kind == "m_" or fact in CLASS_FACTS or fact == "c_vol_rank"
    if grain == "user_x_channel":
        return (
            of_person
            or fact in {"o_is_promotion", "c_channel", "d_channel_ok"}
            or fact in {"d_quiet_us_violations", "d_quiet_house_violations"}
        )
    of_offer = kind in {"o_", "m_"} or fact in {"c_channel", "d_sensitive_feature"}
    if grain == "offer":
        return of_offer
    return of_offer or fact in PLACE_FACTS or fact == "d_perm_missing"
