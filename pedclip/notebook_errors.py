"""Errors that a reader of a notebook meets: one message, without the frames of this package."""


class ReadableError(Exception):
    """An error that IPython, papermill and nbval show as its message alone."""

    def _render_traceback_(self) -> list[str]:
        # IPython calls this instead of formatting the stack; papermill stores what it returns.
        return [f"{type(self).__name__}: {self}"]


class ParameterError(ReadableError, ValueError):
    """A parameter has an unknown name or a value that is not allowed."""


class MissingArtefact(ReadableError, FileNotFoundError):
    """A notebook needs a file or folder that another one makes."""


class CheckFailed(ReadableError, AssertionError):
    """A value does not keep the bound that a notebook states."""
