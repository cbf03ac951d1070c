//! The order in which a pass acts, with a fake leader and a fake membership.

use std::time::Duration;

use disco_planner::members::{Leader as Own, Node, Reason, Record, Report};
use disco_planner::twins::Life;
use disco_planner::{Member as Planned, Policy};
use parking_lot::Mutex;

use super::members::{Leader, Membership, pass};
use super::membership::{Member, Role};
use super::node::RaftError;
use super::types::NodeInfo;

/// A leader, node 1, that writes down what it does.
#[derive(Default)]
struct Fake {
    raft: FakeRaft,
    nodes: Vec<Node>,
    planned: Vec<Planned>,
    /// The node that does not accept what a voter must have.
    unprepared: Option<u64>,
    done: Mutex<Vec<String>>,
}

#[derive(Default)]
struct FakeRaft {
    members: Mutex<Vec<Member>>,
    joint: Mutex<bool>,
    /// Loses its vote when the change is finished.
    demoted: Option<u64>,
    done: Mutex<Vec<String>>,
}

fn member(id: u64, role: Role) -> Member {
    let info = NodeInfo { address: format!("10.0.0.{id}:5080"), name: format!("node-{id}") };
    Member { id, info, role, matched: None }
}

fn planned(id: u64, voter: bool) -> Planned {
    Planned {
        id,
        voter,
        leader: id == 1,
        silent_for: Duration::ZERO,
        up_to_date: true,
        draining: false,
        retiring: false,
        unhealthy_for: Duration::ZERO,
        spared: false,
    }
}

/// A node of which nothing is due.
fn settled(id: u64) -> Node {
    let address = format!("10.0.0.{id}:5080");
    let report = Report { fresh: true, address: address.clone(), good: true, ..Report::default() };
    Node {
        id,
        member_at: Some(address),
        voter: true,
        up_to_date: true,
        record: Some(Record::default()),
        report: Some(report),
    }
}

// === impl FakeRaft ===

impl FakeRaft {
    fn did(&self, what: String) -> Result<(), RaftError> {
        self.done.lock().push(what);
        Ok(())
    }
}

impl Membership for FakeRaft {
    fn members(&self) -> Vec<Member> {
        self.members.lock().clone()
    }

    fn is_joint(&self) -> bool {
        *self.joint.lock()
    }

    async fn add_learner(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        self.did(format!("add {id} {} {}", info.name, info.address))
    }

    async fn set_info(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        self.did(format!("set {id} {} {}", info.name, info.address))
    }

    async fn promote(&self, ids: &[u64]) -> Result<(), RaftError> {
        self.did(format!("promote {ids:?}"))
    }

    async fn demote(&self, ids: &[u64]) -> Result<(), RaftError> {
        self.did(format!("demote {ids:?}"))
    }

    async fn replace_voter(&self, old: u64, new: u64) -> Result<(), RaftError> {
        self.did(format!("replace {old} by {new}"))
    }

    async fn finish_change(&self) -> Result<(), RaftError> {
        *self.joint.lock() = false;
        for member in self.members.lock().iter_mut().filter(|member| Some(member.id) == self.demoted) {
            member.role = Role::Learner;
        }
        self.did("finish".to_owned())
    }

    async fn transfer_leadership(&self, to: Option<u64>) -> Result<u64, RaftError> {
        Err(RaftError::Membership(format!("no transfer to {to:?}")))
    }
}

// === impl Fake ===

impl Fake {
    /// A cluster of these voters and learners of which nothing is due but what the planner makes of them.
    fn new(voters: &[u64], learners: &[u64]) -> Self {
        let all = || voters.iter().chain(learners);
        let role = |id: &u64| if voters.contains(id) { Role::Voter } else { Role::Learner };
        let members = all().map(|id| member(*id, role(id))).collect();
        Self {
            raft: FakeRaft { members: Mutex::new(members), ..FakeRaft::default() },
            nodes: all().map(|id| settled(*id)).collect(),
            planned: all().map(|id| planned(*id, voters.contains(id))).collect(),
            ..Self::default()
        }
    }

    fn did(&self, what: String) {
        self.done.lock().push(what);
    }

    fn done(&self) -> (Vec<String>, Vec<String>) {
        (std::mem::take(&mut *self.raft.done.lock()), std::mem::take(&mut *self.done.lock()))
    }
}

impl Leader for Fake {
    type Raft = FakeRaft;
    type Error = String;
    type Held = ();

    fn raft(&self) -> &FakeRaft {
        &self.raft
    }

    fn own(&self) -> Own {
        Own { id: 1, free: u64::MAX, ..Own::default() }
    }

    fn nodes(&self, _: &[Member]) -> Vec<Node> {
        self.nodes.clone()
    }

    fn planned(&self) -> Vec<Planned> {
        self.planned.clone()
    }

    fn policy(&self) -> Policy {
        Policy::default()
    }

    fn name(&self, id: u64) -> Option<String> {
        Some(format!("node-{id}"))
    }

    fn address(&self, id: u64) -> Option<String> {
        self.nodes.iter().find(|node| node.id == id)?.report.as_ref().map(|report| report.address.clone())
    }

    fn failed(&self, what: String, error: RaftError) -> String {
        format!("{what}: {error}")
    }

    fn hands_over(&self, to: u64, reason: Reason) {
        self.did(format!("hands over to {to}: {reason:?}"));
    }

