//! Which nodes have which contents.

use std::collections::BTreeSet;
use std::time::Duration;

use disco_proto::v1::{Artifact, MissingArtifactsRequest};
use disco_store::typed::FileRecord;
use futures_util::future::join_all;

use super::{blobs, blocking, content, hold_on, majority, obtain, referred, space, voters};
use crate::cluster::{Error, Result};
use crate::local::artifacts::{Content, landed};
use crate::node::Node;

/// Time for another node to look at its disk.
const LOOKED: Duration = Duration::from_secs(2);

/// What one node lacks, and the space on its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Hashes.
    pub lacks: BTreeSet<String>,
    /// Free bytes.
    pub free: u64,
    /// How many of them contents leave free.
    pub reserve: u64,
}

/// What a node answered.
type Answer = (u64, std::result::Result<Here, String>);

/// Contents that fewer than a majority of the voters have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Their hashes.
    pub sha256: BTreeSet<String>,
}

/// What this node itself lacks. Contents that it has count as just used.
///
/// # Errors
/// The disk fails.
pub async fn here(node: &Node, contents: Vec<Content>) -> Result<Here> {
    let artifacts = node.artifacts().clone();
    let lacking = blocking(move || artifacts.lacking(&contents)).await.map_err(Error::internal)?;
    let (free, reserve) = space::free(node);
    Ok(Here { lacks: lacking.into_iter().map(|content| content.sha256).collect(), free, reserve })
}

/// Of the given contents, those that fewer than a majority of the voters have, so that a client must send them.
///
/// # Errors
/// There is no space for them on this node, or on too many voters.
pub async fn missing(node: &Node, contents: &[Content]) -> Result<Vec<String>> {
    let voters = voters(node);
    let answers = ask(node, &voters, contents).await;
    let lacking = lacking(&voters, &answers, contents);
    let own = match answers.iter().find(|(id, _)| *id == node.id()) {
        Some((_, Ok(own))) => own.clone(),
        _ => here(node, contents.to_vec()).await?,
    };
    if let Some((id, found, size)) = without_space((node.id(), &own), &voters, &answers, contents, &lacking) {
        let name = if id == node.id() { node.name().to_owned() } else { node.name_of(id) };
        return Err(Error::Exhausted(space::full(&name, found.free, size, found.reserve)));
    }
    Ok(lacking.into_iter().collect())
}

/// Checks that a majority of the voters has the contents of files, or that the store has them. Returns those that only the
/// store has.
///
/// # Errors
/// A file is malformed; or the first file whose content must be sent again.
pub async fn check(node: &Node, files: &[FileRecord]) -> Result<Lacking> {
    let contents = valid(files)?;
    let voters = voters(node);
    let answers = ask(node, &voters, &contents).await;
    let (mut only_stored, mut under_way) = (Lacking::default(), None);
    for sha256 in lacking(&voters, &answers, &contents) {
        if node.raft().store().read(|store| blobs::exists(store, &sha256)) {
            only_stored.sha256.insert(sha256);
            continue;
        }
        let holder = answers.iter().find(|(_, answer)| answer.as_ref().is_ok_and(|here| !here.lacks.contains(&sha256)));
        let path = files.iter().find(|file| file.sha256 == sha256).map(|file| file.path.clone()).unwrap_or_default();
        let Some((holder, _)) = holder else {
            return Err(Error::Conflict(format!("the cluster does not have the content of `{path}`; send it again")));
        };
        // The node that received it may just have died.
        if let Some(content) = contents.iter().find(|content| content.sha256 == sha256) {
            hold_on(node, &voters, content, *holder).detach_all();
            let own = obtain(node, content, Some(*holder));
            tokio::spawn(async move { landed(own, |_| {}).await });
        }
        under_way = Some(path);
    }
    let Some(path) = under_way else { return Ok(only_stored) };
    let (needed, count) = (majority(voters.len()), voters.len());
    let why = format!("the content of `{path}` is not on {needed} of {count} voters yet; try again, or send it again");
    Err(Error::Conflict(why))
}

