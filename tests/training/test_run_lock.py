"""One run in a folder: a second one is refused by name, a dead one is not waited for."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import SoftFileLease

from pedclip.training.__main__ import main
from pedclip.training.loop import pretrain
from pedclip.training.run_lock import LOCK_FILE, RunInUse, check_lock, is_main, run_lock
from tests.training.tiny import tiny_arrays, tiny_config

HOLD = """
import sys, time
from pathlib import Path
from pedclip.training.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_refused_by_name_and_writes_nothing(
    tmp_path: Path, holder: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    words = rf"in use by process {holder.pid} on {socket.gethostname()}: two runs in one folder"
    for resume in (True, False):
        with pytest.raises(RunInUse, match=words):
            pretrain(tiny_arrays(16), tiny_arrays(0), config=tiny_config(epochs=1), run=tmp_path, resume=resume)
    assert main(["--output", str(tmp_path), "--set", "training.epochs=1"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} is in use by process {holder.pid}")
    assert sorted(tmp_path.iterdir()) == before


def test_a_killed_holder_is_not_waited_for(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    started = time.monotonic()
    with run_lock(tmp_path):
        assert time.monotonic() - started < 2
        check_lock(tmp_path)
    assert not (tmp_path / LOCK_FILE).exists()


def marker_of_another_machine(folder: Path) -> Path:
    with run_lock(folder, lease_seconds=0.6):
        text = (folder / LOCK_FILE).read_text()
    path = folder / LOCK_FILE
    path.write_text(text.replace(f"host={socket.gethostname()}", "host=node17"))
    path.chmod(0o644)
    return path


def test_a_silent_holder_on_another_machine_is_dead_after_its_lease(tmp_path: Path) -> None:
    marker_of_another_machine(tmp_path)
    started = time.monotonic()
    with run_lock(tmp_path, lease_seconds=0.6):
        assert 0.5 < time.monotonic() - started < 10


def test_a_lease_is_thirty_seconds_with_a_sign_of_life_every_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, float]] = []

    def lease(path: Path, **options: float) -> SoftFileLease:
        asked.append(options)
        return SoftFileLease(path, **options)

    monkeypatch.setattr("pedclip.training.run_lock.SoftFileLease", lease)
    with run_lock(tmp_path):
        pass
    assert asked == [{"lease_duration": 30.0, "heartbeat_interval": 3.0}]


def test_a_holder_on_another_machine_that_touches_its_file_is_alive(tmp_path: Path) -> None:
    path, stop = marker_of_another_machine(tmp_path), threading.Event()

    def beat() -> None:
        while not stop.wait(0.02):
            os.utime(path)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(RunInUse, match=r"in use by process .* on node17"), run_lock(tmp_path, lease_seconds=0.6):
            pass
    finally:
        stop.set()
        thread.join()
    assert "host=node17" in path.read_text()


def test_one_thread_may_hold_it_twice_and_another_may_not(tmp_path: Path) -> None:
    found: list[str] = []

    def other() -> None:
        try:
            with run_lock(tmp_path):
                found.append("held")
        except RunInUse as error:
            found.append(str(error))

    with run_lock(tmp_path), run_lock(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(found) == 1
    assert f"in use by process {os.getpid()}" in found[0]
    with run_lock(tmp_path):
        pass


@pytest.mark.parametrize("rank", [0, 1])
def test_the_process_that_writes_is_rank_0(rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert is_main()  # alone
    monkeypatch.setenv("RANK", str(rank))
    assert is_main() is (rank == 0)  # started by torchrun, not yet connected
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)
    monkeypatch.setenv("RANK", "0")
    assert is_main() is (rank == 0)
    with run_lock(tmp_path):
        assert (tmp_path / LOCK_FILE).exists() is (rank == 0)  # it holds the folder for all


def test_a_run_that_was_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    with run_lock(tmp_path, lease_seconds=0.6):
        (tmp_path / LOCK_FILE).unlink()  # as whoever takes over does
        time.sleep(0.3)  # several beats of the heart
        with pytest.raises(RunInUse, match="was taken over"):
            check_lock(tmp_path)
