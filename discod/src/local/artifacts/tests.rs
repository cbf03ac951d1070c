use super::*;

struct Test {
    artifacts: Artifacts,
    _data: tempfile::TempDir,
}

fn test() -> Test {
    let data = tempfile::tempdir().unwrap();
    Test { artifacts: Artifacts::new(data.path()), _data: data }
}

fn content(text: &str, mode: u32) -> Content {
    Content { sha256: hex::encode(Sha256::digest(text)), size: text.len() as u64, mode }
}

impl Test {
    fn left(&self) -> Vec<String> {
        let mut names: Vec<String> = self.artifacts.entries().unwrap().iter().map(|path| key(path)).collect();
        names.sort();
        names
    }
}

#[test]
fn a_content_appears_whole_with_its_mode_and_an_interrupted_one_continues() {
    let test = test();
    let text = "0123456789".repeat(20_000);
    let program = content(&text, 0o755);
    let mut receipt = test.artifacts.receive(&program).unwrap();
    receipt.write(&text.as_bytes()[..150_000]).unwrap();
    assert_eq!(test.artifacts.get(&program).unwrap(), None);
    // The shorter of two attempts is given up.
    let mut other = test.artifacts.receive(&program).unwrap();
    other.write(&text.as_bytes()[..10]).unwrap();
    drop(receipt);
    drop(other);
    let mut receipt = test.artifacts.receive(&program).unwrap();
    assert_eq!((receipt.received(), receipt.is_complete()), (150_000, false));
    receipt.write(&text.as_bytes()[150_000..]).unwrap();
    receipt.finish().unwrap();
    let path = test.artifacts.get(&program).unwrap().expect("it is there");
    assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
    assert_eq!(fs_err::metadata(&path).unwrap().mode() & 0o777, 0o755);
    assert_eq!(test.left(), [program.name()]);
    assert!(test.artifacts.lacking(std::slice::from_ref(&program)).unwrap().is_empty());
}

#[test]
fn a_wrong_content_is_refused_and_leaves_nothing() {
    let test = test();
    let program = content("right", 0o755);
    for wrong in ["wrong", "short"] {
        let mut receipt = test.artifacts.receive(&program).unwrap();
        receipt.write(wrong.as_bytes()).unwrap();
        assert!(receipt.finish().unwrap_err().to_string().contains("does not match the checksum"));
    }
    let mut receipt = test.artifacts.receive(&program).unwrap();
    assert!(receipt.write(b"longer").unwrap_err().to_string().contains("exceeds the announced 5 bytes"));
    drop(receipt);
    let mut receipt = test.artifacts.receive(&program).unwrap();
    receipt.write(b"ri").unwrap();
    assert!(receipt.finish().unwrap_err().to_string().contains("has 2 of the announced 5 bytes"));
    // What a power cut has left of another content does not stay in the way.
    drop(test.artifacts.receive(&program).unwrap());
    assert!(!test.artifacts.has(&program).unwrap());
    test.artifacts.write(&program, b"right").unwrap();
    assert!(test.artifacts.has(&program).unwrap());
}

#[test]
fn one_content_serves_files_with_several_modes() {
    let test = test();
    let (program, data) = (content("x", 0o755), content("x", 0o644));
    test.artifacts.write(&program, b"x").unwrap();
    assert!(test.artifacts.has(&data).unwrap());
    assert!(test.artifacts.lacking(std::slice::from_ref(&data)).unwrap().is_empty());
    let path = test.artifacts.get(&data).unwrap().expect("made of the other one");
    assert_eq!(fs_err::metadata(path).unwrap().mode() & 0o777, 0o644);
    assert_eq!(test.left().len(), 2);
}

