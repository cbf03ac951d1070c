//! What on a machine is not Disco's, or not this cluster's: it is as before, whatever is installed and removed.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use disco_provider::install::{InstallError, NoProgress, Other, Owner, Refusal, Remote};

use crate::install::{Project, owner, remote, service_runs, settings, sign, starts};
use crate::setup::Machines;

/// Paths that are not the same in both.
fn changes(before: &BTreeMap<PathBuf, Option<Vec<u8>>>, after: &BTreeMap<PathBuf, Option<Vec<u8>>>) -> Vec<PathBuf> {
    let all = before.keys().chain(after.keys()).cloned();
    all.filter(|path| before.get(path) != after.get(path)).collect()
}

/// Everything below a folder: paths, and what files hold.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let content = path.is_file().then(|| std::fs::read(&path).unwrap());
            if path.is_dir() {
                folders.push(path.clone());
            }
            all.insert(path, content);
        }
    }
    all
}

#[tokio::test]
async fn what_is_another_clusters_is_left_as_it_is() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let home = machines.path(&machine).join("home");
    let ours = remote(&machines, &machine).await;
    // Both have found it empty.
    let stranger = Owner { cluster_id: "prod".to_owned(), cluster_name: "prod".to_owned(), ..owner(&machine) };
    let probe = async || Remote::probe(machines.connect(&machine).await).await.unwrap();
    let theirs = probe().await.permit(stranger.clone()).await.unwrap();
    let binaries = project.binaries().unwrap();
    ours.install_first_node(&binaries, &settings(&machine), sign, &NoProgress).await.unwrap();
    service_runs(&home).await;

    let before = snapshot(&home);
    let refused = |result: Result<(), InstallError>| {
        let error = result.unwrap_err();
        assert!(
            matches!(error.refusal(), Some(Refusal::AnotherCluster { cluster, .. }) if cluster == "stage"),
            "{error}"
        );
    };
    refused(probe().await.permit(stranger).await.map(drop));
    refused(theirs.install_joining_node(&binaries, &settings(&machine), &NoProgress).await.map(drop));
    refused(theirs.authorize(&["ssh-ed25519 AAAA prod".to_owned()]).await);
    refused(theirs.uninstall().await.map(drop));
    refused(theirs.forget_key(&machines.key.public_openssh()).await);
    assert_eq!(changes(&before, &snapshot(&home)), Vec::<PathBuf>::new());
    assert_eq!(starts(&home).len(), 1);
}

#[tokio::test]
async fn one_machine_under_two_addresses_is_installed_once() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let first = remote(&machines, &machine).await;
    let other = Other { machine: machine.id.clone(), node: Some(1) };
    let second = Owner { machine: Some("elsewhere:22".to_owned()), others: vec![other], ..owner(&machine) };
    let probe = async || Remote::probe(machines.connect(&machine).await).await.unwrap();
    // Both have found it empty, and it gets one node all the same.
    let again = probe().await.permit(second.clone()).await.unwrap();
    assert!(first.is_same_place(&again));
    first.install_first_node(&project.binaries().unwrap(), &settings(&machine), sign, &NoProgress).await.unwrap();
    let (home, settings) = (machines.path(&machine).join("home"), settings(&machine));
    service_runs(&home).await;
    let before = snapshot(&machines.path(&machine).join("home/disco/service"));
    for error in [
        again.install_joining_node(&project.binaries().unwrap(), &settings, &NoProgress).await.unwrap_err(),
        again.uninstall().await.unwrap_err(),
        probe().await.permit(second).await.unwrap_err(),
    ] {
        assert!(matches!(error.refusal(), Some(Refusal::Twice { node: Some(1), .. })), "{error}");
    }
    let after = snapshot(&machines.path(&machine).join("home/disco/service"));
    assert_eq!(changes(&before, &after), Vec::<PathBuf>::new());

    let elsewhere = machines.start("two").await;
    assert!(!first.is_same_place(&*remote(&machines, &elsewhere).await));
}

