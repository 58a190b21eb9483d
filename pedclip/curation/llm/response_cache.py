"""Every response of a language model, on disk by the content of its prompt, so that nothing is asked twice.

One SQLite file in write-ahead mode: several processes of one machine may share it, and after a kill it holds every
response whose `put` had returned. It is no file for a network share; give each machine its own.
"""

import hashlib
import json
import logging
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from pedclip.curation.llm.client import Response
from pedclip.curation.llm.prompts import Prompt

_logger = logging.getLogger(__name__)

_MAGIC: Final = b"SQLite format 3\0"
_WAIT: Final = 60.0  # seconds for another process to finish its write
_TABLE: Final = """CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, is_cut INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, answer_tokens INTEGER NOT NULL
) WITHOUT ROWID"""


def key_of(prompt: Prompt, identity: Mapping[str, Any]) -> str:
    """The key of a prompt: SHA-256 of its messages, schema and length, and of the model with its parameters."""
    # Sorted keys, so that the same prompt to the same model has the same key in every process.
    content = [prompt.messages, prompt.schema, prompt.max_tokens, identity]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


class ResponseCache:
    """Responses by key, in a file.

    The prompts are stored as hashes only. The responses are numbers in the mode `select`, and sentences of reports in
    the mode `rewrite`: then the file is as confidential as the reports.

    Args:
        path: File to continue, or to begin; "" keeps the responses in memory. A damaged file is moved aside to
            `<name>.damaged` with a warning, since a response can always be asked for again.

    Raises:
        ValueError: The path is a file of another kind; it is left as it is.
        FileNotFoundError: The folder of the file does not exist.
    """

    def __init__(self, path: str | Path = "") -> None:
        self.path = Path(path) if path else None
        self._lock = threading.Lock()  # one connection serves the loop's thread and the caller's
        if self.path is None:
            self._connection = _connect(":memory:")
            return
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {self.path.parent} for the response cache; make it first.")
        _refuse_other_files(self.path)
        # SQLite does not wait when two processes turn one new file to write-ahead mode, but refuses the second; and
        # of two that find a damaged file only the first may move it aside.
        with FileLock(f"{self.path}.lock", timeout=_WAIT):
            try:
                self._connection = _connect(self.path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # locked, unreadable, disk full: the file may be sound
                    raise
                _move_aside(self.path)
                self._connection = _connect(self.path)

    def get(self, key: str) -> Response | None:
        """The response stored under a key, or None."""
        query = "SELECT text, is_cut, prompt_tokens, answer_tokens FROM answers WHERE key = ?"
        with self._lock:
            row = self._connection.execute(query, (key,)).fetchone()
        return Response(row[0], bool(row[1]), row[2], row[3]) if row else None

    def put(self, key: str, response: Response) -> None:
        """Store a response; when this returns, killing the process no longer loses it."""
        # A lone surrogate is valid in the JSON of a response, but in no text that SQLite stores.
        text = response.text.encode("utf-8", "replace").decode()
        row = (key, text, int(response.is_cut), response.prompt_tokens, response.answer_tokens)
        with self._lock:
            self._connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)", row)

    def __len__(self) -> int:
        """Number of stored responses."""
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    def __enter__(self) -> "ResponseCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        with self._lock:
            self._connection.close()


def _connect(path: str | Path) -> sqlite3.Connection:
    # One commit per statement: a response is on disk before it is used.
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # survives a kill; a power cut may cost the last ones
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the response cache is damaged")
        connection.execute(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_other_files(path: Path) -> None:
    if path.exists():
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
        if not _MAGIC.startswith(start):  # an empty file, or one cut within the mark, was once begun as a cache
            raise ValueError(f"{path} is not a response cache; give the path of one, or of a new file.")


def _move_aside(path: Path) -> None:
    damaged = path.with_name(f"{path.name}.damaged")
    _logger.warning(
        "The response cache %s is damaged; it is kept as %s, and its prompts are sent again.", path, damaged
    )
    path.replace(damaged)
    for ending in ("-wal", "-shm"):  # SQLite would replay the damaged file's log into the new one
        path.with_name(path.name + ending).unlink(missing_ok=True)
