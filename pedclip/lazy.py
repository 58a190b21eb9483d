"""Public names of a folder that are imported when they are first asked for.

torch and `datasets` take seconds to import; who asks a folder for one name pays for that name alone.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package that hands out names of its modules (PEP 562).

    Args:
        package: `__name__` of the package.
        modules: Public name to the module that defines it, relative to the package ("metrics.bootstrap"). A name that
            is itself a module stands for "".

    Returns:
        Both functions, to be assigned in the package's `__init__.py`.
    """

    def find(name: str) -> Any:
        # The words of Python itself, which `hasattr` and `from … import` understand.
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if not modules[name]:
            return import_module(f"{package}.{name}")
        # Not kept here: Python keeps the module, and a test may replace a name in it.
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return find, lambda: sorted(modules)
