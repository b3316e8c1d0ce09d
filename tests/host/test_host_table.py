"""Hosts x endings: whatever runs the model and however it ends, every call is at rest or declared lost.

The calls are counted beside the agent too: each writes one byte to a file when its answer is there.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.host.identity import counted

APP = """
import os, signal, sys, time
import auditor

agent = auditor.Agent("m", "1", home={home!r}, describe="all")
truth = os.open({truth!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@agent.watch(inputs={{"form": "tabular"}}, output="label")
def model(form):
    return "yes"

def work(number, ending="return"):
    for index in range(number):
        model({{"age": float(index)}})
        os.write(truth, b".")
    if ending == "exit":
        os._exit(0)
    if ending in ("terminate", "kill"):
        os.kill(os.getpid(), signal.SIGTERM if ending == "terminate" else signal.SIGKILL)
        time.sleep(10)
    return number

def wsgi(environ, start_response):
    work(4, environ["PATH_INFO"].strip("/"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"yes"]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({{"type": "lifespan.startup.complete"}})
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    work(4, scope["path"].strip("/"))
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"yes"}})
"""
TASKS = """
import celery
import app
queue = celery.Celery("tasks", broker="filesystem://", backend=None)
queue.conf.update(
    broker_transport_options={{"data_folder_in": {box!r}, "data_folder_out": {box!r}, "control_folder": {box!r}}},
    task_acks_late=False, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True,
)

@queue.task
def work(ending):
    return app.work(4, ending)
"""
HEAD = "import asyncio, multiprocessing, os, sys, threading\nENDING = sys.argv[1]\n"
GUARD = "if __name__ == '__main__':\n    import app, contextlib\n"
PROCESSES = """    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=app.work, args=(4, ENDING)) for _ in range(3)]
    [child.start() for child in children]
    [child.join() for child in children]