#[tokio::test]
async fn what_others_have_put_there_is_neither_replaced_nor_removed() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let base = machines.path(&machine).join("home/disco");
    project.change("disco");
    let binaries = project.binaries().unwrap();
    std::fs::create_dir_all(base.join("bin")).unwrap();
    std::fs::create_dir_all(base.join("data")).unwrap();
    std::fs::write(base.join("bin/disco"), "another program of that name").unwrap();
    std::fs::write(base.join("data/notes.txt"), "mine").unwrap();
    let before = snapshot(&base);
    let probe = async || Remote::probe(machines.connect(&machine).await).await.unwrap();
    let wants = || Owner { programs: binaries.checksums(), ..owner(&machine) };
    let refused = |error: InstallError| {
        let foreign = matches!(error.refusal(), Some(Refusal::Foreign { path }) if path.ends_with("bin/disco"));
        assert!(foreign, "{error}");
    };
    refused(probe().await.permit(wants()).await.unwrap_err());
    // Nor by a path that did not say at first what it brings.
    let permitted = probe().await.permit(owner(&machine)).await.unwrap();
    refused(permitted.install_joining_node(&binaries, &settings(&machine), &NoProgress).await.unwrap_err());
    assert_eq!(changes(&before, &snapshot(&base)), Vec::<PathBuf>::new());

    // The very program that would be sent is left where it is as well.
    std::fs::copy(project.path("disco"), base.join("bin/disco")).unwrap();
    let before = snapshot(&base);
    let permitted = probe().await.permit(wants()).await.unwrap();
    permitted.install_first_node(&binaries, &settings(&machine), sign, &NoProgress).await.unwrap();
    // Another one in its place later is not Disco's either.
    std::fs::write(base.join("bin/discod.previous"), "kept by hand").unwrap();
    let left = permitted.uninstall().await.unwrap();
    assert!(left.iter().any(|path| path.ends_with("bin/discod.previous")), "{left:?}");
    std::fs::remove_file(base.join("bin/discod.previous")).unwrap();
    assert_eq!(changes(&before, &snapshot(&base)), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn files_of_a_node_of_no_known_cluster_are_left_alone() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let base = machines.path(&machine).join("home/disco");
    std::fs::create_dir_all(base.join("data")).unwrap();
    std::fs::write(base.join("data/raft.redb"), "").unwrap();
    let probe = async || Remote::probe(machines.connect(&machine).await).await.unwrap();
    let error = probe().await.permit(owner(&machine)).await.unwrap_err();
    assert!(matches!(error.refusal(), Some(Refusal::Remains { .. })), "{error}");
    // What cannot be read is not taken for nothing.
    std::fs::write(base.join("data/node.json"), "{").unwrap();
    let error = probe().await.permit(owner(&machine)).await.unwrap_err();
    assert!(matches!(error, InstallError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn authorized_keys_are_as_before_or_as_they_should_be() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let remote = remote(&machines, &machine).await;
    let file = machines.path(&machine).join("home/.ssh/authorized_keys");
    // The operator's line restricts, the last one has no line break.
    let own = machines.key.public_openssh();
    let before = format!("# mine\nfrom=\"127.0.0.0/8\" {own}\nssh-ed25519 AAAAother me");
    std::fs::write(&file, &before).unwrap();
    let cluster = "ssh-ed25519 AAAAcluster cluster@stage".to_owned();
    remote.authorize(&[own.clone(), cluster.clone()]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{cluster}\n{before}"));
    remote.forget_key(&cluster).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);

    // Where nothing can be written there, nothing is lost. A link that leads to where that is not possible does for root as well.
    let real = machines.path(&machine).join("home/keys");
    std::fs::write(&real, format!("{cluster}\n{before}")).unwrap();
    std::fs::remove_file(&file).unwrap();
    symlink(&real, &file).unwrap();
    let in_the_way = format!("{}.disco", real.display());
    remote.forget_key(&cluster).await.unwrap();
    assert_eq!(std::fs::read_to_string(&real).unwrap(), before);
    assert!(file.is_symlink() && !Path::new(&in_the_way).exists());
}
