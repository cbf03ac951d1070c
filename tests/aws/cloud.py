"""An EC2 with machines: moto's server, in which each instance has an address of the loopback network and a machine behind it, see
`machines.py`.

    python3 cloud.py --dir DIR --disco PROGRAM --network 127.9.8 --port 0 --machines local

`--dir` gets a folder for each machine; `--machines` says of which kind they are, `local` or `openssh`; `--network` names the first three bytes of private addresses, and the next two numbers
of the third byte are those of public addresses and of Elastic IPs. A public address leads to the private one of the machine
that has it, as a gateway does. When all is up, `ready PORT` is printed.

What tests ask of it, under `/test/`: `GET calls` lists the calls so far; `POST faults` adds a failure, see `Faults`; `DELETE faults`
removes all; `GET state` says whether a call is being held; `GET inventory` lists all that is there; `POST machines` says how
the next ones behave; `POST notices` says what the metadata service announces to a machine: `machine`, `notices` by path.
"""

import argparse
import asyncio
import datetime
import hashlib
import json
import os
import platform
import re
import sys
import threading
import time
import urllib.parse
from pathlib import Path

from machines import PORTS, Local, Machine, OpenSsh

IMAGE = "ami-0e8c824f386e1de06"
TYPE = "t4g.micro"
VCPUS = 32.0
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--dir", type=Path, required=True)
arguments.add_argument("--disco", required=True)
arguments.add_argument("--network", required=True)
arguments.add_argument("--port", type=int, default=0)
arguments.add_argument("--machines", choices=("local", "openssh"), default="local")
arguments = arguments.parse_args()
arguments.dir.mkdir(parents=True, exist_ok=True)
directory = arguments.dir.resolve()

# The image that the test's scripts name, and a plain one of the other architecture. Read by moto when it is imported.
other = "x86_64" if ARCHITECTURE == "arm64" else "arm64"
images = [
    {
        "ami_id": ami,
        "name": name,
        "description": name,
        "owner_id": "099720109477",
        "public": True,
        "architecture": architecture,
        "virtualization_type": "hvm",
        "hypervisor": "xen",
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "state": "available",
        "image_location": f"amazon/{name}",
        "image_type": "machine",
        "sriov": "simple",
    }
    for ami, name, architecture in ((IMAGE, "ubuntu", ARCHITECTURE), ("ami-0000000000000other", "other", other))
]
(directory / "images.json").write_text(json.dumps(images))
os.environ["MOTO_AMIS_PATH"] = str(directory / "images.json")
os.environ["MOTO_ENABLE_KEYPAIR_VALIDATION"] = "true"
os.environ["MOTO_ENABLE_AMI_VALIDATION"] = "true"

from moto.ec2.exceptions import EC2ClientError  # noqa: E402
from moto.ec2.models import elastic_ip_addresses, elastic_network_interfaces  # noqa: E402
from moto.ec2.models.instance_types import INSTANCE_TYPES  # noqa: E402
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState  # noqa: E402
from moto.ec2.models.subnets import Subnet  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402
from werkzeug.wrappers import Request, Response  # noqa: E402

INSTANCE_TYPES[TYPE]["ProcessorInfo"]["SupportedArchitectures"] = [ARCHITECTURE]


class Addresses:
    """Gives out addresses of the loopback network, none twice."""

    def __init__(self, network, third):
        a, b, c = (int(part) for part in network.split("."))
        self.prefix = f"{a}.{b}.{c + third}"
        self.lock = threading.Lock()
        self.last = 0

    def next(self, *_, **__):
        with self.lock:
            self.last += 1
            return f"{self.prefix}.{self.last}"


private = Addresses(arguments.network, 0)
elastic_network_interfaces.random_public_ip = Addresses(arguments.network, 1).next
elastic_ip_addresses.random_ip = Addresses(arguments.network, 2).next


def available_ip(subnet, instance):
    address = private.next()
    subnet._subnet_ips[address] = instance
    return address


Subnet.get_available_subnet_ip = available_ip


