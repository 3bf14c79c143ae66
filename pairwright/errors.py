"""Failures that a user can act on."""

from __future__ import annotations


class PairwrightError(Exception):
    """A failure the user can act on; the commands print it as one line without a traceback."""

    exit_code = 1


class UsageError(PairwrightError, ValueError):
    """The command or its options make no sense as given."""

    exit_code = 2


class ConfigChangedError(UsageError):
    """A run of this name exists with another configuration or other inputs."""


class DataError(PairwrightError, ValueError):
    """A file or table is not what it should be."""


class NotFoundError(PairwrightError, FileNotFoundError):
    """Something that was named does not exist."""


class BusyError(PairwrightError):
    """Another process is writing this run."""


class GateError(PairwrightError):
    """A quality gate failed."""

    exit_code = 4


class ServerError(PairwrightError):
    """A model server could not be started or reached."""


class MissingExtraError(PairwrightError, ImportError):
    """An optional part is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Say which extra brings the package."""
        super().__init__(
            f"this needs the package {package}, which is not installed: "
            f"install the extra with `uv sync --extra {extra}` or `uv pip install 'pairwright[{extra}]'`"
        )


class PluginError(PairwrightError, ImportError):
    """A part that another package adds cannot be used."""

    def __init__(self, package: str, group: str, detail: str) -> None:
        """Say which package it is, and what to do.

        Args:
            package: Name of the package that declares the part.
            group: Entry-point group that it declares it in.
            detail: What is wrong.
        """
        super().__init__(
            f"the package {package} adds to {group}, but {' '.join(detail.split())}; update the "
            f"package, or remove it with `uv pip uninstall {package}`"
        )
