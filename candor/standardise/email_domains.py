"""Which mail domains hand out throw-away addresses: state.email_domains, made anew in each run, because the lists change.

Three lists together: the one beside this module (disposable-email-domains of npm, see disposable_domains.md) and two packages that the lock
file pins and an update of the lock renews. A domain counts with everything below it, as such services hand out subdomains too.
"""

from __future__ import annotations

import functools
import lzma
from pathlib import Path
from typing import TYPE_CHECKING

from candor.standardise import answers

if TYPE_CHECKING:
    import duckdb

TABLE = "state.email_domains"
COLUMNS = {"domain": "varchar not null", "is_disposable": "boolean not null"}
SOURCES = ("raw.exchange__accounts", "raw.crm__contacts", "raw.crm__consents", "raw.surveys__responses")
# Addresses that forward for as long as their owner wants, one per shop: private, but not thrown away. Some lists count them in.
_FORWARDING = """
    duck.com mozmail.com relay.firefox.com privaterelay.appleid.com simplelogin.com simplelogin.co simplelogin.fr aleeas.com
    slmail.me anonaddy.com anonaddy.me addy.io passmail.net passinbox.com
"""
FORWARDING = frozenset(_FORWARDING.split())


def refresh(connection: duckdb.DuckDBPyConnection) -> int:
    """How many distinct mail domains the sources hold; each of them has its row in state.email_domains."""
    connection.execute(f"drop table if exists {TABLE}; {answers.table_ddl(TABLE, COLUMNS)}")
    domains = " union ".join(
        f"select lower(regexp_extract(trim(email), '@([^@]+)$', 1)) as domain from {table} where contains(email, '@')"
        for table in SOURCES
    )
    return answers.keep(connection, TABLE, COLUMNS, domains, lambda asked: [(is_disposable(domain),) for (domain,) in asked])


def is_disposable(domain: str) -> bool:
    """Whether the domain (lower case), or one that it is below, hands out throw-away addresses."""
    labels = domain.split(".")
    parents = {".".join(labels[start:]) for start in range(len(labels) - 1)}
    return not parents & FORWARDING and not parents.isdisjoint(listed())


@functools.cache
def listed() -> frozenset[str]:
    """Every domain of the three lists."""
    import disposable_email_domains
    import MailChecker

    packed = Path(__file__).with_name("disposable_domains.txt.xz").read_bytes()
    return frozenset(
        {
            *lzma.decompress(packed).decode("ascii").split(),
            *disposable_email_domains.blocklist,
            *MailChecker.MailChecker.blacklist,
        }
    )
