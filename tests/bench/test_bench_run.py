"""A run on simulated servers: every image once, whatever the servers do."""
from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_plans import small_plan
from simulated import SimulatedServer

from caphuman_bench import png, runner, worker
from caphuman_bench.cli import main
from caphuman_bench.folder import locked, write_whole
from caphuman_bench.plan import load_plan, records, seed_of
from caphuman_bench.runner import Runner, Settings, progress, take_over
from caphuman_bench.schedule import WorkQueue
from caphuman_bench.server import ComfyServer, ServerLost
from caphuman_bench.store import Store
from caphuman_bench.worker import ServerWorker
from caphuman_core.check import InputError

PACK = Path(__file__).resolve().parents[2]
QUICK = Settings(waits=(0.05, 0.2), patience_seconds=5)


def run(folder, plan, servers=1, latency=0.01, settings=QUICK, meanwhile=None, hang=600.0, prepare=lambda servers: None):
    """(summary, servers) of one run of what is planned, on simulated servers."""
    async def go():
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(store := Store.open(folder))
            simulated = [await stack.enter_async_context(SimulatedServer(latency)) for _ in range(servers)]
            prepare(simulated)
            take_over(store, plan, folder)
            work = Runner(store, [ServerWorker(plan, folder, server.url, hang) for server in simulated], settings)
            other = asyncio.create_task(meanwhile(simulated, work)) if meanwhile else None
            summary = await work.run(list(store.records("planned")))
            if other:
                other.cancel()
            return summary, simulated
    return asyncio.run(go())


def counts(folder):
    with Store.open(folder, read_only=True) as store:
        return store.counts()


def test_every_image_is_made_once_with_its_parameters_inside(tmp_path):
    plan = small_plan(tmp_path)
    summary, (server,) = run(tmp_path, plan)
    assert summary.done == len(plan) == 24
    assert set(server.made.values()) == {1}
    assert set(server.uploads.values()) == {1}, "one upload for each person"
    with Store.open(tmp_path) as store:
        for record in store.records():
            text = png.text((tmp_path / record.file).read_bytes())
            inside, prompt = json.loads(text["caphuman_bench"]), json.loads(text["prompt"])
            assert (inside["identity"], inside["seed"], inside["plan"]) == (record.identity, record.seed, plan.digest)
            assert prompt["2"]["inputs"] == {"text": f"text {record.prompt[-1]}", "seed": record.seed,
                                             "yaw_degrees": 10.0 * int(record.head[-1])}
            assert record.seconds is not None
            assert record.status == "done"


def test_parameters_are_put_inside_when_the_host_keeps_no_metadata(tmp_path):
    plan = small_plan(tmp_path, 1, 1, 1, 1)
    run(tmp_path, plan, prepare=lambda servers: setattr(servers[0], "metadata", False))
    text = png.text(next((tmp_path / "images").rglob("*.png")).read_bytes())
    assert json.loads(text["caphuman_bench"])["text"] == "text 0"


def test_a_second_run_does_nothing_and_a_lost_file_is_made_again(tmp_path):
    plan = small_plan(tmp_path)
    run(tmp_path, plan)
    assert run(tmp_path, plan)[0].done == 0
    (tmp_path / "images/person1/head0/prompt2_1.png").unlink()
    assert run(tmp_path, plan)[0].done == 1


def test_whole_files_of_a_killed_run_are_taken_over_and_broken_or_foreign_ones_are_not(tmp_path):
    plan = small_plan(tmp_path)
    run(tmp_path, plan)
    files = sorted((tmp_path / "images").rglob("*.png"))
    files[0].write_bytes(files[0].read_bytes()[:-5])
    files[1].write_bytes(files[2].read_bytes())             # another image of the plan
    Store.create(tmp_path, plan).close()                     # a store that knows of nothing
    with Store.open(tmp_path) as store:
        assert take_over(store, plan, tmp_path) == (22, 0)


def test_units_keep_a_person_warm_and_the_last_one_is_shared():
    plan_records = list(_records(4, 3, 5, 2))

    async def go():
        queue, order = WorkQueue(plan_records), {}
        done = 0
        while done < len(plan_records):
            for name in "abc":
                image = await queue.take(name) if queue.waiting else None
                if image:
                    order.setdefault(name, []).append(image)
                    queue.finished()
                    done += 1
        return order
    order = asyncio.run(go())
    everything = [image.id for images in order.values() for image in images]
    assert sorted(everything) == list(range(120)), "each once"
    for images in order.values():
        changes = sum(a.identity != b.identity for a, b in itertools.pairwise(images))
        assert changes <= 3, "a person is left only when its units are done"
    assert max(map(len, order.values())) - min(map(len, order.values())) <= 2, "the end is shared"


