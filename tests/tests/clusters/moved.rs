//! A project folder that is moved, copied and removed while its cluster runs: the cluster continues, its machines belong to no copy,
//! and machines whose folder was removed are found and ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use disco_tests::{Machine, Output, Project, SOON, Status, client_script, is_alive, wait_for};

/// Time to start and install machines, with debug builds.
const LONG: Duration = Duration::from_secs(120);

/// A project whose folder moves.
struct Wandering {
    project: Project,
    folder: PathBuf,
}

impl Wandering {
    fn disco_in(&self, folder: &Path, args: &[&str]) -> Output {
        self.project.start_command(self.project.command(args).current_dir(folder)).wait(LONG)
    }

    fn disco(&self, args: &[&str]) -> Output {
        self.disco_in(&self.folder, args)
    }

    fn move_to(&mut self, name: &str) {
        let to = self.project.outside(name);
        std::fs::rename(&self.folder, &to).unwrap();
        self.folder = to;
    }

    fn healthy(&self, nodes: usize) -> Status {
        wait_for(LONG, "all nodes healthy", || {
            let output = self.disco(&["status", "-o", "json"]);
            match serde_json::from_str::<Status>(&output.stdout) {
                Ok(status) if status.healthy && status.nodes.len() == nodes && status.has_reports() => Ok(status),
                _ => Err(output.to_string()),
            }
        })
    }

    fn machines(&self) -> BTreeMap<String, u32> {
        let machines = Machine::all(&self.folder.join(".disco/local"));
        machines.into_iter().map(|machine| (machine.id, machine.pid)).collect()
    }
}

#[test]
fn moving_copying_and_removing_a_folder_harms_and_forgets_no_machine() {
    let project = Project::new("wandering");
    project.bootstrap();
    project.put("kept", "yes");
    let mut wandering = Wandering { folder: project.path(""), project };
    moved_while_it_runs(&mut wandering);
    moved_while_it_is_stopped(&mut wandering);
    a_copy_has_none_of_its_machines(&wandering);
    removed_while_it_runs(&wandering);
}

fn moved_while_it_runs(wandering: &mut Wandering) {
    let before = wandering.machines();
    let old = wandering.folder.clone();
    wandering.move_to("moved");
    let status = wandering.healthy(3);
    wandering.disco(&["doctor"]).ok();
    let again = wandering.disco(&["bootstrap", "-y"]).ok();
    assert!(again.stdout.contains("is ready"), "{again}");
    assert_eq!(wandering.healthy(3).pids(), status.pids(), "a node was restarted for nothing");

    // The supervisor, which was started at the old path, restarts a daemon.
    let victim = status.others()[0].clone();
    wandering.project.kill(victim.pid);
    wait_for(SOON, "the node's return", || {
        let now = wandering.healthy(3);
        if now.node(victim.id).pid == victim.pid { Err("it is still the old process") } else { Ok(()) }
    });

    // The leader starts a machine beside the others; a former version began anew in the old folder, and killed them by their ids.
    wandering.disco(&["scale", "nodes=4"]).ok();
    wandering.healthy(4);
    let after = wandering.machines();
    assert_eq!(after.len(), 4, "{after:?}");
    for (id, pid) in &before {
        assert!(after.get(id) == Some(pid) && is_alive(*pid), "machine {id}: {before:?}, then {after:?}");
    }
    assert!(!old.exists(), "the old folder was made again");
    let place = wandering.disco(&["node", "ssh", "1", "--", "pwd"]).ok().stdout;
    assert!(place.contains("/moved/.disco/local/local-1/home"), "{place}");
}

