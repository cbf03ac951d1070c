use super::support::{Folder, Ran, exists, wait_for};

#[test]
fn of_two_concurrent_commands_one_wins_and_the_other_names_it() {
    let folder = Folder::with_client(
        "export async function init() {
  return new Cluster({ name: 'x', provider: await LocalProvider.init({ name: 'x' }) });
}
export async function bootstrap(cluster) {
  await $`touch inside`;
  await delay(600000);
}
",
    );
    let mut first = folder.start(&["bootstrap", "-y"]);
    wait_for("the first bootstrap runs", || exists(&folder.path("inside")));
    let pid = first.id().to_string();
    let words = ["in use", "disco bootstrap", &pid, "hint: "];
    folder.run(&["bootstrap", "-y"]).expect(5).stderr_contains(&words);
    folder.run(&["destroy", "-y"]).expect(5).stderr_contains(&words);
    first.kill().unwrap();
    let first = Ran::from(first.wait_with_output().unwrap());
    assert_eq!(first.code, -1, "{first}");
    // The kernel released the lock.
    folder.run(&["destroy", "-y"]).expect(0);
    assert!(!folder.path(".disco").exists());
}
