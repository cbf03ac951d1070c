//! Jobs: their records, and what operators request of them.
//!
//! A request makes a run, or marks a run that is to end; the leader's controller (`controllers/jobs`) begins and ends its tasks.

use disco_planner::jobs::{Admission, Overlap, Schedule, admit};
use disco_proto::v1::change_jobs_request::Change;
use disco_proto::v1::{CancelJobRun, ChangeJobsRequest, ChangeJobsResponse, RunJob, WorkloadChange};

use super::draft::{Draft, Moment};
use super::recorded::Workloads;
use super::requests::{change as changed, service_of};
use super::table::ServiceId;
use super::versions::{Target, Version};
use super::{CONFLICTS, all_know, write};
use crate::cluster::{Error, Result};
use crate::node::Leader;
use crate::records::{
    Copies, EndingKind, EndingRecord, JobRecord, JobRunRecord, JobRunState, JobSpec, OverlapSpec, RestartCondition,
    ServiceRecord, ServiceSpec,
};

/// Runs of one job that are not over.
pub const MOST_OPEN: usize = 100;
/// Runs of one job that are retained.
const MOST_KEPT: u32 = 100;
/// Times that a run is tried again.
const MOST_RETRIES: u32 = 100;
/// Arguments of one run, and their bytes: the run and its task each have them.
const MOST_ARGS: usize = 1_000;
const MOST_BYTES: usize = 64 << 10;

/// Begins or ends a run, as one transaction.
///
/// # Errors
/// The request is wrong, or the change was not written.
pub async fn change(leader: &Leader, request: ChangeJobsRequest) -> Result<ChangeJobsResponse> {
    let change = request.change.ok_or_else(|| Error::Invalid("the request names no change".to_owned()))?;
    leader.raft().linearizable().await?;
    if matches!(change, Change::Run(_)) {
        all_know(leader)?;
    }
    for _ in 0..CONFLICTS {
        let before = leader.raft().store().read(Workloads::read);
        let mut draft = Draft::new(before.clone(), Moment::now(leader.id(), leader.term()));
        let run = match &change {
            Change::Run(request) => run(&mut draft, request)?,
            Change::Cancel(request) => cancel(&mut draft, request)?,
        };
        let answer = ChangeJobsResponse { run: run.number, state: word(run.state).to_owned() };
        let changes = draft.records.changes_since(&before);
        if request.dry_run || changes.is_empty() {
            return Ok(answer);
        }
        if write::commit_one(leader, changes, draft.news).await? {
            leader.wake_controllers();
            return Ok(answer);
        }
        tokio::task::yield_now().await;
    }
    Err(Error::Conflict("too many concurrent changes; try again".to_owned()))
}

/// Makes a run by request. A repeated request returns the run that the first one made.
///
/// # Errors
/// It is no job, or no run may begin now.
pub fn run(draft: &mut Draft, request: &RunJob) -> Result<JobRunRecord> {
    let id = (request.stack.clone(), request.job.clone());
    let name = format!("{}/{}", id.0, id.1);
    let service = service_of(&draft.records, &id)?.clone();
    let group = draft.records.groups.get(&service.group);
    let spec = group
        .and_then(|group| group.spec.job.clone())
        .ok_or_else(|| Error::Invalid(format!("`{name}` is a service, not a job: `disco job ls` lists the jobs")))?;
    let same = |run: &&JobRunRecord| !request.token.is_empty() && run.token == request.token;
    if let Some(run) = draft.records.runs_of(&id).find(same) {
        return Ok(run.clone());
    }
    arguments(&request.args)?;
    if service.stopped {
        return Err(Error::Refused(format!("the job `{name}` is stopped; `disco restart {name}` lets it run again")));
    }
    let open: Vec<u64> = open(&draft.records, &id).map(|run| run.number).collect();
    match admit(overlap(spec.overlap), open.len()) {
        Admission::Skipped => {
            let run = open.first().copied().unwrap_or_default();
            return Err(Error::Refused(format!(
                "run {run} of `{name}` is not over, and the job's `overlap` is `forbid`: wait for it, or cancel it with \
                 `disco job cancel {name}/{run}`"
            )));
        }
        Admission::Begins if open.len() >= MOST_OPEN => {
            return Err(Error::Exhausted(format!("{MOST_OPEN} runs of `{name}` are not over; more are not begun")));
        }
        // Those before it are cancelled by the controller, and it waits for their end.
        Admission::Begins | Admission::Replaces => {}
    }
    // Its version must exist as long as the run does.
    draft.records.services.confirm(&id);
    let made = new_run(draft, &id, service.group, None);
    let run_id = (id.0, id.1, made);
    draft.records.runs.change(&run_id, |run| {
        run.token.clone_from(&request.token);
        run.args.clone_from(&request.args);
    });
    draft.records.runs.get(&run_id).cloned().ok_or_else(|| Error::internal(anyhow::anyhow!("the run was not made")))
}

