"""Names of data sets in the column `source`, and of films that a generator drew for the reports of one of them."""

import re
from typing import Final

_PREFIX: Final = "synthetic"
_GENERATOR: Final = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)  # no colon, which parts the name


def synthetic_source(generator: str, source: str) -> str:
    """Source of films that were drawn for the reports of another source.

    The other source stays in the name: whoever trained on a drawn film has read a report of its patient.

    Args:
        generator: Name of the generator: letters, digits, dots, plus, dashes and underscores.
        source: Of the reports; of drawn films, that of their own reports.

    Raises:
        ValueError: A name of a generator with other characters.

    Example:
        >>> synthetic_source("flow", "phantom")
        'synthetic:flow:phantom'
    """
    if not is_generator_name(generator):
        raise ValueError(f"a generator named {generator!r}: expected letters, digits and . + - _, a letter first.")
    return f"{_PREFIX}:{generator}:{real_source(source)}"


def is_generator_name(name: str) -> bool:
    """True for a name that `synthetic_source` takes.

    Example:
        >>> is_generator_name("flow-2"), is_generator_name("-flow")
        (True, False)
    """
    return bool(_GENERATOR.fullmatch(name))


def is_synthetic(source: str) -> bool:
    """True for a name that `synthetic_source` made."""
    return source.startswith(f"{_PREFIX}:")


def real_source(source: str) -> str:
    """Source of the reports: of drawn films the one that they were drawn for, else the source itself.

    Example:
        >>> real_source("synthetic:flow:phantom"), real_source("phantom")
        ('phantom', 'phantom')
    """
    # At most two cuts: the name of a data set may hold colons.
    return source.split(":", 2)[-1] if is_synthetic(source) else source
