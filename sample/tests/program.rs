//! The program itself. Its presence here also makes `cargo test` build it for the tests of whole clusters.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

#[test]
fn it_listens_where_it_is_to_and_answers() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_disco-sample"));
    command.arg("web").env("DISCO_ADDRESS", "127.0.0.1").env("PORT", "0").env("VERSION", "v7");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    let mut connection = TcpStream::connect(&address).unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("web v7 listens at 127.0.0.1:"), "{line}");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("web v7, task ? (copy ?) on node ?\n"),
        "{answer}"
    );
}

#[test]
fn a_version_that_is_to_crash_says_why_and_ends_with_3() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_disco-sample"));
    let output = command.env("SAMPLE_CRASH", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 12);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "cannot read part 13 of the configuration\n");
}
