"""After identity: no collapse, no explosion, nobody lost and nobody in two persons."""

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


def tables(inputs: Inputs) -> list[Table]:
    """Identifiers, persons, accounts, and how accounts join the other sources."""
    del inputs
    return [_identifiers(), _persons(), _accounts(), _joins()]


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