#[test]
fn a_content_is_found_whatever_the_mode_of_its_file() {
    for mode in [0o555, 0o444, 0o777, 0o111] {
        let test = test();
        let (program, data) = (content("x", mode), content("x", 0o644));
        let mut receipt = test.artifacts.receive(&program).unwrap();
        receipt.write(b"x").unwrap();
        receipt.finish().unwrap();
        assert!(test.artifacts.has(&program).unwrap());
        assert!(test.artifacts.lacking(&[program.clone(), data.clone()]).unwrap().is_empty());
        assert!(test.artifacts.open(&data, 0).unwrap().is_some(), "another node requests it without its mode");
        let path = test.artifacts.get(&program).unwrap().expect("made of the stored one");
        assert_eq!(fs_err::metadata(path).unwrap().mode() & 0o777, mode);
    }
}

#[test]
fn a_content_that_is_left_with_a_rare_mode_is_sent() {
    let test = test();
    let (program, data) = (content("x", 0o555), content("x", 0o644));
    test.artifacts.write(&program, b"x").unwrap();
    test.artifacts.get(&program).unwrap().expect("made of the stored one");
    fs_err::remove_file(test.artifacts.file(&content("x", 0o755))).unwrap();
    assert_eq!(test.left(), [program.name()]);
    assert!(test.artifacts.open(&data, 0).unwrap().is_some());
    assert!(test.artifacts.open(&content("y", 0o644), 0).unwrap().is_none());
}

#[test]
fn a_damaged_content_is_not_used() {
    let test = test();
    let (one, two) = (content("one", 0o755), content("two", 0o755));
    for (content, text) in [(&one, "one"), (&two, "two")] {
        test.artifacts.write(content, text.as_bytes()).unwrap();
        fs_err::write(test.artifacts.file(content), "bad").unwrap();
    }
    // It was checked before, and modified since.
    assert_eq!(test.artifacts.lacking(&[one.clone(), two.clone()]).unwrap(), [one.clone(), two.clone()]);
    assert_eq!(test.artifacts.get(&one).unwrap(), None);
    // A new daemon finds it by the hash.
    test.artifacts.forget_checks();
    assert!(!test.artifacts.has(&two).unwrap());
    assert!(test.artifacts.open(&two, 0).unwrap().is_none());
    assert!(test.left().is_empty());
}

#[test]
fn a_question_with_a_wrong_size_removes_nothing() {
    let test = test();
    let one = content("one", 0o755);
    test.artifacts.write(&one, b"one").unwrap();
    let wrong = Content { size: 4, ..one.clone() };
    for _ in ["with a check", "after a restart"] {
        assert!(!test.artifacts.has(&wrong).unwrap());
        assert_eq!(test.artifacts.get(&wrong).unwrap(), None);
        assert!(test.artifacts.has(&one).unwrap(), "the file is gone");
        test.artifacts.forget_checks();
    }
}

#[test]
fn a_part_of_a_content_is_read() {
    let test = test();
    let program = content("0123456789", 0o755);
    test.artifacts.write(&program, b"0123456789").unwrap();
    let mut file = test.artifacts.open(&program, 7).unwrap().expect("it is there");
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "789");
}

#[test]
fn what_is_needed_or_used_or_young_stays() {
    let test = test();
    let all = ["one", "two", "three"].map(|text| content(text, 0o644));
    for (content, text) in all.iter().zip(["one", "two", "three"]) {
        test.artifacts.write(content, text.as_bytes()).unwrap();
    }
    let mut receipt = test.artifacts.receive(&content("part", 0o644)).unwrap();
    receipt.write(b"pa").unwrap();
    drop(receipt);
    let task = test.artifacts.0.folder.with_file_name("task");
    fs_err::hard_link(test.artifacts.file(&all[0]), &task).unwrap();
    let needed = BTreeSet::from([all[1].sha256.clone()]);
    test.artifacts.prune(&needed, 0, GRACE).unwrap();
    assert_eq!(test.left().len(), 4, "all are young");
    test.artifacts.prune(&needed, 100, Duration::ZERO).unwrap();
    assert_eq!(test.left().len(), 3, "within the budget, but for what was not complete");
    test.artifacts.prune(&needed, 0, Duration::ZERO).unwrap();
    let mut left = vec![all[0].name(), all[1].name()];
    left.sort();
    assert_eq!(test.left(), left);
}