    async fn record(&self, member: &Member) -> Result<(), String> {
        self.did(format!("record {}", member.id));
        Ok(())
    }

    async fn remember(&self, id: u64, life: Life) -> Result<(), String> {
        self.did(format!("remember {id} {}", life.number));
        Ok(())
    }

    async fn admitted(&self, id: u64, _: &NodeInfo) -> Result<(), String> {
        self.did(format!("admitted {id}"));
        Ok(())
    }

    async fn moved(&self, before: &Member, address: &str) -> Result<(), String> {
        self.did(format!("moved {} from {} to {address}", before.id, before.info.address));
        Ok(())
    }

    async fn before_voters(&self, _: &Own, _: &[Node], _: &[Member]) -> Result<bool, String> {
        Ok(false)
    }

    async fn hold(&self) {
        self.did("hold".to_owned());
    }

    async fn prepare(&self, id: u64) -> Result<(), String> {
        // Nobody votes yet.
        assert!(self.raft.done.lock().is_empty());
        self.did(format!("prepare {id}"));
        if self.unprepared == Some(id) { Err(format!("node {id} does not answer")) } else { Ok(()) }
    }

    async fn promoted(&self, id: u64, instead_of: Option<u64>) -> Result<(), String> {
        self.did(format!("promoted {id} instead of {instead_of:?}"));
        Ok(())
    }

    async fn lost_vote(&self, id: u64) -> Result<(), String> {
        self.did(format!("lost vote {id}"));
        Ok(())
    }

    async fn after_voters(&self, _: &[Member]) -> Result<bool, String> {
        self.did("after".to_owned());
        Ok(false)
    }
}

#[tokio::test]
async fn learners_are_prepared_before_they_vote() {
    let fake = Fake::new(&[1], &[2, 3]);
    assert_eq!(pass(&fake).await, Ok(true));
    let (raft, own) = fake.done();
    assert_eq!(raft, ["promote [2, 3]"]);
    assert_eq!(own, ["hold", "prepare 2", "prepare 3", "promoted 2 instead of None", "promoted 3 instead of None"]);
}

#[tokio::test]
async fn a_node_that_was_not_prepared_does_not_vote() {
    let fake = Fake { unprepared: Some(3), ..Fake::new(&[1], &[2, 3]) };
    assert_eq!(pass(&fake).await, Err("node 3 does not answer".to_owned()));
    let (raft, own) = fake.done();
    assert!(raft.is_empty(), "{raft:?}");
    assert_eq!(own, ["hold", "prepare 2", "prepare 3"]);
    // One that the planner names, but that is no member any more, is not even asked.
    let fake = Fake::new(&[1], &[2, 3]);
    fake.raft.members.lock().retain(|member| member.id != 2);
    let error = pass(&fake).await.unwrap_err();
    assert!(error.contains("node 2 is not a member"), "{error}");
    assert_eq!(fake.done(), (Vec::new(), vec!["hold".to_owned()]));
}

#[tokio::test]
async fn an_unfinished_change_is_finished_before_another_one_begins() {
    // The planner would promote nodes 4 and 5 as well.
    let mut fake = Fake::new(&[1, 2, 3], &[4, 5]);
    *fake.raft.joint.lock() = true;
    fake.raft.demoted = Some(3);
    assert_eq!(pass(&fake).await, Ok(true));
    let (raft, own) = fake.done();
    assert_eq!((raft, own), (vec!["finish".to_owned()], vec!["lost vote 3".to_owned()]));
}

#[tokio::test]
async fn a_dead_voter_is_replaced_by_a_prepared_learner() {
    let mut fake = Fake::new(&[1, 2, 3], &[4]);
    for dead in fake.planned.iter_mut().filter(|member| member.id == 3) {
        dead.silent_for = Duration::from_secs(3600);
    }
    assert_eq!(pass(&fake).await, Ok(true));
    let (raft, own) = fake.done();
    assert_eq!(raft, ["replace 3 by 4"]);
    assert_eq!(own, ["hold", "prepare 4", "promoted 4 instead of Some(3)", "lost vote 3"]);
}

#[tokio::test]
async fn a_pass_makes_one_change() {
    let mut fake = Fake::new(&[1, 2, 3], &[]);
    // Both are due: node 2 has moved, and node 4 was admitted.
    for moved in fake.nodes.iter_mut().filter(|node| node.id == 2) {
        moved.member_at = Some("10.0.0.9:5080".to_owned());
    }
    fake.nodes.push(Node { member_at: None, voter: false, ..settled(4) });
    assert_eq!(pass(&fake).await, Ok(true));
    let (raft, own) = fake.done();
    assert_eq!((raft, own), (vec!["add 4 node-4 10.0.0.4:5080".to_owned()], vec!["admitted 4".to_owned()]));
    fake.nodes.pop();
    assert_eq!(pass(&fake).await, Ok(true));
    let (raft, own) = fake.done();
    assert_eq!(raft, ["set 2 node-2 10.0.0.2:5080"]);
    assert_eq!(own, ["moved 2 from 10.0.0.2:5080 to 10.0.0.2:5080"]);
}

#[tokio::test]
async fn nothing_is_changed_in_a_settled_cluster() {
    let fake = Fake::new(&[1, 2, 3], &[]);
    assert_eq!(pass(&fake).await, Ok(false));
    assert_eq!(fake.done(), (Vec::new(), vec!["after".to_owned()]));
}
