"""What the page of a run says of human review."""

from __future__ import annotations

import pytest

from candor.reporting.review import review

TOLD = {
    "kinds": [
        {"kind": "hold", "roles": ["compliance"], "waiting": 7, "overdue": 3, "read_again": 1, "disputed": 0, "decided": 2},
        {"kind": "new_offer", "roles": ["brand", "compliance"], "waiting": 0, "overdue": 0, "read_again": 0, "disputed": 0, "decided": 0},
    ],
    "items_released": 1, "refusals": 2, "overturned": 1, "items_decided": 4, "overturn_rate": 0.25, "overturned_on_re_review": 0,
    "drawn_for_a_re_review": 3, "re_reviews_wait": 3, "re_review_overturn_rate": None, "faster_than_they_can_read": 1, "verdicts": 5,
    "saw_the_score_first": 0, "kappa": None, "kappa_low": None, "kappa_high": None, "pairs_needed": 48, "read_by_two": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        '<span class="n bad" style="display:block">3</span>',
        "brand, compliance",
        "cannot tell yet: 48 more second readings",
        "1 of 4 (25.0%)",
        "none yet",
        "1 of 5",
    ],
)
def test_the_section_says_what_waits_and_how_far_reviewers_agree(said: str) -> None:
    assert said in review(TOLD)


def test_kappa_that_can_be_told_has_its_interval() -> None:
    known = TOLD | {"kappa": 0.4, "kappa_low": 0.15, "kappa_high": 0.65, "pairs_needed": 0, "read_by_two": 50}
    assert "0.40 (0.15 to 0.65, 95 %) of 50 items" in review(known)


def test_a_run_that_queued_nothing_says_so() -> None:
    assert "Nothing was queued" in review(None)
