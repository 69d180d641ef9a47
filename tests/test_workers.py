"""Worker processes: what ends in one ends only there, and what was accepted is drawn all the same."""

from __future__ import annotations

import signal
from itertools import count
from pathlib import Path
from threading import Event

import psutil
import pytest
from harness import Server, error_of, fake_house, refused, served
from visioncraft.testing import PATIENCE_S

_gates = count()
SIZE = {"width": 64, "height": 64}


@pytest.fixture
def gate() -> str:
    return f"worker-gate-{next(_gates)}"


def worker_of(server: Server) -> psutil.Process:
    """The fake engine's worker, which has drawn before."""
    facts = server.get("/status").json()["system_info"]["backends"]["fake_engine"]
    return psutil.Process(facts["worker_pid"])


def seen(server: Server, prompt: str) -> list[tuple[str, int]]:
    """The jobs and seeds under which a prompt reached the engine."""
    return [(s["job_id"], s["seed"]) for s in server.get("/fake/seen").json() if s["prompt"] == prompt]


def test_the_server_imports_nothing_that_draws_and_the_worker_is_another_process(fake: Server) -> None:
    assert fake.draw("a first one", **SIZE).status_code == 200
    assert worker_of(fake).ppid() == fake.process.pid


@pytest.mark.parametrize("end", ["dies", "crashes", "babbles"])
def test_a_job_whose_worker_is_lost_runs_again_with_its_id_and_seed(fake: Server, gate: str, end: str) -> None:
    fake.permit(gate, 1)
    prompt, before = f"{end} {gate}", fake.pictures()
    job = fake.submit(prompt, **SIZE)
    done = fake.ended(job)
    assert (done["status"], done["error"]) == ("succeeded", None)
    assert seen(fake, prompt) == [(job, done["seed"])] * 2
    assert fake.pictures() == before + 1


def test_a_job_that_always_loses_its_worker_is_given_up_with_the_reason_and_the_next_is_served(
    fake: Server, gate: str
) -> None:
    fake.permit(gate, 100)
    error = error_of(fake.draw(f"dies {gate}", **SIZE), 500, "INTERNAL_ERROR")
    assert "4 tries" in error["message"] and "SIGKILL" in error["message"]
    assert len(seen(fake, f"dies {gate}")) == 4
    assert fake.draw("the next", **SIZE).status_code == 200


def test_every_other_job_goes_on_when_a_worker_dies(fake: Server, gate: str) -> None:
    fake.permit(gate, 1)
    jobs = [fake.submit(prompt, **SIZE) for prompt in (f"dies {gate}", "second", "third")]
    assert [fake.ended(job)["status"] for job in jobs] == ["succeeded"] * 3


def test_a_worker_killed_from_outside_is_replaced(fake: Server, gate: str) -> None:
    job = fake.submit(f"gated {gate}", **SIZE)
    fake.permit(gate, 1)
    fake.reached(gate, 1)
    first = worker_of(fake)
    first.kill()
    fake.permit(gate, 40)
    assert fake.ended(job)["status"] == "succeeded"
    assert worker_of(fake).pid != first.pid


def test_memory_that_runs_out_is_said_and_the_next_request_is_served(fake: Server) -> None:
    error = error_of(fake.draw("fail: vram"), 503, "INSUFFICIENT_VRAM")
    assert (error["vram_available"], error["vram_required"]) == (3.2, 6.5)
    assert fake.draw("the next", **SIZE).status_code == 200


@pytest.mark.parametrize(
    ("end", "limits", "reason"),
    [
        ("hangs", {"heartbeat_s": 0.1, "stall_limit_s": 5.0}, "stall_limit_s"),
        ("grows", {"heartbeat_s": 0.1, "memory_limit_gb": 0.8}, "past its bound"),
    ],
)
def test_a_worker_past_its_bounds_is_replaced(
    tmp_path: Path, gate: str, end: str, limits: dict[str, float], reason: str
) -> None:
    house = fake_house(tmp_path)
    house.tables["workers"] = limits
    # A slow machine may take longer than such a limit to start a worker
    house.tables["jobs"] = {**house.tables["jobs"], "max_reruns": 100}
    with served(house) as server:
        server.permit(gate, 1)
        assert server.ended(server.submit(f"{end} {gate}", **SIZE))["status"] == "succeeded"
        assert reason in server.log.read_text("utf-8")


def test_an_idle_worker_leaves_memory_and_comes_back_when_it_is_needed(tmp_path: Path) -> None:
    house = fake_house(tmp_path)
    house.tables["workers"] = {"heartbeat_s": 0.05, "idle_unload_s": 0.1}
    with served(house) as server:
        assert server.draw("first", **SIZE).status_code == 200
        gone = psutil.Process(server.process.pid).children()
        psutil.wait_procs(gone, timeout=PATIENCE_S)
        assert not any(process.is_running() for process in gone)
        assert server.draw("second", **SIZE).status_code == 200


def test_a_server_that_waits_starts_the_default_models_worker_by_itself(tmp_path: Path) -> None:
    house = fake_house(tmp_path)
    house.tables["workers"] = {"heartbeat_s": 0.05, "warm": "on"}
    with served(house) as server:
        wait = Event()
        for _ in range(6000):
            if "worker_pid" in server.get("/status").json()["system_info"]["backends"].get("fake_engine", {}):
                break
            wait.wait(0.01)
        assert worker_of(server).ppid() == server.process.pid


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_takes_its_workers_along_whatever_ends_it(tmp_path: Path, gate: str, how: signal.Signals) -> None:
    with served(fake_house(tmp_path)) as server:
        assert server.draw("first", **SIZE).status_code == 200
        server.until(server.submit(f"gated {gate}", **SIZE), "running")
        worker = worker_of(server)
        server.process.send_signal(how)
        server.process.wait(PATIENCE_S)
        assert psutil.wait_procs([worker], timeout=PATIENCE_S)[1] == []


def test_jobs_outlive_a_killed_server(tmp_path: Path, gate: str) -> None:
    house = fake_house(tmp_path)
    with served(house) as server:
        jobs = [server.submit(f"gated {gate}", seed=number, **SIZE) for number in range(3)]
        server.permit(gate, 5)
        server.reached(gate, 5)
        server.process.kill()
        server.process.wait(PATIENCE_S)
    with served(house) as server:
        server.permit(gate, 60)
        ended = [server.ended(job) for job in jobs]
        assert [(job["status"], job["seed"]) for job in ended] == [("succeeded", n) for n in range(3)]
        assert server.pictures() == 3
        assert len(list(house.gallery.rglob("*.png"))) == 3


def test_a_second_server_on_the_same_data_is_told_so(tmp_path: Path) -> None:
    house = fake_house(tmp_path)
    with served(house):
        said = refused(house)
        assert "another server uses" in said and "Traceback" not in said


def test_a_worker_knows_no_secret_of_the_servers(tmp_path: Path) -> None:
    house = fake_house(tmp_path)
    house.env = {"VISIONCRAFT_TOKEN": "canary-token", "LEONARDO_API_KEY": "canary-key"}
    with served(house) as server:
        assert server.post("/load_model", {"model": "fake"}).status_code == 200
        worker = worker_of(server)
        assert worker.environ()
        assert "canary" not in str(worker.environ() | dict(enumerate(worker.cmdline())))
