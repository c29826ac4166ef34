"""One person's decisions of one run, explained: for every offer and channel what became of it and all that spoke against it.

The result is plain data, the same for the same published files, whatever was published since. `candor.ledger.telling` writes it as text,
`candor.ledger.page` as a page.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from candor.errors import UsageError
from candor.ledger.files import NEUTRAL
from candor.ledger.published import Decisions, Rows

# What the engine derives, and from which facts; an explanation shows both.
DERIVED_FROM = {
    "d_age": ("u_dob",),
    "d_perm_missing": ("u_perm_regimes", "u_client_class"),
    "d_quiet_us_violations": ("u_tzs", "u_regimes"),
    "d_quiet_house_violations": ("u_tzs",),
    "d_channel_ok": ("u_consent_email", "u_consent_sms", "u_consent_push", "u_soft_opt_in", "u_unsub_email", "u_regimes"),
    "d_sensitive_feature": ("o_features",),
}  # fmt: skip
# Facts that the pack's own table, the run and the question give; no source observed them.
_GIVEN = {"c_as_of": "the run", "c_channel": "the question", "u_is_test": "core.people"}
# In the ledger these name the candidate; all other columns are terms of its rank.
_NAMES = (
    "decision_id",
    "run_id",
    "person_id",
    "channel",
    "offer_id",
    "offer_version",
    "product_line",
    "creative_id",
    "locale",
    "market",
)
_NAMES_OF_RUN = ("model_version", "policy_version", "slot", "is_chosen", "not_chosen_reason")
# What keeps an eligible offer out whoever else is there; where others are to be named, `_why` does.
_KEPT_OUT = {
    "value_not_positive": "a promotion that is not expected to help is not shown",
    "cooling_down": "the person refused it, or its product line, lately",
    "total_cap": "there are fewer places than people whom it would help more",
    "budget": "its incentive buys more elsewhere",
    "education_ratio": "more promotions than the person's lifecycle stage allows beside the education given",
}


def explain(decisions: Decisions, person_id: str, *, offer: str | None = None, channel: str | None = None) -> dict[str, Any]:
    """Everything the role may know about the person's offers of the run: a header and one entry per offer and channel.

    Raises UsageError for an offer or channel that the run did not know.
    """
    decisions.check_names(offer, channel)
    entry, role = decisions.entry, decisions.role
    pairs = decisions.pairs(person_id)
    if not pairs:
        raise UsageError(
            f"run {entry.run_id} considered nothing for {person_id}",
            hint="the person was not among the run's people; candor identity show says who they are",
        )
    reasons: dict[tuple[str, str], Rows] = {}
    for row in decisions.reasons(person_id):
        reasons.setdefault((row["offer_id"], row["channel"]), []).append(row)
    ledger = {(row["offer_id"], row["channel"]): row for row in decisions.ledger(person_id)}
    sent = {(row["offer_id"], row["channel"]): row for row in decisions.offers(person_id)}
    wanted = [pair for pair in pairs if offer in (None, pair["offer_id"]) and channel in (None, pair["channel"])]
    if role.sentences_only:
        answers = _sentences(decisions, wanted, reasons, sent)
        return {"run": _asked(decisions, person_id), "offers": answers}
    facts = _Facts(decisions, person_id) if role.facts else None
    rules, drivers = decisions.rules(), decisions.drivers(person_id)
    answers = []
    for pair in wanted:
        key = (pair["offer_id"], pair["channel"])
        told = [_reason(row, rules, facts, pair) for row in reasons.get(key, [])]
        answer = _answer(pair, told, ledger, sent.get(key))
        if key in sent and drivers is not None:
            answer["told_because"] = [_driver(row) for row in drivers.get(key, [])]
        answers.append(answer)
    return {"run": _asked(decisions, person_id) | _evidence(decisions), "offers": answers}


def _asked(decisions: Decisions, person_id: str) -> dict[str, Any]:
    entry = decisions.entry
    return {"person_id": person_id, "run_id": entry.run_id, "as_of": entry.as_of, "role": decisions.role.name}


def _evidence(decisions: Decisions) -> dict[str, Any]:
    entry = decisions.entry
    return {
        "policy_version": entry.policy_version,
        "catalogue_hash": entry.catalogue_hash,
        "champion_version": entry.champion_version,
        "ledger_entry": entry.sequence,
        "ledger_hash": entry.hash,
    }


def _sentences(
    decisions: Decisions, pairs: Rows, reasons: dict[tuple[str, str], Rows], sent: dict[tuple[str, str], Any]
) -> Rows:
    """What a customer reads: shown, and the creative's own why; or not shown, and only what may be told.

    An offer that lost to another, or that a person left alone did not get, has the constant sentence like everything else.
    """
    constant, rules = decisions.constant_text(), decisions.rules()
    answers = []
    for pair in pairs:
        key = (pair["offer_id"], pair["channel"])
        if key in sent:
            texts = [sent[key]["reason_text"]]
        else:
            stopping = [
                row
                for row in reasons.get(key, [])
                if row["effect"] not in ("DEMOTE", "RELEASED") and row["visibility"] == "safe"
            ]
            known = [rules.get((row["code"], row["rule_id"], row["v"])) for row in stopping]
            texts = list(dict.fromkeys(rule["customer_text"] for rule in known if rule and rule["customer_text"])) or [constant]
        answers.append({"offer_id": key[0], "channel": key[1], "is_shown": key in sent, "sentences": texts})
    return answers


def _reason(row: dict[str, Any], rules: dict[Any, Any], facts: _Facts | None, pair: dict[str, Any]) -> dict[str, Any]:
    if row["code"] == NEUTRAL:
        return {"code": NEUTRAL, "effect": row["effect"], "title": "Not available"}
    rule = rules.get((row["code"], row["rule_id"], row["v"]), {})
    reason = {
        "code": row["code"],
        "rule_id": row["rule_id"],
        "v": row["v"],
        "effect": row["effect"],
        "penalty_bp": row["penalty_bp"],
        "grain": row["grain"],
        "title": rule.get("title"),
        "statement": rule.get("statement"),
        "cite": rule.get("cite"),
        "is_unknown": rule.get("is_unknown", False),
    }
    if facts is None:
        return reason
    return reason | {
        "applies_when": rule.get("applies_when"),
        "requires": rule.get("requires"),
        "facts": facts.read_by(rule.get("facts") or [], pair),
    }


def _driver(row: dict[str, Any]) -> dict[str, Any]:
    """One driver that the sentence names: what the model was told the person has not, and what the chance that the offer helps then lost."""
    if row["driver"] is None:  # of money, and the role reads the ordinary face
        return {"place": row["place"], "driver": None}
    meaning = row["meaning"]
    return {
        "place": row["place"],
        "driver": row["driver"],
        "sensitivity": row["sensitivity"],
        "needs": {"feature": meaning["needs_feature"], "at_least": meaning["at_least"]},
        "without": {one["feature"]: one["value"] for one in meaning["without"]},
        "gain": row["gain"],
        "gain_without": round(row["gain"] - row["effect"], 6),
        "effect": row["effect"],
    }


def _answer(
    pair: dict[str, Any], reasons: Rows, ledger: dict[tuple[str, str], dict[str, Any]], sent: dict[str, Any] | None
) -> dict[str, Any]:
    key = (pair["offer_id"], pair["channel"])
    row = ledger.get(key)
    answer = {
        "offer_id": key[0], "channel": key[1], "offer_version": pair["offer_version"], "product_line": pair["product_line"],
        "creative_id": pair["creative_id"], "locale": pair["locale"], "outcome": "excluded", "reasons": reasons,
    }  # fmt: skip
    if row is None:
        return answer
    mates = sorted((mate for (_, channel), mate in ledger.items() if channel == key[1]), key=lambda mate: mate["rank"])
    answer |= {
        "outcome": "served" if sent is not None else "not_served",
        "decision_id": row["decision_id"],
        "slot": row["slot"],
        "candidates_in_channel": len(mates),
        "why": _why(row, mates, list(ledger.values())),
        "terms": {name: _plain(value) for name, value in row.items() if name not in (*_NAMES, *_NAMES_OF_RUN)},
        "model_version": row["model_version"],
    }
    if sent is not None:
        answer["told"] = sent["reason_text"]
    return answer


def _why(row: dict[str, Any], mates: Rows, everything: Rows) -> str:
    """Why it won, or what kept it out, with the offers that it met."""
    worth = f"expected {_usd(row)} USD, rank {row['rank']} of {len(mates)} in {row['channel']}"
    reason = row["not_chosen_reason"]
    if reason is None:
        behind = next((mate for mate in mates if mate["rank"] > row["rank"] and not mate["is_chosen"]), None)
        after = (
            f"; the best of those behind it that were left out is {behind['offer_id']} ({_usd(behind)})"
            if behind
            else "; nothing ranked behind it was left out"
        )
        return f"{worth}, so it has slot {row['slot']}{after}"
    if reason == "held_out":
        return f"{worth}: it would have slot {row['slot']}, but the person is left alone so that the effect of offers can be measured"
    if reason == "slots_full":
        holders = ", ".join(f"{mate['offer_id']} ({_usd(mate)})" for mate in mates if mate["is_chosen"])
        return f"{worth}: the slots are taken by {holders or 'nobody'}"
    if reason == "push_cap":
        pushed = [one for one in everything if one["is_chosen"] and one["is_push"] and one["is_promotion"]]
        taken = f"{pushed[0]['offer_id']} by {pushed[0]['channel']} ({_usd(pushed[0])})" if pushed else "another"
        return f"{worth}: one pushed promotion in 24 hours, and that is {taken}"
    if reason == "line_taken":
        rivals = [
            one for one in everything if one["product_line"] == row["product_line"] and one["offer_id"] != row["offer_id"]
        ]
        given = next((f" ({one['offer_id']}, {_usd(one)})" for one in rivals if one["is_chosen"]), "")
        return f"{worth}: another offer of the product line {row['product_line']} is better for the person{given}"
    return f"{worth}: {_KEPT_OUT.get(reason, reason)}"


def _usd(row: dict[str, Any]) -> str:
    return f"{row['expected_incremental_value_usd']:.6f}"


def _plain(value: Any) -> Any:
    """A value as JSON has it: instants in UTC with their zone, decimals as text."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}Z" if not value.microsecond else f"{value.isoformat()}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value


