//! Folders of machines that are moved, copied and removed: no machine of another project is ever ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use disco_provider::local::RunningMachine;
use disco_provider::{Provider, ProviderContext, ProviderError, StartRequest, from_spec};
use proptest::prelude::*;

use crate::setup::{eventually, is_alive, kill, stand_in};

/// What is done with one of two projects.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// By the client, as `bootstrap` does.
    Start(u8),
    /// By what runs on one of its machines, as the leader does when it scales or repairs.
    Lead(u8),
    /// The folder gets another name.
    Move,
    /// The other project, where it has no folder, becomes a copy.
    Copy,
    /// A machine has a power cut.
    Kill(u8),
    /// Ends all machines that are listed, and removes the folder.
    Destroy,
    /// Removes the folder under the running machines.
    Remove,
    /// Ends the machines whose folder was removed.
    EndOrphans,
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let act = prop_oneof![
        4 => (0..3_u8).prop_map(Act::Start),
        3 => (0..4_u8).prop_map(Act::Lead),
        3 => Just(Act::Move),
        4 => Just(Act::Copy),
        2 => any::<u8>().prop_map(Act::Kill),
        3 => Just(Act::Destroy),
        2 => Just(Act::Remove),
        1 => Just(Act::EndOrphans),
    ];
    (0..2_usize, act)
}

/// A machine that should be running.
#[derive(Debug)]
struct Living {
    /// Of which project: by the folder that it was started in, not by what that is called.
    of: usize,
    id: String,
    pid: u32,
    /// Which folder's records it was started by; a copy has the same.
    origin: u32,
    orphan: bool,
}

