"""Before publishing: is the staged serving table well formed? Whether each row is permitted is the audit's question.

An empty table is allowed: a day on which nobody may see anything is a day. The row count is recorded.
"""

from __future__ import annotations

import great_expectations.expectations as gxe

from candor.gates.checks import CRITICAL, WARNING, Inputs, Table, no_rows

GIVEN = ("decision_id", "run_id", "person_id", "channel", "slot", "rank", "offer_id", "offer_version", "creative_id", "locale")
TEXTS = ("title", "body", "reason_text", "disclosures")
SHOWN = "person_id, offer_id, channel"


def tables(inputs: Inputs) -> list[Table]:
    """The staged offers, those of them that are pushed, how many there are, and the scores behind them."""
    return [_staged(inputs), _pushed(), _amount(), _scores()]


def _staged(inputs: Inputs) -> Table:
    query = """
        select staged_offers.*, channels.slots, channels.has_window
        from decisions.staged_offers as staged_offers
        left join policy.channels as channels on staged_offers.channel = channels.channel
    """
    missing = " or ".join(f"{column} is null" for column in GIVEN)
    empty = " or ".join(f"trim(coalesce({column}, '')) = ''" for column in TEXTS)
    return Table(
        "decisions.staged_offers",
        query,
        [
            gxe.ExpectColumnValuesToBeUnique(
                column="decision_id", severity=CRITICAL, notes="Exposures and outcomes find their decision by this id."
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="arm",
                value_set=["treated"],
                severity=CRITICAL,
                notes="Held-out people are left alone, or nothing can be measured.",
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="run_id",
                value_set=[inputs.run.run_id],
                severity=CRITICAL,
                notes="Rows of another run would be published under this one.",
            ),
            no_rows(
                "every key is given",
                f"select decision_id, {SHOWN} from {{batch}} where {missing}",
                note="A row without one of its keys cannot be read, shown or traced.",
            ),
            no_rows(
                "title, body, reason and disclosures are not empty",
                f"select decision_id, {SHOWN}, creative_id from {{batch}} where {empty}",
                note="An offer without its reason or its disclosures may not be shown; customers would see an empty card.",
            ),
            no_rows(
                "the slot is one of the channel's",
                f"select decision_id, {SHOWN}, slot, slots from {{batch}} where slot < 1 or slot > slots or slots is null",
                note="policy/channels.yml says how many a channel shows; more would never be seen, but counted as offered.",
            ),
            no_rows(
                "one offer per person, channel and slot",
                "select person_id, channel, slot, count(*) as offers from {batch} "
                "group by person_id, channel, slot having count(*) > 1",
                note="Two offers in one slot: which one is shown would be chance.",
            ),
            no_rows(
                "no offer twice for one person in one channel",
                f"select {SHOWN}, count(*) as times from {{batch}} group by {SHOWN} having count(*) > 1",
                note="The same offer in two slots is a broken ranking.",
            ),
            no_rows(
                "valid from the run's instant, until later",
                f"select decision_id, {SHOWN}, valid_from, valid_until from {{batch}} "
                f"where valid_from is distinct from {inputs.as_of} or valid_until is null or valid_until <= valid_from",
                note="What was decided at as_of holds from then on; an offer without an end would stay for ever.",
            ),
            no_rows(
                "the send window lies within the validity, and channels that wait for hours have one",
                f"select decision_id, {SHOWN}, valid_from, send_after, send_before, valid_until from {{batch}} "
                "where (send_after is null) <> (send_before is null) or send_after >= send_before "
                "or send_after < valid_from or send_before > valid_until or (has_window and send_after is null)",
                note="A message is judged at its planned delivery: outside its window or validity it was never judged.",
            ),
        ],
        keys=("decision_id", "person_id", "offer_id", "channel"),
    )


def _pushed() -> Table:
    # Asked for by itself: every check asks its table's whole query again, and the ledger is by far the largest table.
    query = """
        select staged_offers.person_id, staged_offers.offer_id, coalesce(ledger.is_promotion, true) as is_promotion
        from decisions.staged_offers as staged_offers
        inner join policy.channels as channels on staged_offers.channel = channels.channel and channels.is_push
        left join decisions.ledger as ledger on staged_offers.decision_id = ledger.decision_id
    """
    return Table(
        "decisions.staged_offers, pushed",
        query,
        [
            no_rows(
                "at most one pushed promotion per person",
                "select person_id, count(*) as pushed_promotions, min(offer_id) as first_offer, max(offer_id) as last_offer "
                "from {batch} where is_promotion group by person_id having count(*) > 1",
                note="One promotion in 24 h over e-mail, SMS and push together: two decisions would both use the last slot.",
            )
        ],
    )


def _amount() -> Table:
    return Table(
        "offers staged",
        "select count(*)::bigint as offers, count(distinct person_id)::bigint as people from decisions.staged_offers",
        [
            no_rows(
                "there is something to publish",
                "select offers, people from {batch} where offers = 0",
                note="Allowed (before the policy's first day, for instance), but somebody should know that today is empty.",
                severity=WARNING,
            )
        ],
    )


def _scores() -> Table:
    return Table(
        "decisions.scores",
        "select person_id, offer_id, channel, p_if_shown, p_if_held_out from decisions.scores",
        [
            *(
                gxe.ExpectColumnValuesToBeBetween(
                    column=column,
                    min_value=0,
                    max_value=1,
                    severity=CRITICAL,
                    notes="Outside 0 to 1 raw margins were written instead of probabilities.",
                )
                for column in ("p_if_shown", "p_if_held_out")
            ),
            no_rows(
                "every score is a number",
                f"select {SHOWN}, p_if_shown, p_if_held_out from {{batch}} "
                "where p_if_shown is null or p_if_held_out is null or isnan(p_if_shown) or isnan(p_if_held_out)",
                note="A candidate without a score has no place in the ranking.",
            ),
        ],
        keys=("person_id", "offer_id", "channel"),
    )
