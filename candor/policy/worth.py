"""What offers are worth and how many may be given: the weights of objectives.yml, and a shop's ratio and budget."""

from __future__ import annotations

from candor.policy import specs
from candor.policy.reading import Node, Problems, keys

# Weights outside these bounds would turn an argument round: feedback that makes an offer better than its gain, a fatigue that attracts.
BOUNDS = {
    "trust_lambda": (0.0, None),
    "trust_floor": (0.0, 1.0),
    "trust_prior_responses": (1.0, None),
    "fatigue_usd_per_message": (0.0, None),
    "fatigue_usd_per_ignored_showing": (0.0, None),
    "risk_usd_per_rank": (0.0, None),
    "exploration_share": (0.0, 0.5),
}


def check_objectives(node: Node | None, listed: list[Node], problems: Problems) -> None:
    """Note each weight that is missing, unknown, or out of its bounds."""
    if node is None:
        return
    given = {str(row.get("name")): row for row in listed}
    for needed in specs.OBJECTIVES:
        if needed not in given:
            problems.add("objectives.yml", None, "objectives", f"{needed} is missing")
    for name, row in given.items():
        if name not in specs.OBJECTIVES:
            problems.add("objectives.yml", row.line, name, f"nothing reads it (known: {', '.join(specs.OBJECTIVES)})")
        least, most = BOUNDS.get(name, (None, None))
        value = row.get("value")
        if isinstance(value, int | float) and ((least is not None and value < least) or (most is not None and value > most)):
            within = f"at least {least:g}" if most is None else f"from {least:g} to {most:g}"
            problems.add("objectives.yml", row.lines.get("value"), name, f"must be {within}, is {value}")


def education_ratio(node: Node, file: str, problems: Problems) -> tuple[tuple[str, float | None], ...]:
    """(lifecycle stage, promotions per piece of education) of the shop: None is no limit, 0 no promotion. A shop without it has no limits."""
    if "promotions_per_education" not in node:
        return tuple((stage, None) for stage in specs.STAGES)
    given = node["promotions_per_education"]
    if not isinstance(given, Node) or not keys(
        given, specs.RATIO, file=file, where="promotions_per_education", problems=problems
    ):
        return ()
    for stage, value in given.items():
        if value is not None and value < 0:
            problems.add(
                file, given.lines[stage], "promotions_per_education", f"{stage} must be at least 0, or null, is {value}"
            )
    return tuple((stage, None if given[stage] is None else float(given[stage])) for stage in specs.STAGES)


def incentive_budget(node: Node, file: str, problems: Problems) -> float | None:
    """What the incentives of a run may cost in US dollars; None is no limit."""
    value = node.get("incentive_budget_usd")
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        problems.add(
            file, node.lines["incentive_budget_usd"], "incentive_budget_usd", f"must be at least 0, or null, is {value}"
        )
    return None if value is None else float(value) if isinstance(value, int | float) else None
