"""After identity: no collapse, no explosion, nobody lost and nobody in two persons; and hygiene as usual.

What is usual is the median of the last 28 runs before this one (dbt_project/macros/hygiene.sql says how a change is told from chance). Until
five runs are known only absolute limits hold, and what one run shows by itself: rows seen for the first time against all the others.
"""

from __future__ import annotations

from candor.gates.checks import WARNING, Inputs, Table, no_rows

# A person keeps an e-mail, a phone, a few accounts, wallets and devices, and a cookie per browser and clear-out. Hundreds mean
# that a hub (a library's device, an exchange's hot wallet) got past its guard and glued strangers together.
MAX_IDENTIFIERS_PER_PERSON = 500
WARN_IDENTIFIERS_PER_PERSON = 100
# Duplicate accounts of one human exist (re-registration, a second entity); more than five is a merge of strangers.
MAX_ACCOUNTS_PER_PERSON = 5
# Below this the share of joined accounts says nothing.
MIN_ACCOUNTS = 20
# A key that meets less than half of what it met is lost, not weaker: people move, but not half of them in a night.
COLLAPSED = 0.5
# Without history the rows that are new are held against all rows: lost is less than a quarter of what they should be, and so few by chance
# once in 20,000 times (exp(-10), Chernoff's bound on a Poisson tail).
COLLAPSED_BESIDE_THE_REST, RARITY = 0.25, 10
# A dozen new records without a number are somebody's import, and not worth a day without offers; they are a warning.
SMALL_IMPORT = 20
# A handful of testers is every week's business; from 20 on, and a fifth of what is new, a test environment was exported.
MAX_NEW_TESTS, MAX_NEW_TEST_SHARE = 20, 0.2
# A library's machine or a wallet of an exchange links nobody and harms nobody. An address that 50 records carry is a form's default value
# or a column that slipped: offers, consents and objections would be looked up by it.
NEW_HUB_DEGREE = 50
# In a made-up shop of 300 people a third of all links hang on its three planted hubs; with more than 60 % nothing is known about anybody.
MAX_HUB_SHARE = 0.6
# One id that turned into somebody else is a support ticket; five, and one in 200 records, are a source that numbers its customers anew.
MAX_RECYCLED, MAX_RECYCLED_SHARE = 5, 0.005


def tables(inputs: Inputs) -> list[Table]:
    """Identifiers, persons, accounts, how accounts join the other sources; then hygiene against the runs before."""
    del inputs
    return [
        *(_identifiers(), _persons(), _accounts(), _joins()),
        *(_join_keys(), _test_records(), _hubs(), _recycled(), _merging(), _trends()),
    ]


def _identifiers() -> Table:
    return Table(
        "identity.person_identifiers",
        "select identifier_kind, identifier, person_id from identity.person_identifiers",
        [
            no_rows(
                "no identifier belongs to two persons",
                "select identifier_kind, count(*) as persons, min(person_id) as one, max(person_id) as other "
                "from {batch} group by identifier_kind, identifier having count(*) > 1",
                note="One identifier is one person by construction; two would show one human another's offers.",
            ),
            no_rows(
                "every row names a kind, an identifier and a person",
                "select person_id, identifier_kind from {batch} "
                "where person_id is null or identifier is null or identifier_kind is null",
                note="A row without one of them cannot be looked up.",
            ),
        ],
        keys=("person_id", "identifier_kind"),
    )