fn arguments(args: &[String]) -> Result<()> {
    let bytes: usize = args.iter().map(String::len).sum();
    if args.len() > MOST_ARGS || bytes > MOST_BYTES {
        return Err(Error::Invalid(format!(
            "the run has {} arguments of {bytes} bytes; at most {MOST_ARGS} of {MOST_BYTES} bytes are possible",
            args.len()
        )));
    }
    match args.iter().find(|arg| arg.contains('\0')) {
        Some(_) => Err(Error::Invalid("an argument contains a NUL byte, which no program can receive".to_owned())),
        None => Ok(()),
    }
}

/// Marks a run that is to end. A run that is over does not change.
///
/// # Errors
/// There is no such run.
pub fn cancel(draft: &mut Draft, request: &CancelJobRun) -> Result<JobRunRecord> {
    let id = (request.stack.clone(), request.job.clone(), request.run);
    let find = |draft: &Draft| {
        let name = format!("{}/{}/{}", id.0, id.1, id.2);
        let found = draft.records.runs.get(&id).cloned();
        found.ok_or_else(|| Error::NotFound(format!("run `{name}` does not exist, or is not retained any more")))
    };
    let run = find(draft)?;
    let is_marked = run.ending.as_ref().is_some_and(|ending| ending.kind == EndingKind::Cancelled);
    if !run.is_over() && !is_marked {
        let ending = EndingRecord { kind: EndingKind::Cancelled, why: "an operator requested it".to_owned() };
        draft.records.runs.change(&id, |run| run.ending = Some(ending));
    }
    find(draft)
}

/// Runs of a job that are not over.
pub fn open<'a>(records: &'a Workloads, id: &'a ServiceId) -> impl Iterator<Item = &'a JobRunRecord> {
    records.runs_of(id).filter(|run| !run.is_over())
}

/// Makes a run; returns its number.
pub fn new_run(draft: &mut Draft, id: &ServiceId, group: u64, scheduled: Option<String>) -> u64 {
    ensure(draft, id);
    let now = draft.now.text.clone();
    let mut number = 0;
    draft.records.jobs.change(id, |job| {
        job.runs += 1;
        number = job.runs;
        job.last = Some(now.clone());
        job.skipped = None;
    });
    let run = JobRunRecord {
        stack: id.0.clone(),
        job: id.1.clone(),
        number,
        group,
        scheduled,
        token: String::new(),
        args: Vec::new(),
        state: JobRunState::Waiting,
        ending: None,
        task: None,
        node: None,
        failures: 0,
        refusals: 0,
        since: now.clone(),
        created_at: now,
        started_at: None,
        finished_at: None,
        exit_code: None,
        signal: None,
        unplaced: false,
        reason: String::new(),
    };
    draft.records.runs.put((id.0.clone(), id.1.clone(), number), run);
    number
}

/// Makes the record of a job that has none. Its schedule begins now.
pub fn ensure(draft: &mut Draft, id: &ServiceId) {
    // The leader may be about to delete that of a job that was removed before.
    draft.records.jobs.confirm(id);
    if !draft.records.jobs.exists(id) {
        let (stack, name) = id.clone();
        let record = JobRecord { stack, name, ticked: draft.now.text.clone(), ..JobRecord::default() };
        draft.records.jobs.put(id.clone(), record);
    }
}

