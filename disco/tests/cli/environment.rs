use super::support::{Folder, Ran};

fn ran(folder: &Folder, args: &[&str], variables: &[(&str, &str)]) -> Ran {
    Ran::from(folder.command(args).envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn env_prints_variables_for_other_clients_alone() {
    let folder = Folder::expired("");
    folder.write(".disco/addresses.json", r#"{"nodes":[{"id":1,"name":"x-1","address":"127.0.0.1:1"}]}"#);
    let env = folder.run(&["env", "-o", "json"]).expect(0).json();
    let names: Vec<&String> = env.as_object().unwrap().keys().collect();
    assert!(names.iter().any(|name| *name == "ETCDCTL_ENDPOINTS"), "{env}");
    // In the shell, they would direct every later command to this project, whatever its folder.
    assert!(names.iter().all(|name| !name.starts_with("DISCO_")), "{env}");
}

#[test]
fn commands_that_change_something_name_the_cluster_chosen_by_the_environment() {
    let (chosen, here) = (Folder::with_client(""), Folder::new());
    std::fs::create_dir(chosen.path(".disco")).unwrap();
    let record = r#"{"id":"1","name":"chosen","provider":null,"private_key":null,"public_key":null,"instances":[],"founded":true}"#;
    chosen.write(".disco/cluster.json", record);
    let root = chosen.path("").display().to_string();
    let by_directory = [("DISCO_DIRECTORY", root.as_str())];
    let words = ["cluster `chosen` of `", root.trim_end_matches('/'), "DISCO_DIRECTORY"];
    let commands: [&[&str]; 8] = [
        &["scale", "nodes=3"],
        &["kv", "put", "a", "b", "-q"],
        &["node", "rm", "1"],
        &["deploy"],
        &["script", "push"],
        &["cert", "rotate"],
        &["recover"],
        &["upgrade"],
    ];
    for command in commands {
        let ran = ran(&here, command, &by_directory).stderr_contains(&words);
        assert!(
            ran.stderr.starts_with("cluster `chosen`") || ran.stderr.contains("Z cluster `chosen`"),
            "not first: {ran}"
        );
    }
    let by_address = ran(&chosen, &["scale", "nodes=3"], &[("DISCO_ADDRESS", "127.0.0.1:1")]);
    by_address.stderr_contains(&["cluster `chosen`", "127.0.0.1:1", "DISCO_ADDRESS"]);
    // Commands with a flag for the project, or that only read, print no such line.
    let flag = here.run(&["scale", "nodes=3", "-C", &root]);
    let look = ran(&here, &["status"], &by_directory);
    for quiet in [flag, look] {
        assert!(!quiet.stderr.contains("cluster `chosen`"), "{quiet}");
    }
}

#[test]
fn init_ignores_the_directory_variable() {
    let (other, here) = (Folder::with_client("// the other one's\n"), Folder::new());
    let root = other.path("").display().to_string();
    ran(&here, &["init", "--name", "new"], &[("DISCO_DIRECTORY", &root)])
        .expect(0)
        .stderr_contains(&["DISCO_DIRECTORY"]);
    assert!(here.read("client.js").contains("new"));
    assert_eq!(other.read("client.js"), "// the other one's\n");
    assert!(!other.path("cluster.js").exists());
}