class _Facts:
    """What the run knew about the person, the offers and the day, and since when; only facts that the role may see."""

    def __init__(self, decisions: Decisions, person_id: str) -> None:
        self.decisions, role = decisions, decisions.role

        def of_person(name: str) -> Rows:
            return decisions.file(decisions.closed, name, "person_id = $person_id", person_id=person_id)

        observed = {row["fact"]: row for row in decisions.file(decisions.closed, "facts_observed")}
        self.observed = {name: row for name, row in observed.items() if row["visibility"] in role.facts}
        self.hidden = observed.keys() - self.observed.keys()
        self.person = (of_person("facts_person") or [{}])[0]
        if "restricted" in role.facts:
            self.person = self.person | (of_person("facts_person_restricted") or [{}])[0]
        self.channels = {row["rule_channel"]: row for row in of_person("facts_person_channel")}
        self.products = {row["product_line"]: row for row in of_person("facts_person_product")}
        self.offers = {row["creative_id"]: row for row in decisions.file(decisions.closed, "facts_offer")}
        place = self.person.get("place_id")
        places = decisions.file(decisions.closed, "facts_offer_place", "place_id = $place_id", place_id=place)
        self.places = {row["creative_id"]: row for row in places}
        market = decisions.file(decisions.closed, "facts_market")
        self.market = {"c_vol_rank": market[0]["c_vol_rank"]} if market else {}

    def _of(self, pair: dict[str, Any]) -> dict[str, Any]:
        return {
            **self.person,
            **self.market,
            "u_approp": "not_taken",
            "o_is_promotion": pair["is_promotion"],
            "o_incentive": pair["incentive"],
            **self.channels.get(pair["rule_channel"], {}),
            **self.products.get(pair["product_line"], {}),
            **self.offers.get(pair["creative_id"], {}),
            **self.places.get(pair["creative_id"], {}),
            "c_channel": pair["rule_channel"],
            "c_as_of": self.decisions.entry.instant().replace(tzinfo=None),
        }

    def read_by(self, names: list[str], pair: dict[str, Any]) -> Rows:
        """Each fact that the rule reads, and those that derived ones come from, with value and observation time."""
        wanted = dict.fromkeys(part for name in names for part in (name, *DERIVED_FROM.get(name, ())))
        values = self._of(pair)
        told = []
        for name in wanted:
            if name in self.hidden or (name not in values and name not in self.observed) or name == "u_dob":
                continue
            told.append({"fact": name, "value": _plain(values.get(name)), **self._observed(name)})
        return told

    def _observed(self, name: str) -> dict[str, Any]:
        if name.startswith("m_"):
            return {"from": f"policy {self.decisions.entry.policy_version}", "observed_at": None}
        if name in _GIVEN:
            return {"from": _GIVEN[name], "observed_at": None}
        bases = [self.observed[base] for base in DERIVED_FROM.get(name, (name,)) if base in self.observed]
        times = [row["observed_at"] for row in bases]
        sources = sorted({source for row in bases for source in row["sources"]})
        observed = _plain(min(times)) if times and None not in times else None
        told = {"from": ", ".join(sources), "observed_at": observed}
        return told | ({"is_stale": True} if any(not row["is_fresh"] for row in bases) else {})
