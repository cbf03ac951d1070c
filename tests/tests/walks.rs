//! The section "Four walks" of `ARCHITECTURE.md` names functions hop by hop: each must be in the file that stands beside it.

use std::path::Path;

const FEWEST_HOPS: usize = 8;

/// Whether the line is an item of a numbered list.
fn is_numbered(line: &str) -> bool {
    line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// The file and the function of a line such as ``3. `store/src/store.rs` `apply`: what it does``.
fn hop(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(". `")?;
    let (file, rest) = rest.split_once("` `")?;
    let (function, _) = rest.split_once("`: ")?;
    Some((file, function))
}

fn defines(source: &str, function: &str) -> bool {
    source.split(&format!("fn {function}")).skip(1).any(|after| after.starts_with(['(', '<']))
}

#[test]
fn each_hop_of_the_four_walks_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("\n## Four walks\n").expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let walks: Vec<&str> = section.split("\n### ").skip(1).collect();
    assert_eq!(walks.len(), 4);
    for walk in walks {
        let title = walk.lines().next().unwrap();
        let lines: Vec<&str> = walk.lines().filter(|line| is_numbered(line)).collect();
        assert!(lines.len() >= FEWEST_HOPS, "{title}: {} hops", lines.len());
        for line in lines {
            let (file, function) = hop(line).unwrap_or_else(|| panic!("not of the form of a hop: {line}"));
            let source = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(defines(&source, function), "{file} has no function `{function}`");
        }
    }
}