class Gateway:
    """Carries connections from public addresses to the machines that have them at that moment."""

    def __init__(self):
        self.routes = {}
        self.known = set()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def route(self, public, target):
        self.routes[public] = target
        if public not in self.known:
            self.known.add(public)
            for port in PORTS:
                asyncio.run_coroutine_threadsafe(self.listen(public, port), self.loop).result()

    def drop(self, target):
        for public in [public for public, known in self.routes.items() if known == target]:
            del self.routes[public]

    async def listen(self, public, port):
        async def carry(reader, writer):
            target = self.routes.get(public)
            try:
                if target is None:
                    return
                there = await asyncio.open_connection(target, port)
                await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
            except OSError:
                pass
            finally:
                writer.close()

        async def pump(reader, writer):
            try:
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
            except OSError:
                pass
            finally:
                writer.close()

        await asyncio.start_server(carry, public, port)


Machine.directory, Machine.disco, Machine.gateway = directory, arguments.disco, Gateway()
stands_in = OpenSsh.missing() if arguments.machines == "openssh" else None
Kind = OpenSsh if arguments.machines == "openssh" and not stands_in else Local


class ParameterMismatch(EC2ClientError):
    code = 400

    def __init__(self):
        super().__init__("IdempotentParameterMismatch", "Request with the same client token has other parameters.")


class Capacity(EC2ClientError):
    pass


tokens = {}
tokens_lock = threading.Lock()
moto_run, moto_start, moto_stop, moto_end = (
    InstanceBackend.run_instances,
    Instance.start,
    Instance.stop,
    Instance.terminate,
)
boot_seconds = 0.2


def run_instances(backend, image_id, count, user_data, security_group_names, **kwargs):
    with tokens_lock:
        token = kwargs.get("client_token")
        told = json.dumps([image_id, count, str(user_data), security_group_names, kwargs], default=str, sort_keys=True)
        digest = hashlib.sha256(told.encode()).hexdigest()
        if token and token in tokens:
            known, reservation = tokens[token]
            if known != digest:
                raise ParameterMismatch()
            return reservation
        reservation = moto_run(backend, image_id, count, user_data, security_group_names, **kwargs)
        tokens[token] = (digest, reservation)
    for instance in reservation.instances:
        instance._state = InstanceState("pending", 0)
        instance.machine = Kind(instance)
        threading.Thread(target=boot, args=(instance,), daemon=True).start()
    return reservation


def boot(instance):
    time.sleep(boot_seconds)
    if instance._state.name != "pending":
        return
    instance.machine.start()
    with tokens_lock:
        if instance._state.name == "pending":
            instance._state = InstanceState("running", 16)


def start(instance):
    before = moto_start(instance)
    if machine := getattr(instance, "machine", None):
        instance._state = InstanceState("pending", 0)
        threading.Thread(target=boot, args=(instance,), daemon=True).start()
        del machine
    return before


def stop(instance):
    before = moto_stop(instance)
    instance.machine.stop(remove=False)
    return before


def terminate(instance):
    with tokens_lock:
        already = instance._state.name == "terminated"
        before = moto_end(instance) if not already else instance._state
    if not already:
        instance.machine.stop(remove=True)
    return before


InstanceBackend.run_instances = run_instances
Instance.start, Instance.stop, Instance.terminate = start, stop, terminate

moto_associate = elastic_ip_addresses.ElasticAddressBackend.associate_address


def associate(backend, *args, **kwargs):
    address = moto_associate(backend, *args, **kwargs)
    if address.eni and address.eni.instance:
        Machine.gateway.route(address.public_ip, address.eni.instance.machine.address)
    return address