def _persons() -> Table:
    query = """
        select person_id, count(*)::bigint as identifiers,
            count(*) filter (where identifier_kind = 'account_id')::bigint as accounts
        from identity.person_identifiers group by person_id
    """
    return Table(
        "persons",
        query,
        [
            no_rows(
                "there are people",
                "select 'nobody' as found from (select count(*) as people from {batch}) where people = 0",
                note="Zero people is a failed join, never a market.",
            ),
            no_rows(
                f"nobody has more than {MAX_IDENTIFIERS_PER_PERSON} identifiers",
                f"select person_id, identifiers, accounts from {{batch}} where identifiers > {MAX_IDENTIFIERS_PER_PERSON}",
                note="Hundreds of identifiers are strangers glued together by a hub that got past its guard.",
            ),
            no_rows(
                f"nobody has more than {WARN_IDENTIFIERS_PER_PERSON} identifiers",
                f"select person_id, identifiers, accounts from {{batch}} "
                f"where identifiers > {WARN_IDENTIFIERS_PER_PERSON} and identifiers <= {MAX_IDENTIFIERS_PER_PERSON}",
                note="Possible for a heavy user who clears cookies; worth a look when it grows.",
                severity=WARNING,
            ),
            no_rows(
                f"nobody has more than {MAX_ACCOUNTS_PER_PERSON} accounts",
                f"select person_id, accounts, identifiers from {{batch}} where accounts > {MAX_ACCOUNTS_PER_PERSON}",
                note="Re-registration gives two or three; more is a merge of strangers, who share each other's restrictions.",
            ),
        ],
        keys=("person_id",),
    )


def _accounts() -> Table:
    query = """
        select accounts.account_id, count(distinct person_identifiers.person_id)::bigint as persons
        from (select distinct account_id from staging.stg_exchange__accounts) as accounts
        left join identity.identifiers as identifiers
            on identifiers.identifier_kind = 'account_id' and accounts.account_id = identifiers.identifier
        left join identity.person_identifiers as person_identifiers
            on person_identifiers.identifier_kind = 'account_id' and accounts.account_id = person_identifiers.identifier
        where not coalesce(identifiers.is_hub, false) and not coalesce(identifiers.is_blocked, false)
        group by accounts.account_id
    """
    return Table(
        "exchange accounts",
        query,
        [
            no_rows(
                "every account that is no hub and not blocked has exactly one person",
                "select account_id, persons from {batch} where persons <> 1",
                note="An account without a person loses its restrictions; one with two shows them to somebody else.",
            )
        ],
        keys=("account_id",),
    )


def _joins() -> Table:
    # One row per way in which accounts meet another source. Losing one join key (a changed e-mail format, say) brings its
    # share to 0 while every other number still looks healthy.
    query = """
        with account_persons as (
            select person_id, count(*)::bigint as accounts from identity.person_identifiers
            where identifier_kind = 'account_id' group by person_id
        ),
        kinds as (
            select identifier_kind, person_id from identity.person_identifiers
            where identifier_kind <> 'account_id' group by identifier_kind, person_id
        ),
        totals as (select coalesce(sum(accounts), 0)::bigint as accounts from account_persons)
        select kinds.identifier_kind, count(*)::bigint as persons_with_it,
            coalesce(sum(account_persons.accounts), 0)::bigint as accounts_joined, any_value(totals.accounts) as accounts
        from kinds left join account_persons on kinds.person_id = account_persons.person_id cross join totals
        group by kinds.identifier_kind
    """
    return Table(
        "accounts joined to other identifiers",
        query,
        [
            no_rows(
                "accounts meet contacts, e-mails, phones, devices and wallets wherever those exist",
                f"select identifier_kind, persons_with_it, accounts_joined, accounts from {{batch}} "
                f"where accounts >= {MIN_ACCOUNTS} and persons_with_it >= {MIN_ACCOUNTS} and accounts_joined = 0",
                note="A share of exactly 0 is a lost join key, for instance an e-mail that one source stopped standardising.",
            ),
            no_rows(
                "some accounts are joined to a contact",
                "select 'contact_id' as identifier_kind, accounts_joined, accounts from (select "
                "coalesce(sum(accounts_joined) filter (where identifier_kind = 'contact_id'), 0)::bigint as accounts_joined, "
                "coalesce(max(accounts), 0) as accounts from {batch}) "
                f"where accounts >= {MIN_ACCOUNTS} and accounts_joined = 0",
                note="Consent is recorded on contacts: without this join nobody has any.",
            ),
        ],
        keys=("identifier_kind",),
    )


