"""The rules as a table: a row for every code that may appear, and a sentence only where a customer may be told."""

from __future__ import annotations

import pytest

from candor import policy
from candor.policy import compiling, rulebook
from candor.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "policy"
NAMES = [column.split()[0] for column in rulebook.COLUMNS.split(", ")]


def rows(shop: str) -> list[dict]:
    return [dict(zip(NAMES, row, strict=True)) for row in rulebook.rows(policy.load(FOLDER, shop))]


@pytest.mark.parametrize("shop", ["crypto", "retail"])
def test_every_code_of_every_rule_has_one_row_with_its_rule_and_citation(shop: str) -> None:
    found = rows(shop)
    keys = [(row["code"], row["rule_id"], row["v"], row["effect"], row["visibility"]) for row in found]
    assert len(set(keys)) == len(keys)
    assert {(code, *rest) for code, *rest in keys if not (code.startswith("DISC_MISSING_") and code.endswith("_UNKNOWN"))} == {
        code[:5] for code in compiling.codes(policy.load(FOLDER, shop))
    }
    assert all(row["statement"] and row["cite"] and row["title"] for row in found)


@pytest.mark.parametrize("shop", ["crypto", "retail"])
def test_a_sentence_stands_only_beside_codes_that_may_be_told(shop: str) -> None:
    for row in rows(shop):
        if row["customer_text"] is not None:
            assert (row["visibility"], row["is_unknown"]) == ("safe", False), row["code"]
            assert row["effect"] in ("BLOCK", "HOLD"), row["code"]


def test_known_sentences_and_facts_are_those_of_the_policy() -> None:
    found = {row["code"]: row for row in rows("crypto")}
    assert found["KYC_EXPIRED"]["customer_text"] == "Your ID check has expired. Update it to see offers."
    assert found["UK_INCENTIVE_BAN"]["customer_text"] == "We don't run rewards for investing in the UK."
    for code in ("BRD_FREQ_CAP", "FC_EMBARGO", "JUR_UNKNOWN", "KYC_EXPIRED_UNKNOWN", "BRD_NOT_APPROVED"):
        assert found[code]["customer_text"] is None, code
    assert found["FC_EMBARGO"]["facts"] == ["u_embargo"]
    assert "u_dm_objection" in found["PRV_OBJECTED"]["facts"]
    assert found["DISC_MISSING_OPT_OUT"]["requires"] == "(list_contains(o_disclosures, 'OPT_OUT'))"
