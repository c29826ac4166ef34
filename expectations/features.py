"""Before scoring: one row per person, values in range, labels plausible, candidates that refer to what exists.

Also that what is scored may be decided at all: no unknown offer, no candidate twice.
"""

from __future__ import annotations

import great_expectations.expectations as gxe

from candor.gates.checks import CRITICAL, WARNING, Inputs, Table, no_rows

# days_since_* are null for people who never did it, most people for most of them. Every other feature has a zero for nothing.
NULLABLE_PREFIXES = ("days_since_", "buy_share_")
MAX_NULL_SHARE = 0.001
# Counts and bands. A day with 100,000 events of one person is a bot that got past core's guard.
MAX_COUNT = 100_000
# Redemptions and first trades within a window lie between one in a thousand and four in five; at the edges the label was built
# wrongly (a join that lost the outcomes, a window that looks at all of time).
LABEL_RATE = (0.0005, 0.8)
MIN_LABELLED = 200
NUMERIC = ("BIGINT", "INTEGER", "DOUBLE", "FLOAT", "DECIMAL", "SMALLINT", "TINYINT")


def tables(inputs: Inputs) -> list[Table]:
    """Person features, training examples, candidates, and what late silos took from them."""
    return [_person_features(inputs), _people(), _training_examples(), _candidates(), _withheld()]


def _person_features(inputs: Inputs) -> Table:
    columns = inputs.columns.get("features.person_features", {})
    numeric = [column for column, kind in columns.items() if kind.startswith(NUMERIC)]
    checked = [
        gxe.ExpectColumnValuesToBeUnique(
            column="person_id", severity=CRITICAL, notes="One row per person: two rows would be two scores for one decision."
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="person_id", severity=CRITICAL, notes="A feature row of nobody scores nobody."
        ),
        *(
            gxe.ExpectColumnValuesToBeBetween(
                column=column,
                min_value=0,
                max_value=MAX_COUNT,
                severity=CRITICAL,
                notes="Counts, bands and ages in days: below 0 something known later was counted, above it a bot got in.",
            )
            for column in numeric
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(
                column=column,
                mostly=1 - MAX_NULL_SHARE,
                severity=WARNING,
                notes="A person without activity has 0, not null: a join lost people, and the model reads null as a value of its own.",
            )
            for column in numeric
            if not column.startswith(NULLABLE_PREFIXES)
        ),
    ]
    return Table("features.person_features", "select * from features.person_features", checked, keys=("person_id",))


def _people() -> Table:
    return Table(
        "people without features",
        """
        select people.person_id, person_features.person_id as featured_person_id
        from core.people as people
        full join features.person_features as person_features on people.person_id = person_features.person_id
        """,
        [
            no_rows(
                "every person has features and every feature row a person",
                "select person_id, featured_person_id from {batch} where person_id is null or featured_person_id is null",
                note="A person without features cannot be scored and would silently get nothing.",
            )
        ],
        keys=("person_id",),
    )


def _training_examples() -> Table:
    low, high = LABEL_RATE
    return Table(
        "features.training_examples",
        "select assignment_id, label, is_exposed from features.training_examples",
        [
            gxe.ExpectColumnValuesToBeUnique(
                column="assignment_id",
                severity=CRITICAL,
                notes="One row per assignment: twice the same outcome biases the fit.",
            ),
            no_rows(
                "labels are 0, 1 or not yet known",
                "select assignment_id, label from {batch} where label not in (0, 1)",
                note="The label says whether the outcome happened; anything else is a wrong column.",
            ),
            no_rows(
                f"between {low:.2%} and {high:.0%} of closed examples have the outcome",
                "select labelled, positive, round(positive / labelled, 5) as rate from ("
                "select count(label) as labelled, count(*) filter (where label = 1) as positive from {batch}) "
                f"where labelled >= {MIN_LABELLED} and (positive < {low} * labelled or positive > {high} * labelled)",
                note="At the edges the label was built wrongly: outcomes lost in a join, or a window that never closes.",
            ),
        ],
        keys=("assignment_id",),
    )


def _candidates() -> Table:
    return Table(
        "eligibility.candidates",
        """
        select candidates.person_id, candidates.offer_id, candidates.offer_version, candidates.channel, candidates.creative_id,
            offers.offer_id is not null as is_known_offer, people.person_id is not null as is_known_person
        from eligibility.candidates as candidates
        left join (select distinct offer_id, version from staging.stg_catalogue__offers) as offers
            on candidates.offer_id = offers.offer_id and candidates.offer_version = offers.version
        left join core.people as people on candidates.person_id = people.person_id
        """,
        [
            no_rows(
                "every candidate is a known offer for a known person",
                "select person_id, offer_id, offer_version, channel from {batch} "
                "where not is_known_offer or not is_known_person",
                note="An offer that is not in the catalogue has no text, no dates and no approval.",
            ),
            no_rows(
                "no person, offer and channel twice",
                "select person_id, offer_id, channel, count(*) as candidates from {batch} "
                "group by person_id, offer_id, channel having count(*) > 1",
                note="Twice means two versions or creatives compete for one slot, and the cap counts them apart.",
            ),
            no_rows(
                "every candidate has a creative",
                "select person_id, offer_id, channel from {batch} where creative_id is null",
                note="Without a creative there is nothing approved to show.",
            ),
        ],
        keys=("person_id", "offer_id", "channel"),
    )


def _withheld() -> Table:
    return Table(
        "offers withheld for late or missing silos",
        """
        select withheld.source || '.' || withheld.table_name as feed, withheld.state, any_value(withheld.last_delivered_at) as since,
            count(distinct withheld.offer_id) as offers_withheld, min(withheld.offer_id) as one_of_them,
            (select count(*) from eligibility.candidates) as candidates
        from eligibility.offers_withheld as withheld group by all
        """,
        [
            no_rows(
                "late and missing silos leave something to offer",
                "select feed, state, since, offers_withheld, candidates from {batch} where candidates = 0",
                note="Everything that could go out needs something that did not arrive: publishing would replace yesterday's offers, which "
                "hold for 36 hours, by none.",
            ),
            no_rows(
                "no offer is withheld because a silo is late or missing",
                "select feed, state, since, offers_withheld, one_of_them from {batch} where candidates > 0",
                note="The run goes on with the others. eligibility.offers_withheld says which and why; policy/silos.yml what needs what.",
                severity=WARNING,
            ),
        ],
        keys=("feed",),
    )
