"""The command line: one small module for each command, loaded when it is asked for."""

from jmmrec.cli.main import main

__all__ = ["main"]
