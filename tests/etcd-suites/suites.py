"""The suites: where each comes from, how it is installed, run, and counted."""

import json
import os
import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree

# Seconds until a suite is ended; its tests without an outcome count as failed.
LONGEST = 1_800


class Outcome:
    """Whether a test passed, and else the first line of why not."""

    def __init__(self, passed, why=""):
        self.passed, self.why = passed, (why.strip().splitlines() or [""])[0][:200]


MISSING = Outcome(False, "no outcome: it did not run")


class Suite:
    """A suite in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def call(self, *words, **options):
        """Runs a command that must succeed."""
        done = subprocess.run([str(word) for word in words], cwd=self.folder, capture_output=True, text=True, **options)
        if done.returncode:
            raise RuntimeError(f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, system, words, environment, folder):
        """Runs a suite, whose failure is no error; its output is in a file."""
        with open(self.folder / f"{system}.log", "wb") as log:
            environment = {**os.environ, "ETCDCTL_API": "3", **environment}
            words = [str(word) for word in words]
            try:
                subprocess.run(words, cwd=folder, env=environment, stdout=log, stderr=log, timeout=LONGEST)
            except subprocess.TimeoutExpired:
                print(f"  ended after {LONGEST} s: {words}", flush=True)


class Python(Suite):
    """A suite of pytest in the source of a Python package."""

    # The package with its version, what it needs, and its tests.
    PACKAGE, NEEDS, TESTS = "", (), ""

    def install(self):
        self.call(sys.executable, "-m", "venv", "venv")
        pip = [self.folder / "venv/bin/python", "-m", "pip", "--disable-pip-version-check"]
        self.call(*pip, "install", "-q", *self.NEEDS)
        self.call(*pip, "download", "-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", self.PACKAGE)
        with tarfile.open(next(self.folder.glob("*.tar.gz"))) as source:
            source.extractall(self.folder, filter="data")
        self.source = self.folder / self.PACKAGE.replace("==", "-")

    def prepare(self, port):
        """Changes the source where the environment is not enough."""

    def environment(self, port):
        raise NotImplementedError

    def run(self, system, running):
        report = self.folder / f"{system}.xml"
        words = [self.folder / "venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        with running.bridge() as port:
            self.prepare(port)
            environment = {"PYTHONPATH": str(self.source), **self.environment(port)}
            self.start(system, [*words, self.TESTS], environment, self.source)
        return dict(self.outcomes(report))

    @staticmethod
    def outcomes(report):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname').split('.')[-1]}.{case.get('name')}"
            wrong = [case.find(kind) for kind in ("failure", "error", "skipped")]
            wrong = [found for found in wrong if found is not None]
            if wrong:
                yield name, Outcome(False, f"{wrong[0].tag}: {wrong[0].get('message') or ''}")
            else:
                yield name, Outcome(True)


class Aetcd(Python):
    PACKAGE = "aetcd==1.0.0"
    BUILD = ("setuptools==82.0.1", "wheel==0.47.0", "setuptools-scm[toml]==10.0.5")
    NEEDS = (
        *BUILD,
        *("grpcio==1.75.1", "protobuf==6.32.1"),
        *("pytest==9.0.3", "pytest-asyncio==1.3.0", "pytest-cov==7.1.0", "pytest-mock==3.15.1"),
    )
    TESTS = "tests/integration"

    def environment(self, port):
        return {"TEST_ETCD_HTTP_URL": f"http://127.0.0.1:{port}"}


class PythonEtcd3(Python):
    PACKAGE = "etcd3==0.12.0"
    # The package's own generated code needs a protobuf of before version 4.
    NEEDS = (
        *("setuptools==69.5.1", "wheel==0.47.0", "grpcio==1.62.3", "protobuf==3.20.3", "six==1.16.0", "tenacity==6.3.1"),
        *("mock==5.1.0", "hypothesis==5.37.0", "pytest==8.1.1"),
    )
    TESTS = "tests"

    def prepare(self, port):
        """Some tests use the client's default port."""
        client = self.source / "etcd3/client.py"
        client.write_text(re.sub(r"(def client\(host='localhost', port=)\d+", rf"\g<1>{port}", client.read_text()))

    def environment(self, port):
        return {"PYTHON_ETCD_HTTP_URL": f"http://127.0.0.1:{port}", "TEST_ETCD_VERSION": "v3.4.23"}


