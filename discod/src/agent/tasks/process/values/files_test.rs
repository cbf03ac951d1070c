use std::os::unix::fs::MetadataExt;

use super::*;

struct Test {
    data: tempfile::TempDir,
    files: Files,
}

impl Drop for Test {
    fn drop(&mut self) {
        place::forget(self.data.path()).unwrap();
    }
}

impl Test {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let files = Files::new(data.path(), &format!("test-{}", uuid::Uuid::new_v4().simple()));
        Self { data, files }
    }

    fn write(&self, task: u64, group: u64, all: &[(ValueKind, &str, &str)]) {
        let values: Vec<Value> = all.iter().map(|(_, _, text)| Value::new(text.as_bytes().to_vec())).collect();
        let contents: Vec<Content<'_>> = all
            .iter()
            .zip(&values)
            .map(|((kind, target, _), value)| Content { kind: *kind, target, uid: None, gid: None, mode: 0o444, value })
            .collect();
        self.files.write(task, group, &contents, None).unwrap();
    }

    fn read(&self, task: u64, path: &str) -> String {
        std::fs::read_to_string(self.files.folder(task).unwrap().join(path)).unwrap()
    }
}

#[test]
fn files_are_replaced_as_a_whole() {
    use ValueKind::{Config, Secret};
    let test = Test::new();
    test.write(7, 1, &[(Secret, "token", "old"), (Secret, "tls/key.pem", "key"), (Config, "app.conf", "a")]);
    assert!(test.files.has(7, 1) && !test.files.has(7, 2) && !test.files.has(8, 1));
    assert_eq!(test.read(7, "secrets/token"), "old");
    assert_eq!(test.read(7, "secrets/tls/key.pem"), "key");
    assert_eq!(test.read(7, "configs/app.conf"), "a");
    let folder = test.files.folder(7).unwrap();
    let open = std::fs::File::open(folder.join("secrets/token")).unwrap();
    test.write(7, 2, &[(Secret, "token", "new"), (Secret, "tls/key.pem", "key"), (Config, "app.conf", "b")]);
    assert_eq!(test.files.folder(7).unwrap(), folder, "the path that the task knows stays");
    assert_eq!(test.read(7, "secrets/token"), "new");
    assert_eq!(test.read(7, "configs/app.conf"), "b");
    assert_eq!(std::io::read_to_string(open).unwrap(), "old");
    // Nothing is left of the earlier version.
    let left: Vec<_> =
        std::fs::read_dir(folder.join("secrets")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "..1"), "{left:?}");
}

#[test]
fn an_interrupted_replacement_is_repeated() {
    let test = Test::new();
    test.write(7, 1, &[(ValueKind::Secret, "token", "old")]);
    let folder = test.files.folder(7).unwrap().join("secrets");
    std::fs::create_dir(folder.join("..2")).unwrap();
    std::fs::write(folder.join("..2/token"), "half").unwrap();
    symlink("..2", folder.join(NEW_DATA)).unwrap();
    assert_eq!(test.read(7, "secrets/token"), "old");
    test.write(7, 2, &[(ValueKind::Secret, "token", "new")]);
    assert_eq!(test.read(7, "secrets/token"), "new");
}

#[test]
fn files_of_other_tasks_are_removed() {
    let test = Test::new();
    for task in [7, 70, 8] {
        test.write(task, 1, &[(ValueKind::Secret, "token", "x")]);
    }
    let gone = test.files.folder(70).unwrap();
    test.files.keep(&BTreeSet::from([7, 8])).unwrap();
    assert!(!gone.exists() && test.files.has(7, 1) && test.files.has(8, 1));
}

#[test]
fn modes_and_owners_are_as_given() {
    let test = Test::new();
    let value = Value::new(b"x".to_vec());
    let content = |target, uid, mode| Content { kind: ValueKind::Secret, target, uid, gid: None, mode, value: &value };
    let own = rustix::process::geteuid();
    let user = User { uid: 4_000, gid: 4_001, groups: Vec::new() };
    if !own.is_root() {
        let refused = test.files.write(7, 1, &[content("a", Some(5_000), 0o400)], None).unwrap_err();
        assert!(matches!(refused, NotStarted::Refused(why) if why.contains("does not run as root")));
        return;
    }
    let place = test.files.place().unwrap();
    if !place.in_memory {
        return;
    }
    test.files.write(7, 1, &[content("usual", None, 0o444)], Some(&user)).unwrap();
    let folder = test.files.folder(7).unwrap();
    let of = |path: &Path| {
        let found = std::fs::metadata(path).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o777)
    };
    assert_eq!(of(&folder), (0, 4_001, 0o710));
    assert_eq!(of(&folder.join("secrets/usual")), (4_000, 4_001, 0o444));
    test.files.write(8, 1, &[content("own", Some(5_000), 0o400)], Some(&user)).unwrap();
    let folder = test.files.folder(8).unwrap();
    assert_eq!(of(&folder), (0, 0, 0o711));
    assert_eq!(of(&folder.join("secrets/own")), (5_000, 4_001, 0o400));
}
