//! Terminals, and what a machine refuses, seen by a client of our own.

use std::sync::Arc;

use disco_provider::Machine;
use russh::client::{Handle, Handler};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, client};

use crate::setup::Machines;

struct AnyKey;

impl Handler for AnyKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

async fn connect(machines: &Machines, machine: &Machine) -> Handle<AnyKey> {
    let key = PrivateKey::from_openssh(machines.key.private_openssh()).unwrap();
    let address = (machine.ssh.host.as_str(), machine.ssh.port);
    let mut handle = client::connect(Arc::default(), address, AnyKey).await.unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    assert!(handle.authenticate_publickey("disco", key).await.unwrap().success());
    handle
}

#[tokio::test]
async fn a_shell_has_a_terminal_of_the_right_size() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let handle = connect(&machines, &machine).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_pty(true, "vt100", 91, 37, 0, 0, &[]).await.unwrap();
    channel.request_shell(true).await.unwrap();
    channel.window_change(92, 38, 0, 0).await.unwrap();
    channel
        .data_bytes(&b"until [ \"$(stty size)\" = '38 92' ]; do :; done; echo $TERM; pwd; exit 5\n"[..])
        .await
        .unwrap();
    let (mut text, mut status) = (String::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => text.push_str(&String::from_utf8_lossy(&data)),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
    }
    assert_eq!(status, Some(5), "{text}");
    assert!(text.contains("\rvt100\r\n") || text.contains("\nvt100\r\n"), "{text}");
    assert!(text.contains("/local-1/home\r\n"), "{text}");
}

/// As OpenSSH's client does with Debian's settings (`SendEnv LANG LC_*`): it wants no answer, and takes one for that to its command.
#[tokio::test]
async fn a_variable_that_is_not_taken_does_not_fail_the_command_after_it() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let handle = connect(&machines, &machine).await;
    for wanted in [false, true] {
        let mut channel = handle.channel_open_session().await.unwrap();
        channel.set_env(wanted, "LANG", "C.UTF-8").await.unwrap();
        channel.exec(true, "echo ran").await.unwrap();
        let (mut answers, mut text) = (Vec::new(), String::new());
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Success => answers.push(true),
                ChannelMsg::Failure => answers.push(false),
                ChannelMsg::Data { data } => text.push_str(&String::from_utf8_lossy(&data)),
                _ => {}
            }
        }
        assert_eq!(answers, if wanted { vec![false, true] } else { vec![true] });
        assert_eq!(text, "ran\n");
    }
}

#[tokio::test]
async fn other_services_of_ssh_are_refused() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let handle = connect(&machines, &machine).await;
    assert!(handle.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await.is_err());
    assert!(handle.tcpip_forward("127.0.0.1", 0).await.is_err());
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.set_env(true, "LD_PRELOAD", "/tmp/evil.so").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    // The same channel still does what it is for.
    channel.exec(true, "echo -n $LD_PRELOAD; exit 4").await.unwrap();
    let mut status = None;
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { .. } => panic!("the variable was set"),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
    }
    assert_eq!(status, Some(4));
}
