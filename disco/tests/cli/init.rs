use std::fs;

use super::support::Folder;

const FILES: [&str; 8] = [
    "client.js",
    "cluster.js",
    "disco.d.ts",
    "jsconfig.json",
    "stack.yml",
    ".discoignore",
    ".gitignore",
    "disco.stack.json",
];

#[test]
fn writes_a_project_whose_scripts_run() {
    let folder = Folder::new();
    let made = folder.run(&["init", "Heavy Objects", "-o", "json"]).expect(0).json();
    assert_eq!(made["cluster"], "heavy-objects");
    let files: Vec<&str> =
        made["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(files, FILES);
    for file in FILES {
        let text = folder.read(&format!("Heavy Objects/{file}"));
        assert!(!text.is_empty() && !text.contains("@NAME@"), "{file}: {text}");
    }
    // Backups are also ignored by their extension.
    for ignore in [".gitignore", ".discoignore"] {
        let text = folder.read(&format!("Heavy Objects/{ignore}"));
        assert!(text.lines().any(|line| line == "*.backup"), "{ignore}: {text}");
    }
    let functions = folder.run(&["-C", "Heavy Objects", "do", "-o", "json"]).expect(0);
    assert_eq!(functions.json(), serde_json::json!(["greet"]));
    let doctor = folder.run(&["-C", "Heavy Objects", "doctor", "-o", "json"]);
    for script in ["client.js", "cluster.js"] {
        let checks = doctor.json();
        let check = checks.as_array().unwrap().iter().find(|check| check["name"] == script).unwrap();
        assert_eq!(check["state"], "ok", "{doctor}");
    }
}

#[test]
fn a_dry_run_of_the_new_projects_bootstrap_lists_all_steps_and_changes_nothing() {
    let folder = Folder::new();
    folder.run(&["init", "."]).expect(0);
    let plan = folder.run(&["bootstrap", "--dry-run", "-y"]).expect(0);
    assert_eq!(plan.stdout.matches("create  machine ").count(), 3, "{plan}");
    for step in ["root key", "installed over SSH", "the leader installs it", "6 to create, 0 to change, 0 to delete"] {
        assert!(plan.stdout.contains(step), "{step}: {plan}");
    }
    assert!(!folder.path(".disco").exists());
}

#[test]
fn a_second_init_changes_nothing_and_lists_the_kept_files() {
    let folder = Folder::new();
    folder.run(&["init"]).expect(0).stderr_contains(&["disco bootstrap"]);
    folder.write("client.js", "// mine\n");
    let again = folder.run(&["init"]).expect(0).stderr_contains(&["1 file"]);
    assert!(again.stdout.contains("client.js        kept"), "{again}");
    assert!(again.stdout.contains("cluster.js       unchanged"), "{again}");
    assert_eq!(folder.read("client.js"), "// mine\n");
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = Folder::new();
    let ran = folder.run(&["init", "there", "--dry-run"]).expect(0);
    assert!(ran.stdout.contains("would be written"), "{ran}");
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
}

#[test]
fn names_that_no_host_can_have_are_refused() {
    let folder = Folder::new();
    folder.run(&["init", "--name", "Über"]).expect(2).stderr_contains(&["Über", "lower-case"]);
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
}

#[test]
fn a_folder_whose_name_is_no_cluster_name_is_named_with_the_reason() {
    let folder = Folder::new();
    let ran = folder.run(&["init", "2024 blog"]).expect(0);
    ran.stderr_contains(&["`my-cluster`", "`2024-blog`", "a letter first", "--name", "disco -C '2024 blog' bootstrap"]);
}

#[test]
fn hosts_become_a_project_whose_plan_names_them() {
    let folder = Folder::new();
    let home = folder.path("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    folder.write("home/.ssh/config", "Host web3\n  HostName 127.0.0.3\n  User admin\n  ProxyJump gate\n");
    fs::set_permissions(home.join(".ssh/config"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let run = |args: &[&str]| {
        let output = folder.command(args).env("HOME", &home).output().unwrap();
        super::support::Ran::from(output)
    };
    let made = run(&["init", "shop", "--hosts", "root@127.0.0.1:2201,web3", "-o", "json"]).expect(0);
    let made = made.stderr_contains(&["`web3` is admin@127.0.0.3:22 through root@gate:22", "disco -C shop bootstrap"]);
    let files = made.json()["files"].as_array().unwrap().len();
    assert_eq!(files, FILES.len() + 1, "{made}");
    assert!(folder.read("shop/hosts.js").contains("  \"root@127.0.0.1:2201\",\n  \"web3\",\n"), "{made}");
    let plan = run(&["-C", "shop", "plan"]).expect(0);
    assert!(plan.stdout.contains("127.0.0.1:2201"), "{plan}");
    for script in ["client.js", "cluster.js"] {
        let text = folder.read(&format!("shop/{script}"));
        assert!(text.contains("import { hosts } from \"./hosts.js\"") && !text.contains("@NAME@"), "{text}");
    }
    // The same machine twice, and text that names none.
    let twice = run(&["init", "other", "--hosts", "admin@127.0.0.3,web3"]).expect(2);
    twice.stderr_contains(&["`admin@127.0.0.3` and `web3` are the same machine"]);
    run(&["init", "other", "--hosts", "root@"]).expect(2).stderr_contains(&["is not `user@host:port`", "hint:"]);
    assert!(!folder.path("other").exists());
}

#[test]
fn a_host_is_added_to_a_cluster_of_hosts_alone() {
    let folder = Folder::new();
    folder.run(&["init", "."]).expect(0);
    folder.run(&["node", "add", "root@127.0.0.9"]).expect(6).stderr_contains(&["disco bootstrap"]);
}
