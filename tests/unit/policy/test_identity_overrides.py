"""What operators decided about who is who is checked like every other file of the policy."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from candor.errors import PolicyError
from candor.policy import load

SOURCE = Path(__file__).resolve().parents[3] / "policy"
GOOD = (
    "{action: unlink, one: account_id/ac-1, other: contact_id/co-2, owner: data, reason: father and son, "
    "since: 2026-11-20T00:00:00Z, until: 2027-11-20T00:00:00Z}"
)


def loaded(tmp_path: Path, *rows: str):
    folder = tmp_path / "policy"
    shutil.copytree(SOURCE, folder)
    listed = "".join(f"\n- {row}" for row in rows) or " []"
    (folder / "identity_overrides.yml").write_text(f"schema: identity-overrides/1\noverrides:{listed}\n", encoding="utf-8")
    return load(folder, "crypto")


def test_an_override_is_read_as_it_is_written(tmp_path):
    (override,) = loaded(tmp_path, GOOD).identity_overrides
    assert (override.action, override.one, override.other) == ("unlink", ("account_id", "ac-1"), ("contact_id", "co-2"))
    assert (override.since, override.until) == (datetime(2026, 11, 20, tzinfo=UTC), datetime(2027, 11, 20, tzinfo=UTC))


def test_an_override_changes_the_version_of_the_policy(tmp_path):
    assert loaded(tmp_path / "without").version != loaded(tmp_path / "with", GOOD).version


def test_a_shop_without_the_file_overrules_nothing(tmp_path):
    shutil.copytree(SOURCE, tmp_path / "policy")
    (tmp_path / "policy" / "identity_overrides.yml").unlink()
    assert load(tmp_path / "policy", "crypto").identity_overrides == ()


WRONG = [
    pytest.param("action: unlink", "action: forget", "action", id="unknown_action"),
    pytest.param("account_id/ac-1", "email/ada@example.org", "no e-mail address or phone number in a file", id="personal_data"),
    pytest.param("account_id/ac-1", "ac-1", "must be kind/identifier", id="no_kind"),
    pytest.param("contact_id/co-2", "account_id/ac-1", "both sides are the same", id="with_itself"),
    pytest.param("owner: data", "owner: somebody", "owner 'somebody' is no role", id="unknown_owner"),
    pytest.param("until: 2027", "until: 2029", "at most 366 days later", id="for_ever"),
    pytest.param("until: 2027-11-20", "until: 2026-11-19", "until must be after since", id="ends_before_it_begins"),
    pytest.param("reason: father and son, ", "", "reason", id="no_reason"),
]


@pytest.mark.parametrize(("before", "after", "complaint"), WRONG)
def test_a_wrong_override_is_an_error_with_its_line(tmp_path, before, after, complaint):
    assert before in GOOD
    with pytest.raises(PolicyError, match=rf"identity_overrides\.yml:3: .*{re.escape(complaint)}"):
        loaded(tmp_path, GOOD.replace(before, after))


def test_one_pair_cannot_be_decided_twice(tmp_path):
    turned = (
        GOOD.replace("account_id/ac-1", "x")
        .replace("contact_id/co-2", "account_id/ac-1")
        .replace("one: x", "one: contact_id/co-2")
    )
    with pytest.raises(PolicyError, match="the pair is there twice"):
        loaded(tmp_path, GOOD, turned)
