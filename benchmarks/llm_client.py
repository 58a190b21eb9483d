"""Throughput of the client for language models.

    python -m benchmarks.llm_client --json benchmarks/results/llm_client.json

The server is a process of its own on the loopback device that answers every request after a fixed time, so that
`concurrency / latency` requests per second are the most that any client could reach. Measured are the client alone, and
a whole run with the reading of reports, the checks of responses and their cache on disk.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.archive_size import PUBLISHED_REPORTS, extrapolate
from benchmarks.report import describe, write_report
from pedclip.curation.llm.batch import extract_many
from pedclip.curation.llm.client import ServerBackend
from pedclip.curation.llm.extractor import LLMExtractor, numbered
from pedclip.curation.llm.prompts import strip_prompt
from pedclip.curation.llm.response_cache import ResponseCache

REPORT = (
    "EXAM: Chest, two views.\nHISTORY: Cough for {} days.\nFINDINGS: The lungs are clear. The heart is of normal size. "
    "A nodule of {} mm is seen at the left base. No effusion and no pneumothorax.\nIMPRESSION: Single nodule of {} mm."
)


def measure_client(endpoint: str, requests: int, concurrency: int) -> dict[str, float]:
    """The client alone: prompts that are ready, responses that nobody reads."""
    prompt = strip_prompt(numbered(REPORT.format(1, 1, 1), ("chest",)), "select")

    async def run() -> None:
        backend, gate = ServerBackend(endpoint, "loopback"), asyncio.Semaphore(concurrency)

        async def one() -> None:
            async with gate:
                await backend.complete(prompt)

        await asyncio.gather(*(one() for _ in range(requests)))
        await backend.close()

    wall, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run())
    return _rates(requests, time.perf_counter() - wall, time.process_time() - cpu)


def measure_run(endpoint: str, requests: int, concurrency: int) -> dict[str, float]:
    """A whole run: reports read, prompts sent, responses checked and cached on disk."""
    items = [(REPORT.format(i, i, i), ("chest",)) for i in range(requests)]
    with tempfile.TemporaryDirectory() as folder, ResponseCache(Path(folder) / "answers.sqlite") as cache:
        llm = LLMExtractor(ServerBackend(endpoint, "loopback"), cache=cache)
        wall, cpu = time.perf_counter(), time.process_time()
        found = list(extract_many(items, llm, concurrency=concurrency))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if llm.usage.requests != requests or {excerpts["chest"].source for excerpts in found} != {"llm-select"}:
        raise RuntimeError(f"the run did not go as meant: {llm.usage}")
    return _rates(requests, wall, cpu)


def _rates(requests: int, wall: float, cpu: float) -> dict[str, float]:
    return {"requests_per_second": requests / wall, "client_cpu_milliseconds_per_request": 1e3 * cpu / requests}


def measure(requests: int, concurrency: int, latency: float, rounds: int) -> dict[str, Any]:
    """Requests per second in each round, beside the most that is possible."""
    ideal = concurrency / latency
    report: dict[str, Any] = {
        **describe(),
        "load_before": os.getloadavg()[0],
        "niceness": os.nice(0),
        "requests_per_round": requests,
    }
    report |= {"concurrency": concurrency, "latency_seconds": latency, "ideal_requests_per_second": ideal}
    measured: dict[str, list[dict[str, float]]] = {"client": [], "run": []}
    with serving(latency) as endpoint:
        measure_run(endpoint, 2 * concurrency, concurrency)  # warm-up: word lists are read at first use
        for _ in range(rounds):  # interleaved, since the speed of a shared machine drifts
            measured["client"].append(measure_client(endpoint, requests, concurrency))
            measured["run"].append(measure_run(endpoint, requests, concurrency))
    for name, results in measured.items():
        shares = [result["requests_per_second"] / ideal for result in results]
        report[name] = {
            "share_of_ideal_best": max(shares),
            "share_of_ideal_median": statistics.median(shares),
            "cpu_milliseconds_per_request": min(r["client_cpu_milliseconds_per_request"] for r in results),
            "rounds": results,
        }
    best = max(result["requests_per_second"] for result in measured["run"])
    # One request for a report with one film, two for others; a model slower than this server sets the pace instead.
    report["published_archive"] = {
        "one_request_per_report": extrapolate(best),
        "two_requests_per_report": extrapolate(best / 2),
        "client_cpu_hours_per_request_and_report": extrapolated_cpu(report["run"]["cpu_milliseconds_per_request"]),
    }
    return report


def extrapolated_cpu(milliseconds: float) -> float:
    """Hours of CPU time of the client for one request about each published report."""
    return round(PUBLISHED_REPORTS * milliseconds / 3.6e6, 3)


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

    async def response(request: web.Request) -> web.Response:
        begin = asyncio.get_running_loop().time()
        prompt = (await request.json())["messages"][1]["content"]
        keep = [int(number) for number in re.findall(r"^\[(\d+)\]", prompt, re.MULTILINE)]
        message = {"role": "assistant", "content": json.dumps({"keep": keep})}
        await asyncio.sleep(latency - (asyncio.get_running_loop().time() - begin))
        return web.json_response({"choices": [{"finish_reason": "stop", "message": message}]})

    application = web.Application()
    application.router.add_post("/v1/chat/completions", response)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3200, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds per answer")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--serve", type=float, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return
    result = measure(arguments.requests, arguments.concurrency, arguments.latency, arguments.rounds)
    print(json.dumps(result, indent=2))
    if arguments.json:
        write_report(arguments.json, result)


if __name__ == "__main__":
    main()
