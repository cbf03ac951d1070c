"""The systems that the suites run against: one node of etcd, three of Disco."""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
# Seconds until a system must answer, on a slow machine.
START = 120


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for_port(host, port):
    deadline = time.monotonic() + START
    while True:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on {host}:{port} after {START} s")
        time.sleep(0.1)


class Running:
    """Where a system listens, and what its clients need."""

    def __init__(self, host, port, tls=()):
        self.host, self.port, self.tls = host, port, tls

    @contextlib.contextmanager
    def bridge(self, front=()):
        """A port on 127.0.0.1 that needs no certificate, without TLS or with that of `front`."""
        words = [":".join(map(str, front)), self.host, str(self.port), ":".join(map(str, self.tls))]
        bridge = subprocess.Popen([sys.executable, HERE / "bridge.py", *words], stdout=subprocess.PIPE, text=True)
        try:
            yield int(bridge.stdout.readline())
        finally:
            bridge.kill()
            bridge.wait()


class Etcd:
    """One node of etcd with default settings."""

    NAME = "etcd"

    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def __enter__(self):
        client, peer, name = free_port(), free_port(), f"etcd-{time.monotonic_ns()}"
        urls = [f"http://127.0.0.1:{port}" for port in (client, peer)]
        words = ["--name", "one", "--data-dir", self.folder / name, "--initial-cluster", f"one={urls[1]}"]
        words += ["--listen-client-urls", urls[0], "--advertise-client-urls", urls[0]]
        words += ["--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1]]
        with open(self.folder / f"{name}.log", "wb") as log:
            self.process = subprocess.Popen([self.program, *words], stdout=log, stderr=log)
        wait_for_port("127.0.0.1", client)
        return Running("127.0.0.1", client)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Disco:
    """Three nodes of Disco on local machines, with an operator's certificate."""

    NAME = "disco"

    def __init__(self, programs, folder):
        self.program, self.folder = programs.resolve() / "disco", folder

    def disco(self, *words):
        return subprocess.run([self.program, *words], cwd=self.project, check=True, capture_output=True, text=True).stdout

    def __enter__(self):
        self.project = self.folder / f"suites-{time.monotonic_ns()}"
        subprocess.run([self.program, "init", self.project.name], cwd=self.folder, check=True, capture_output=True)
        self.disco("bootstrap", "-y")
        settings = json.loads(self.disco("env", "-o", "json"))
        first = urllib.parse.urlparse(settings["ETCDCTL_ENDPOINTS"].split(",")[0])
        tls = [settings[f"ETCDCTL_{name}"] for name in ("CACERT", "CERT", "KEY")]
        return Running(first.hostname, first.port, tls)

    def __exit__(self, *_):
        self.disco("destroy", "-y")
