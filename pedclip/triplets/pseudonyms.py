"""Pseudonyms: identifiers replaced by keyed hashes that only the holder of the key can lead back."""

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import BinaryIO, Final

from pedclip.artefacts import write_file

_SALT_BYTES: Final = 32
_PSEUDONYM: Final = 16  # hexadecimal digits; two of 300,000 identifiers collide with a chance of 2e-9


def pseudonym(identifier: str, salt: bytes) -> str:
    """Pseudonym of a patient, study or film that only the holder of the salt can lead back to the identifier.

    Args:
        identifier: As in the archive.
        salt: Secret key of at least 16 bytes, see `read_salt`.

    Returns:
        16 hexadecimal digits, the same for the same identifier and salt.

    Raises:
        ValueError: Blank identifier, or a short salt: record numbers are few enough to try them all.

    Source: HMAC-SHA256 (RFC 2104), cut to 64 bits.
    """
    if not identifier.strip():
        raise ValueError("a blank identifier has no pseudonym.")
    if len(salt) < 16:
        raise ValueError(
            f"the salt has {len(salt)} bytes; expected 16 or more, from pedclip.triplets.pseudonyms.read_salt."
        )
    # A keyed hash: without the salt nobody can try all record numbers and see which one fits.
    return hmac.new(salt, identifier.strip().encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_PSEUDONYM]


def read_salt(path: str | Path) -> bytes:
    """The secret key of pseudonyms; made at the first call, readable by its owner only.

    Keep the file, so that a second run gives the same pseudonyms; never share it with the triplets.

    Raises:
        ValueError: The file holds something else.
    """
    file = Path(path)
    if not file.exists():
        _make_salt(file)
    content = file.read_bytes().strip()
    if not re.fullmatch(rb"[0-9a-f]{64}", content):
        raise ValueError(f"{file} is no salt: expected 64 hexadecimal digits, as made at the first run.")
    return bytes.fromhex(content.decode())


def _make_salt(file: Path) -> None:
    """A new key, whole before it has its name; of processes that come at once the first gives it."""
    # Half a salt, or that of another process, would give other names at the next run.
    own = write_file(file.with_name(f".{file.name}.{secrets.token_hex(8)}"), _fill_salt)
    try:
        os.link(own, file)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        own.replace(file)
    finally:
        own.unlink(missing_ok=True)


def _fill_salt(file: BinaryIO) -> None:
    # Before the first byte, so that nobody else can read it meanwhile.
    Path(file.name).chmod(0o600)
    file.write(secrets.token_hex(_SALT_BYTES).encode())
