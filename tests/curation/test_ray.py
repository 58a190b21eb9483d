"""Extraction over two worker processes of a local Ray."""

import os
from pathlib import Path

import pytest

from pedclip.curation.llm.batch import ray_extract
from pedclip.curation.llm.client import ServerBackend
from pedclip.curation.llm.extractor import LLMExtractor
from pedclip.curation.llm.response_cache import ResponseCache
from tests.curation.llm.chat_server import chat_server, good_model

# Ray warns of its own deprecated settings, and leaves sockets and log files to the end of the process.
pytestmark = pytest.mark.filterwarnings("ignore")

REPORT = "EXAM: Left hip, chest. FINDINGS: Left hip: Angle of {} degrees. Chest: Lungs are clear."


def test_ray_gives_one_row_per_report_and_region(tmp_path: Path) -> None:
    # Imported here, since it takes seconds.
    pytest.importorskip("ray.data", reason="needs Ray: pip install 'pedclip[ray]'")
    import ray

    with chat_server(good_model) as server:
        endpoint = server.endpoint

        def make() -> LLMExtractor:
            return LLMExtractor(
                ServerBackend(endpoint, "tiny"), cache=ResponseCache(tmp_path / f"{os.getpid()}.sqlite")
            )

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        try:
            rows = [{"study_id": i, "report": REPORT.format(i), "films": ["hip", "chest"]} for i in range(40)]
            reports = ray.data.from_items(rows, override_num_blocks=4)
            found = ray_extract(reports, make, regions_column="films", workers=2, concurrency=4).take_all()
        finally:
            ray.shutdown()
    by_study = {(row["study_id"], row["region"]): (row["text"], row["text_source"]) for row in found}
    assert len(found) == len(by_study) == 80
    assert by_study[7, "hip"] == ("Angle of 7 degrees.", "llm-select")
    assert by_study[7, "chest"] == ("Lungs are clear.", "llm-select")
    assert "report" not in found[0]
    assert len(server.payloads) == 80
    # One cache per worker; on a busy machine the first worker may do everything before the second has started.
    caches = [ResponseCache(path) for path in tmp_path.glob("*.sqlite")]
    assert len(caches) in (1, 2)
    assert sum(map(len, caches)) == 80
    for cache in caches:
        cache.close()
