"""What can go wrong, each with the exit code a caller should see."""

from __future__ import annotations


class CandorError(Exception):
    """Say what is wrong and with which value; `hint` says what to do. Exit code 3 unless a subclass knows better."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n\nhint: {self.hint}"


class UsageError(CandorError):
    """The call cannot be carried out as written: a bad argument, a missing file, an unknown name."""

    exit_code = 2


class SettingsError(UsageError):
    """One or more settings are unusable; the message lists all of them."""


class ContractError(UsageError):
    """The landing contract, or a delivery as a whole, cannot be read."""


class PolicyError(UsageError):
    """The policy does not load; the message names file, rule and line of every problem."""


class GateFailed(CandorError):
    """A gate refused the batch. Yesterday's offers stay live."""

    exit_code = 1


class AuditFailed(CandorError):
    """The audit found a row that may not go out. Nothing was published."""

    exit_code = 1


class BuildFailed(CandorError):
    """A dbt layer failed: a model did not build, or one of its tests found rows."""

    exit_code = 1


class NoChampion(CandorError):
    """No model promoted from an earlier training exists, so nothing is scored and nothing is published."""

    exit_code = 0
