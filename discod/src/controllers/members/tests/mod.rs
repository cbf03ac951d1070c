//! What comes beside a change of the membership, in memory: the real pass and records, a membership whose changes fail, and a term that
//! ends before or after any effect.

mod fake;
mod membership;

use std::time::Duration;

use clap::Parser;
use disco_consensus::members::pass;

use super::act::Acting;
use crate::args::Cli;
use crate::records::{NodeRecord, keys};
use fake::{Fake, When, address};

fn is_change(effect: &str) -> bool {
    ["add", "set", "promote", "demote", "replace", "remove"].iter().any(|change| effect.starts_with(change))
}

#[tokio::test]
async fn learners_get_secrets_and_rights_then_votes_then_their_events() {
    let fake = Fake::new(3, 1);
    let steps =
        ["secrets 2", "rights 2", "secrets 3", "rights 3", "promote [2, 3]", "node.promoted 2", "node.promoted 3"];
    assert_eq!(fake.settle().await, [steps]);
    assert_eq!(fake.votes(), [1, 2, 3]);
}

#[tokio::test]
async fn each_pass_makes_one_change_and_records_it() {
    let fake = Fake::new(4, 3);
    fake.admit(5);
    fake.report(2, |report| report.address = "10.0.0.20:5080".to_owned());
    let passes = fake.settle().await;
    assert!(passes.iter().all(|effects| effects.iter().filter(|effect| is_change(effect)).count() <= 1), "{passes:?}");
    let promoted =
        ["secrets 4", "rights 4", "secrets 5", "rights 5", "promote [4, 5]", "node.promoted 4", "node.promoted 5"];
    assert_eq!(passes, [&["add 5", "event node.joined"][..], &["set 2", "record 2", "event node.moved"], &promoted]);
    assert_eq!(fake.node(2).unwrap().address, "10.0.0.20:5080");
    assert_eq!(fake.votes(), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn an_address_changes_in_a_record_that_is_written_at_the_same_time() {
    let fake = Fake::new(3, 3);
    fake.report(2, |report| report.address = "10.0.0.20:5080".to_owned());
    let record = fake.node(2).unwrap();
    fake.records().put_meanwhile(&keys::node(2), &NodeRecord { drained: true, ..record });
    fake.settle().await;
    let record = fake.node(2).unwrap();
    assert_eq!((record.address.as_str(), record.drained), ("10.0.0.20:5080", true));
}

#[tokio::test]
async fn a_change_that_fails_is_reported_and_tried_again() {
    let fake = Fake::new(3, 1);
    fake.fail("promote [2, 3]", "another change is in progress");
    let error = pass(&Acting(&fake)).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "promoting [2, 3]: another change is in progress");
    let prepared = ["secrets 2", "rights 2", "secrets 3", "rights 3"];
    assert_eq!(fake.effects(), [&prepared[..], &["promote [2, 3] fails"]].concat(), "no event of what did not happen");
    let again = [&prepared[..], &["promote [2, 3]", "node.promoted 2", "node.promoted 3"]].concat();
    assert_eq!(fake.settle().await, [again]);
}

#[tokio::test]
async fn a_node_that_refuses_the_secrets_gets_no_vote() {
    let fake = Fake::new(3, 1);
    fake.fail("secrets 3", "no answer");
    let error = pass(&Acting(&fake)).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "sending node 3 the signing key: no answer");
    assert_eq!(fake.effects(), ["secrets 2", "rights 2", "secrets 3 fails"]);
    assert_eq!(fake.votes(), [1]);
}

#[tokio::test]
async fn voters_that_lack_the_secrets_get_them_and_one_that_refuses_holds_up_no_other() {
    let fake = Fake::new(3, 3);
    for id in [2, 3] {
        fake.report(id, |report| report.signing_serial = "s0".to_owned());
    }
    fake.fail("secrets 2", "no answer");
    assert_eq!(fake.settle().await, [vec!["secrets 2 fails", "secrets 3"], vec!["secrets 2"]]);
}

