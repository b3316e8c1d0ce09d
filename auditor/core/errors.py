"""Every error auditor raises on purpose.

AuditorError                     code, message, where, fix; the command line prints it and exits with 2
├── ConfigurationError           settings, homes, command-line arguments
├── RecordError                  a record, label or mapping that breaks the contract
├── PolicyError                  a policy file that cannot be used
├── DescribeError                a payload that cannot be described (counted, never raised into a host)
├── PluginError                  a plugin that is unknown, clashes or lacks its library
├── StoreError                   the database cannot be asked
├── SegmentError                 a segment that cannot be written (a damaged one is read around and counted)
└── SinkError                    a copy (MLflow, webhook, ...) that could not be made
"""

from __future__ import annotations


class AuditorError(Exception):
    """One clear sentence with a code: what was wrong, where, and what to do.

    Parameters
    ----------
    code : str
        Stable, lower-case, underscored: tests and scripts rely on it.
    message : str
        What was wrong, without a full stop.
    where : str
        File with line, column, key, address: the place to look.
    fix : str
        What the reader can do now.
    """

    def __init__(self, code: str, message: str, *, where: str = "", fix: str = "") -> None:
        self.code = code
        self.message = message
        self.where = where
        self.fix = fix
        super().__init__(code, message, where, fix)

    def __str__(self) -> str:
        return "; ".join(part for part in (self.message, self.where, self.fix) if part)

    def line(self) -> str:
        """The one line that the command line writes to stderr."""
        return f"error[{self.code}]: {self}"

    def as_json(self) -> dict[str, dict[str, str]]:
        """The error object of the contract."""
        return {"error": {"code": self.code, "message": self.message, "where": self.where, "fix": self.fix}}


class ConfigurationError(AuditorError):
    """Settings, a home or arguments that cannot be used."""


class RecordError(AuditorError):
    """A record, label or mapping that breaks the contract."""


class PolicyError(AuditorError):
    """A policy file that cannot be used."""


class DescribeError(AuditorError):
    """A payload that cannot be described: a bomb, a truncated file, a wrong type; `code` goes into the record."""


class PluginError(AuditorError):
    """A plugin that is unknown, clashes with another or lacks its library."""


class StoreError(AuditorError):
    """The store could not be asked or written."""


class SegmentError(AuditorError):
    """A segment could not be written durably."""


class SinkError(AuditorError):
    """A sink could not take a delivery; the store holds it, nothing is lost.

    `permanent` marks a refusal that another attempt would not change: the delivery becomes a dead letter.
    """

    def __init__(self, code: str, message: str, *, where: str = "", fix: str = "", permanent: bool = False) -> None:
        super().__init__(code, message, where=where, fix=fix)
        self.permanent = permanent
