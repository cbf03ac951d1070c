//! Wrong input: a clear error with its position, and nothing is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use disco_tests::{Api, Binaries, Output, Project, RawCluster, SOON, skipped, wait_for};

/// The command fails with this exit code and these words, and the project is as empty as before.
#[track_caller]
fn refused(project: &Project, args: &[&str], code: i32, words: &[&str]) -> Output {
    let output = project.disco(args).expect(code).says(words);
    assert!(!output.stderr.contains("panicked"), "{output}");
    assert!(output.took < Duration::from_secs(15), "{output}");
    assert_eq!(project.machines().len(), 0, "a machine was made: {output}");
    assert_eq!(project.processes(), [], "{output}");
    output
}

#[test]
fn unknown_flags_commands_and_settings_are_named() {
    let project = Project::new("bad-flags");
    refused(&project, &["bootstrap", "-y", "--fast"], 2, &["--fast"]);
    refused(&project, &["bootstrp"], 2, &["bootstrp", "bootstrap"]);
    refused(&project, &["status", "-o", "xml"], 2, &["xml", "json"]);
    refused(&project, &["scale", "nodes=many"], 2, &["many"]);
    refused(&project, &["--timeout", "soon", "status"], 2, &["soon"]);
    refused(&project, &["-C", "/nowhere", "status"], 2, &["/nowhere"]);
    refused(&project, &["-C", "/", "status"], 2, &["disco init"]);
    refused(&project, &["status"], 6, &["disco bootstrap"]);
    project.write("disco.json", r#"{ "outptu": "json" }"#);
    refused(&project, &["status"], 2, &["disco.json", "outptu"]);
    let help = project.command(&["--help"]).output().unwrap();
    assert!(help.status.success());
    assert_eq!(project.command(&["--version"]).output().unwrap().stdout, b"disco 0.1.0\n");

    let discod = |args: &[&str]| Command::new(&Binaries::get().discod).args(args).env_clear().output().unwrap();
    let output = discod(&["--data-dirs", "x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--data-dirs"));
    assert_eq!(discod(&["--version"]).stdout, b"discod 0.1.0\n");
    let output = discod(&["--data-dir", "/nowhere", "--listen", "here"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("here"));
}

#[test]
fn errors_of_client_js_have_their_position() {
    let project = Project::new("bad-client");
    let good = fs::read_to_string(project.path("client.js")).unwrap();
    let cases: [(String, &[&str]); 6] = [
        ("export async function init() {\n  const a = ;\n}\n".to_owned(), &["client.js:2:", "const a = ;"]),
        ("export async function init() {\n  oops();\n}\n".to_owned(), &["client.js:2:", "oops", "  oops();"]),
        (good.replace("start_instance({})", "start_instance({ image_id: 1 })"), &["image_id", "client.js:"]),
        (good.replace(r#"init({ name: "bad-client" })"#, r#"init({ nam: "x" })"#), &["nam"]),
        (good.replace(r#"name: "bad-client", provider"#, r#"name: "Bad Client!", provider"#), &["Bad Client!"]),
        (good.replace("LocalProvider", "CloudProvider"), &["CloudProvider", "client.js:3:"]),
    ];
    for (source, words) in cases {
        project.write("client.js", &source);
        refused(&project, &["bootstrap", "-y"], 2, words);
    }
    let aws = good.replace("LocalProvider.init({", "AwsProvider.init({ region: 'us-east-1',");
    project.write("client.js", &aws);
    // No credentials anywhere, and no question for them.
    let mut command = project.command(&["bootstrap", "-y"]);
    let output = project.start_command(command.env("AWS_EC2_METADATA_DISABLED", "true")).wait(SOON);
    output.expect(3).says(&["credentials", "aws configure", "client.js:"]);
    let endless = good.replace("const provider", "console.log('it begins');\n  while (true) {}\n  const provider");
    project.write("client.js", &endless);
    let mut running = project.start(&["bootstrap", "-y"]);
    // Not earlier: if the tests were started with interrupts ignored, they are until the program installs its handler.
    wait_for(SOON, "the script's beginning", || {
        if running.stderr().contains("it begins") { Ok(()) } else { Err(running.stderr()) }
    });
    running.signal(rustix::process::Signal::INT);
    wait_for(SOON, "the end of a script that loops", || if running.has_ended() { Ok(()) } else { Err("it runs") });
    assert_eq!(project.machines().len(), 0);
}

#[test]
fn missing_and_readable_keys_are_refused_before_anything_is_created() {
    let project = Project::new("bad-keys");
    let client = fs::read_to_string(project.path("client.js")).unwrap();
    let with_keys = client.replace(
        "await cluster.start_instance({});",
        "await cluster.set_key_pair({ private: 'id_test', public: 'id_test.pub' });\n  await cluster.start_instance({});",
    );
    project.write("client.js", &with_keys);
    refused(&project, &["bootstrap", "-y"], 2, &["id_test"]);

    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(project.path("id_test")).status();
    if !made.is_ok_and(|status| status.success()) {
        skipped("there is no `ssh-keygen` (Debian: openssh-client)");
        return;
    }
    fs::set_permissions(project.path("id_test"), fs::Permissions::from_mode(0o644)).unwrap();
    refused(&project, &["bootstrap", "-y"], 2, &["id_test", "chmod 600"]);
    project.write("id_test.pub", "ssh-nothing AAAA\n");
    fs::set_permissions(project.path("id_test"), fs::Permissions::from_mode(0o600)).unwrap();
    refused(&project, &["bootstrap", "-y"], 2, &["id_test"]);
}

#[test]
fn links_to_missing_or_foreign_binaries_are_refused_before_anything_is_sent() {
    let project = Project::new("bad-links");
    let daemon = project.path("discod");
    fs::remove_file(&daemon).unwrap();
    symlink(project.path("nowhere/discod"), &daemon).unwrap();
    refused_in_install(&project, &["discod", "nowhere"]);

    // The same program, marked as one for another machine.
    let mut bytes = vec![0; 4096];
    std::io::Read::read_exact(&mut fs::File::open(&Binaries::get().discod).unwrap(), &mut bytes).unwrap();
    let (machine, other) = if cfg!(target_arch = "aarch64") { (62, "x86_64") } else { (183, "aarch64") };
    bytes[18] = machine;
    let wrong = project.outside("wrong-arch");
    fs::write(&wrong, bytes).unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(&daemon).unwrap();
    symlink(&wrong, &daemon).unwrap();
    refused_in_install(&project, &["discod", other, std::env::consts::ARCH]);

    fs::write(&wrong, "#!/bin/sh\necho not a program\n").unwrap();
    refused_in_install(&project, &["discod"]);

    // Once fixed, the same bootstrap continues.
    fs::remove_file(&daemon).unwrap();
    symlink(&Binaries::get().discod, &daemon).unwrap();
    project.write("client.js", &disco_tests::client_script("bad-links", 1));
    assert!(project.bootstrap().healthy);
}

/// A machine may exist, but nothing is installed on it.
#[track_caller]
fn refused_in_install(project: &Project, words: &[&str]) {
    let output = project.disco(&["bootstrap", "-y"]).says(words);
    assert!([1, 2].contains(&output.code), "{output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
    for machine in project.machines() {
        let sent = machine.prefix().join("bin/discod");
        assert!(!sent.exists(), "{} was sent: {output}", sent.display());
    }
}

#[test]
fn an_operators_key_that_others_can_read_or_that_is_damaged_is_not_used() {
    let project = Project::builder("bad-operator").nodes(1).build();
    project.bootstrap();
    let key = project.path(".disco/operator.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    project.disco(&["status"]).expect(2).says(&["operator.key", "chmod 600"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let good = fs::read(&key).unwrap();
    fs::write(&key, "nonsense").unwrap();
    project.disco(&["status"]).expect(2).says(&["operator.key"]);
    fs::write(&key, &good).unwrap();

    let record = project.path(".disco/cluster.json");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    project.disco(&["bootstrap", "-y"]).expect(1).says(&["cluster.json", "damaged"]);
    fs::write(&record, &whole).unwrap();

    // A script with another cluster's name is refused.
    project.write("client.js", &disco_tests::client_script("renamed", 1));
    project.disco(&["bootstrap", "-y"]).expect(2).says(&["bad-operator", "renamed"]);
    project.write("client.js", &disco_tests::client_script("bad-operator", 1));
    assert!(project.bootstrap().healthy);
}

#[test]
fn a_daemon_with_a_taken_address_another_cluster_s_data_or_open_keys_does_not_start() {
    let cluster = RawCluster::found();
    let first = &cluster.nodes[0];
    let pid = first.pid();

    // The address is in use, and the failed start adds no member.
    let mut second = cluster.node();
    second.set_token(&cluster.token(60, 1));
    let mut command = second.command(&["--data-dir"], &[]);
    command
        .arg(&second.data)
        .arg("--listen")
        .arg(first.address.to_string())
        .arg("--join-token-file")
        .arg(second.data.with_file_name("token"));
    let output = run(command);
    assert!(
        output.code > 0 && output.stderr.contains(&first.address.to_string()) && output.stderr.contains("in use"),
        "{output}"
    );
    assert_eq!(cluster.wait_for_members(1).nodes.len(), 1);

    // The same data folder twice.
    let mut command = second.command(&["--data-dir"], &[]);
    command.arg(&first.data).arg("--listen").arg(second.address.to_string());
    let output = run(command);
    assert!(output.code > 0 && output.stderr.contains(&first.data.display().to_string()), "{output}");

    // Without identity and token.
    let mut command = second.command(&["--data-dir"], &[]);
    command.arg(&second.data).arg("--listen").arg(second.address.to_string());
    let output = run(command);
    assert!(output.code > 0 && output.stderr.contains("join token") && output.stderr.contains("hint:"), "{output}");

    // It cannot become another cluster's founder, and founding the same one again changes nothing.
    let other = RawCluster::found();
    let output = other.install(first, 1);
    assert!(output.code > 0 && output.stderr.contains("already node 1"), "{output}");
    assert_eq!(cluster.install(first, 1).code, 0);

    assert_eq!(first.pid(), pid);
    assert!(cluster.wait_for_members(1).healthy);
}

#[test]
fn a_daemon_whose_private_key_others_can_read_starts_only_once_that_is_fixed() {
    let mut cluster = RawCluster::found();
    let api = cluster.operator();
    let addresses = cluster.addresses();
    api.put(&addresses, "kept", "1", SOON).unwrap();
    let node = &mut cluster.nodes[0];
    assert_eq!(node.stop(SOON), 0, "a stopped daemon exits with 0");
    for key in ["node.key", "intermediate.key"] {
        let path = node.identity(key);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let output = node.run(SOON);
        assert!(output.code > 0 && output.stderr.contains(key) && output.stderr.contains("chmod 600"), "{output}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let certificate = node.identity("node.pem");
    let good = fs::read(&certificate).unwrap();
    fs::write(&certificate, "nonsense").unwrap();
    let output = node.run(SOON);
    assert!(output.code > 0, "{output}");
    fs::write(&certificate, good).unwrap();
    node.start();
    cluster.wait_for_members(1);
    assert_eq!(api.get(&addresses[0], "kept", false).unwrap().unwrap().value, "1");
}

fn run(mut command: Command) -> Output {
    let line = format!("{command:?}");
    let child = command.spawn().unwrap();
    disco_tests::Running::new(line, child, std::time::Instant::now()).wait(SOON)
}

/// A small file system, unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }

    fn grow(&self, size: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily, as a daemon may still hold files when a test has failed.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_loses_no_acknowledged_write() {
    let mut cluster = RawCluster::found();
    let folder = tempfile::Builder::new().prefix("disco-small-").tempdir().unwrap();
    let node = &mut cluster.nodes[0];
    assert_eq!(node.stop(SOON), 0);
    let Some(disk) = SmallDisk::mount(folder.path(), "12m") else {
        skipped("a small file system cannot be mounted here");
        return;
    };
    let copied = Command::new("cp").arg("-a").arg(&node.data).arg(folder.path().join("data")).status().unwrap();
    assert!(copied.success());
    let place = node.data.clone();
    node.data = folder.path().join("data");
    node.start();
    cluster.wait_for_members(1);
    let (api, addresses) = (cluster.operator(), cluster.addresses());
    let value = "x".repeat(256 << 10);
    let mut acknowledged = Vec::new();
    let refused = (0..200).find_map(|n| match api.put(&addresses, &format!("fill/{n}"), &value, SOON) {
        Ok(_) => {
            acknowledged.push(n);
            None
        }
        Err(error) => Some(error),
    });
    let refused = refused.expect("50 MiB do not fit on 12");
    assert!(!acknowledged.is_empty(), "nothing was written: {refused}");
    // The reason is in the answer or, if the daemon had to end, in its log.
    wait_for(SOON, "the cause in the log", || {
        let log = cluster.nodes[0].log();
        if log.contains("No space left") || log.contains("disk is full") { Ok(()) } else { Err(log) }
    });
    println!("{} values were acknowledged, then: {refused}", acknowledged.len());

    disk.grow("200m");
    let node = &mut cluster.nodes[0];
    node.kill();
    node.start();
    cluster.wait_for_members(1);
    for n in &acknowledged {
        let found = api.get(&addresses[0], &format!("fill/{n}"), false).unwrap();
        assert!(found.is_some_and(|kv| kv.value == value), "fill/{n} was acknowledged and is lost");
    }
    api.put(&addresses, "after", "1", SOON).unwrap();
    let node = &mut cluster.nodes[0];
    node.kill();
    node.data = place;
    drop(disk);
}

#[test]
fn a_read_from_another_projects_cluster_is_refused_by_its_certificate() {
    let cluster = RawCluster::found();
    let project = Project::builder("other-operator").nodes(1).build();
    project.bootstrap();
    let output = project.disco(&["--address", &cluster.addresses()[0], "status"]);
    // Either the client detects it and uses the project's own nodes, or it refuses; it never shows the other cluster.
    assert!(output.code == 3 || output.stdout.contains("other-operator"), "{output}");
    assert!(!output.stdout.contains("raw"), "{output}");
    let api = Api::operator(&project);
    assert!(api.status(&cluster.addresses()[0]).is_err());
}