elastic_ip_addresses.ElasticAddressBackend.associate_address = associate

ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>test</RequestID></Response>"""
IAM_ERROR = """<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>{code}</Code>
<Message>{message}</Message></Error><RequestId>test</RequestId></ErrorResponse>"""


class Faults:
    """Failures that tests ask for. Each is an object with
    `action`: the call, `*` for each; `has`: a text that the call's body contains; `times`: how often, always if absent;
    `skip`: how many calls pass before it; and either `code`, `status`, `message`: the answer instead of the service's own;
    or `hold`: true: the call is done, and its answer kept back until faults are removed."""

    def __init__(self):
        self.rules = []
        self.calls = []
        self.held = None
        self.lock = threading.Lock()
        self.go_on = threading.Condition()

    def of(self, action, body):
        with self.lock:
            for rule in self.rules:
                if rule["action"] not in ("*", action) or rule.get("has", "") not in body:
                    continue
                if rule.get("skip", 0) > 0:
                    rule["skip"] -= 1
                    continue
                if "times" in rule:
                    if rule["times"] <= 0:
                        continue
                    rule["times"] -= 1
                return dict(rule)
        return None

    def remove(self):
        with self.lock:
            self.rules = []
            self.held = None
        with self.go_on:
            self.go_on.notify_all()

    def hold(self, action):
        with self.lock:
            self.held = action
        with self.go_on:
            self.go_on.wait(timeout=60)


faults = Faults()
moto = DomainDispatcherApplication(create_backend_app)


def application(environ, start_response):
    request = Request(environ)
    if request.path.startswith("/test/"):
        return test(request)(environ, start_response)
    if request.path.startswith("/latest/"):
        return metadata(request, environ, start_response)
    body = request.get_data(as_text=True)
    environ["wsgi.input"] = __import__("io").BytesIO(body.encode())
    action = urllib.parse.parse_qs(body).get("Action", ["?"])[0]
    quotas = request.headers.get("X-Amz-Target", "").startswith("ServiceQuotas")
    if quotas:
        action = request.headers["X-Amz-Target"].split(".")[1]
    # Credentials of nodes come from the metadata service, which gives each machine its own.
    machine = re.search(f"Credential={NODE_KEY}(i-[0-9a-f]+)/", request.headers.get("Authorization", ""))
    caller = {"caller": "node", "machine": machine[1]} if machine else {"caller": "operator", "machine": None}
    faults.calls.append({"action": action, "time": time.time(), **caller})
    rule = faults.of(action, urllib.parse.unquote(body))
    if quotas:
        return quota(json.loads(body), rule)(environ, start_response)
    if rule and "code" in rule:
        text = (IAM_ERROR if re.search("/(iam|sts)/", request.headers.get("Authorization", "")) else ERROR).format(
            code=rule["code"], message=rule.get("message", "injected by a test")
        )
        return Response(text, status=rule.get("status", 400), content_type="text/xml")(environ, start_response)
    if not rule:
        return moto(environ, start_response)
    kept = {}

    def keep(status, headers, *_):
        kept.update(status=status, headers=headers)

    answer = b"".join(moto(environ, keep))
    faults.hold(action)
    start_response(kept["status"], kept["headers"])
    return [answer]


def quota(asked, rule):
    """moto has no quotas of EC2. All have the same value here, if a test says nothing else."""
    if rule and "code" in rule:
        told = {"__type": rule["code"], "message": rule.get("message", "injected by a test")}
        return Response(json.dumps(told), status=400, content_type="application/x-amz-json-1.1")
    told = {"Quota": {"ServiceCode": asked["ServiceCode"], "QuotaCode": asked["QuotaCode"], "Value": (rule or {}).get("value", VCPUS)}}
    return Response(json.dumps(told), content_type="application/x-amz-json-1.1")


notices = {}
NODE_KEY = "NODE"


def metadata(request, environ, start_response):
    """Sessions are moto's; who asks is told who it is, what a test has announced to it, and the credentials of the role that it has."""
    path = request.path.removeprefix("/latest/meta-data/")
    if path.startswith("iam/security-credentials"):
        return credentials(asker(environ), path)(environ, start_response)
    if path == "instance-id":
        return Response(asker(environ) or "", content_type="text/plain")(environ, start_response)
    if path == "instance-life-cycle":
        known = asker(environ)
        cycle = next((one.lifecycle for one in all_instances() if one.id == known), None) or "on-demand"
        return Response(cycle, content_type="text/plain")(environ, start_response)
    if path in ("spot/instance-action", "events/maintenance/scheduled", "events/recommendations/rebalance"):
        own = notices.get(asker(environ), {})
        if path in own:
            return Response(json.dumps(own[path]), content_type="application/json")(environ, start_response)
        return Response("not found", status=404)(environ, start_response)
    return moto(environ, start_response)


def credentials(machine, path):
    """None for a machine without an instance profile, as on EC2. They say whose they are."""
    from moto.ec2.models import ec2_backends

    backends = [backend for regions in list(ec2_backends.values()) for backend in list(regions.values())]
    if not any(machine in backend.iam_instance_profile_associations for backend in backends):
        return Response("not found", status=404)
    if path.rstrip("/") == "iam/security-credentials":
        return Response("role", content_type="text/plain")
    expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)
    return answer({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": "2030-01-01T00:00:00Z",
        "AccessKeyId": f"{NODE_KEY}{machine}",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
    })


