"""Who may see what of a decision.

| role | codes | rules and citations | scores | drivers of a sentence | facts |
|---|---|---|---|---|---|
| customer, support | none: a sentence for each reason that may be told, else the constant sentence | no | no | none | none |
| marketing | all, restricted ones as ELIG_NA | yes | yes | all but those of money | none |
| compliance | all, restricted ones as ELIG_NA | yes | yes | all | safe and internal ones |
| fincrime | all, the true ones | yes | yes | all | all |
"""

from __future__ import annotations

from dataclasses import dataclass

from candor.errors import UsageError


@dataclass(frozen=True)
class Role:
    """What one role is shown."""

    name: str
    sentences_only: bool = False
    facts: frozenset[str] = frozenset()  # visibilities of the facts
    true_codes: bool = False

    @property
    def reads_the_vault(self) -> bool:
        """Whether the role's answers rest on files of the restricted face."""
        return self.true_codes or bool(self.facts)


ROLES = {
    role.name: role
    for role in (
        Role("customer", sentences_only=True),
        Role("support", sentences_only=True),
        Role("marketing"),
        Role("compliance", facts=frozenset({"safe", "internal"})),
        Role("fincrime", facts=frozenset({"safe", "internal", "restricted"}), true_codes=True),
    )
}


def role(name: str) -> Role:
    """The role called `name`. Raises UsageError, listing those there are, for another."""
    if name not in ROLES:
        raise UsageError(f"no role is called {name!r}", hint=f"--as {', '.join(ROLES)}")
    return ROLES[name]