"""
SCRIPTS = {
    "script": GUARD + "    app.work(6, ENDING)\n",
    "threads": GUARD
    + "    threads = [threading.Thread(target=app.work, args=(3,)) for _ in range(3)]\n"
    + "    [t.start() for t in threads]; [t.join() for t in threads]\n    app.work(1, ENDING)\n",
    "asyncio": GUARD
    + "    async def main():\n        await asyncio.gather(*(asyncio.to_thread(app.work, 3) for _ in range(3)))\n"
    + "    asyncio.run(main())\n    app.work(1, ENDING)\n",
    "fork": GUARD
    + "    app.work(1)\n    for _ in range(3):\n        if os.fork() == 0:\n            app.work(4, ENDING)\n            sys.exit(0)\n"
    + "    for _ in range(3):\n        os.wait()\n",
    "multiprocessing-fork": GUARD + PROCESSES.format(method="fork"),
    "multiprocessing-spawn": GUARD + PROCESSES.format(method="spawn"),
    "multiprocessing-forkserver": GUARD + PROCESSES.format(method="forkserver"),
    "pool": GUARD
    + "    pool = multiprocessing.get_context('spawn').Pool(2)\n"
    + "    results = [pool.apply_async(app.work, (4, ENDING)) for _ in range(2)]\n"
    + "    for result in results:\n        with contextlib.suppress(multiprocessing.TimeoutError):\n"
    + "            result.get(20 if ENDING == 'return' else 6)\n    pool.terminate()\n    pool.join()\n",
    "ProcessPoolExecutor": GUARD
    + "    from concurrent.futures import ProcessPoolExecutor\n"
    + "    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('spawn')) as pool:\n"
    + "        for future in [pool.submit(app.work, 4, ENDING) for _ in range(2)]:\n"
    + "            with contextlib.suppress(Exception):\n                future.result(30)\n",
    "joblib": GUARD
    + "    import joblib\n    with contextlib.suppress(Exception):\n"
    + "        joblib.Parallel(n_jobs=2)(joblib.delayed(app.work)(4, ENDING) for _ in range(2))\n",
    "jupyter": GUARD
    + "    from jupyter_client.manager import start_new_kernel\n    manager, client = start_new_kernel()\n"
    + "    with contextlib.suppress(Exception):\n"
    + "        client.execute_interactive(f'import app; app.work(4, {ENDING!r})', timeout=15)\n"
    + "    client.stop_channels()\n    manager.shutdown_kernel()\n",
}
SERVERS = {
    "gunicorn-sync": ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", "2", "--preload", "app:wsgi"],
    "gunicorn-gthread": ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", "1", "--threads", "3", "app:wsgi"],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "--workers", "2", "app:asgi"],
}
LIBRARY = {"gunicorn-sync": "gunicorn", "gunicorn-gthread": "gunicorn", "jupyter": "jupyter_client"}
HOSTS = [*SCRIPTS, *SERVERS, "celery"]
ENDINGS = ["return", "exit", "terminate", "kill"]
SAMPLE = {
    ("script", "kill"),
    ("fork", "exit"),
    ("multiprocessing-spawn", "terminate"),
    ("pool", "return"),
    ("ProcessPoolExecutor", "kill"),
    ("joblib", "return"),
    ("gunicorn-sync", "kill"),
    ("uvicorn", "return"),
}
TABLE = [
    pytest.param(host, ending, marks=[] if (host, ending) in SAMPLE else [pytest.mark.soak])
    for host in HOSTS
    for ending in ENDINGS
]


def serve(folder: Path, arguments: list[str], ending: str) -> None:
    """Run a server, send it requests of which some may end its workers, and end it as operators do: by SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, *(part.format(port=port) for part in arguments)]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        for _ in range(3):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{ending}", timeout=15).read()
            except OSError:
                time.sleep(1.5)  # the worker ended in the middle; the server starts another one
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(40)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def run_celery(folder: Path, ending: str) -> None:
    box = folder / "box"
    box.mkdir()
    (folder / "tasks.py").write_text(TASKS.format(box=str(box)))
    send = f"import tasks; [tasks.work.delay({ending!r}) for _ in range(3)]"
    subprocess.run([sys.executable, "-c", send], cwd=folder, check=True, capture_output=True, timeout=60)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tasks:queue",
        "worker",
        "-c",
        "2",
        "--without-gossip",
        "--without-mingle",
    ]
    worker = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while time.monotonic() < until and len(truth(folder)) < 12:
        time.sleep(0.2)
    worker.send_signal(signal.SIGTERM)
    try:
        worker.wait(40)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def truth(folder: Path) -> bytes:
    place = folder / "truth"
    return place.read_bytes() if place.exists() else b""


def attempt(folder: Path, host: str, ending: str) -> None:
    home = folder / "home"
    (folder / "app.py").write_text(APP.format(home=str(home), truth=str(folder / "truth")))
    if host == "celery":
        run_celery(folder, ending)
    elif host in SERVERS:
        serve(folder, SERVERS[host], ending)
    else:
        (folder / "main.py").write_text(HEAD + SCRIPTS[host])
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "main.py", ending]
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120)
    made = len(truth(folder))
    assert made > 0, "the host made no call"
    found = counted(home)
    assert found.holds, found
    assert found.seen == made, found


@pytest.mark.parametrize(("host", "ending"), TABLE)
def test_every_call_is_at_rest_or_declared(tmp_path: Path, host: str, ending: str) -> None:
    library = LIBRARY.get(host, host.partition("-")[0])
    if host in ("joblib", "jupyter", "celery", *SERVERS) and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    attempt(tmp_path, host, ending)


@pytest.mark.soak
@pytest.mark.parametrize("host", ["script", "multiprocessing-spawn", "pool", "gunicorn-sync", "uvicorn"])
def test_the_same_beside_two_busy_loops(tmp_path: Path, host: str) -> None:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        attempt(tmp_path, host, "return")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
