"""The landing contract loads whole, says everything that is wrong with it, and is what docs/contract.md shows."""

import pytest

from candor import contract
from candor.errors import ContractError
from candor.settings import PROJECT_ROOT


def test_contract_md_is_what_the_contract_renders_to():
    written = (PROJECT_ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    assert written == contract.render_markdown(), "docs/contract.md is out of date: run `candor contract --write`"


def test_every_table_and_column_stands_in_contract_md():
    text = contract.render_markdown()
    for table in contract.load().tables:
        section = text.split(f"#### `{table.full_name}`")[1].split("####")[0]
        for column in table.columns:
            assert f"| `{column.name}` |" in section, f"{table.full_name}.{column.name} is missing"


def test_only_compliance_is_restricted():
    assert {table.source for table in contract.load().tables if table.restricted} == {"compliance"}


def test_nullable_types_values_and_bounds_are_read():
    tier = contract.load().table("compliance.kyc_records").column("tier")
    assert (tier.type, tier.nullable, tier.minimum, tier.maximum) == ("int", False, 0, 2)
    assert contract.load().table("exchange.accounts").column("email").nullable
    assert contract.load().table("exchange.trades").column("side").values == ("buy", "sell")


def test_all_problems_of_a_contract_are_reported_at_once():
    broken = """
version: 1
limits: {max_line_bytes: 10, earliest: "1900-01-01", latest: "2100-01-01"}
sources:
  s:
    tables:
      t: {grain: x, kind: thing, key: [nowhere], columns: {a: text, b: {type: string, min: 1}, c: {type: int, mim: 1}}}
"""
    with pytest.raises(ContractError) as raised:
        contract.parse(broken)
    for part in ("kind 'thing'", "type 'text'", "'nowhere'", "s.t.b: min and max", "unknown keys mim"):
        assert part in raised.value.message


def test_an_unknown_table_is_named_in_the_error():
    with pytest.raises(ContractError, match=r"'crm\.nothing'"):
        contract.load().table("crm.nothing")