def _join_keys() -> Table:
    query = """
        select join_keys.source || '.' || join_keys.table_name as feed, join_keys.key, join_keys.met, join_keys.seen, join_keys.records,
            join_keys.share_joined, join_keys.carrying, join_keys.targets, join_keys.latest_delivery, join_keys.not_joined,
            trends.usual, trends.runs, coalesce(trends.verdict, 'too few runs to tell') as verdict,
            -- An import of people nobody knew yet carries addresses that meet nothing, which is no fault; ids must meet their records.
            join_keys.key in ('email', 'phone') as is_address,
            (case when is_address then join_keys.carrying else join_keys.joined end)::double as found,
            join_keys.records * (case when is_address then all_rows.share_carrying else all_rows.share_joined end) as expected
        from hygiene.join_keys as join_keys
        left join hygiene.join_keys as all_rows
            on join_keys.source = all_rows.source and join_keys.table_name = all_rows.table_name and join_keys.key = all_rows.key
            and all_rows.seen = 'all'
        left join hygiene.trends as trends
            on trends.metric = 'join_key_joined' and trends.source = join_keys.source and trends.table_name = join_keys.table_name
            and trends.key = join_keys.key || ', ' || join_keys.seen
    """
    rarity = "expected - found + case when found > 0 then found * ln(found / expected) else 0 end"
    is_beside = f"(expected > 0 and found < {COLLAPSED_BESIDE_THE_REST} * expected and {rarity} >= {RARITY})"
    collapsed = (
        f"targets >= {MIN_ACCOUNTS} and ("
        f"(verdict = 'low' and share_joined < {COLLAPSED} * usual and (seen = 'all' or not is_address or {is_beside}))"
        f" or (seen = 'all' and carrying >= {MIN_ACCOUNTS} and share_joined = 0)"
        f" or (seen = 'new' and records >= {SMALL_IMPORT} and {is_beside}))"
    )
    small = f"targets >= {MIN_ACCOUNTS} and seen = 'new' and records < {SMALL_IMPORT} and {is_beside}"
    shown = (
        "select feed, key, met, seen, records, round(share_joined, 3) as share_joined, round(usual, 3) as usual, latest_delivery, "
        "not_joined from {batch} where"
    )
    return Table(
        "join keys",
        query,
        [
            no_rows(
                "no join key was lost",
                f"{shown} {collapsed}",
                note="The key is empty, written in another form, or names records that nobody delivered: people fall apart, and their "
                "consents, restrictions and history with them. `not_joined` names records, `latest_delivery` the folder they came in.",
            ),
            no_rows(
                "every join key joins as much as usual",
                f"{shown} (verdict = 'low' or ({small})) and not ({collapsed})",
                note="Weaker than in the last 28 runs, or than the rest in a small import, by more than chance; nothing is merged because of "
                "it, people may be split.",
                severity=WARNING,
            ),
        ],
        keys=("feed", "key", "seen"),
    )


def _test_records() -> Table:
    shown = "select source || '.' || table_name as feed, record_id, delivery_id, row_hash, new_tests, new_records from {batch} where"
    mass = f"new_tests >= {MAX_NEW_TESTS} and new_tests > {MAX_NEW_TEST_SHARE} * new_records"
    return Table(
        "new test accounts",
        "select * from hygiene.new_test_records",
        [
            no_rows(
                "test accounts do not come in bulk",
                f"{shown} {mass}",
                note="They would get no offer, but whoever landed them landed a test environment: what else came with it (consents, KYC "
                "records, trades) is not marked as a test.",
            )
        ],
        keys=("record_id", "delivery_id"),
    )


def _hubs() -> Table:
    shown = "select identifier_kind, shown_as, degree, hub_of, record, had_an_owner from {batch} where"
    address = "identifier_kind in ('email', 'phone', 'contact_id')"
    return Table(
        "new hubs",
        "select identifier_kind, shown_as, degree, hub_of, record, had_an_owner from hygiene.new_hubs "
        f"where degree >= {NEW_HUB_DEGREE}",
        [
            no_rows(
                f"no address became a hub of {NEW_HUB_DEGREE} or more",
                f"{shown} {address}",
                note="An e-mail address, number or contact on that many records at once is a default value or a column that slipped. "
                "It links nobody, so many records lose theirs.",
            ),
            no_rows(
                f"no machine, wallet or account became a hub of {NEW_HUB_DEGREE} or more",
                f"{shown} not ({address})",
                note="Its links are dropped and glue nobody together; what was done on it is nobody's. Expected for a library's machine "
                "or an exchange's wallet.",
                severity=WARNING,
            ),
        ],
        keys=("identifier_kind", "shown_as"),
    )


