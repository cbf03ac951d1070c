use rustix::process::{Pid, Signal, kill_process};

use super::support::{Folder, Ran, exists, wait_for};

const WAITING: &str = "export async function init() {
  return new Cluster({ name: 'x', provider: await LocalProvider.init({ name: 'x' }) });
}
export async function bootstrap(cluster) {
  await $`touch inside`;
  REST
}
";

fn interrupted(rest: &str, signal: Signal) -> Ran {
    let folder = Folder::with_client(&WAITING.replace("REST", rest));
    let child = folder.start(&["bootstrap", "-y"]);
    wait_for("the script runs", || exists(&folder.path("inside")));
    kill_process(Pid::from_child(&child), signal).unwrap();
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn control_c_ends_a_script_that_waits() {
    interrupted("await delay(600000);", Signal::INT).expect(8).stderr_contains(&["cancelled", "hint: "]);
    interrupted("await delay(600000);", Signal::TERM).expect(8).stderr_contains(&["terminated"]);
}

#[test]
fn control_c_ends_a_script_that_loops() {
    interrupted("while (true) {}", Signal::INT).expect(8);
}

#[test]
fn a_time_limit_ends_it_too() {
    let folder = Folder::with_client(&WAITING.replace("REST", "await delay(600000);"));
    folder.run(&["bootstrap", "-y", "--timeout", "1s"]).expect(9).stderr_contains(&["not done after 1s", "hint: "]);
    let by_environment = folder.command(&["bootstrap", "-y"]).env("DISCO_TIMEOUT", "500ms").output().unwrap();
    assert_eq!(by_environment.status.code(), Some(9));
}