def asker(environ):
    """The machine whose process is at the other end: all of them have the same service here, at an address that is no machine's."""
    port = f":{int(environ['REMOTE_PORT']):04X}"
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{fields[9]}]" for fields in sockets if fields[1].endswith(port) and fields[9] != "0"}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(link) in inodes for link in (process / "fd").iterdir()):
                for variable in (process / "environ").read_bytes().decode(errors="replace").split("\0"):
                    name, _, value = variable.partition("=")
                    if name in ("DISCO_MACHINE", "DISCO_TEST_MACHINE"):
                        return value
        except OSError:
            pass
    return None


def all_instances():
    from moto.ec2.models import ec2_backends

    return [one for regions in list(ec2_backends.values()) for backend in list(regions.values()) for one in backend.all_instances()]


def test(request):
    path = request.path.removeprefix("/test/")
    if path == "faults" and request.method == "POST":
        faults.rules.append(request.get_json(force=True))
    elif path == "faults" and request.method == "DELETE":
        faults.remove()
    elif path == "calls" and request.method == "DELETE":
        faults.calls = []
    elif path == "calls":
        return answer(faults.calls)
    elif path == "state":
        return answer({"held": faults.held})
    elif path == "machines" and request.method == "POST":
        settings = request.get_json(force=True)
        Machine.ignores_user_data = settings.get("ignores_user_data", False)
        Machine.never_answers = settings.get("never_answers", False)
        globals()["boot_seconds"] = settings.get("boot_seconds", 0.2)
    elif path == "inventory":
        return answer(inventory())
    elif path == "notices" and request.method == "POST":
        announced = request.get_json(force=True)
        notices[announced["machine"]] = announced["notices"]
    else:
        return Response("no such thing", status=404)
    return answer({})


def inventory():
    """All that is there, of every cluster."""
    from moto.ec2.models import ec2_backends
    from moto.iam.models import iam_backends

    found = {"instances": [], "security_groups": [], "key_pairs": [], "addresses": [], "roles": [], "profiles": []}
    tags = lambda thing: {tag["key"]: tag["value"] for tag in thing.get_tags()}
    for regions in list(ec2_backends.values()):
        for backend in list(regions.values()):
            for instance in backend.all_instances():
                found["instances"].append({
                    "id": instance.id,
                    "state": instance.state,
                    "type": instance.instance_type,
                    "zone": instance.availability_zone,
                    "private": instance.private_ip_address if instance.nics else None,
                    "public": instance.public_ip_address if instance.nics else None,
                    "key_name": instance.key_name,
                    "http_tokens": instance.metadata_options.http_tokens,
                    "client_token": instance.client_token,
                    "profile": profile_of(backend, instance),
                    "tags": tags(instance),
                })
            for groups in list(backend.groups.values()):
                for group in list(groups.values()):
                    if group.name != "default":
                        rules = [rule_of(rule, group) for rule in group.ingress_rules]
                        found["security_groups"].append({"name": group.name, "rules": rules, "tags": tags(group)})
            for pair in list(backend.key_pairs.values()):
                found["key_pairs"].append({"name": pair.key_name, "tags": tags(pair)})
            for address in list(backend.addresses):
                found["addresses"].append({"ip": address.public_ip, "instance": address.instance_id, "tags": tags(address)})
    for partitions in list(iam_backends.values()):
        for backend in list(partitions.values()):
            for role in list(backend.roles.values()):
                found["roles"].append({"name": role.name, "policies": dict(role.policies)})
            found["profiles"] += [{"name": profile.name} for profile in list(backend.instance_profiles.values())]
    return found


def profile_of(backend, instance):
    association = backend.iam_instance_profile_associations.get(instance.id)
    return association.iam_instance_profile.name if association else None


def rule_of(rule, group):
    blocks = [block.get("CidrIp") or block.get("CidrIpv6") for block in [rule.ip_range] if block]
    own = [source for source in [rule.source_group] if source and source.get("GroupId") == group.id]
    return {"from": int(rule.from_port), "to": int(rule.to_port), "protocol": rule.ip_protocol, "blocks": blocks,
            "group": bool(own)}


def answer(value):
    return Response(json.dumps(value), content_type="application/json")


server = make_server("127.0.0.1", arguments.port, application, threaded=True, request_handler=MotoRequestHandler)
print(f"ready {server.port} {stands_in or ''}".rstrip(), flush=True)
sys.stdout.flush()
server.serve_forever()
