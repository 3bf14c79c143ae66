"""`pw.curate`, `pw.judge`, `pw.prefs` and `pw.train`: the commands of each program as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pairwright.api.values import unknown
from pairwright.commands.command import Command, load

if TYPE_CHECKING:
    from pairwright.api.result import Result


class Namespace:
    """The commands of a program as functions, made when they are asked for."""

    def __init__(self, program: str) -> None:
        """Read the program's table of commands.

        Raises:
            NameTakenError: If another project's module is imported under the program's name.
        """
        self._program = program
        commands: tuple[Command, ...] = load(f"{program}.cli:COMMANDS")
        self._commands = {one.name.replace("-", "_"): one for one in commands}
        width = max(map(len, self._commands))
        lines = [f"  {n:<{width}}  {one.summary}" for n, one in self._commands.items()]
        self.__doc__ = "\n".join([load(f"{program}.cli:SUMMARY"), "", *lines])

    def __getattr__(self, name: str) -> Callable[..., Result]:
        """The function of a command."""
        command = None if name.startswith("_") else self._commands.get(name)
        if command is None:
            msg = f"pw.{self._program}: {unknown(name, self._commands, 'command')}"
            raise AttributeError(msg)
        from pairwright.api.calls import function_of

        function = function_of(self._program, command)
        setattr(self, name, function)
        return function

    def __dir__(self) -> list[str]:
        """Names of the commands."""
        return list(self._commands)

    def __repr__(self) -> str:
        """Every command with a line on it."""
        return f"pw.{self._program}: {self.__doc__}"