def _records(people, heads, prompts, samples):
    from caphuman_bench.plan import HeadEntry, IdentityEntry, Plan, PromptEntry
    return records(Plan(tuple(IdentityEntry(f"p{i}", "", ()) for i in range(people)),
                        tuple(PromptEntry(f"t{i}", "", "x") for i in range(prompts)),
                        tuple(HeadEntry(f"h{i}", "values") for i in range(heads)), samples, 0, {}, {}))


@pytest.mark.parametrize("servers", [1, 2, 8, 64])
def test_servers_are_kept_busy(tmp_path, servers):
    """Whenever a server ends a prompt the next one lies in its queue, as long as there is one. What share of the time servers
    work is measured by `dev.py benchmark bench_scale`."""
    plan = small_plan(tmp_path, 4, 4, max(1, servers * 6 // 16), 1)
    idle: list[str] = []

    def prepare(simulated):
        def all_handed_out():
            return sum(server.received for server in simulated) == len(plan)
        for server in simulated:
            server.may_end = lambda server=server, since=[]: _next_is_there(server, all_handed_out, since, idle)
    summary, _ = run(tmp_path, plan, servers, 0.0, prepare=prepare)
    assert summary.done == len(plan)
    assert not idle, "a server had nothing to do while there was work"


def _next_is_there(server, all_handed_out, since, idle):
    """Whether a prompt may end: another one waits, or none is left. Gives up on a scheduler that sends none in a minute."""
    if server.waiting or all_handed_out():
        since.clear()
        return True
    since.append(time.monotonic())
    if since[-1] - since[0] > 60:
        since.clear()
        idle.append(server.url)
        return True
    return False


def test_a_failing_image_is_given_up_after_three_attempts_and_the_rest_is_made(tmp_path):
    plan = small_plan(tmp_path)
    bad = seed_of(0, "person0", "head1", "prompt1", 0)

    def prepare(servers):
        servers[0].fail = lambda prompt: "out of memory" if prompt["2"]["inputs"]["seed"] == bad else None
    summary, _ = run(tmp_path, plan, prepare=prepare)
    assert (summary.done, summary.failed) == (23, 1)
    with Store.open(tmp_path) as store:
        (failed,) = store.records("failed")
        assert (failed.prompt, failed.attempts, failed.error) == ("prompt1", 3, "KSampler: out of memory")
        assert store.retry_failed() == 1
    assert run(tmp_path, plan)[0].done == 1


def test_a_run_in_which_everything_fails_stops_with_the_reason(tmp_path):
    plan = small_plan(tmp_path, 3, 3, 5, 1)
    with pytest.raises(InputError, match="no picture, the last with 'KSampler: no such checkpoint'"):
        run(tmp_path, plan, prepare=lambda s: setattr(s[0], "fail", lambda prompt: "no such checkpoint"))


def test_a_refused_graph_stops_the_run_with_the_servers_words(tmp_path):
    plan = small_plan(tmp_path)
    with pytest.raises(InputError, match=r"workflow must be valid on http.*value not in list: ckpt"):
        run(tmp_path, plan, prepare=lambda s: setattr(s[0], "refuse", lambda prompt: "value not in list: ckpt"))
    assert counts(tmp_path) == {"planned": 24, "leased": 0, "done": 0, "failed": 0}


def test_answers_of_500_are_outlasted_and_cost_no_attempts(tmp_path):
    plan = small_plan(tmp_path)
    summary, _ = run(tmp_path, plan, prepare=lambda s: setattr(s[0], "errors_500", 6))
    assert (summary.done, summary.failed) == (24, 0)
    assert summary.losses >= 3
    with Store.open(tmp_path) as store:
        assert all(record.attempts == 0 for record in store.records())


@pytest.mark.parametrize("answer", ["<html>log in</html>", "[1, 2]", "null", "{}", '{"a": ', '"hello"',
                                    '{"prompt_id": null, "queue_running": 3, "name": null}'])
def test_answers_that_no_comfyui_gives_are_outlasted(tmp_path, monkeypatch, answer):
    """As from a proxy's log-in page, or another program on that port."""
    from aiohttp import web
    left = {}
    wells = {route: getattr(SimulatedServer, route) for route in ("_prompt", "_past", "_upload")}
    for route in wells:
        async def strange(server, request, route=route):
            left[route] = left.get(route, 0) + 1
            if left[route] > 2:
                return await wells[route](server, request)
            return web.Response(text=answer, content_type="text/html" if "html" in answer else "application/json")
        monkeypatch.setattr(SimulatedServer, route, strange)
    plan = small_plan(tmp_path, 1, 1, 3, 1)
    summary, _ = run(tmp_path, plan)
    assert (summary.done, summary.failed) == (3, 0)
    assert all(count > 2 for count in left.values())


def test_a_disk_that_takes_nothing_is_one_sentence(tmp_path, monkeypatch, capsys):
    small_plan(tmp_path)

    def full(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path))
    monkeypatch.setattr("caphuman_bench.folder.FileLock.acquire", full)
    assert main(["run", str(tmp_path), "--server", "127.0.0.1:9"]) == 1
    said = capsys.readouterr().err
    assert "Read-only file system" in said
    assert "nothing is lost" in said


def test_a_hanging_server_loses_its_work_to_the_others(tmp_path):
    plan = small_plan(tmp_path)

    def prepare(servers):
        servers[0].hanging = True
    summary, (_, well) = run(tmp_path, plan, 2, hang=1.0, prepare=prepare)
    assert summary.done == 24
    assert set(well.made.values()) == {1}


def test_a_server_that_stops_in_the_middle_of_an_image_counts_as_hanging(tmp_path):
    plan = small_plan(tmp_path, 1, 1, 2, 1)

    async def stall(servers, work):
        while not work.summary.losses:
            await asyncio.sleep(0.05)
        servers[0].latency = 0.01
    summary, _ = run(tmp_path, plan, latency=60, hang=0.5, meanwhile=stall)
    assert (summary.done, summary.failed) == (2, 0)
    assert "no sign of progress" in summary.last_error


class TellsLate(SimulatedServer):
    """Answers for a prompt's history as it was when asked, once the prompt's end has been told over the websocket."""

    def __init__(self, latency: float) -> None:
        super().__init__(latency)
        self.asked, self.ended = False, asyncio.Event()
        self.may_end = lambda: self.asked

    async def _past(self, request):
        answer = await super()._past(request)
        if not self.ended.is_set():
            self.asked = True
            await self.ended.wait()
            await asyncio.sleep(0.1)                        # the message is on its way on another connection
        return answer

    async def _say(self, job, kind, data):
        await super()._say(job, kind, data)
        if kind == "executing" and data["node"] is None:
            self.ended.set()


def one_picture(make, hang_seconds=600.0):
    """make() -> a server. That server, and the picture that it made for one prompt."""
    async def go():
        async with make() as server:
            client = ComfyServer(server.url, hang_seconds)
            await client.start()
            try:
                content, _ = await client.run({"1": {"class_type": "SaveImage", "inputs": {}}}, {}, None)
            finally:
                await client.close()
            return server, content
    return asyncio.run(go())


def test_an_answer_from_before_the_end_that_arrives_after_it_is_no_loss():
    server, content = one_picture(lambda: TellsLate(0.01))
    assert server.asked
    assert content.startswith(png.SIGNATURE)


class Busy(SimulatedServer):
    """Leaves questions about a prompt unanswered until whoever asked has given up; the prompt ends after `waits` of them."""

    def __init__(self, waits: float) -> None:
        super().__init__(0.01)
        self.given_up = 0
        self.may_end = lambda: self.given_up >= waits

    async def _past(self, request):
        while not self.may_end() and request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.01)
        self.given_up += 1
        return await super()._past(request)


