"""Bit flags of the label image `structures`; a module of its own, since drawing films needs no `datasets`."""

from typing import Final

BONE: Final = 1
LUNG: Final = 2  # with BONE where ribs cover lung
