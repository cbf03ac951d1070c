//! What a machine does for its SSH clients, and what ends with it.

use std::io::Cursor;
use std::time::Duration;

use disco_provider::ssh::{ConnectOptions, HostKeyPolicy, KeyPair, Session, SshError, Status, Stream};

use crate::setup::{LIMIT, Machines, eventually, is_alive, kill, pinned};

#[tokio::test]
async fn commands_have_input_outputs_and_an_exit_code() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let session = machines.connect(&machine).await;

    let output = session.exec("echo out; echo err >&2; exit 7").await.unwrap();
    assert_eq!(output.status, Status::Code(7));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));

    let output = session.exec_with("cat; echo end", b"hello ", LIMIT).await.unwrap();
    assert_eq!((output.status.success(), output.text().as_str()), (true, "hello end"));

    let output = session.exec("kill -KILL $$").await.unwrap();
    assert_eq!(output.status, Status::Signal("KILL".to_owned()));

    // Input that is never read.
    let output = session.exec_with("exit 3", &vec![0; 8 << 20], LIMIT).await.unwrap();
    assert_eq!(output.status, Status::Code(3));

    let many = (0..20).map(|n| {
        let session = session.clone();
        async move { session.exec(&format!("echo {n}")).await.unwrap().text() }
    });
    let texts = futures_util::future::join_all(many).await;
    assert_eq!(texts, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_environment_is_the_machines() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let session = machines.connect(&machine).await;
    let home = machines.path(&machine).join("home").canonicalize().unwrap();
    let text = session
        .exec("pwd; echo $HOME; echo $DISCO_MACHINE; echo $DISCO_MACHINE_PID; echo $DISCO_PREFIX; echo $DISCO_LOCAL_DIR; id -un >&2; env | grep -c CARGO")
        .await
        .unwrap()
        .text();
    let home = home.display().to_string();
    let dir = machines.dir.path().canonicalize().unwrap().join("local").display().to_string();
    let pid = machine.pid.unwrap().to_string();
    let prefix = format!("{home}/disco");
    assert_eq!(text.lines().collect::<Vec<_>>(), [&home, &home, &machine.id, &pid, &prefix, &dir, "0"]);
}

#[tokio::test]
async fn large_transfers_arrive_whole_both_ways() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let session = machines.connect(&machine).await;
    let data: Vec<u8> = (0..64_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let before = std::time::Instant::now();
    let mut sent = 0;
    let status =
        session.exec_streaming("cat > file", Cursor::new(&data), |_, _| {}, |count| sent += count).await.unwrap();
    println!("64 MiB there in {:?}", before.elapsed());
    assert!(status.success());
    assert_eq!(sent, data.len() as u64);
    assert!(std::fs::read(machines.path(&machine).join("home/file")).unwrap() == data, "the file differs");

    let before = std::time::Instant::now();
    let mut back = Vec::with_capacity(data.len());
    let status = session
        .exec_streaming(
            "cat file",
            tokio::io::empty(),
            |stream, data| {
                assert_eq!(stream, Stream::Output);
                back.extend_from_slice(&data);
            },
            |_| {},
        )
        .await
        .unwrap();
    println!("64 MiB back in {:?}", before.elapsed());
    assert!(status.success());
    assert!(back == data, "what came back differs");
}

#[tokio::test]
async fn a_background_process_does_not_hold_its_command() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let session = machines.connect(&machine).await;
    let output = session.exec_with("sleep 1000 & echo done", &[], Duration::from_secs(10)).await.unwrap();
    assert_eq!((output.status.success(), output.text().as_str()), (true, "done"));
}

#[tokio::test]
async fn a_command_ends_with_its_client_and_a_detached_one_does_not() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let pid = async |name: &str| -> u32 {
        let path = machines.path(&machine).join("home").join(name);
        eventually("the process wrote its id", || std::fs::read(&path).is_ok_and(|text| text.ends_with(b"\n"))).await;
        std::fs::read_to_string(&path).unwrap().trim().parse().unwrap()
    };
    let session = machines.connect(&machine).await;
    let command = "setsid sh -c 'echo $$ > detached; sleep 1000' < /dev/null > /dev/null 2>&1 & echo $$ > bound; sleep 1000; true";
    let running = tokio::spawn(async move { session.exec(command).await });
    let (bound, detached) = (pid("bound").await, pid("detached").await);
    running.abort();
    eventually("the command is dead", || !is_alive(bound)).await;
    assert!(is_alive(detached));
    machines.provider.terminate(&machine.id).await.unwrap();
    eventually("the detached command is dead", || !is_alive(detached)).await;
}

