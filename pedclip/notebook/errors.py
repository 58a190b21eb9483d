"""Errors that a reader of a notebook meets: one message, without the frames of this package."""

from collections.abc import Iterator
from contextlib import contextmanager


# Each error is also of the built-in class that a library would raise, so either can be caught.
class ReadableError(Exception):
    """An error that IPython, papermill and nbval show as its message alone."""

    def _render_traceback_(self) -> list[str]:
        # IPython calls this instead of formatting the stack; papermill stores what it returns.
        return [f"{type(self).__name__}: {self}"]


class ParameterError(ReadableError, ValueError):
    """A parameter has an unknown name or a value that is not allowed."""


class MissingArtefact(ReadableError, FileNotFoundError):
    """A notebook needs a file or folder that another one makes."""


class InputError(ReadableError, ValueError):
    """An archive, a table or a server that a parameter names cannot be used."""


class CheckFailed(ReadableError, AssertionError):
    """A value does not keep the bound that a notebook states."""


@contextmanager
def readable() -> Iterator[None]:
    """Show what is wrong with someone's files or server as its message alone.

    Raises:
        InputError: In place of any ValueError, OSError or RuntimeError within.
    """
    try:
        yield
    except ReadableError:  # has its message already
        raise
    except (ValueError, OSError, RuntimeError) as error:
        # The cause stays attached, for whoever debugs.
        raise InputError(f"{type(error).__name__}: {error}") from error
