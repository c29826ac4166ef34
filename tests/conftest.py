"""Fixtures shared by all tests: a state folder of their own, never the checkout's."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.settings import PROJECT_ROOT, Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose state lives under the test's own folder, with a fixed hash key."""
    return load(
        {
            "CANDOR_STATE_DIR": str(tmp_path / "var"),
            "CANDOR_POLICY_DIR": str(PROJECT_ROOT / "policy"),
            "CANDOR_HASH_KEY": "0" * 64,
            "CANDOR_MEMORY_LIMIT": "2GB",
        }
    )
