from typing import Any

import pytest
from datasets import DatasetDict

from pedclip.data.phantom import generate

SIZE = 64


@pytest.fixture(scope="session")
def phantom() -> DatasetDict:
    return generate(studies=200, seed=0, size=SIZE)


@pytest.fixture(scope="session")
def rows(phantom: DatasetDict) -> list[dict[str, Any]]:
    return [row for split in phantom.values() for row in split]