/// How many of the contents that versions of services refer to are on this voter, on no other one that answers soon, and not in
/// the store. The others fetch them by themselves. None if this voter does not answer.
pub async fn only_on(node: &Node, voter: u64) -> usize {
    // What cannot be read must not keep a node forever.
    let mut contents: Vec<Content> = referred(node).unwrap_or_default().into_iter().collect();
    node.raft().store().read(|store| contents.retain(|content| !blobs::exists(store, &content.sha256)));
    let voters = voters(node);
    if contents.is_empty() || !voters.contains(&voter) {
        return 0;
    }
    count_only_on(voter, &ask(node, &voters, &contents).await, &contents)
}

fn count_only_on(voter: u64, answers: &[Answer], contents: &[Content]) -> usize {
    let sha256: BTreeSet<&String> = contents.iter().map(|content| &content.sha256).collect();
    let holders =
        |sha256: &str| -> Vec<u64> { answers.iter().filter(|answer| has(answer, sha256)).map(|(id, _)| *id).collect() };
    sha256.into_iter().filter(|sha256| holders(sha256) == [voter]).count()
}

/// The contents of files, each once. Their names become names of files on disks, so each is checked.
fn valid(files: &[FileRecord]) -> Result<Vec<Content>> {
    let mut contents = BTreeSet::new();
    for file in files {
        content(&file.sha256, file.size, file.mode)?;
        contents.insert(Content::from(file));
    }
    Ok(contents.into_iter().collect())
}

/// Asks all voters at once.
async fn ask(node: &Node, voters: &[u64], contents: &[Content]) -> Vec<Answer> {
    let mut asked = Vec::with_capacity(voters.len());
    for id in voters {
        asked.push(ask_one(node, *id, contents));
    }
    voters.iter().copied().zip(join_all(asked).await).collect()
}

async fn ask_one(node: &Node, id: u64, contents: &[Content]) -> std::result::Result<Here, String> {
    if id == node.id() {
        return here(node, contents.to_vec()).await.map_err(|error| error.to_string());
    }
    let client = node.member_client(id).ok_or("it is no member")?;
    let artifacts = contents.iter().map(wire).collect();
    let answer = client.missing_artifacts(MissingArtifactsRequest { artifacts, here: true }, LOOKED).await;
    let answer = answer.map_err(|error| error.to_string())?;
    Ok(Here { lacks: answer.sha256.into_iter().collect(), free: answer.free, reserve: answer.reserve })
}

/// A content in a request.
pub(super) fn wire(content: &Content) -> Artifact {
    Artifact { sha256: content.sha256.clone(), size: content.size, mode: content.mode }
}

fn has(answer: &Answer, sha256: &str) -> bool {
    answer.1.as_ref().is_ok_and(|here| !here.lacks.contains(sha256))
}

fn lacking(voters: &[u64], answers: &[Answer], contents: &[Content]) -> BTreeSet<String> {
    let holders = |content: &&Content| answers.iter().filter(|answer| has(answer, &content.sha256)).count();
    let few = contents.iter().filter(|content| holders(content) < majority(voters.len()));
    few.map(|content| content.sha256.clone()).collect()
}

