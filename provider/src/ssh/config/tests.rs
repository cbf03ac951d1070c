//! The same files read by `ssh -G`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;

/// Configurations, each with names to look up. `DIR` is the folder of the test.
const TABLE: &[(&str, &str, &[&str])] = &[
    (
        "an alias",
        "Host web1\n  HostName 10.0.0.7\n  User admin\n  Port 2222\n",
        &["web1", "web2", "root@web1", "root@web1:22"],
    ),
    (
        "the first value counts, and keys add up",
        "Host web*\n  User one\n  IdentityFile DIR/id_a\nHost web1\n  User two\n  HostName web1.example.com\n  IdentityFile DIR/id_b\n\
         Host *\n  Port 77\n  IdentityFile DIR/id_a\n",
        &["web1", "web2", "db1"],
    ),
    ("before any block", "User everyone\nPort 2200\nHost web1\n  User admin\n", &["web1", "web2"]),
    ("negated", "Host web-* !web-9\n  User admin\n", &["web-1", "web-9", "db"]),
    (
        "tokens",
        "Host web*\n  HostName %h.example.com\nHost db\n  HostName 10.0.0.7\n  IdentityFile DIR/id_%h\n",
        &["web1", "db"],
    ),
    (
        "other forms of lines",
        "\tHost=web1 \"web 2\"\n\n  # HostName 10.9.9.9\n HostName = \"10.0.0.7\" # here\nPORT\t23\n",
        &["web1"],
    ),
    (
        "match",
        "Host web1\n  HostName 10.0.0.7\nMatch host 10.0.0.*\n  User inside\nMatch originalhost web2,web3\n  User other\n\
         Match user admin host web4\n  Port 44\nMatch !host web5\n  Port 55\nMatch all\n  IdentitiesOnly yes\n",
        &["web1", "web2", "admin@web4", "web4", "web5"],
    ),
    ("included", "Include DIR/conf.d/*.conf DIR/none/*\nHost *\n  User last\n", &["in-a", "in-b", "web1"]),
    (
        "included in a block",
        "Host in-b\n  Include DIR/conf.d/b.conf\n  Port 99\nHost *\n  User last\n",
        &["in-a", "in-b"],
    ),
    (
        "jump hosts",
        "Host web1\n  ProxyJump ops@bastion:2200,inner\nHost bastion\n  HostName 198.51.100.9\n  User nobody\n  ProxyJump gate\n\
         Host inner\n  HostName 10.0.0.1\n  Port 2201\n  ProxyJump never\nHost gate\n  User g\nHost web2\n  ProxyJump none\n\
         Host web*\n  ProxyJump gate\n",
        &["web1", "web2", "web3", "bastion"],
    ),
];

struct Folder {
    dir: tempfile::TempDir,
    home: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        fs::write(dir.path().join("conf.d/a.conf"), "Host in-a\n  HostName 10.1.0.1\n").unwrap();
        fs::write(dir.path().join("conf.d/b.conf"), "User included\nHost in-b\n  HostName 10.1.0.2\n").unwrap();
        for name in ["id_a", "id_b", "id_10.0.0.7"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let home = std::env::home_dir().unwrap();
        Self { dir, home }
    }

    fn file(&self, text: &str) -> PathBuf {
        let file = self.dir.path().join("config");
        fs::write(&file, text.replace("DIR", &self.dir.path().display().to_string())).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    fn config(&self, text: &str) -> SshConfig {
        SshConfig::of_files(&self.home, "somebody", vec![self.file(text)])
    }
}

/// What `ssh -G` prints for a name.
struct Expected {
    user: String,
    host: String,
    port: u16,
    identities: Vec<PathBuf>,
    jumps: Vec<String>,
    identities_only: bool,
}

fn expected(folder: &Folder, file: &Path, name: &str) -> Expected {
    let address = crate::hosts::Address::parse(name).unwrap();
    let mut command = Command::new("ssh");
    command.arg("-F").arg(file).arg("-G");
    if let Some(user) = &address.user {
        command.args(["-l", user]);
    }
    if let Some(port) = address.port {
        command.args(["-p", &port.to_string()]);
    }
    let output = command.arg(&address.host).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut values: HashMap<&str, Vec<&str>> = HashMap::new();
    for (keyword, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        values.entry(keyword).or_default().push(value);
    }
    let one = |keyword: &str| values.get(keyword).map_or("", |values| values[0]).to_owned();
    let tokens = |file: &str| file.replace("%h", &one("hostname"));
    let config = SshConfig::of_files(&folder.home, "", Vec::new());
    let identities = values.get("identityfile").into_iter().flatten().map(|file| config.at_home(&tokens(file)));
    let jump = one("proxyjump");
    Expected {
        user: one("user"),
        host: one("hostname"),
        port: one("port").parse().unwrap(),
        identities: identities.filter(|path| path.starts_with(folder.dir.path()) && path.exists()).collect(),
        jumps: jump.split(',').filter(|jump| !jump.is_empty() && *jump != "none").map(str::to_owned).collect(),
        identities_only: one("identitiesonly") == "yes",
    }
}

/// The chain that `ssh` would make: `ssh -W` of the last jump host through the ones before it, each with its own lines.
fn chain(folder: &Folder, file: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, jump) in expected(folder, file, name).jumps.into_iter().enumerate() {
        if at == 0 {
            found.extend(chain(folder, file, &jump));
        }
        let hop = expected(folder, file, &jump);
        found.push(format!("{}@{}:{}", user(&jump, hop.user), hop.host, hop.port));
    }
    found
}

