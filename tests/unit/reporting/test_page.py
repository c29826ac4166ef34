"""What the page says of reasons and of people, from a summary made here."""

from __future__ import annotations

import re

from candor.reporting.page import _who, _why_not


def _lines(html: str) -> list[list[str]]:
    """The cells of each line of all tables, without what is drawn."""
    return [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", line)]
        for line in re.findall(r"<tr>(.*?)</tr>", html)
        if "<td" in line
    ]


def _reason(code: str, grain: str, people: int | None, pairs: int | None) -> dict:
    return {"code": code, "grain": grain, "people": people, "pairs": pairs}


def test_a_code_and_its_unknown_stand_in_one_line_the_most_frequent_first():
    html = _why_not({"exclusions": [
        _reason("KYC_EXPIRED", "user", 126, None), _reason("KYC_EXPIRED_UNKNOWN", "user", 2091, None),
        _reason("JUR_UNKNOWN", "user", 1846, None), _reason("SUI_STAGE", "user_x_product", 5000, None),
        _reason("OFFER_EXPIRED", "offer", None, 40), _reason("UK_INCENTIVE_BAN", "offer_x_regime", None, 70),
    ]})  # fmt: skip
    assert _lines(html) == [
        ["SUI_STAGE", "5,000", "0", ""],
        ["KYC_EXPIRED", "126", "2,091", ""],
        ["JUR_UNKNOWN", "0", "1,846", ""],
        ["UK_INCENTIVE_BAN", "70", "0", ""],
        ["OFFER_EXPIRED", "40", "0", ""],
    ]
    assert [float(width) for width in re.findall(r"width:([\d.]+)%", html)] == [100.0, 2.5, 41.8, 36.9, 100.0, 57.1]


def test_a_reason_counted_at_two_grains_counts_its_larger_group_and_not_the_same_people_twice():
    html = _why_not(
        {"exclusions": [_reason("PRV_OBJECTED", "user", 300, None), _reason("PRV_OBJECTED", "user_x_channel", 280, None)]}
    )
    assert _lines(html) == [["PRV_OBJECTED", "300", "0", ""]]


def test_sizes_stand_by_their_number_and_not_by_their_letters():
    sizes = [
        {"metric": "component_sizes", "key": key, "value": 0.25, "n": 100} for key in ("1", "11 to 50", "2 to 5", "6 to 10")
    ]
    html = _who({"published": {}, "hygiene": sizes})
    assert [line[0] for line in _lines(html)] == ["1", "2 to 5", "6 to 10", "11 to 50"]
