//! The local provider: the life of machines.

use std::time::{Duration, Instant};

use disco_provider::MachineState::{Running, Stopped};
use disco_provider::ProviderError;

use crate::setup::{Machines, eventually, is_alive, kill, local, stand_in};

#[tokio::test]
async fn a_machine_lives_from_start_to_terminate() {
    let machines = Machines::new();
    assert!(machines.provider.list().await.unwrap().is_empty());
    let before = Instant::now();
    let machine = machines.start("one").await;
    println!("started in {:?}", before.elapsed());
    assert_eq!((machine.id.as_str(), machine.name.as_str(), machine.state), ("local-1", "name-of-one", Running));
    assert_eq!(machine.control_address.port(), 5080);
    assert_eq!(machines.provider.list().await.unwrap(), std::slice::from_ref(&machine));

    machines.provider.stop(&machine.id).await.unwrap();
    machines.provider.stop(&machine.id).await.unwrap();
    assert!(!is_alive(machine.pid.unwrap()));
    let listed = machines.provider.list().await.unwrap();
    assert_eq!((listed[0].state, listed[0].pid), (Stopped, None));

    let again = machines.start("one").await;
    assert_eq!((&again.id, &again.ssh, &again.host_key), (&machine.id, &machine.ssh, &machine.host_key));
    assert_eq!(again.state, Running);
    assert_ne!(again.pid, machine.pid);

    machines.provider.terminate(&machine.id).await.unwrap();
    machines.provider.terminate(&machine.id).await.unwrap();
    assert!(machines.provider.list().await.unwrap().is_empty());
    assert!(!is_alive(again.pid.unwrap()));
    assert!(!machines.path(&machine).exists());
    let error = machines.provider.stop(&machine.id).await.unwrap_err();
    assert!(matches!(error, ProviderError::NoSuchMachine { .. }), "{error}");

    // Neither the id nor the address is soon used again.
    let next = machines.start("two").await;
    assert_eq!(next.id, "local-2");
    assert_ne!(next.ssh, machine.ssh);
}

#[tokio::test]
async fn the_same_token_at_the_same_time_is_one_machine() {
    let machines = Machines::new();
    let other = local(machines.dir.path());
    let starts = (0..6).map(|n| {
        let provider = if n % 2 == 0 { &machines.provider } else { &other };
        provider.start(machines.request("same"))
    });
    let started = futures_util::future::try_join_all(starts).await.unwrap();
    assert!(started.iter().all(|machine| *machine == started[0]), "{started:#?}");
    assert_eq!(other.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn different_tokens_at_the_same_time_are_different_machines() {
    let machines = Machines::new();
    let before = Instant::now();
    let (a, b, c) = tokio::join!(machines.start("a"), machines.start("b"), machines.start("c"));
    println!("three started in {:?}", before.elapsed());
    assert!(a.ssh != b.ssh && b.ssh != c.ssh && a.ssh != c.ssh);
    assert_eq!(machines.provider.list().await.unwrap().len(), 3);
}

#[tokio::test]
async fn two_folders_do_not_meet() {
    let (here, there) = (Machines::new(), Machines::new());
    let (a, b) = (here.start("same").await, there.start("same").await);
    assert_ne!(a.ssh, b.ssh);
    here.provider.terminate(&a.id).await.unwrap();
    assert!(is_alive(b.pid.unwrap()));
}

#[tokio::test]
async fn a_killed_machine_is_stopped_and_comes_back_as_itself() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    std::fs::write(machines.path(&machine).join("home/kept"), "data").unwrap();
    kill(machine.pid.unwrap());
    eventually("the machine is dead", || !is_alive(machine.pid.unwrap())).await;
    assert_eq!(machines.provider.list().await.unwrap()[0].state, Stopped);
    let again = machines.start("one").await;
    assert_eq!((&again.id, &again.ssh, again.state), (&machine.id, &machine.ssh, Running));
    assert_eq!(machines.connect(&again).await.exec("cat kept").await.unwrap().text(), "data");
}

#[tokio::test]
async fn what_a_killed_client_left_half_made_is_cleaned() {
    let machines = Machines::new();
    machines.start("one").await;
    let dir = machines.dir.path().join("local");
    for leftover in [".new-local-2", ".gone-local-0"] {
        std::fs::create_dir_all(dir.join(leftover).join("home")).unwrap();
        std::fs::write(dir.join(leftover).join("machine.json.tmp"), "{").unwrap();
    }
    let two = machines.start("two").await;
    assert_eq!(two.id, "local-2");
    let left: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}

#[tokio::test]
async fn a_start_that_is_killed_at_any_moment_is_completed_by_the_next() {
    let machines = Machines::new();
    let dir = machines.dir.path().join("local");
    for round in 0..20_u64 {
        let token = format!("token-{}", round / 5);
        let mut client = std::process::Command::new(stand_in());
        let mut client = client.arg("start").arg("--dir").arg(&dir).args(["--token", &token]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        client.kill().unwrap();
        client.wait().unwrap();
        if round % 5 == 4 {
            let (one, other) = tokio::join!(machines.start(&token), machines.start(&token));
            assert_eq!(one, other);
            assert_eq!(one.state, Running);
            assert!(machines.connect(&one).await.exec("true").await.unwrap().status.success());
        }
    }
    let listed = machines.provider.list().await.unwrap();
    let tokens: Vec<_> = listed.iter().map(|machine| machine.token.as_str()).collect();
    assert_eq!(tokens, ["token-0", "token-1", "token-2", "token-3"]);
}

#[tokio::test]
async fn a_taken_address_is_an_error_with_the_address() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    machines.provider.stop(&machine.id).await.unwrap();
    let _other = std::net::TcpListener::bind((machine.ssh.host.as_str(), machine.ssh.port)).unwrap();
    let error = machines.provider.start(machines.request("one")).await.unwrap_err().to_string();
    assert!(error.contains(&machine.ssh.endpoint()), "{error}");
}

#[tokio::test]
async fn a_missing_executable_is_named() {
    let machines = Machines::new();
    let context = disco_provider::ProviderContext {
        cluster_name: "test".to_owned(),
        cluster_id: None,
        project_dir: None,
        local_dir: Some(machines.dir.path().join("local")),
        machine_executable: "/nowhere/disco".into(),
        known: Vec::new(),
    };
    let provider = disco_provider::from_spec("local", &serde_json::json!({}), &context).unwrap();
    let error = provider.start(machines.request("one")).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/disco"), "{error}");
    // The real one makes it whole.
    assert_eq!(machines.start("one").await.id, "local-1");
}