/// A node without which the contents cannot be stored, what it has, and the bytes that it lacks.
fn without_space<'a>(
    own: (u64, &'a Here),
    voters: &[u64],
    answers: &'a [Answer],
    contents: &[Content],
    lacking: &BTreeSet<String>,
) -> Option<(u64, &'a Here, u64)> {
    let sizes: std::collections::BTreeMap<&String, u64> =
        contents.iter().map(|content| (&content.sha256, content.size)).collect();
    let bytes = |here: &Here| -> u64 { lacking.intersection(&here.lacks).filter_map(|sha256| sizes.get(sha256)).sum() };
    let full = |(id, here): (u64, &'a Here)| {
        let size = bytes(here);
        (size > 0 && here.free < size.saturating_add(here.reserve)).then_some((id, here, size))
    };
    if let Some(found) = full(own) {
        return Some(found);
    }
    let answered = answers.iter().filter_map(|(id, answer)| Some((*id, answer.as_ref().ok()?)));
    let without: Vec<_> = answered.filter_map(full).collect();
    if voters.len() - without.len() < majority(voters.len()) { without.into_iter().next() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(sha256: &str, size: u64) -> Content {
        Content { sha256: sha256.to_owned(), size, mode: 0o755 }
    }

    fn answer(id: u64, lacks: &[&str], free: u64) -> Answer {
        let lacks = lacks.iter().map(|sha256| (*sha256).to_owned()).collect();
        (id, Ok(Here { lacks, free, reserve: 10 }))
    }

    #[test]
    fn a_content_is_there_if_a_majority_of_the_voters_has_it() {
        let contents = [content("a", 1), content("b", 1), content("c", 1)];
        let answers = [answer(1, &["c"], 99), answer(2, &["b", "c"], 99), (3, Err("no answer".to_owned()))];
        let found = lacking(&[1, 2, 3], &answers, &contents);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["b", "c"]);
        assert!(lacking(&[1], &answers[..1], &contents[..2]).is_empty());
    }

    #[test]
    fn the_only_copies_on_a_voter_are_counted() {
        let contents = [content("a", 1), content("b", 1), content("b", 1), content("c", 1), content("d", 1)];
        let answers = [answer(1, &["b", "c", "d"], 99), answer(2, &["d"], 99), (3, Err("no answer".to_owned()))];
        assert_eq!(count_only_on(2, &answers, &contents), 2, "b and c; nothing can be done for d");
        assert_eq!(count_only_on(1, &answers, &contents), 0, "the other one has a");
        assert_eq!(count_only_on(3, &answers, &contents), 0, "it does not answer");
    }

    #[test]
    fn a_file_whose_checksum_is_a_path_is_refused() {
        let file =
            |sha256: &str, size: u64| FileRecord { path: "web".to_owned(), sha256: sha256.to_owned(), size, mode: 0 };
        let good = "a".repeat(64);
        assert_eq!(valid(&[file(&good, 1), file(&good, 1)]).unwrap().len(), 1);
        for sha256 in ["", "/etc/passwd", "../../authority", "A", &good[1..]] {
            let refused = valid(&[file(&good, 1), file(sha256, 1)]).unwrap_err().to_string();
            assert!(refused.contains("invalid checksum"), "{refused}");
        }
        assert!(valid(&[file(&good, u64::MAX)]).unwrap_err().to_string().contains("expected at most"));
    }

    #[test]
    fn contents_are_refused_early_where_they_do_not_fit() {
        let contents = [content("a", 50), content("b", 50)];
        let all = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let without = |answers: &[Answer], own: usize| {
            let here = answers[own].1.as_ref().unwrap();
            without_space((answers[own].0, here), &[1, 2, 3], answers, &contents, &all).map(|(id, _, size)| (id, size))
        };
        let (large, small) = (answer(1, &["a", "b"], 110), answer(2, &["a", "b"], 109));
        let some = answer(3, &["a"], 60);
        assert_eq!(without(&[large.clone(), small.clone(), some.clone()], 0), None, "two of three have space");
        assert_eq!(
            without(&[large.clone(), small.clone(), some.clone()], 1),
            Some((2, 100)),
            "it receives them itself"
        );
        let third = answer(3, &["a"], 59);
        assert_eq!(without(&[large.clone(), small, third], 0), Some((2, 100)));
        let unreachable = (2, Err("no answer".to_owned()));
        assert_eq!(without(&[large, unreachable, some], 0), None, "the upload says why it fails");
    }
}
