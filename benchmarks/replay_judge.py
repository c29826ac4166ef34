"""The judge of the replay: whether each live row is permitted by the truth, as far as it could be known from what was landed.

It shares no line with the pipeline's SQL nor with the audit. It takes three things only: what sources delivered (its own reading of the files),
who people truly are (the simulator's), and the house's tables of products, markets and permissions.

A row reaches whoever a channel finds by the store's lookups: every true person behind an account or contact of the row's person is judged, so
that a row which reaches two true people must be permitted for both. A no is knowable when it is about a record that ties to a record the row
reaches: by an e-mail address or telephone number that only this true person states, or by an operator's link. What two true people state ties
nobody. Ties, residence, age and test marks are judged as of the run, for they change once a day; everything that `candor revoke` reads, as of
the instant.

`is_passed_over` marks noes that the rules in force let pass: a recorded no to marketing by chat, for which no rule asks consent, and by e-mail
from who lives in the United States, where only a message's unsubscription counts. What landed since the run is no such no: `candor revoke`
hides it until the next run. They are counted apart, neither hidden nor called violations.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import phonenumbers
import polars as pl
import yaml

from benchmarks.landed import Landed
from simulation import geography as geo
from simulation.catalogue import NOT_STARTED_DAYS, OFFERS
from simulation.shop import ENDS_AT

TABLES = (
    "exchange.accounts", "crm.contacts", "crm.consents", "crm.preferences", "crm.messages", "wallets.wallet_links",
    "compliance.kyc_records", "compliance.screening_runs", "compliance.screening_hits", "compliance.restrictions",
    "compliance.assessments",
)  # fmt: skip
SHOWN = ("decision_id", "person_id", "channel", "offer_id", "arm", "valid_from", "valid_until", "send_after", "send_before")
CAUGHT = dict.fromkeys(("decision_id", "person_id", "channel", "offer_id", "why"), pl.String) | {"is_passed_over": pl.Boolean}

# Planted in the catalogue to be refused (simulation/catalogue.py): offers nobody approved or outside their dates, and creatives without a
# way out, with a countdown, or with pressure in their words.
NEVER = ("spot_refer", "edu_autumn", "perp_20x")
NOT_BEFORE = (("usdc_new_year", (ENDS_AT + timedelta(days=NOT_STARTED_DAYS)).replace(tzinfo=None)),)
NEVER_ON = (("card_everyday", "sms"), ("spot_fee_off", "push"), ("borrow_btc", "push"))

# Kinds of restriction by what they stop. One that is newly landed hides every promotion until the next run; lessons go on, as the rules have it.
STOPS = {
    "everything": (
        "self_exclusion",
        "minor_signal",
        "erasure",
        "embargo",
        "objection",
        "do_not_contact",
        "profiling_objection",
    ),
    "promotions": ("fincrime_hold", "adverse_media"),
    "risky": ("vulnerable", "harm_signal"),
}


@dataclass(frozen=True)
class Link:
    """What an operator tied together: (identifier_kind, identifier) of accounts and contacts."""

    one: tuple[str, str]
    other: tuple[str, str]


def text(at: datetime) -> str:
    """An instant as the store writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def read_store(store: Path, at: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(live offers, current lookups) as a channel reads them at `at`: the store's own view, told that now is `at`."""
    with (
        closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as reader,
        closing(sqlite3.connect(":memory:")) as clock,
    ):

        def strftime(form: str, moment: str, *changes: str) -> str:
            moment = text(at) if moment == "now" else moment
            marks = ", ?" * len(changes)
            return clock.execute(f"select strftime(?, ?{marks})", (form, moment, *changes)).fetchone()[0]

        reader.create_function("strftime", -1, strftime)
        live = reader.execute(f"select {', '.join(SHOWN)} from live_offers order by decision_id").fetchall()
        lookups = reader.execute(
            "select identifier_kind, identifier, person_id from person_lookup where valid_to_run is null order by 1, 2, 3"
        ).fetchall()
    kinds = dict.fromkeys(("identifier_kind", "identifier", "person_id"), pl.String)
    return (
        pl.DataFrame(live, schema=dict.fromkeys(SHOWN, pl.String), orient="row"),
        pl.DataFrame(lookups, schema=kinds, orient="row"),
    )


def is_number(phone: str) -> bool:
    """Whether a number in international form is one that somebody can have."""
    return phonenumbers.is_valid_number(phonenumbers.parse(phone))


def true_records(truth: Path) -> pl.DataFrame:
    """One row per account and contact: kind, record, true_person; with the person's own telephone number, and whether they are a test."""
    people = pl.read_parquet(truth / "people" / "part-*.parquet")
    # A few of the made-up numbers lie in ranges that no operator was given: they are nobody's.
    people = people.with_columns(phone=pl.when(pl.Series([is_number(phone) for phone in people["phone"]])).then("phone"))
    names = (
        ("has_account", "account_id", "account_id"),
        ("has_account", "second_account_id", "account_id"),
        ("has_contact", "contact_id", "contact_id"),
    )
    return pl.concat(
        people.filter(pl.col(flag) & pl.col(column).is_not_null()).select(
            "true_person", "phone", "is_test", kind=pl.lit(kind), record=pl.col(column)
        )
        for flag, column, kind in names
    )


# Everything below is per true person that a row's person reaches: a "reader" is (person_id, true_person).
TIES = """
create or replace temp table records_now as
select records.kind, records.record, records.true_person, records.is_test, stated.email,
    case when replace(stated.phone, ' ', '') = records.phone then records.phone end as phone,
    stated.country_code, stated.region_code, stated.time_zone, stated.birth_date, stated.closed_at, stated.is_flagged_test
from true_records as records
inner join (
    select 'account_id' as kind, account_id as record, lower(trim(email)) as email, phone, country_code, region_code, time_zone, birth_date,
        closed_at, is_test or lower(trim(email)) like '%@qa.shop.test' as is_flagged_test
    from accounts where landed_at <= $run
    qualify row_number() over (partition by account_id order by source_updated_at desc, landed_at desc) = 1
    union all by name
    select 'contact_id' as kind, contact_id as record, lower(trim(email)) as email, phone
    from contacts where landed_at <= $run
    qualify row_number() over (partition by contact_id order by source_updated_at desc, landed_at desc) = 1
) as stated using (kind, record);

-- What exactly one true person states. A form that is no address ties nobody.
create or replace temp table own_words as
with words as (
    select true_person, 'email' as what, email as word from records_now where regexp_full_match(email, '[^@ ]+@[^@ ]+[.][^@ ]+')
    union
    select true_person, 'phone', phone from records_now where phone is not null
)
select what, word, any_value(true_person) as true_person from words group by what, word having count(*) = 1;

create or replace temp table ties as
select one.kind, one.record, other.kind as other_kind, other.record as other
from own_words
inner join records_now as one on one.true_person = own_words.true_person
    and ((own_words.what = 'email' and one.email = own_words.word) or (own_words.what = 'phone' and one.phone = own_words.word))
inner join records_now as other on other.true_person = own_words.true_person
    and ((own_words.what = 'email' and other.email = own_words.word) or (own_words.what = 'phone' and other.phone = own_words.word))
union
select one_kind, one, other_kind, other from operator_links
union
select other_kind, other, one_kind, one from operator_links;

create or replace temp table tied as
with recursive reached as (
    select lookups.person_id, records_now.true_person, records_now.kind, records_now.record
    from lookups
    inner join records_now on lookups.identifier_kind = records_now.kind and lookups.identifier = records_now.record
    where lookups.person_id in (select person_id from live)
    union
    select reached.person_id, reached.true_person, ties.other_kind, ties.other
    from reached inner join ties on reached.kind = ties.kind and reached.record = ties.record
)
select reached.*, records_now.email, records_now.country_code, records_now.region_code, records_now.time_zone, records_now.birth_date,
    records_now.is_test, records_now.is_flagged_test, records_now.closed_at, own_words.word is not null as is_own_email
from reached
inner join records_now using (kind, record)
left join own_words on own_words.what = 'email' and own_words.word = records_now.email;

create or replace temp table mailed_unasked as
select person_id from tied where kind = 'account_id' and (closed_at is null or closed_at > $run)
group by person_id having bool_and(coalesce(country_code = 'US', false));

create or replace temp table kyc_now as
select * from kyc_records where landed_at <= $at
qualify row_number() over (
    partition by account_id order by source_updated_at desc, verified_at desc nulls last, kyc_id desc, landed_at desc
) = 1;
"""

# Each gives noes: person_id, a channel (null: every), what it stops, why.
NOES = {
    "consent": """
        with words as (
            select 'contact_id' as kind, contact_id as subject, * from consents where contact_id is not null
            union all
            select 'account_id', account_id, * from consents where contact_id is null and account_id is not null
            union all
            select 'email', lower(trim(email)), * from consents where contact_id is null and account_id is null
        ),
        by_channel as (
            select kind, subject, status, recorded_at, landed_at,
                unnest(case when channel is null then ['email', 'sms', 'push', 'chat'] else [channel] end) as channel
            from words where purpose = 'marketing' and landed_at <= $at and recorded_at <= $at
        ),
        latest as (
            select * from by_channel
            qualify row_number() over (
                partition by kind, subject, channel order by recorded_at desc, status = 'withdrawn' desc, status = 'denied' desc
            ) = 1
        )
        select distinct tied.person_id, case latest.channel when 'chat' then 'chatbot' else latest.channel end as channel,
            case when latest.landed_at <= $run and (latest.channel = 'chat' or (latest.channel = 'email' and mailed.person_id is not null))
                then 'passed over' else 'everything'
            end as stops,
            'consent ' || latest.status as why
        from latest
        inner join tied on (latest.kind = tied.kind and latest.subject = tied.record)
            or (latest.kind = 'email' and tied.is_own_email and latest.subject = tied.email)
        left join mailed_unasked as mailed on tied.person_id = mailed.person_id
        where latest.status in ('denied', 'withdrawn')
    """,
    # US residents may be mailed until they unsubscribe; nobody else is mailed, texted or pushed without having once said yes.
    "never agreed": """
        with yes as (
            select distinct tied.person_id, tied.true_person,
                unnest(case when consents.channel is null then ['email', 'sms', 'push', 'chat'] else [consents.channel] end) as channel
            from consents
            inner join tied on (tied.kind = 'contact_id' and consents.contact_id = tied.record)
                or (consents.contact_id is null and tied.kind = 'account_id' and consents.account_id = tied.record)
                or (consents.contact_id is null and consents.account_id is null and lower(trim(consents.email)) = tied.email)
            where consents.status = 'granted' and consents.purpose in ('marketing', 'soft_opt_in', 'telemarketing')
                and consents.landed_at <= $at and consents.recorded_at <= $at
        ),
        readers as (select distinct person_id, true_person from tied)
        select readers.person_id, pushed.channel, 'everything' as stops, 'never agreed to this channel' as why
        from readers cross join (values ('email'), ('sms'), ('push')) as pushed(channel)
        where not (pushed.channel = 'email' and readers.person_id in (select person_id from mailed_unasked))
            and not exists (
                select 1 from yes
                where yes.person_id = readers.person_id and yes.true_person = readers.true_person and yes.channel = pushed.channel
            )
    """,
    # The latest word of whichever record of theirs counts; of two at one instant the one that says stop.
    "personalisation off": """
        with latest as (
            select tied.person_id, preferences.personalisation_off
            from preferences
            inner join tied on tied.kind = case when preferences.contact_id is not null then 'contact_id' else 'account_id' end
                and tied.record = coalesce(preferences.contact_id, preferences.account_id)
            where preferences.personalisation_off is not null and preferences.landed_at <= $at and preferences.recorded_at <= $at
            qualify row_number() over (
                partition by tied.person_id, tied.true_person order by preferences.recorded_at desc, preferences.personalisation_off desc
            ) = 1
        )
        select distinct person_id, null as channel, 'everything' as stops, 'personalisation switched off' as why
        from latest where personalisation_off
    """,
    "unsubscribed": """
        select distinct tied.person_id, 'email' as channel, 'everything' as stops, 'unsubscribed' as why
        from messages
        inner join tied on tied.kind = 'contact_id' and messages.contact_id = tied.record
        where messages.channel = 'email' and messages.unsubscribed_at <= $run and messages.landed_at <= $run
            and not exists (
                select 1 from consents
                where consents.contact_id = messages.contact_id and consents.status = 'granted' and consents.purpose = 'marketing'
                    and consents.recorded_at > messages.unsubscribed_at
            )
    """,
    "restricted": """
        with latest as (
            select * from restrictions where landed_at <= $at
            qualify row_number() over (partition by restriction_id order by source_updated_at desc, landed_at desc, status = 'open' desc) = 1
        )
        select distinct tied.person_id, null as channel,
            case when latest.landed_at > $run and kinds.stops = 'risky' then 'promotions' else coalesce(kinds.stops, 'promotions') end as stops,
            'restriction ' || latest.kind as why
        from latest
        inner join tied on (tied.kind = 'account_id' and latest.account_id = tied.record)
            or (tied.is_own_email and lower(trim(latest.email)) = tied.email)
        left join stops_of_kinds as kinds on latest.kind = kinds.kind
        where latest.status = 'open' and latest.starts_at <= $at and (latest.ends_at is null or latest.ends_at > $at)
    """,
    "screening": """
        with last_runs as (
            select * from screening_runs where landed_at <= $at
            qualify row_number() over (partition by scope order by screened_at desc) = 1
        )
        select distinct tied.person_id, null as channel, 'everything' as stops, 'screening ' || screening_hits.outcome as why
        from screening_hits
        inner join last_runs using (screening_run_id)
        left join wallet_links on lower(screening_hits.wallet_address) = lower(wallet_links.wallet_address) and wallet_links.landed_at <= $run
        inner join tied on tied.kind = 'account_id' and tied.record = coalesce(screening_hits.account_id, wallet_links.account_id)
        where screening_hits.outcome in ('potential', 'confirmed') and screening_hits.landed_at <= $at
    """,
    "identity checks": """
        with held as (
            select tied.person_id, tied.true_person,
                min(case when kyc_now.status = 'verified' and (kyc_now.expires_at is null or kyc_now.expires_at > $at) then kyc_now.tier else 0 end)
                    filter (tied.kind = 'account_id' and (tied.closed_at is null or tied.closed_at > $run)) as tier
            from tied
            left join kyc_now on tied.kind = 'account_id' and tied.record = kyc_now.account_id
            group by all
        )
        select person_id, null as channel, 'tier ' || levels.tier as stops, 'verified tier ' || coalesce(held.tier, 0) as why
        from held inner join (values (1), (2)) as levels(tier) on coalesce(held.tier, 0) < levels.tier
    """,
    # High, prohibited, unknown, or not looked at for thirty days.
    "money laundering": """
        select distinct tied.person_id, null as channel, 'promotions' as stops,
            'money laundering risk ' || coalesce(kyc_now.risk_band, 'unknown') as why
        from tied
        inner join kyc_now on tied.kind = 'account_id' and tied.record = kyc_now.account_id
        where (tied.closed_at is null or tied.closed_at > $run)
            and (
                coalesce(kyc_now.risk_band, 'unknown') not in ('low', 'medium') or kyc_now.risk_scored_at is null
                or kyc_now.risk_scored_at < $run - interval 30 day
            )
    """,
    # A passed test of the line, not older than a year, is asked of some lines; somebody who failed it last has not passed it.
    "appropriateness": """
        with latest as (
            select account_id, product_line, result, taken_at, expires_at from assessments
            where kind = 'appropriateness' and landed_at <= $at and taken_at <= $at
            qualify row_number() over (partition by account_id, product_line order by taken_at desc, result <> 'passed' desc) = 1
        )
        select distinct readers.person_id, null as channel, 'promotion of ' || lines.product_line as stops,
            'no passed test of ' || lines.product_line as why
        from (select distinct person_id, true_person from tied) as readers
        cross join lines
        where lines.asks_for_test
            and not exists (
                select 1 from tied inner join latest on tied.kind = 'account_id' and tied.record = latest.account_id
                where tied.person_id = readers.person_id and tied.true_person = readers.true_person and latest.product_line = lines.product_line
                    and latest.result = 'passed' and coalesce(latest.expires_at, latest.taken_at + interval 365 day) > $at
            )
    """,
    "residence": """
        with places as (
            select person_id, coalesce(region_code, country_code) as market, tied.record as account_id
            from tied where kind = 'account_id' and (closed_at is null or closed_at > $run) and country_code in (select country_code from countries)
            union
            select tied.person_id, coalesce(kyc_now.residence_region, kyc_now.residence_country), tied.record
            from tied inner join kyc_now on tied.kind = 'account_id' and tied.record = kyc_now.account_id
            where kyc_now.landed_at <= $run
        ),
        classed as (select places.*, coalesce(kyc_now.client_class, 'retail') as client_class from places left join kyc_now using (account_id))
        select distinct classed.person_id, null as channel, 'line ' || lines.product_line as stops, 'not permitted in ' || classed.market as why
        from classed
        cross join lines
        where not exists (
            select 1 from permitted
            where permitted.market = classed.market and permitted.product_line = lines.product_line
                and (permitted.client_class = 'retail' or permitted.client_class = classed.client_class)
                and permitted.begins <= $at and permitted.ends > $at
        )
    """,
    "minor": """
        select distinct tied.person_id, null as channel, 'everything' as stops, 'under age' as why
        from tied
        left join kyc_now on tied.kind = 'account_id' and tied.record = kyc_now.account_id
        where greatest(tied.birth_date, kyc_now.birth_date) > (($run)::date - interval 18 year - interval 1 day)::date
    """,
    "test": """
        select distinct person_id, null as channel, 'everything' as stops, 'a test account' as why from tied where is_test and is_flagged_test
    """,
}

VERDICTS = """
with shown as (
    select live.*, offers.product_line, offers.is_promotion, offers.leverage, lines.rank, lines.min_kyc, lines.worst_market
    from live left join offers using (offer_id) left join lines using (product_line)
)
select shown.decision_id, shown.person_id, shown.channel, shown.offer_id, noes.why, noes.stops = 'passed over' as is_passed_over
from shown inner join noes on noes.person_id = shown.person_id and (noes.channel is null or noes.channel = shown.channel)
where noes.stops in ('everything', 'passed over')
    or (noes.stops = 'promotions' and shown.is_promotion)
    or (noes.stops = 'risky' and shown.is_promotion and shown.rank >= 2)
    or (noes.stops = 'tier 1' and shown.is_promotion and shown.min_kyc >= 1)
    or (noes.stops = 'tier 2' and shown.is_promotion and shown.min_kyc >= 2)
    or noes.stops = 'line ' || shown.product_line
    or (noes.stops = 'promotion of ' || shown.product_line and shown.is_promotion)
union
select decision_id, person_id, channel, offer_id, 'an offer the shop may not make', false from shown
where product_line is null or offer_id in (select offer_id from never)
    or offer_id in (select offer_id from not_before where $run < begins_at)
    or (offer_id, channel) in (select (offer_id, channel) from never_on)
union
select decision_id, person_id, channel, offer_id, 'arm ' || arm, false from shown where arm <> 'treated'
union
select decision_id, person_id, channel, offer_id, 'outside its time', false from shown where valid_from > $now or valid_until <= $now
union
select decision_id, person_id, channel, offer_id, 'speculative while markets crash', false from shown
where $is_crash and is_promotion and worst_market < 2
union
-- The next moment at which it may be sent, by the sender's own window, in the zones that the person's accounts name.
select shown.decision_id, shown.person_id, shown.channel, shown.offer_id, 'sent at night', false from shown
inner join (
    select distinct person_id, time_zone from tied
    where time_zone in (select time_zone from zones) and (closed_at is null or closed_at > $run)
) as homes using (person_id)
where shown.channel in ('sms', 'push') and greatest(coalesce(send_after, $now), $now) < coalesce(send_before, valid_until)
    and not hour(greatest(coalesce(send_after, $now), $now)::timestamptz at time zone homes.time_zone) between 8 and 20
"""


class Judge:
    """Gives the violations among live rows; remembers what it has read of the landing folder."""

    def __init__(self, landing: Path, truth: Path, policy: Path, shop: str = "crypto") -> None:
        self.landed = Landed(landing, TABLES)
        self._put("true_records", true_records(truth))
        self._put("zones", pl.DataFrame({"time_zone": sorted({row[4] for row in geo.MARKETS})}))
        self._put("countries", pl.DataFrame({"country_code": sorted({row[2] for row in geo.MARKETS})}))
        self._house(yaml.safe_load((policy / "shops" / f"{shop}.yml").read_text(encoding="utf-8")))
        kept = ("offer_id", "product_line", "is_promotion", "leverage")
        self._put("offers", pl.DataFrame([{name: offer[name] for name in kept} for offer in OFFERS]))
        self._put("never", pl.DataFrame({"offer_id": NEVER}))
        self._put("not_before", pl.DataFrame(NOT_BEFORE, schema=["offer_id", "begins_at"], orient="row"))
        self._put("never_on", pl.DataFrame(NEVER_ON, schema=["offer_id", "channel"], orient="row"))
        stops = [(kind, what) for what, kinds in STOPS.items() for kind in kinds]
        self._put("stops_of_kinds", pl.DataFrame(stops, schema=["kind", "stops"], orient="row"))

    def _put(self, name: str, frame: pl.DataFrame) -> None:
        self.landed.connection.register("made", frame.to_arrow())
        self.landed.connection.execute(f"create or replace temp table {name} as from made")

    def _house(self, shop: dict) -> None:
        """The product lines, and what is permitted where."""
        lines = [
            (line["product"], line["rank"], line["min_kyc"], line["vol_max"], line["approp"]) for line in shop["product_lines"]
        ]
        self._put(
            "lines",
            pl.DataFrame(lines, schema=["product_line", "rank", "min_kyc", "worst_market", "asks_for_test"], orient="row"),
        )
        rows = [
            (market, line, given["client_class"], _instant(given["from"]), _instant(given["to"]))
            for market, place in shop["regime_map"].items()
            for given in shop["permissions"]
            if given["regime"] == place["permission"]
            for line in given["products"]
        ]
        columns = ["market", "product_line", "client_class", "begins", "ends"]
        self._put("permitted", pl.DataFrame(rows, schema=columns, orient="row"))

    def violations(
        self,
        live: pl.DataFrame,
        lookups: pl.DataFrame,
        *,
        run: datetime,
        at: datetime,
        links: Iterable[Link] = (),
        is_crash: bool = False,
    ) -> pl.DataFrame:
        """One row per live row and reason for which it is not permitted at `at`; `run` is the as_of of the run that stands.

        `is_crash`: markets have been crashing for at least a day of bars known to that run.
        """
        self.landed.read(at)
        connection = self.landed.connection
        self._put("live", live)
        self._put("lookups", lookups)
        tied = [(*link.one, *link.other) for link in links]
        columns = dict.fromkeys(("one_kind", "one", "other_kind", "other"), pl.String)
        self._put("operator_links", pl.DataFrame(tied, schema=columns, orient="row"))
        for statement in TIES.split(";"):
            if statement.strip():
                given = {"run": run, "at": at}
                connection.execute(statement, {name: value for name, value in given.items() if f"${name}" in statement})
        noes = []
        for query in NOES.values():
            given = {"run": run, "at": at}
            noes.append(connection.execute(query, {name: value for name, value in given.items() if f"${name}" in query}).pl())
        kinds = dict.fromkeys(("person_id", "channel", "stops", "why"), pl.String)
        self._put("noes", pl.concat([frame.cast(kinds) for frame in noes]))
        found = connection.execute(VERDICTS + " order by all", {"now": text(at), "run": run, "is_crash": is_crash}).pl()
        return found.cast(CAUGHT)


def _instant(given: str) -> datetime:
    return datetime.fromisoformat(given.replace("Z", "+00:00"))
