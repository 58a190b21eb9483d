"""Throughput of the client for language models: `python -m benchmarks.llm_client --json llm_client.json`.

The server is a process of its own on the loopback device that answers every request after a fixed time, so that
`concurrency / latency` requests per second are the most that any client could reach. Everything that a real run does is
measured: reading the reports, questions, requests, checks of the answers, and the ledger on disk.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pedclip.artefacts import write_json
from pedclip.curation.backends import ServerBackend
from pedclip.curation.bulk import extract_many
from pedclip.curation.ledger import Ledger
from pedclip.curation.llm import LLMExtractor

REPORT = (
    "EXAM: Chest, two views.\nHISTORY: Cough for {} days.\nFINDINGS: The lungs are clear. The heart is of normal size. "
    "A nodule of {} mm is seen at the left base. No effusion and no pneumothorax.\nIMPRESSION: Single nodule of {} mm."
)


def measure(reports: int, concurrency: int, latency: float) -> dict[str, Any]:
    """Requests per second over a whole run, beside the most that is possible."""
    items = [(REPORT.format(i, i, i), ("chest",)) for i in range(reports)]
    with serving(latency) as endpoint, tempfile.TemporaryDirectory() as folder:
        with Ledger(Path(folder) / "answers.sqlite") as ledger:
            llm = LLMExtractor(ServerBackend(endpoint, "loopback"), ledger=ledger)
            wall, cpu = time.perf_counter(), time.process_time()
            found = list(extract_many(items, llm, concurrency=concurrency))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if llm.usage.requests != reports or {excerpts["chest"].source for excerpts in found} != {"llm-select"}:
        raise RuntimeError(f"the run did not go as meant: {llm.usage}")
    ideal = concurrency / latency
    return {
        "reports": reports,
        "concurrency": concurrency,
        "latency_seconds": latency,
        "ideal_requests_per_second": ideal,
        "requests_per_second": reports / wall,
        "share_of_ideal": reports / wall / ideal,
        "client_cpu_seconds_per_request": cpu / reports,
    }


@contextmanager
def serving(latency: float) -> Iterator[str]:
    """The endpoint of a server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.llm_client", "--serve", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def serve(latency: float) -> None:
    """Answer every request after `latency` seconds; prints the endpoint and never returns."""
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        begin = asyncio.get_running_loop().time()
        question = (await request.json())["messages"][1]["content"]
        keep = [int(number) for number in re.findall(r"^\[(\d+)\]", question, re.MULTILINE)]
        message = {"role": "assistant", "content": json.dumps({"keep": keep})}
        await asyncio.sleep(latency - (asyncio.get_running_loop().time() - begin))
        return web.json_response({"choices": [{"finish_reason": "stop", "message": message}]})

    application = web.Application()
    application.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=6400)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds per answer")
    parser.add_argument("--json", default="", help="file for the result")
    parser.add_argument("--serve", type=float, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return
    result = measure(arguments.reports, arguments.concurrency, arguments.latency)
    print(json.dumps(result, indent=2))
    if arguments.json:
        write_json(arguments.json, result)


if __name__ == "__main__":
    main()