class Etcd3gw(Python):
    PACKAGE = "etcd3gw==2.7.0"
    BUILD = ("setuptools==82.0.1", "wheel==0.47.0", "pbr==7.0.1")
    NEEDS = (*BUILD, "requests==2.32.5", "futurist==3.2.1", "oslotest==5.0.1", "testtools==2.7.2", "pytest==9.0.3")
    TESTS = "etcd3gw/tests"

    def environment(self, port):
        return {"TOOZ_TEST_HTTP_URL": f"http://localhost:{port}", "TOOZ_TEST_ETCD_PORT": str(port)}


class NpmEtcd3(Suite):
    """The last release whose package has its tests, which expect a certificate for localhost. Its `grpc`, a native module that current
    versions of Node cannot build, is replaced by its successor, which needs two words in other places."""

    NEEDS = (
        *("grpc@npm:@grpc/grpc-js@1.3.8", "@grpc/proto-loader@0.5.6", "bignumber.js@5.0.0", "mocha@6.2.3", "chai@4.2.0"),
        *("chai-as-promised@7.1.1", "chai-subset@1.6.0", "sinon@7.5.0"),
    )

    SUCCESSOR = {
        "client[method](payload, metadata, options, ": "client[method](payload, metadata, options || {}, ",
        "grpc.closeClient(service)": "service.close()",
    }

    def install(self):
        archive = self.call("npm", "pack", "--silent", "etcd3@0.2.13").strip()
        with tarfile.open(self.folder / archive) as source:
            source.extractall(self.folder, filter="data")
        self.source = self.folder / "package"
        # Only what the tests need, not what the package's developers need.
        described = json.loads((self.source / "package.json").read_text())
        for unneeded in ("devDependencies", "dependencies", "scripts"):
            described.pop(unneeded)
        (self.source / "package.json").write_text(json.dumps(described))
        self.call("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", self.source, *self.NEEDS)
        client = self.source / "lib/src/connection-pool.js"
        text = client.read_text()
        for old, new in self.SUCCESSOR.items():
            assert old in text, old
            text = text.replace(old, new)
        client.write_text(text)
        certificates = self.source / "lib/test/certs"
        (certificates / "certs").mkdir(parents=True)
        (certificates / "private").mkdir()
        self.front = (certificates / "certs/etcd0.localhost.crt", certificates / "private/etcd0.localhost.key")
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        self.call(*words, "-keyout", self.front[1], "-out", self.front[0])
        (certificates / "certs/ca.crt").write_bytes(self.front[0].read_bytes())

    def run(self, system, running):
        words = ["node_modules/.bin/mocha", "--exit", "--timeout", "20000", "--reporter", "json"]
        words += ["lib/test/_setup.js", "lib/test/*.test.js"]
        with running.bridge(self.front) as port:
            self.start(system, words, {"ETCD_ADDR": f"127.0.0.1:{port}"}, self.source)
        return dict(self.outcomes(self.folder / f"{system}.log"))

    @staticmethod
    def outcomes(log):
        text = log.read_text()
        report, _ = json.JSONDecoder().raw_decode(text[text.index('{\n  "stats"') :])
        for passed in report["passes"]:
            yield passed["fullTitle"], Outcome(True)
        for skipped in report["pending"]:
            yield skipped["fullTitle"], Outcome(False, "skipped")
        for failed in report["failures"]:
            yield failed["fullTitle"], Outcome(False, failed["err"].get("message") or "failed")


SUITES = {"aetcd": Aetcd, "python-etcd3": PythonEtcd3, "etcd3gw": Etcd3gw, "npm-etcd3": NpmEtcd3}
