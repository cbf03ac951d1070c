use super::support::{Folder, Ran};

fn ran(folder: &Folder, args: &[&str], variables: &[(&str, &str)]) -> Ran {
    Ran::from(folder.command(args).envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn env_prints_variables_for_other_clients_alone() {
    let folder = Folder::expired("");
    folder.write(".disco/addresses.json", r#"{"nodes":[{"id":1,"name":"x-1","address":"127.0.0.1:1"}]}"#);
    let said = folder.run(&["env", "-o", "json"]).expect(0).json();
    let names: Vec<&String> = said.as_object().unwrap().keys().collect();
    assert!(names.iter().any(|name| *name == "ETCDCTL_ENDPOINTS"), "{said}");
    // They stay in the shell, and would lead every command in whatever folder to this project.
    assert!(names.iter().all(|name| !name.starts_with("DISCO_")), "{said}");
}

#[test]
fn what_changes_something_names_the_cluster_that_the_environment_chose() {
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
        let ran = ran(&here, command, &by_directory).says(&words);
        assert!(
            ran.stderr.starts_with("cluster `chosen`") || ran.stderr.contains("Z cluster `chosen`"),
            "not first: {ran}"
        );
    }
    let by_address = ran(&chosen, &["scale", "nodes=3"], &[("DISCO_ADDRESS", "127.0.0.1:1")]);
    by_address.says(&["cluster `chosen`", "127.0.0.1:1", "DISCO_ADDRESS"]);
    // What the operator has just said, or what only looks, needs no such line.
    let flag = here.run(&["scale", "nodes=3", "-C", &root]);
    let look = ran(&here, &["status"], &by_directory);
    for quiet in [flag, look] {
        assert!(!quiet.stderr.contains("cluster `chosen`"), "{quiet}");
    }
}

#[test]
fn a_new_project_is_made_where_the_operator_is() {
    let (other, here) = (Folder::with_client("// the other one's\n"), Folder::new());
    let root = other.path("").display().to_string();
    ran(&here, &["init", "--name", "new"], &[("DISCO_DIRECTORY", &root)]).expect(0).says(&["DISCO_DIRECTORY"]);
    assert!(here.read("client.js").contains("new"));
    assert_eq!(other.read("client.js"), "// the other one's\n");
    assert!(!other.path("cluster.js").exists());
}