/// Where no line names a user, `ssh` takes the local one, and Disco root.
fn user(name: &str, user: String) -> String {
    let local = Command::new("id").arg("-un").output().unwrap().stdout;
    let local = String::from_utf8(local).unwrap().trim().to_owned();
    if user == local && !name.contains('@') { "root".to_owned() } else { user }
}

#[test]
fn the_table_is_read_as_by_ssh() {
    if Command::new("ssh").arg("-V").output().is_err() {
        println!("skipped: the_table_is_read_as_by_ssh: there is no `ssh` (Debian: openssh-client)");
        return;
    }
    let folder = Folder::new();
    for (title, text, names) in TABLE {
        let config = folder.config(text);
        let file = folder.file(text);
        for name in *names {
            let expected = expected(&folder, &file, name);
            let route = config.route(name).unwrap_or_else(|error| panic!("{title}, {name}: {error}"));
            let shown = (route.last.target.user.clone(), route.last.target.host.clone(), route.last.target.port);
            assert_eq!(shown, (user(name, expected.user), expected.host, expected.port), "{title}: {name}");
            assert_eq!(route.last.identities_only, expected.identities_only, "{title}: {name}");
            let own = route.last.identities.into_iter().filter(|path| path.starts_with(folder.dir.path()));
            assert_eq!(own.collect::<Vec<_>>(), expected.identities, "{title}: {name}");
            let chain = chain(&folder, &file, name);
            let jumps: Vec<String> = route.jumps.iter().map(|hop| hop.target.to_string()).collect();
            assert_eq!(jumps, chain, "{title}: {name}");
            assert_eq!(route.notes, [""; 0], "{title}: {name}");
        }
    }
}

/// `ssh` calls this a loop, and ends.
#[test]
fn a_jump_host_that_matches_its_own_line_is_no_jump_host_of_itself() {
    let folder = Folder::new();
    let config = folder.config("Host *.lan\n  ProxyJump gate.lan\n");
    let jumps =
        |name: &str| config.route(name).unwrap().jumps.into_iter().map(|hop| hop.target.host).collect::<Vec<_>>();
    assert_eq!(jumps("web.lan"), ["gate.lan"]);
    assert_eq!(jumps("gate.lan"), [""; 0]);
}

#[test]
fn the_home_is_the_operators_and_keys_that_do_not_exist_are_left_out() {
    let folder = Folder::new();
    let home = folder.dir.path().join("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    let write = |name: &str, text: &str| {
        fs::write(home.join(".ssh").join(name), text).unwrap();
        fs::set_permissions(home.join(".ssh").join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(
        "config",
        "Include more\nHost web1\n  IdentityFile ~/.ssh/mine\n  IdentityFile ~/.ssh/none\n  IdentityFile %d/.ssh/agents\n",
    );
    write("more", "Host web2\n  IdentityAgent ~/agent\n  UserKnownHostsFile ~/hosts none\n  HostKeyAlias two\n");
    write("mine", "");
    write("id_ed25519", "");
    // Only the agent has the private half.
    write("agents.pub", "");
    let config = SshConfig::of_files(&home, "me", vec![home.join(".ssh/config")]).with_agent(Path::new("/agent"));
    let one = config.route("web1").unwrap().last;
    assert_eq!(one.identities, [home.join(".ssh/mine"), home.join(".ssh/agents")]);
    assert_eq!((one.agent, one.known_hosts.len()), (Some(PathBuf::from("/agent")), 4));
    let two = config.route("web2").unwrap().last;
    assert_eq!((two.agent, two.key_alias.as_deref()), (Some(home.join("agent")), Some("two")));
    assert_eq!(two.identities, [home.join(".ssh/id_ed25519")]);
    assert_eq!(two.known_hosts[..2], [home.join("hosts"), PathBuf::from("none")]);
    assert_eq!(two.known_hosts[2..], ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_place() {
    let folder = Folder::new();
    let error = |text: &str| folder.config(text).route("web1").unwrap_err().to_string();
    assert!(error("Host web1\n  Port ssh\n").contains("line 2: invalid port `ssh`"));
    assert!(error("Host \"web1\n").contains("line 1: a quotation mark is missing"));
    assert!(error("Host web1\n  ProxyCommand nc %h %p\n").contains("use `ProxyJump`"));
    assert!(error("Host web1\n  ProxyJump a,b@\n").contains("`ProxyJump a,b@`: `b@` is not `user@host:port`"));
    assert!(
        error("Host web1\n  ProxyJump two\nHost two\n  ProxyJump web1x\nHost web1x\n  ProxyJump two\n")
            .contains("loop")
    );
    assert!(error("Include DIR/config\n").contains("too deeply"));
    let file = folder.file("Host web1\n  User a\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let open = SshConfig::of_files(folder.dir.path(), "me", vec![file]).route("web1").unwrap_err().to_string();
    assert!(open.contains("can be written by others") && open.contains("chmod go-w"), "{open}");
}

#[test]
fn conditions_that_are_not_evaluated_do_not_apply_and_are_noted() {
    let folder = Folder::new();
    let config = folder.config("Match host web1 exec \"true\"\n  User wrong\nMatch host web2 exec \"true\"\n  User wrong\nHost *\n  User right\n");
    let route = config.route("web1").unwrap();
    assert_eq!(route.last.target.user, "right");
    assert_eq!(route.notes.len(), 1, "{:?}", route.notes);
    assert!(route.notes[0].contains("line 2: `user`") && route.notes[0].contains("`Match exec`"), "{:?}", route.notes);
    // As on systems that choose their algorithms there.
    let config = folder.config("Match final all\n  Ciphers aes256-gcm@openssh.com\nMatch canonical\n  User wrong\n");
    assert_eq!(config.route("web1").unwrap().notes, [""; 0]);
}