fn moved_while_it_is_stopped(wandering: &mut Wandering) {
    for pid in wandering.machines().values() {
        wandering.project.kill(*pid);
    }
    wait_for(SOON, "the end of all", || {
        let left = wandering.project.processes();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    wandering.move_to("moved again");
    let text = |name: &str| {
        let path = wandering.folder.join(".disco/local/local-1/home/disco/service").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    for name in ["service.json", "start"] {
        assert!(!text(name).contains(".disco/local"), "`{name}` has a path that is not true any more: {}", text(name));
    }
    // The script requests the size that `scale` has made.
    std::fs::write(wandering.folder.join("client.js"), client_script("wandering", 4)).unwrap();
    wandering.disco(&["bootstrap", "-y"]).ok();
    wandering.healthy(4);
    assert_eq!(wandering.machines().len(), 4);
    assert_eq!(wandering.disco(&["kv", "get", "kept"]).ok().stdout.trim(), "yes");
}

fn a_copy_has_none_of_its_machines(wandering: &Wandering) {
    let copy = wandering.project.outside("copy");
    assert!(Command::new("cp").arg("-a").arg(&wandering.folder).arg(&copy).status().unwrap().success());
    let before = (wandering.machines(), wandering.healthy(4).pids());
    let original = wandering.folder.display().to_string();
    for args in [&["bootstrap", "-y"][..], &["scale", "nodes=1", "-y"], &["kv", "put", "kept", "no"], &["plan"]] {
        wandering.disco_in(&copy, args).expect(5).says(&["copies of one folder", &original, "hint:", "disco destroy"]);
    }
    let doctor = wandering.disco_in(&copy, &["doctor"]).expect(1);
    assert!(doctor.stdout.contains("copies of one folder"), "{doctor}");
    // Reading is harmless.
    wandering.disco_in(&copy, &["status"]).ok();
    let listed = wandering.disco_in(&copy, &["destroy", "--dry-run"]).ok();
    let folders = ["the folder of machine local-1 (", "which does not run here"];
    let ended = wandering.disco_in(&copy, &["destroy", "-y"]).ok().says(&["left alone", &original]);
    assert!(folders.iter().all(|part| listed.stderr.contains(part)), "{listed}");
    assert!(ended.stderr.contains("the folder of machine local-1, which did not run here, is removed"), "{ended}");
    assert!(!ended.stderr.contains(" terminated"), "{ended}");
    assert!(!copy.join(".disco/cluster.json").exists() && !copy.join(".disco/local").exists());
    assert_eq!(before, (wandering.machines(), wandering.healthy(4).pids()));
    assert!(before.0.values().all(|pid| is_alive(*pid)));
}

fn removed_while_it_runs(wandering: &Wandering) {
    let empty = wandering.project.outside("empty");
    std::fs::create_dir(&empty).unwrap();
    let machines = wandering.machines();
    // The running processes make new files meanwhile.
    wait_for(SOON, "the removal", || match std::fs::remove_dir_all(wandering.folder.join(".disco")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    });
    assert!(machines.values().all(|pid| is_alive(*pid)));
    let found = "4 machines of the cluster `wandering`, whose folder in";
    for folder in [&wandering.folder, &empty] {
        let doctor = wandering.disco_in(folder, &["doctor"]).expect(1);
        assert!(doctor.stdout.contains(found) && doctor.stdout.contains("disco destroy --orphans"), "{doctor}");
    }
    wandering.disco(&["destroy", "--dry-run"]).ok().says(&["would terminate machine local-1 of `wandering`"]);
    // Another project of that name: it has none of them, and names their owner.
    wandering.disco_in(&empty, &["init", "--name", "wandering"]).ok();
    wandering.disco_in(&empty, &["destroy", "-y"]).ok().says(&[found, "--orphans"]);
    wandering.disco_in(&empty, &["destroy", "--orphans", "another", "-y"]).ok().says(&["nothing to terminate"]);
    wandering.disco_in(&empty, &["destroy", "--orphans", "wandering"]).expect(2);
    assert!(machines.values().all(|pid| is_alive(*pid)));
    wandering.disco_in(&empty, &["destroy", "--orphans", "wandering", "-y"]).ok();
    wandering.project.wait_for_no_process();
}
