"""Throw-away mail domains: found among the listed ones, never among the providers that people have."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import disposable_email_domains
import duckdb
import MailChecker
import pytest

from candor.standardise import email_domains
from candor.standardise.email_domains import is_disposable

DATA = Path(os.environ.get("CANDOR_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
# The mailboxes most people have, by country; none may ever count as thrown away.
_PROVIDERS = """
    gmail.com googlemail.com outlook.com hotmail.com hotmail.co.uk live.com msn.com yahoo.com yahoo.co.uk ymail.com aol.com icloud.com
    me.com mac.com proton.me protonmail.com pm.me fastmail.com fastmail.fm gmx.com gmx.de gmx.net web.de t-online.de freenet.de mail.ru
    yandex.ru yandex.com ya.ru bk.ru list.ru inbox.ru rambler.ru qq.com 163.com 126.com sina.com foxmail.com naver.com daum.net
    hanmail.net orange.fr wanadoo.fr free.fr laposte.net sfr.fr libero.it virgilio.it comcast.net verizon.net att.net sbcglobal.net
    cox.net btinternet.com sky.com talktalk.net virginmedia.com zoho.com tutanota.com tuta.io tuta.com hey.com mailbox.org posteo.de
    posteo.net rediffmail.com uol.com.br bol.com.br terra.com.br mail.com email.com usa.com startmail.com hushmail.com runbox.com
    disroot.org riseup.net shaw.ca rogers.com bigpond.com optusnet.com.au seznam.cz wp.pl o2.pl onet.pl interia.pl abv.bg ukr.net
"""
PROVIDERS = _PROVIDERS.split()


@pytest.mark.parametrize(
    "domain", ["mailinator.com", "yopmail.com", "guerrillamail.com", "sharklasers.com", "10minutemail.com"]
)
def test_the_well_known_services_are_found_with_what_is_below_them(domain):
    assert is_disposable(domain)
    assert is_disposable(f"some.{domain}")
    assert not is_disposable(f"not{domain}.example")


def test_no_provider_that_people_have_is_taken_for_one():
    assert [domain for domain in PROVIDERS if is_disposable(domain)] == []


def test_private_addresses_that_stay_are_not_thrown_away():
    assert [domain for domain in email_domains.FORWARDING if is_disposable(domain)] == []
    assert [domain for domain in email_domains.FORWARDING if domain in email_domains.listed()], (
        "then the exception is of no use"
    )


@pytest.mark.parametrize("domain", ["", "localhost", "com", ".", "a..b"])
def test_what_is_no_domain_is_not_listed(domain):
    assert not is_disposable(domain)


def test_all_listed_domains_are_lower_case_and_spelled_as_dns_does():
    assert [domain for domain in email_domains.listed() if domain != domain.lower() or not domain.isascii()] == []


def test_nearly_all_of_the_published_list_is_found_and_the_packages_alone_are_measured():
    file = DATA / "disposable_email" / "index.json"
    if not file.is_file():
        pytest.skip(f"NOT TESTED: no list of disposable domains at {file}")
    published = [domain.encode("idna").decode() for domain in json.loads(file.read_text(encoding="utf-8"))]
    packages = {*disposable_email_domains.blocklist, *MailChecker.MailChecker.blacklist}
    found = sum(map(is_disposable, published))
    by_packages = sum(domain in packages for domain in published)
    print(f"disposable: {found:,} of {len(published):,} found; {by_packages:,} by the two packages alone")
    # The published list itself is one of the three; what is missing are services that only forward.
    assert found / len(published) >= 0.999
    # The packages were made by other people from other sources: a quarter of it is theirs as well.
    assert by_packages / len(published) >= 0.2


@pytest.fixture
def connection():
    connection = duckdb.connect(":memory:")
    connection.execute("create schema raw")
    for table in email_domains.SOURCES:
        connection.execute(f"create table {table} (email varchar)")
    yield connection
    connection.close()


@pytest.mark.parametrize("seed", range(2))
def test_each_domain_stands_once_and_a_rerun_gives_the_same_table(connection, seed):
    addresses = [" A@Mailinator.com ", "b@mailinator.com", "c@gmail.com", "no address", "two@ats@yopmail.com", ""]
    random.Random(seed).shuffle(addresses)
    connection.executemany("insert into raw.crm__contacts values (?)", [(address,) for address in addresses])
    connection.execute("insert into raw.exchange__accounts values ('d@gmail.com'), (null)")

    for _ in range(2):
        assert email_domains.refresh(connection) == 3
        kept = connection.execute("select * from state.email_domains").fetchall()
        assert kept == [("gmail.com", False), ("mailinator.com", True), ("yopmail.com", True)]
