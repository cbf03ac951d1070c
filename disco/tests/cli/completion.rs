use super::support::Folder;

#[test]
fn every_shell_gets_a_script() {
    let folder = Folder::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = folder.run(&["completion", shell]).expect(0);
        assert!(script.stdout.contains("disco") && script.stdout.contains("COMPLETE"), "{shell}: {script}");
    }
}

/// The completions that a shell's script requests.
fn completed(folder: &Folder, words: &[&str]) -> Vec<String> {
    let mut command = folder.command(&[]);
    let index = (words.len() - 1).to_string();
    command.args([&["--"], words].concat()).env("COMPLETE", "fish").env("_CLAP_COMPLETE_INDEX", index);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn commands_functions_and_nodes_are_completed() {
    let folder = Folder::with_client("export async function init() {}\nexport async function greet(cluster) {}\n");
    std::fs::create_dir(folder.path(".disco")).unwrap();
    let nodes = r#"{ "nodes": [ { "id": 1, "name": "heavyobjects-1", "address": "127.0.0.1:5080" } ] }"#;
    folder.write(".disco/addresses.json", nodes);
    assert_eq!(completed(&folder, &["disco", "boot"]), ["bootstrap"]);
    assert!(completed(&folder, &["disco", "do", ""]).contains(&"greet".to_owned()));
    assert!(completed(&folder, &["disco", "node", "ssh", ""]).contains(&"heavyobjects-1".to_owned()));
    assert!(completed(&folder, &["disco", "status", "-o", ""]).contains(&"json".to_owned()));
    folder.write(".disco/services.json", r#"["blog/web", "shop/store", "shop/web"]"#);
    for (command, word) in [("ps", "shop/web"), ("logs", "heavyobjects-1"), ("rm", "blog"), ("scale", "shop/store=")] {
        let found = completed(&folder, &["disco", command, ""]);
        assert!(found.contains(&word.to_owned()), "{command}: {found:?}");
    }
    assert!(completed(&folder, &["disco", "drain", ""]).contains(&"heavyobjects-1".to_owned()));
    // From another folder.
    let other = Folder::new();
    let place = folder.path("").display().to_string();
    for command in [vec!["node", "ssh", ""], vec!["logs", ""], vec!["cert", "rotate", ""]] {
        let words = [vec!["disco", "-C", place.as_str()], command].concat();
        assert!(completed(&other, &words).contains(&"heavyobjects-1".to_owned()), "{words:?}");
    }
    assert!(completed(&other, &["disco", "-C", &place, "do", ""]).contains(&"greet".to_owned()));
}
