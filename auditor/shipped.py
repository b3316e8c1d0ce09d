"""Where the folders that travel with auditor are: `policies`, `dashboards`, `migrations`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from auditor.core.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The folder `name`: beside the package in a checkout, else inside the installed package.

    Raises
    ------
    ConfigurationError
        `not_shipped`, when this installation lacks it.

    >>> shipped("migrations").name
    'migrations'
    """
    # Only a checkout has the project's own pyproject.toml beside the package; a folder that merely has the same name in
    # site-packages must not be taken for ours.
    checkout = _PACKAGE.parent / name
    if (_PACKAGE.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    installed = Path(str(resources.files("auditor"))) / "_shipped" / name
    if installed.is_dir():
        return installed
    raise ConfigurationError(
        "not_shipped", f"this installation has no {name!r}", where=str(installed), fix="reinstall auditor"
    )