#[tokio::test]
async fn everything_on_a_machine_dies_with_it() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let session = machines.connect(&machine).await;
    let start = "for i in 1 2 3; do setsid sh -c '(sh -c \"echo \\$\\$ >> pids; sleep 1000; true\" &)' < /dev/null > /dev/null 2>&1; done";
    assert!(session.exec(start).await.unwrap().status.success());
    let running = tokio::spawn(async move { session.exec("echo $$ >> pids; sleep 1000; true").await });
    let path = machines.path(&machine).join("home/pids");
    let pids = || -> Vec<u32> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    eventually("four processes run", || pids().len() == 4).await;
    assert!(pids().into_iter().all(is_alive));
    kill(machine.pid.unwrap());
    eventually("all are dead", || !pids().into_iter().any(is_alive)).await;
    let error = running.await.unwrap().unwrap_err();
    assert!(error.to_string().contains(&machine.ssh.endpoint()), "{error}");
}

#[tokio::test]
async fn services_start_with_the_machine() {
    use std::os::unix::fs::PermissionsExt;

    let machines = Machines::new();
    let machine = machines.start("one").await;
    let service = machines.path(&machine).join("home/disco/service");
    std::fs::create_dir_all(&service).unwrap();
    std::fs::write(service.join("start"), "#!/bin/sh\necho $DISCO_MACHINE > ~/started\n").unwrap();
    std::fs::set_permissions(service.join("start"), std::fs::Permissions::from_mode(0o755)).unwrap();
    machines.provider.stop(&machine.id).await.unwrap();
    machines.start("one").await;
    let path = machines.path(&machine).join("home/started");
    eventually("the service ran", || std::fs::read(&path).is_ok_and(|text| text == b"local-1\n")).await;
}

#[tokio::test]
async fn only_its_keys_and_its_user_may_log_in() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let stranger = KeyPair::generate("").unwrap();
    let connect = async |target: &disco_provider::SshTarget, key: &KeyPair| {
        Session::connect(target, key, &pinned(&machine), ConnectOptions::default()).await
    };
    let error = connect(&machine.ssh, &stranger).await.unwrap_err();
    assert!(matches!(error, SshError::LoginRefused { .. }), "{error}");
    assert!(error.to_string().contains(&stranger.fingerprint()), "{error}");

    let mut root = machine.ssh.clone();
    root.user = "root".to_owned();
    assert!(matches!(connect(&root, &machines.key).await.unwrap_err(), SshError::LoginRefused { .. }));

    // A key that is added later works at once, beside a line that cannot be parsed.
    let path = machines.path(&machine).join("home/.ssh/authorized_keys");
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("rubbish here\n{old}{}\n", stranger.public_openssh())).unwrap();
    connect(&machine.ssh, &stranger).await.unwrap();
    connect(&machine.ssh, &machines.key).await.unwrap();
}

#[tokio::test]
async fn a_changed_host_key_is_refused() {
    let machines = Machines::new();
    let (one, two) = tokio::join!(machines.start("one"), machines.start("two"));
    let error = Session::connect(&two.ssh, &machines.key, &pinned(&one), ConnectOptions::default()).await.unwrap_err();
    assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");

    let file = machines.dir.path().join("known_hosts");
    let policy = HostKeyPolicy::KnownHosts { file: file.clone(), pin_first: true };
    let connect = || Session::connect(&two.ssh, &machines.key, &policy, ConnectOptions::default());
    assert!(connect().await.unwrap().host_key().first_use);
    assert!(!connect().await.unwrap().host_key().first_use);
    let other = std::fs::read_to_string(&file)
        .unwrap()
        .replace(two.host_key.as_deref().unwrap(), one.host_key.as_deref().unwrap());
    std::fs::write(&file, other).unwrap();
    let message = connect().await.unwrap_err().to_string();
    for part in [two.ssh.endpoint().as_str(), "has changed", "remove line 1", &file.display().to_string()] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn connecting_waits_for_a_machine_that_is_booting_and_not_for_ever() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    machines.provider.stop(&machine.id).await.unwrap();
    let options = ConnectOptions { limit: LIMIT, ..ConnectOptions::default() };
    let error = Session::connect(&machine.ssh, &machines.key, &pinned(&machine), options).await.unwrap_err();
    assert!(matches!(error, SshError::Connect { .. }), "{error}");
    assert!(error.to_string().contains(&machine.ssh.endpoint()), "{error}");

    let (pinned, boots) = (pinned(&machine), ConnectOptions::booting(LIMIT));
    let connected = Session::connect(&machine.ssh, &machines.key, &pinned, boots);
    let (session, _) = tokio::join!(connected, machines.start("one"));
    assert!(session.unwrap().exec("true").await.unwrap().status.success());
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let target = disco_provider::SshTarget { port, host: "127.0.0.1".into(), ..machine.ssh.clone() };
    let options = ConnectOptions { limit: Duration::from_secs(3), ..ConnectOptions::default() };
    let error = Session::connect(&target, &machines.key, &pinned(&machine), options).await.unwrap_err();
    assert!(matches!(error, SshError::NoAnswer { .. }), "{error}");
}
