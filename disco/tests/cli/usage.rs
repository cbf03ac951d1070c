use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::support::Folder;

#[test]
fn without_a_command_help_is_printed_and_it_is_an_error() {
    Folder::new().run(&[]).expect(2).stderr_contains(&["Usage: disco", "bootstrap", "destroy"]);
}

#[test]
fn version_and_help_go_to_standard_output() {
    let folder = Folder::new();
    let version = folder.run(&["--version"]).expect(0);
    assert_eq!(version.stdout, format!("disco {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(folder.run(&["version"]).expect(0).stdout, version.stdout);
    assert!(folder.run(&["help", "scale"]).expect(0).stdout.contains("Set the number of nodes"));
    let help = folder.run(&["--help"]).expect(0);
    assert!(help.stdout.contains("Exit codes:") && help.stdout.contains("10  failed and rolled back"), "{help}");
    assert!(help.stdout.contains("11  could not be placed"), "{help}");
    assert!(folder.run(&["help"]).expect(0).stdout.contains("10  failed and rolled back"));
    assert_eq!(folder.run(&["version", "-o", "json"]).expect(0).json()["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn an_argument_that_is_not_utf_8_is_a_wrong_command_line() {
    let folder = Folder::new();
    for format in ["", "-o=json"] {
        let mut command = folder.command(&["kv", "get"]);
        command.arg(OsStr::from_bytes(b"\xff")).args(Some(format).filter(|format| !format.is_empty()));
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert_eq!(stderr.starts_with('{'), !format.is_empty(), "{stderr}");
    }
}

#[test]
fn every_command_has_help_with_its_flags() {
    let folder = Folder::new();
    let commands: &[&[&str]] = &[
        &["init"],
        &["plan"],
        &["connect"],
        &["bootstrap"],
        &["destroy"],
        &["doctor"],
        &["status"],
        &["nodes"],
        &["ps"],
        &["services"],
        &["deployments"],
        &["stack"],
        &["events"],
        &["logs"],
        &["scale"],
        &["node", "ssh"],
        &["node", "add"],
        &["node", "rm"],
        &["do"],
        &["deploy"],
        &["rollback"],
        &["restart"],
        &["stop"],
        &["rm"],
        &["drain"],
        &["undrain"],
        &["script", "push"],
        &["script", "ls"],
        &["kv", "put"],
        &["kv", "get"],
        &["kv", "del"],
        &["kv", "ls"],
        &["kv", "watch"],
        &["backup", "save"],
        &["backup", "ls"],
        &["backup", "restore"],
        &["upgrade"],
        &["recover"],
        &["cert", "status"],
        &["cert", "rotate"],
        &["cert", "client"],
        &["cert", "sign"],
        &["env"],
        &["completion"],
        &["man"],
        &["version"],
    ];
    for command in commands {
        let help = folder.run(&[*command, &["--help"]].concat()).expect(0);
        assert!(help.stdout.contains("--output <FORMAT>") && help.stdout.contains("--timeout"), "{help}");
    }
    for change in [
        vec!["bootstrap"],
        vec!["scale"],
        vec!["deploy"],
        vec!["rollback"],
        vec!["restart"],
        vec!["stop"],
        vec!["rm"],
        vec!["drain"],
        vec!["undrain"],
        vec!["node", "add"],
        vec!["node", "rm"],
        vec!["kv", "put"],
        vec!["upgrade"],
        vec!["cert", "rotate"],
        vec!["cert", "client"],
        vec!["destroy"],
    ] {
        let help = folder.run(&[change.as_slice(), &["--help"]].concat()).expect(0);
        assert!(help.stdout.contains("--dry-run"), "{help}");
    }
}

#[test]
fn invalid_arguments_are_named_and_exit_with_2() {
    let folder = Folder::with_client("");
    for (args, words) in [
        (vec!["bootstrap", "--fast"], vec!["--fast"]),
        (vec!["bootstrp"], vec!["bootstrp", "bootstrap"]),
        (vec!["status", "-o", "yaml"], vec!["yaml", "jsonl"]),
        (vec!["status", "--timeout", "soon"], vec!["soon", "30s"]),
        (vec!["status", "--timeout", "0"], vec!["more than zero"]),
        (vec!["status", "--address", "here"], vec!["here"]),
        (vec!["status", "-q", "-v"], vec!["--quiet"]),
        (vec!["scale", "nodes=0"], vec!["disco destroy"]),
        (vec!["scale", "nodes=many"], vec!["many"]),
        (vec!["scale", "5"], vec!["nodes=N", "SERVICE=N"]),
        (vec!["scale", "web=many"], vec!["number of copies `many`"]),
        (vec!["scale", "=1"], vec!["SERVICE=N"]),
        (vec!["plan", "web=3"], vec!["nodes=N"]),
        (vec!["logs", "web", "--since", "yesterday"], vec!["`10m`"]),
        (vec!["rollback", "--to", "last"], vec!["last"]),
        (vec!["deploy", "--set", "x"], vec!["NAME=VALUE"]),
        (vec!["kv", "get"], vec!["<KEY>"]),
        (vec!["kv", "ls", "-n", "0"], vec!["0"]),
        (vec!["upgrade", "--node-timeout", "never"], vec!["never", "30s"]),
        (vec!["completion", "tcsh"], vec!["tcsh", "bash"]),
    ] {
        let ran = folder.run(&args).expect(2).stderr_contains(&words);
        assert_eq!(ran.stdout, "", "{ran}");
    }
}

#[test]
fn the_manual_page_has_every_command() {
    let page = Folder::new().run(&["man"]).expect(0);
    assert!(page.stdout.starts_with(".ie"), "{page}");
    let sections =
        [".SH \"DISCO BOOTSTRAP\"", ".SH \"DISCO NODE RM\"", ".SH \"DISCO KV WATCH\"", ".SH \"EXIT STATUS\""];
    for section in sections {
        assert!(page.stdout.contains(section), "no {section}");
    }
    // It refers to no page that does not exist.
    assert!(!page.stdout.contains("disco\\-init(1)") && !page.stdout.contains("disco-init(1)"), "{page}");
    assert!(page.stdout.contains("\n\\fBdisco init\\fR\n") && page.stdout.contains(".SH \"SEE ALSO\""), "{page}");
}

#[test]
fn a_wrong_command_line_is_json_where_json_is_asked_for() {
    let folder = Folder::new();
    for args in [&["nonsense", "-o", "json"][..], &["-ojsonl", "scale"], &["--output=json", "kv", "get"]] {
        let error = folder.run(args).expect(2).json_error();
        assert_eq!(error["exit"], 2, "{error}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    assert!(folder.run(&["nonsense"]).expect(2).stderr.starts_with("error: "));
    // Without a project.
    assert_eq!(folder.run(&["status", "-o", "json"]).expect(2).json_error()["exit"], 2);
}

#[test]
fn what_changes_nothing_yet_is_one_document_too() {
    let folder = Folder::expired("export async function init() {}");
    let would = folder.run(&["kv", "put", "a", "b", "--dry-run", "-o", "json"]).expect(0).json();
    assert_eq!(would["dry_run"], true);
    assert_eq!(would["would"][0], "write 1 bytes to `a`");
    for args in [vec!["cert", "rotate", "--operator"], vec!["destroy"], vec!["destroy", "--orphans", "nobody"]] {
        let would = folder.run(&[args.as_slice(), &["--dry-run", "-o", "json"]].concat()).expect(0).json();
        assert!(would["dry_run"] == true && would["would"].is_array(), "{args:?}: {would}");
    }
    let gone = folder.run(&["destroy", "-y", "-o", "json"]).expect(0).json();
    assert_eq!(gone["destroyed"], true);
    assert_eq!(folder.run(&["destroy", "-y", "-o", "json"]).expect(0).json()["destroyed"], false);
}