struct World {
    root: tempfile::TempDir,
    cluster: String,
    /// Each project's folder, where it has one, and whose records are in it.
    folders: [Option<(PathBuf, u32)>; 2],
    living: Vec<Living>,
    made: u32,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let root = tempfile::tempdir().unwrap();
        Self {
            root,
            // No other test's machines are called so.
            cluster: format!("folders-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)),
            folders: [None, None],
            living: Vec::new(),
            made: 0,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    fn fresh(&mut self) -> PathBuf {
        self.made += 1;
        self.root.path().canonicalize().unwrap().join(format!("folder-{}", self.made))
    }

    fn provider(&self, folder: &Path) -> Arc<dyn Provider> {
        let context = ProviderContext {
            cluster_name: self.cluster.clone(),
            cluster_id: Some(self.cluster.clone()),
            project_dir: Some(folder.to_owned()),
            local_dir: None,
            machine_executable: stand_in(),
            known: Vec::new(),
        };
        from_spec("local", &serde_json::Value::Null, &context).unwrap()
    }

    /// Its machines that run for a folder which is there.
    fn of(&self, project: usize) -> impl Iterator<Item = &Living> {
        self.living.iter().filter(move |machine| machine.of == project && !machine.orphan)
    }

    /// Whether machines run by the same records, but not in this folder.
    fn is_elsewhere(&self, project: usize, origin: u32) -> bool {
        self.living.iter().any(|one| one.origin == origin && (one.of != project || one.orphan))
    }

    fn run(&mut self, project: usize, act: Act) {
        match act {
            Act::Start(token) => self.start(project, token),
            Act::Lead(token) => self.lead(project, token),
            Act::Move => {
                let fresh = self.fresh();
                if let Some((folder, _)) = &mut self.folders[project] {
                    std::fs::rename(&folder, &fresh).unwrap();
                    *folder = fresh;
                }
            }
            Act::Copy => {
                let fresh = self.fresh();
                let other = 1 - project;
                if let (Some((folder, origin)), None) = (self.folders[project].clone(), &self.folders[other]) {
                    assert!(Command::new("cp").arg("-a").arg(&folder).arg(&fresh).status().unwrap().success());
                    self.folders[other] = Some((fresh, origin));
                }
            }
            Act::Kill(which) => {
                let own: Vec<u32> = self.of(project).map(|machine| machine.pid).collect();
                if !own.is_empty() {
                    let victim = own[usize::from(which) % own.len()];
                    kill(victim);
                    self.is_dead(victim);
                    self.living.retain(|machine| machine.pid != victim);
                }
            }
            Act::Destroy => self.destroy(project),
            Act::Remove => {
                if let Some((folder, _)) = self.folders[project].take() {
                    std::fs::remove_dir_all(folder).unwrap();
                    for machine in self.living.iter_mut().filter(|machine| machine.of == project) {
                        machine.orphan = true;
                    }
                }
            }
            Act::EndOrphans => self.end_orphans(),
        }
        self.check(act);
    }

    fn start(&mut self, project: usize, token: u8) {
        if self.folders[project].is_none() {
            let fresh = self.fresh();
            std::fs::create_dir(&fresh).unwrap();
            self.folders[project] = Some((fresh, self.made));
        }
        let (folder, origin) = self.folders[project].clone().unwrap();
        let request = StartRequest { token: format!("token-{token}"), ..StartRequest::default() };
        match self.runtime.block_on(self.provider(&folder).start(request)) {
            Ok(_) => {
                assert!(!self.is_elsewhere(project, origin), "started beside the machines of the original");
                self.learn(project, &folder, origin);
            }
            Err(ProviderError::RunsElsewhere { .. }) => {
                assert!(self.is_elsewhere(project, origin), "nothing runs elsewhere")
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn lead(&mut self, project: usize, token: u8) {
        let Some(leader) = self.living.iter().find(|machine| machine.of == project) else { return };
        let mut command = Command::new(stand_in());
        command.args(["lead", "--cluster", &self.cluster, "--token", &format!("token-{token}")]);
        // Beneath its home folder, as its daemon is; that of an orphan is gone.
        let place = format!("/proc/{}/cwd/{}", leader.pid, if leader.orphan { "" } else { "home" });
        let output = command.current_dir(place).env("DISCO_MACHINE", &leader.id).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if leader.orphan {
            assert!(!output.status.success() && said.contains("was removed"), "{said}");
            return;
        }
        assert!(output.status.success(), "{said}");
        let (folder, origin) = self.folders[project].clone().unwrap();
        self.learn(project, &folder, origin);
    }

    /// Takes up what was started.
    fn learn(&mut self, project: usize, folder: &Path, origin: u32) {
        for machine in self.runtime.block_on(self.provider(folder).list()).unwrap() {
            let Some(pid) = machine.pid else { continue };
            if !self.living.iter().any(|known| known.pid == pid) {
                self.living.push(Living { of: project, id: machine.id, pid, origin, orphan: false });
            }
        }
    }

    fn destroy(&mut self, project: usize) {
        let Some((folder, _)) = self.folders[project].take() else { return };
        let provider = self.provider(&folder);
        for machine in self.runtime.block_on(provider.list()).unwrap() {
            self.runtime.block_on(provider.terminate(&machine.id)).unwrap();
        }
        let ended: Vec<u32> = self.of(project).map(|machine| machine.pid).collect();
        ended.iter().for_each(|pid| self.is_dead(*pid));
        self.living.retain(|machine| !ended.contains(&machine.pid));
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn end_orphans(&mut self) {
        let found = RunningMachine::all_lost().into_iter().filter(|machine| machine.cluster == self.cluster);
        let found: Vec<RunningMachine> = found.collect();
        let orphans: Vec<u32> =
            self.living.iter().filter(|machine| machine.orphan).map(|machine| machine.pid).collect();
        assert_eq!(found.len(), orphans.len(), "{found:?}");
        found.iter().for_each(|machine| machine.end_lost().unwrap());
        orphans.iter().for_each(|pid| self.is_dead(*pid));
        self.living.retain(|machine| !machine.orphan);
    }

    fn is_dead(&self, pid: u32) {
        self.runtime.block_on(eventually("a machine has ended", || !is_alive(pid)));
    }

    /// Each machine that was not meant lives, and is its own folder's alone.
    fn check(&self, act: Act) {
        for machine in &self.living {
            assert!(is_alive(machine.pid), "{act:?} has ended {machine:?}");
        }
        for (project, folder) in self.folders.iter().enumerate() {
            let Some((folder, _)) = folder else { continue };
            let listed = self.runtime.block_on(self.provider(folder).list()).unwrap();
            let mut listed: Vec<u32> = listed.into_iter().filter_map(|machine| machine.pid).collect();
            let mut own: Vec<u32> = self.of(project).map(|machine| machine.pid).collect();
            listed.sort_unstable();
            own.sort_unstable();
            assert_eq!(listed, own, "after {act:?} in {}", folder.display());
        }
        // Nothing was made again where a folder was.
        let there = std::fs::read_dir(self.root.path()).unwrap().count();
        assert_eq!(there, self.folders.iter().flatten().count(), "after {act:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Those that a failed test has lost count of, too: none else is of this cluster.
        for machine in RunningMachine::all().into_iter().filter(|machine| machine.cluster == self.cluster) {
            let _ = std::fs::remove_dir_all(&machine.folder);
            let _ = machine.end_lost();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_with_two_projects_ends_no_machine_of_the_other(acts in prop::collection::vec(act(), 4..12)) {
        let mut world = World::new();
        for (project, act) in acts {
            world.run(project, act);
        }
    }
}

#[test]
fn clusters_that_share_a_folder_see_their_own_machines_alone() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let provider = |id: &str| {
        let context = ProviderContext {
            cluster_name: "same".to_owned(),
            cluster_id: Some(id.to_owned()),
            project_dir: None,
            local_dir: Some(dir.path().join("local")),
            machine_executable: stand_in(),
            known: Vec::new(),
        };
        from_spec("local", &serde_json::Value::Null, &context).unwrap()
    };
    let (one, two) = (provider("one"), provider("two"));
    let request = || StartRequest { token: "same-2".to_owned(), ..StartRequest::default() };
    let first = runtime.block_on(one.start(request())).unwrap();
    let second = runtime.block_on(two.start(request())).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(runtime.block_on(one.list()).unwrap(), std::slice::from_ref(&first));
    // Given its id, too.
    runtime.block_on(two.terminate(&first.id)).unwrap();
    assert!(is_alive(first.pid.unwrap()));
    for (provider, machine) in [(&one, &first), (&two, &second)] {
        runtime.block_on(provider.terminate(&machine.id)).unwrap();
        assert!(!is_alive(machine.pid.unwrap()));
    }
}