def test_a_server_too_busy_to_answer_is_waited_for_as_long_as_a_silent_one(monkeypatch):
    monkeypatch.setattr("caphuman_bench.server.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("caphuman_bench.server.ASK_SECONDS", 0.05)
    server, content = one_picture(lambda: Busy(2))
    assert server.given_up >= 2
    assert content.startswith(png.SIGNATURE)
    with pytest.raises(ServerLost, match="no answer in time"):
        one_picture(lambda: Busy(math.inf), 0.5)


def test_a_server_that_restarts_gets_its_lost_prompts_again(tmp_path):
    plan = small_plan(tmp_path)

    async def restart(servers, work):
        while work.summary.done < 8:
            await asyncio.sleep(0.01)
        servers[0].restart()
    summary, (server,) = run(tmp_path, plan, latency=0.05, meanwhile=restart)
    assert (summary.done, summary.failed) == (24, 0)
    assert summary.losses == 1
    assert max(server.uploads.values()) == 2, "inputs are sent again"


def test_without_any_server_the_run_stops_and_says_how_to_go_on(tmp_path):
    plan = small_plan(tmp_path)

    async def go():
        with Store.open(tmp_path) as store:
            await Runner(store, [ServerWorker(plan, tmp_path, "http://127.0.0.1:9")],
                         Settings(waits=(0.05, 0.1), patience_seconds=0.3)).run(list(store.records()))
    with pytest.raises(InputError, match=r"servers must answer, but got none at work for .*same command again"):
        asyncio.run(go())


def test_a_full_disk_stops_the_run_and_nothing_is_lost(tmp_path, monkeypatch):
    plan = small_plan(tmp_path)
    written = []

    def full(path, content):
        if len(written) >= 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write_whole(path, content)
    monkeypatch.setattr(worker, "write_whole", full)
    with pytest.raises(InputError, match=r"disk must take what is written, but got .*No space left.*nothing is lost"):
        run(tmp_path, plan)
    assert counts(tmp_path)["leased"] == 0
    monkeypatch.undo()
    made = counts(tmp_path)["done"]
    assert 8 <= made <= 9
    assert run(tmp_path, plan)[0].done + made >= 24 - 1


def test_a_part_of_a_file_never_stands_in_its_place(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a.png", b"x")
    assert list(tmp_path.iterdir()) == []


def test_two_runs_on_one_folder_are_told_apart(tmp_path, capsys):
    small_plan(tmp_path)
    with locked(tmp_path, "run"):
        done = subprocess.run([sys.executable, "-m", "caphuman_bench", "run", str(tmp_path), "--server", "127.0.0.1:9"], cwd=PACK,
                              capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"must be free, but got a folder in use by 'run' on {os.uname().nodename}, process {os.getpid()}" in done.stderr


def test_the_command_line_runs_and_says_what_is_there(tmp_path, capsys):
    plan = small_plan(tmp_path)
    assert main(["run", str(tmp_path)]) == 1
    assert "servers must be named" in capsys.readouterr().err
    with _server_process(tmp_path, 0.01) as url:
        assert main(["run", str(tmp_path), "--server", url]) == 0
    assert f"{len(plan)} of {len(plan)} images are there, 0 failed" in capsys.readouterr().out
    assert main(["run", str(tmp_path / "none")]) == 1
    assert "must hold a plan" in capsys.readouterr().err


@contextlib.contextmanager
def _server_process(folder, latency):
    """A simulated server as a process of its own; `made.json` counts what it made, once it has ended."""
    command = [sys.executable, "tests/bench/simulated.py", "--latency", str(latency),
               "--log", str(folder.parent / "made.json")]
    with subprocess.Popen(command, cwd=PACK, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(PACK)}) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _start(folder, url):
    """The command, hearing Ctrl-C even where the tests run in the background, whose children inherit an ignored one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([sys.executable, "-m", "caphuman_bench", "run", str(folder), "--server", url], cwd=PACK,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_leaves_everything_as_it_is_and_the_same_command_goes_on(tmp_path):
    folder = tmp_path / "run"
    plan = small_plan(folder)
    with _server_process(folder, 0.1) as url:
        process = _start(folder, url)
        while counts(folder)["done"] < 3:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert counts(folder)["leased"] == 0
        assert 3 <= counts(folder)["done"] < len(plan)
        assert _start(folder, url).wait(60) == 0
    assert counts(folder)["done"] == len(plan)


@pytest.mark.thorough
def test_killed_at_twenty_moments_nothing_is_lost_and_at_most_what_is_in_hand_repeated(tmp_path):
    """Half of the kills hit the run, at moments spread over its start-up and its work; the rest of it is then done."""
    import random
    folder, moments, kills = tmp_path / "run", random.Random(8), 20
    plan = small_plan(folder, 4, 5, 5, 3)                   # 300 images
    with _server_process(folder, 0.01) as url:
        done = 0
        for _ in range(kills):
            process = _start(folder, url)
            if moments.random() < 0.7:                      # else wherever its start-up is
                while counts(folder)["done"] == done and process.poll() is None:
                    time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.12))
            process.kill()
            process.wait()
            assert counts(folder)["done"] >= done, "what was done stays done"
            done = counts(folder)["done"]
        assert 0 < done < len(plan), "the kills hit the run in its work"
        assert _start(folder, url).wait(60) == 0
    assert counts(folder) == {"planned": 0, "leased": 0, "done": len(plan), "failed": 0}
    made = json.loads((tmp_path / "made.json").read_text())
    assert len(made) == len(plan)
    assert sum(made.values()) - len(plan) <= kills * runner.DEPTH, "each kill repeats the images in hand at most"
    assert not list(folder.rglob("*.part"))
    with Store.open(folder) as store:
        assert all((folder / record.file).is_file() for record in store.records())
    assert load_plan(folder) == plan


def test_in_a_log_file_each_state_of_the_bar_is_a_line(capsys):
    step, bar = progress(3, 0, 0)
    for failed in (False, True, False):
        step(failed)
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert "\r" not in "".join(lines)
    assert "3/3" in lines[-1]
    assert "1 failed" in lines[-1]
