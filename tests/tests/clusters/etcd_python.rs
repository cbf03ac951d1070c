//! A Python client from PyPI: `etcd3` (python-etcd3).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use disco_tests::{Project, SOON, skipped};

/// The last release of the client, and the last protobuf that its generated code works with.
const PACKAGES: [&str; 2] = ["etcd3==0.12.0", "protobuf==3.20.3"];

const SCRIPT: &str = r#"
import os, sys
import etcd3

endpoints = [e.removeprefix("https://").rsplit(":", 1) for e in os.environ["ETCDCTL_ENDPOINTS"].split(",")]
def connect(n):
    host, port = endpoints[n]
    return etcd3.client(host=host, port=int(port), timeout=20, ca_cert=os.environ["ETCDCTL_CACERT"],
                        cert_key=os.environ["ETCDCTL_KEY"], cert_cert=os.environ["ETCDCTL_CERT"])
a, b = connect(0), connect(1)

def check(found, wanted):
    assert found == wanted, f"{found!r} instead of {wanted!r}"

# Written at one node, read at another.
a.put("py/a", "1")
check(b.get("py/a")[0], b"1")
check(b.get("py/none"), (None, None))
a.put("py/b", "2")
check([v for v, _ in b.get_prefix("py/", sort_order="descend", sort_target="key")], [b"2", b"1"])
check([m.key for _, m in a.get_range("py/a", "py/b")], [b"py/a"])

# Watches, from now on and from the past.
events, cancel = b.watch_prefix("py/w")
first = a.put("py/w1", "x").header.revision
a.delete("py/w1")
kinds = [type(next(events)).__name__ for _ in range(2)]
check(kinds, ["PutEvent", "DeleteEvent"])
cancel()
past, cancel = a.watch_prefix("py/w", start_revision=first)
check(next(past).value, b"x")
cancel()

# Transactions.
done, answers = a.transaction(
    compare=[a.transactions.value("py/a") == "1", a.transactions.version("py/none") == 0],
    success=[a.transactions.put("py/a", "9"), a.transactions.get("py/a")],
    failure=[a.transactions.delete("py/a")])
check((done, answers[1][0][0]), (True, b"9"))
check(a.replace("py/a", "1", "never"), False)
check(a.put_if_not_exists("py/a", "never"), False)

# Leases and locks.
lease = a.lease(60)
a.put("py/leased", "x", lease=lease)
check(lease.refresh()[0].TTL, 60)
assert 50 <= lease.remaining_ttl <= 60, lease.remaining_ttl
check((lease.granted_ttl, lease.keys), (60, [b"py/leased"]))
lease.revoke()
check(b.get("py/leased"), (None, None))
with a.lock("py", ttl=10) as held:
    assert held.is_acquired()
    # (Its way to wait for a lock does not work with the tenacity of today.)
    other = b.lock("py", ttl=10)
    check(other.is_acquired(), False)
check(other.acquire(timeout=10), True)
check(other.is_acquired(), True)
other.release()

# The cluster.
check(len(list(a.members)), 3)
check(a.status().version, "3.6.0")
check(list(a.list_alarms()), [])
with open(sys.argv[1], "wb") as file:
    a.snapshot(file)
check(os.path.getsize(sys.argv[1]) % 512, 32)
a.compact(a.get("py/a")[1].mod_revision)
past, cancel = a.watch_prefix("py/w", start_revision=first)
try:
    next(past)
    raise AssertionError("a compacted revision was told")
except etcd3.exceptions.RevisionCompactedError as error:
    assert error.compacted_revision > first
try:
    a.put("/disco/x", "1")
    raise AssertionError("it wrote a key of Disco's")
except Exception as error:
    assert "PERMISSION_DENIED" in str(error) and "/disco/" in str(error), repr(error)
print("all done")
"#;

fn quiet(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Python with the client, in an environment in the target folder, or the reason why it is not available.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-etcd3");
    let python = folder.join("bin/python");
    let works = || quiet(Command::new(&python).args(["-c", "import etcd3"]));
    if works().is_ok() {
        return Ok(python);
    }
    quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .map_err(|error| format!("`python3 -m venv`: {error}"))?;
    quiet(Command::new(&python).args(["-m", "pip", "--disable-pip-version-check", "install", "-q"]).args(PACKAGES))
        .map_err(|error| format!("`pip install`: {error}"))?;
    works()?;
    Ok(python)
}

#[test]
fn every_function_of_python_etcd3_works() {
    let python = match python() {
        Ok(python) => python,
        Err(missing) => return skipped(format!("there is no Python client: {missing}")),
    };
    let project = Project::new("python");
    project.bootstrap();
    project.wait_until_healthy(SOON, 3);
    let settings = project.disco(&["env", "-o", "json"]).ok().json();
    let settings = settings.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_str().unwrap()));
    project.write("client.py", SCRIPT);
    let mut command = Command::new(python);
    command.arg(project.path("client.py")).arg(project.path("snapshot.db")).envs(settings);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = project.start_command(&mut command).wait(Duration::from_secs(90)).ok();
    assert_eq!(output.stdout, "all done\n", "{output}");
}
