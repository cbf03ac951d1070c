"""What is behind an instance: a machine at its address, which reads its user data at its first start as cloud-init does.

`OpenSsh` is Debian's own OpenSSH server, for whom the process is root. Each has processes and mounts of its own, so that `/root`,
`/etc/ssh`, `/usr/local/bin`, `/var/lib` and `/run` are that machine's, and all that runs on it dies with its first process.
`Local` is a machine of the local provider, for everyone else.

A machine's folder has `machine.json` and `process.json` for the tests, and `machine.log`.
"""

import base64
import email
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import yaml

PORTS = (22, 5080)
# Of cloud-init (`disable_root_opts`): what root's keys are good for while `disable_root` is not false.
ROOT_REFUSED = "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command=\"echo 'Please login as the user'; exit 142\" "


def cloud_config(user_data):
    """What cloud-init would read, of a whole or of the first part."""
    text = base64.b64decode(user_data).decode() if user_data else ""
    if text.startswith("Content-Type: multipart/"):
        parts = [part for part in email.message_from_string(text).walk() if part.get_content_type() == "text/cloud-config"]
        text = parts[0].get_payload(decode=True).decode()
    return yaml.safe_load(text) if text.startswith("#cloud-config") else {}


class Machine:
    """What both have in common."""

    directory = None
    disco = None
    gateway = None
    ignores_user_data = False
    never_answers = False

    def __init__(self, instance):
        self.instance = instance
        self.folder = Machine.directory / instance.id
        self.address = instance.private_ip_address

    def start(self):
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            self.make({} if Machine.ignores_user_data else cloud_config(str(self.instance.user_data or "")))
        if not Machine.never_answers:
            with open(self.folder / "machine.log", "ab") as log:
                self.run(log)
        self.open_gateway()

    def open_gateway(self):
        if self.instance.public_ip_address:
            Machine.gateway.route(self.instance.public_ip_address, self.address)

    def stop(self, remove):
        Machine.gateway.drop(self.address)
        self.end()
        if remove and self.folder.exists():
            # Not removed: its logs are what a failed test shows.
            self.folder.rename(self.folder.with_name(f".ended-{self.instance.id}"))

    def kill(self):
        """Its first process: all others end with that."""
        try:
            os.kill(json.loads((self.folder / "process.json").read_text())["pid"], signal.SIGKILL)
        except (OSError, ValueError, KeyError):
            pass

    end = kill

    def key_pair(self):
        """The public key of the key pair with which the instance was started, as its metadata says."""
        if not self.instance.key_name:
            return []
        material = self.instance.ec2_backend.key_pairs[self.instance.key_name].material_public
        return [material.decode() if isinstance(material, bytes) else str(material)]

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def new_host_key(self, name):
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path.with_suffix(".pub").read_text().strip()

    def record(self, **more):
        address = {"address": self.address, "ssh_port": PORTS[0], "control_port": PORTS[1]}
        self.write("machine.json", json.dumps({"id": self.instance.id, **address, **more}))


class Local(Machine):
    """A machine of the local provider."""

    def make(self, config):
        keys = config.get("ssh_authorized_keys") or self.key_pair()
        self.write("home/.ssh/authorized_keys", "".join(f"{key}\n" for key in keys))
        host = config.get("ssh_keys")
        if host:
            self.write("host_key", host["ed25519_private"])
        public = host["ed25519_public"] if host else self.new_host_key("host_key")
        self.record(number=1, name=self.instance.id, token="", user="root", host_key=public)

    def run(self, log):
        command = [Machine.disco, "machine", "--id", self.instance.id, "--detach"]
        environment = {"PATH": os.environ["PATH"]}
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        # Its folder is its working directory.
        subprocess.run(command, env=environment, cwd=self.folder, check=False, **streams)


class OpenSsh(Machine):
    """A machine with Debian's OpenSSH server. There is no systemd on it, as `/run` is empty."""

    # What it has for itself.
    OWN = {"root": "/root", "etc-ssh": "/etc/ssh", "usr-local-bin": "/usr/local/bin", "var-lib": "/var/lib", "run": "/run"}
    # The first process stays a shell: it is known by its environment, which the server writes over with its title.
    INIT = """
set -e
{mounts}
[ ! -x /var/lib/disco/service/start ] || /var/lib/disco/service/start
{sshd} -D -e &
wait
"""

    @staticmethod
    def missing():
        """Why there cannot be one here; nothing where there can."""
        if os.geteuid() != 0:
            return "only root can have machines with OpenSSH"
        if not OpenSsh.program():
            return "there is no `sshd` (Debian: openssh-server)"
        tried = subprocess.run([*OpenSsh.apart(), "mount", "--bind", "/run", "/run"], capture_output=True, text=True)
        return f"no processes and mounts of their own: {tried.stderr.strip()}" if tried.returncode else None

    @staticmethod
    def program():
        return shutil.which("sshd", path=f"/usr/sbin:/usr/local/sbin:{os.environ['PATH']}")

    @staticmethod
    def apart():
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]

    def make(self, config):
        for name in self.OWN:
            (self.folder / name).mkdir(mode=0o755)
        (self.folder / "root").chmod(0o700)
        (self.folder / "run/sshd").mkdir()
        # The modules `ssh` and `set_passwords` of cloud-init. Keys that are given take the place of all that the image would make.
        given = config.get("ssh_keys", {})
        for name, key in given.items():
            kind, half = name.rsplit("_", 1)
            self.write(f"etc-ssh/ssh_host_{kind}_key" + (".pub" if half == "public" else ""), key)
        if not given:
            self.new_host_key("etc-ssh/ssh_host_ed25519_key")
        refused = ROOT_REFUSED if config.get("disable_root", True) and not Machine.ignores_user_data else ""
        keys = self.key_pair() + config.get("ssh_authorized_keys", [])
        self.write("root/.ssh/authorized_keys", "".join(f"{refused}{key}\n" for key in keys))
        marks = f"DISCO_TEST_DIR={os.environ['DISCO_TEST_DIR']} DISCO_TEST_MACHINE={self.instance.id}"
        self.write(
            "etc-ssh/sshd_config",
            f"ListenAddress {self.address}:{PORTS[0]}\n"
            "HostKey /etc/ssh/ssh_host_ed25519_key\n"
            "PermitRootLogin prohibit-password\n"
            f"PasswordAuthentication {'yes' if config.get('ssh_pwauth') else 'no'}\n"
            f"KbdInteractiveAuthentication no\nUsePAM no\nSetEnv {marks}\nLogLevel VERBOSE\n",
        )
        self.record(user="root", openssh=True)

    def run(self, log):
        mounts = "\n".join(f"mount --bind '{self.folder / name}' {path}" for name, path in self.OWN.items())
        script = self.INIT.format(mounts=mounts, sshd=self.program())
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "DISCO_TEST_DIR": os.environ["DISCO_TEST_DIR"],
            "DISCO_TEST_MACHINE": self.instance.id,
        }
        # It outlives this process, as a machine does.
        self.process = subprocess.Popen(
            [*self.apart(), "/bin/sh", "-c", script],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
        first = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while self.process.poll() is None:
            if pids := first.read_text().split():
                self.write("process.json", json.dumps({"pid": int(pids[0])}))
                break

    def end(self):
        self.kill()
        if process := getattr(self, "process", None):
            # It ends when all that ran there has ended.
            process.wait(timeout=30)
