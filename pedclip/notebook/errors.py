"""Errors that a reader of a notebook meets: one message, without the frames of this package."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Arguments of the library that a notebook has as a parameter of the same meaning (`split` is another one there).
_SHARED: Final = ("reports", "root", "patients", "pretrained", "image_weights", "text_weights", "resume", "name")
_ARGUMENT: Final = re.compile(rf"(?:\bpass:?|\bagain:)\s+({'|'.join(_SHARED)})=(?:'([^']*)'|(\w+))")


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
        raise InputError(f"{type(error).__name__}: {with_parameters(str(error))}") from error


def with_parameters(message: str) -> str:
    """A message of the library with the same said to papermill, where it names an argument that is a parameter.

    Example:
        >>> with_parameters("no weights; pass pretrained=False").splitlines()[-1]
        'As a parameter of the notebook:  -p pretrained False'
    """
    found = _ARGUMENT.findall(message)
    words = [f"-p {name} {shlex.quote(quoted or plain)}" for name, quoted, plain in found]
    return f"{message}\nAs a parameter of the notebook:  {'  '.join(words)}" if words else message