#[tokio::test]
async fn a_vote_is_taken_before_the_secrets_are_and_a_failure_takes_neither() {
    let fake = Fake::new(4, 4);
    fake.fail("demote [4]", "no quorum answered");
    let error = pass(&Acting(&fake)).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "demoting [4]: no quorum answered");
    assert_eq!(fake.effects(), ["demote [4] fails"]);
    assert_eq!(fake.settle().await, [["demote [4]", "take back 4"]]);
    assert_eq!(fake.votes(), [1, 2, 3]);
}

#[tokio::test]
async fn a_dead_voters_vote_goes_to_a_learner_that_has_the_secrets() {
    let fake = Fake::new(4, 3);
    fake.silence(3, Duration::from_secs(3600));
    let steps = ["secrets 4", "rights 4", "replace 3 by 4", "node.promoted 4", "take back 3"];
    assert_eq!(fake.settle().await, [steps]);
    assert_eq!(fake.votes(), [1, 2, 4]);
}

#[tokio::test]
async fn the_format_is_raised_before_a_member_that_was_silent_for_days_is_removed() {
    let fake = Fake::new(4, 3);
    fake.silence(4, Duration::from_secs(73 * 3600));
    fake.raise_format_once();
    fake.fail("remove 4", "no quorum answered");
    assert!(pass(&Acting(&fake)).await.unwrap());
    assert_eq!(fake.effects(), ["raise"]);
    let error = pass(&Acting(&fake)).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "removing node 4: no quorum answered");
    assert_eq!(fake.effects(), ["node.expired 4", "remove 4 fails"]);
    assert_eq!(fake.settle().await, [["node.expired 4", "remove 4", "forget 4"]]);
}

#[tokio::test]
async fn the_founders_record_has_its_own_settings_and_is_written_once() {
    let line = "discod --data-dir /d --listen 10.0.0.1:5080 --public-address 198.51.100.1 --instance i-1";
    let args = Cli::try_parse_from(line.split(' ')).unwrap().daemon.unwrap();
    let fake = Fake::founder(args);
    fake.report(1, |report| (report.instance, report.version) = ("i-1".to_owned(), "1.2.3".to_owned()));
    assert_eq!(fake.settle().await, [["record 1"]]);
    let record = fake.node(1).unwrap();
    assert_eq!((record.name.as_str(), &record.address), ("web-1", &address(1)));
    assert_eq!((record.machine.as_str(), record.version.as_str()), ("i-1", "1.2.3"));
    assert_eq!(record.public_address, "198.51.100.1");
    assert!(record.extra_addresses.contains(&"198.51.100.1".to_owned()), "{record:?}");
}

/// A node to admit, an address to change, two nodes to promote, and one voter too many.
fn busy() -> Fake {
    let fake = Fake::new(4, 3);
    fake.admit(5);
    fake.report(2, |report| report.address = "10.0.0.20:5080".to_owned());
    fake
}

#[tokio::test]
async fn a_leader_whose_term_has_ended_does_nothing_more_and_the_next_one_goes_on() {
    let whole = busy();
    whole.settle().await;
    let (count, votes) = (whole.count(), whole.votes());
    assert!(count >= 10);
    for (number, when) in (1..=count).flat_map(|number| [(number, When::Before), (number, When::After)]) {
        let fake = busy();
        fake.end_term(number, when);
        let mut performed = 0;
        let mut passes = 0;
        while !fake.has_ended() {
            drop(pass(&Acting(&fake)).await);
            performed += fake.effects().len();
            passes += 1;
            assert!(passes < 20, "effect {number} does not come");
        }
        assert_eq!(performed, if when == When::After { number } else { number - 1 }, "{when:?} effect {number}");
        // Whatever this leader still tries is an error, and changes nothing.
        let records = fake.revision();
        for _ in 0..3 {
            if let Ok(changed) = pass(&Acting(&fake)).await {
                assert!(!changed, "{when:?} effect {number}");
            }
        }
        assert_eq!((fake.effects(), fake.revision()), (Vec::new(), records), "{when:?} effect {number}");

        fake.next_term();
        let passes = fake.settle().await;
        assert!(passes.iter().all(|effects| effects.iter().filter(|effect| is_change(effect)).count() <= 1));
        assert_eq!(fake.votes(), votes, "{when:?} effect {number}");
        assert_eq!(fake.address_of(2), "10.0.0.20:5080", "{when:?} effect {number}");
    }
}
