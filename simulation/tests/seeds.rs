//! The simulation itself: a short run of seeds, that a seed is reproducible, and that bugs are found.

use std::process::{Command, Output};

use serde_json::Value;

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_disco-simulation")).args(args).output().expect("the simulation starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn report(args: &[&str]) -> Value {
    let output = simulate(args);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

#[test]
fn a_short_run_of_seeds_finds_nothing() {
    let output = simulate(&["--seeds", "20", "--nodes", "3..6"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("20 seeds passed, 0 failed"), "{}", text(&output));
    assert!(
        text(&output).contains(" leaders that gave way"),
        "no leader was cut off from its callers: {}",
        text(&output)
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    let args = ["--seed", "4711", "--nodes", "3..5", "--json"];
    let (first, second) = (report(&args), report(&args));
    assert_eq!(first["trace"], second["trace"], "{first}\n{second}");
    let other = report(&["--seed", "4712", "--nodes", "3..5", "--json"]);
    assert_ne!(first["trace"], other["trace"]);
    assert!(first["counts"]["operations answered"].as_u64() > Some(50), "hardly anything happened: {first}");
}

#[test]
fn a_seed_that_does_not_come_to_its_end_has_failed() {
    let output = simulate(&["--seeds", "2", "--nodes", "3", "--limit", "0"]);
    assert!(!output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(
        said.contains("comes-to-an-end does not hold") && said.contains("0 seeds passed, 2 failed [0, 1]"),
        "{said}"
    );
}

/// The bug is found within this many seeds, by one of these invariants, and the printed command repeats it.
fn finds(bug: &str, seeds: &str, invariants: &[&str]) {
    finds_with(bug, seeds, &[], invariants);
}

fn finds_with(bug: &str, seeds: &str, more: &[&str], invariants: &[&str]) {
    let output = simulate(&[&["--seeds", seeds, "--nodes", "3..5", "--bug", bug, "--stop"], more].concat());
    let found = text(&output);
    assert!(!output.status.success(), "not found in {seeds} seeds: {found}");
    let seed = found.split("seed ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a failed seed is named");
    let added: String = more.iter().map(|arg| format!(" {arg}")).collect();
    let command = format!("cargo run -p disco-simulation -- --seed {seed} --nodes 3..5 --bug {bug}{added} --trace");
    assert!(found.contains(&command), "{found}");
    let again = report(&[&["--seed", seed, "--nodes", "3..5", "--bug", bug, "--json"], more].concat());
    let named = again["violation"][0].as_str().unwrap_or_else(|| panic!("seed {seed} did not fail again: {again}"));
    assert!(invariants.contains(&named), "{named}: {found}");
    assert!(found.contains(&format!("{named} does not hold")), "{found}");
}

#[test]
fn a_vote_that_is_not_durable_is_found() {
    finds("vote-not-durable", "60", &["one-leader"]);
}

/// Often openraft notices first, on the leader: a follower has less than it had confirmed.
#[test]
fn entries_that_are_not_durable_are_found() {
    finds(
        "append-not-durable",
        "60",
        &["no-panic", "leader-completeness", "same-order", "acknowledged-is-present", "log-matching"],
    );
}

#[test]
fn commands_that_apply_twice_are_found() {
    finds("apply-without-dedup", "30", &["request-applies-once"]);
}

#[test]
fn reads_of_a_deposed_leader_are_found() {
    finds("read-without-quorum", "60", &["linearizable", "revisions-never-go-back"]);
}

#[test]
fn a_leader_that_leads_on_after_its_death_is_found() {
    finds("leader-restore", "60", &["log-matching", "same-order", "leader-completeness", "acknowledged-is-present"]);
}

/// A leader's write for its term reaches the next leader of the same term.
#[test]
fn a_write_for_a_term_that_is_forwarded_is_found() {
    finds_with("forward-in-term", "60", &["--rivals"], &["term-fence"]);
}

/// The same elections without the bug.
#[test]
fn elections_at_the_same_moment_harm_nothing() {
    let output = simulate(&["--seeds", "10", "--nodes", "3..5", "--rivals"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("10 seeds passed, 0 failed"), "{}", text(&output));
}
