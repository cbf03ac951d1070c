use super::support::Folder;

/// A bootstrap that only asks a question.
fn asking() -> Folder {
    Folder::with_client(
        "export async function init() {
  return new Cluster({ name: 'x', provider: await LocalProvider.init({ name: 'x' }) });
}
export async function bootstrap(cluster) {
  console.log(`answer: ${await ask('Shall it be?')}`);
}
export async function region(cluster) {
  return await ask('Where?', { default: 'us-west-2' });
}
",
    )
}

#[test]
fn without_a_terminal_a_question_is_an_error_and_never_waits() {
    let words = ["Shall it be?", "no terminal", "--yes", "DISCO_YES=1", "client.js:5:"];
    asking().run(&["bootstrap"]).expect(2).stderr_contains(&words);
}

#[test]
fn yes_answers_by_flag_and_by_environment() {
    let folder = asking();
    folder.run(&["bootstrap", "-y"]).expect(0).stderr_contains(&["answer: true", "without creating a cluster"]);
    let by_environment = folder.command(&["bootstrap"]).env("DISCO_YES", "1").output().unwrap();
    assert_eq!(by_environment.status.code(), Some(0));
    for no in ["0", "", "false"] {
        let ran = folder.command(&["bootstrap"]).env("DISCO_YES", no).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "DISCO_YES={no}");
    }
}

#[test]
fn yes_takes_what_the_script_suggests() {
    assert_eq!(asking().run(&["-y", "do", "region"]).expect(0).stdout, "us-west-2\n");
}
