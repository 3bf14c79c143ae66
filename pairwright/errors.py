"""Failures that a user can act on."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """A failure the user can act on; the commands print it as one line without a traceback."""

    exit_code = 1


class NameTakenError(Error, ImportError):
    """A module of another project is imported under the name of one of our packages."""

    def __init__(self, name: str, found: str) -> None:
        """Name the package and the module in its place."""
        super().__init__(
            f"pairwright needs its own package {name!r}, but another module of that name is "
            f"already imported ({found}): rename that module"
        )


class UsageError(Error, ValueError):
    """The command or its options make no sense as given."""

    exit_code = 2


class ConfigChangedError(UsageError):
    """A run of this name exists with another configuration or other inputs."""


class DataError(Error, ValueError):
    """A file or table is not what it should be."""


class NotFoundError(Error, FileNotFoundError):
    """Something that was named does not exist."""


class BusyError(Error):
    """Another process is writing this run."""


class FinishedError(Error):
    """A command finished, but what came of it is not good enough.

    Attributes:
        result: What it did, where it was called from Python.
    """

    result: Any = None


class GateError(FinishedError):
    """A quality gate failed."""

    exit_code = 4


class TooManyRejectsError(FinishedError):
    """More rows were rejected than the user allows."""

    exit_code = 3


class ServerError(Error):
    """A model server could not be started or reached."""


class MissingExtraError(Error, ImportError):
    """An optional part is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the extra that brings the package."""
        super().__init__(
            f"this needs the package {package}, which is not installed: "
            f"in a clone of pairwright, install the extra with `uv sync --extra {extra}` or `uv pip install '.[{extra}]'`"
        )


class PluginError(Error, ImportError):
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