/// Whether a service is a job.
#[must_use]
pub fn is_job(records: &Workloads, service: &ServiceRecord) -> bool {
    records.groups.get(&service.group).is_some_and(|group| group.spec.job.is_some())
}

/// The job that a service shall be.
pub(super) fn of_target(records: &Workloads, target: &Target) -> Option<JobSpec> {
    match &target.version {
        Version::New { spec, .. } => spec.job.clone(),
        Version::Group(group) => records.groups.get(group)?.spec.job.clone(),
    }
}

/// Lets a stopped job run again.
pub(super) fn resume(draft: &mut Draft, id: &ServiceId) -> WorkloadChange {
    let stopped = draft.records.services.get(id).is_some_and(|service| service.stopped);
    draft.records.services.change(id, |service| service.stopped = false);
    changed(id, if stopped { "restarted" } else { "unchanged" }, String::new())
}

/// A job in words: `every day at 03:00 (Europe/Berlin), next at 2026-12-01T03:00:00+01:00`.
#[must_use]
pub fn describe(job: &JobSpec, now_ms: i64) -> String {
    let Some(pattern) = &job.schedule else { return "a job, which runs by `disco job run JOB`".to_owned() };
    // Deploy refuses any other.
    let Ok(schedule) = Schedule::parse(pattern, job.time_zone.as_deref()) else { return format!("at `{pattern}`") };
    let next = jiff::Timestamp::from_millisecond(now_ms).ok().and_then(|now| schedule.next_after(now));
    let next = next.map_or_else(String::new, |next| format!(", next at {}", schedule.local(next)));
    format!("{}{next}", schedule.words())
}

/// The planner's word for it.
#[must_use]
pub const fn overlap(overlap: OverlapSpec) -> Overlap {
    match overlap {
        OverlapSpec::Forbid => Overlap::Forbid,
        OverlapSpec::Allow => Overlap::Allow,
        OverlapSpec::Replace => Overlap::Replace,
    }
}

/// The word of a state in answers.
#[must_use]
pub const fn word(state: JobRunState) -> &'static str {
    match state {
        JobRunState::Waiting => "waiting",
        JobRunState::Running => "running",
        JobRunState::Succeeded => "succeeded",
        JobRunState::Failed => "failed",
        JobRunState::Cancelled => "cancelled",
    }
}

/// Whether a job can be as it is described.
///
/// # Errors
/// Why not.
pub(super) fn check(spec: &ServiceSpec, copies: Copies) -> std::result::Result<(), String> {
    let Some(job) = &spec.job else { return Ok(()) };
    if let Some(pattern) = &job.schedule {
        Schedule::parse(pattern, job.time_zone.as_deref()).map_err(|error| error.to_string())?;
    }
    if copies != Copies::Number(0) {
        return Err("a job has no copies".to_owned());
    }
    if spec.restart.condition != RestartCondition::Never {
        return Err("a job is not restarted on its node: `retries` say how often it is tried again".to_owned());
    }
    let meaningless = [
        ("a probe", spec.health.is_some()),
        ("ports", !spec.ports.is_empty()),
        ("singleton", spec.singleton),
        ("depends_on", !spec.depends_on.is_empty()),
    ];
    if let Some((what, _)) = meaningless.iter().find(|(_, given)| *given) {
        return Err(format!("a job cannot have {what}"));
    }
    if job.keep == 0 || job.keep > MOST_KEPT {
        return Err(format!("a job retains 1 to {MOST_KEPT} runs, not {}", job.keep));
    }
    if job.retries > MOST_RETRIES {
        return Err(format!("a job has at most {MOST_RETRIES} retries, not {}", job.retries));
    }
    if job.timeout_ms == Some(0) {
        return Err("the time limit of a job is more than 0".to_owned());
    }
    Ok(())
}

#[cfg(test)]
#[path = "jobs_test.rs"]
mod jobs_test;