def _recycled() -> Table:
    query = """
        select recycled.source || '.' || recycled.table_name as feed, recycled.record_id, recycled.row_hash_before, recycled.row_hash,
            recycled.delivery_id, counted.recycled, counted.records
        from hygiene.recycled_records as recycled
        inner join (
            select metrics.source, metrics.table_name, round(metrics.value * metrics.n)::bigint as recycled, metrics.n as records
            from hygiene.metrics as metrics where metrics.metric = 'recycled'
        ) as counted on recycled.source = counted.source and recycled.table_name = counted.table_name
        where recycled.is_new
    """
    many = f"(recycled >= {MAX_RECYCLED} and recycled > {MAX_RECYCLED_SHARE} * records)"
    shown = "select feed, record_id, row_hash_before, row_hash, delivery_id, recycled from {batch} where"
    return Table(
        "recycled ids",
        query,
        [
            no_rows(
                "ids do not pass to other people in bulk",
                f"{shown} {many}",
                note="The same id, another name and birth date (or name, address and number): the new owner would inherit the old one's "
                "consents, KYC and history. `candor trace` of both hashes shows both.",
            ),
            no_rows(
                "no id passed to another person",
                f"{shown} not {many}",
                note="A single one is a typing error or a number used again; ask the source before its new owner gets an offer.",
                severity=WARNING,
            ),
        ],
        keys=("record_id", "delivery_id"),
    )


def _merging() -> Table:
    query = """
        select trends.metric, trends.key, trends.value, trends.usual, trends.tolerance, trends.runs, trends.verdict, trends.is_bad,
            merging.example_person
        from hygiene.trends as trends
        left join hygiene.merging as merging on trends.metric = merging.side and trends.key = merging.indicator
        where trends.metric in ('over_merge', 'under_merge', 'moved', 'links_dropped')
    """
    shown = "select metric, key, value, usual, verdict, example_person from {batch} where"
    grave = (
        "((metric = 'over_merge' and key in ('largest component', 'persons with two birth dates')) "
        "or (metric = 'moved' and key in ('account_id', 'contact_id')) or (metric = 'links_dropped' and key = 'hub'))"
    )
    return Table(
        "merging and splitting",
        query,
        [
            no_rows(
                "no person grew, and no ids changed hands, out of all proportion",
                f"{shown} {grave} and is_bad",
                note="Half as large as usual again is strangers glued together; ids that move to other people, or a third more links lost to "
                "hubs, are the same seen from the other side.",
            ),
            no_rows(
                f"at most {MAX_HUB_SHARE:.0%} of links hang on hubs",
                f"{shown} metric = 'links_dropped' and key = 'hub' and value > {MAX_HUB_SHARE}",
                note="With most links dropped, who is who rests on what little is left. Holds from the first run on.",
            ),
            no_rows(
                "persons are merged and split as usual",
                f"{shown} not {grave} and is_bad",
                note="Records that disagree (a number handed on), persons alone, or links that join two people, more than in the last 28 "
                "runs. The links are dropped; nobody is merged by them.",
                severity=WARNING,
            ),
        ],
        keys=("metric", "key"),
    )


def _trends() -> Table:
    return Table(
        "hygiene against the last 28 runs",
        """
        select metric, source, table_name, key, value, usual, tolerance, runs, verdict, is_bad from hygiene.trends
        where metric not in ('join_key_joined', 'over_merge', 'under_merge', 'moved', 'links_dropped')
        """,
        [
            no_rows(
                "completeness, freshness, orphans, silos and reach are as usual",
                "select metric, source, table_name, key, round(value, 4) as value, round(usual, 4) as usual, verdict from {batch} where is_bad",
                note="Changed for the worse by more than chance and the smallest change worth a look (hygiene.trend_limits has each with "
                "its why).",
                severity=WARNING,
            )
        ],
        keys=("metric", "source", "table_name", "key"),
    )
