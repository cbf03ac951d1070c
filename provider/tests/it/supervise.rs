//! The plain supervisor.

use std::path::{Path, PathBuf};
use std::process::Command;

use disco_provider::supervise::{Ends, Service, ServiceStatus};

use crate::setup::{eventually, is_alive, kill, stand_in};

/// A service in a folder, ended with it.
struct Supervised {
    dir: tempfile::TempDir,
}

impl Supervised {
    fn new() -> Self {
        let supervised = Self { dir: tempfile::tempdir().unwrap() };
        supervised.write(&stand_in(), "one");
        supervised
    }

    fn write(&self, program: &Path, name: &str) {
        let data = self.data().display().to_string();
        let service = Service {
            program: program.to_path_buf(),
            args: vec!["--data-dir".into(), data, "--name".into(), name.into()],
            env: [("EXTRA".to_owned(), "extra value".to_owned())].into(),
            stop_limit_s: 5,
        };
        std::fs::write(self.dir.path().join(Service::FILE), serde_json::to_vec(&service).unwrap()).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(&self, action: &str) -> std::process::Output {
        let mut command = Command::new(stand_in());
        command.args(["supervise", "--dir"]).arg(self.dir.path()).arg(action);
        command.env_remove("DISCO_MACHINE_PID").output().unwrap()
    }

    fn ok(&self, action: &str) -> String {
        let output = self.run(action);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn status(&self) -> ServiceStatus {
        serde_json::from_str(&self.ok("--status")).unwrap()
    }

    /// The processes that the program has been, in order.
    fn starts(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.data().join("snapshots/starts")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// What the program was to tell of its ends.
    fn reported(&self) -> Vec<Ends> {
        let text = std::fs::read_to_string(self.data().join("snapshots/reported")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.run("--stop");
    }
}

#[tokio::test]
async fn a_service_is_started_once_restarted_after_a_crash_and_stopped() {
    let service = Supervised::new();
    assert_eq!(service.status(), ServiceStatus::default());
    service.ok("--detach");
    service.ok("--detach");
    eventually("the program runs", || service.starts().len() == 1).await;
    let status = service.status();
    assert_eq!(status.pid, Some(service.starts()[0]));
    eventually("the program's output is in the log", || service.log().contains("--name one extra value")).await;

    kill(status.pid.unwrap());
    eventually("the program runs again", || service.starts().len() == 2).await;
    assert_eq!(service.status().supervisor, status.supervisor);
    eventually("the crash is in the log", || service.log().contains("signal: 9")).await;

    service.write(&stand_in(), "two");
    service.ok("--reload");
    eventually("the program runs anew", || service.starts().len() == 3).await;
    eventually("with its new arguments", || service.log().contains("--name two")).await;

    service.ok("--stop");
    let ended = service.status();
    assert_eq!((ended.supervisor, ended.pid), (None, None));
    // What was asked for, a reload and a stop, is no crash.
    assert_eq!((ended.ends.count, ended.ends.how.as_str()), (1, "signal 9 (SIGKILL)"));
    assert!(!service.starts().into_iter().any(is_alive));
    service.ok("--stop");
}

#[tokio::test]
async fn a_program_that_leaves_is_not_started_again() {
    let service = Supervised::new();
    service.ok("--detach");
    eventually("the program runs", || service.starts().len() == 1).await;
    std::fs::write(service.data().join("leave"), "").unwrap();
    eventually("the supervisor is done", || service.status().supervisor.is_none()).await;
    assert_eq!(service.starts().len(), 1);
}

#[tokio::test]
async fn a_program_that_crashes_always_is_started_ever_more_slowly() {
    let service = Supervised::new();
    std::fs::create_dir_all(service.data()).unwrap();
    std::fs::write(service.data().join("crash"), "").unwrap();
    let before = std::time::Instant::now();
    service.ok("--detach");
    eventually("it was started four times", || service.starts().len() >= 4).await;
    // Pauses of 100, 200 and 400 ms.
    assert!(before.elapsed() >= std::time::Duration::from_millis(700));
    assert!(service.log().contains("crashing as asked"));
}

#[tokio::test]
async fn a_program_that_crashes_always_is_counted_and_told_of_with_its_reason() {
    let service = Supervised::new();
    std::fs::create_dir_all(service.data()).unwrap();
    std::fs::write(service.data().join("crash"), "").unwrap();
    service.ok("--detach");
    eventually("three ends are counted", || service.status().ends.count >= 3).await;
    let ends = service.status().ends;
    assert_eq!(ends.cause(), "exit code 1: crashing as asked");
    assert!(ends.is_loop(0) && ends.describe(0).starts_with("ended "), "{ends:?}");
    // An end during a running report is included in the next one.
    eventually("the cluster has got the report", || service.reported().iter().any(|ends| ends.count >= 3)).await;
    assert!(service.reported().iter().all(|ends| ends.words == "crashing as asked" && ends.how == "exit code 1"));

    service.ok("--stop");
    let counted = service.status().ends.count;
    std::fs::remove_file(service.data().join("crash")).unwrap();
    service.ok("--detach");
    eventually("the program runs", || service.status().pid.is_some()).await;
    assert_eq!(service.status().ends.count, counted);
}

#[tokio::test]
async fn ends_are_told_of_also_when_they_cannot_be_kept() {
    let service = Supervised::new();
    // Not even root writes a file where a folder is.
    std::fs::create_dir_all(service.dir.path().join("ends.json/in the way")).unwrap();
    std::fs::create_dir_all(service.data()).unwrap();
    std::fs::write(service.data().join("crash"), "").unwrap();
    service.ok("--detach");
    eventually("the cluster has got more than one report", || service.reported().iter().any(|ends| ends.count >= 2))
        .await;
    assert!(service.log().contains("ends.json"), "{}", service.log());
}

#[tokio::test]
async fn a_program_that_asks_to_be_started_again_has_not_crashed() {
    let service = Supervised::new();
    std::fs::create_dir_all(service.data()).unwrap();
    std::fs::write(service.data().join("restart"), "").unwrap();
    service.ok("--detach");
    eventually("it was started again", || service.starts().len() == 2).await;
    assert_eq!(service.status().ends.count, 0);
}

#[tokio::test]
async fn the_program_dies_with_its_supervisor() {
    let service = Supervised::new();
    service.ok("--detach");
    eventually("the program runs", || service.starts().len() == 1).await;
    let status = service.status();
    kill(status.supervisor.unwrap());
    eventually("the program is dead", || !is_alive(status.pid.unwrap())).await;
    service.ok("--detach");
    eventually("the program runs again", || service.starts().len() == 2).await;
}

#[tokio::test]
async fn a_service_that_cannot_be_started_is_an_error() {
    let service = Supervised::new();
    service.write(Path::new("/nowhere/discod"), "one");
    let output = service.run("--detach");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && message.contains("supervisor"), "{message}");
    std::fs::write(service.dir.path().join(Service::FILE), "{\"program\": \"/bin/true\", \"what\": 1}").unwrap();
    let message = String::from_utf8(service.run("--detach").stderr).unwrap();
    assert!(message.contains("is damaged"), "{message}");
}
