"""The benchmark of the client for language models keeps working."""

from benchmarks.llm_client import measure


def test_benchmark_at_toy_size() -> None:
    report = measure(requests=64, concurrency=16, latency=0.01, rounds=1)
    assert report["ideal_requests_per_second"] == 1600
    for name in ("client", "run"):
        assert 0 < report[name]["share_of_ideal_best"] <= 1
        assert report[name]["cpu_milliseconds_per_request"] > 0
    hours = report["published_archive"]
    assert hours["two_requests_per_report"]["minutes"] > 1.9 * hours["one_request_per_report"]["minutes"] > 0
