//! The times of schedules.

use disco_planner::jobs::{Admission, CatchUp, Due, Schedule, admit, due};
use jiff::Timestamp;
use serde_json::json;

use super::view::{Job, Look, Mode};
use crate::cluster::workloads::jobs;
use crate::cluster::workloads::table::ServiceId;
use crate::records::{EventRecord, GroupRecord, JobRecord, JobSpec, Severity, SkippedRecord, event, keys};

/// Decides the times that are due.
pub(super) fn decide(look: &mut Look, job: &Job) {
    if look.is_full() {
        return;
    }
    let Some(record) = look.records().jobs.get(&job.id).cloned() else { return };
    let (group, spec) = match &job.mode {
        Mode::Runs(group, spec) => (group.clone(), spec.clone()),
        Mode::Ends(_) | Mode::Gone => return rest(look, &job.id, &record),
        Mode::Unknown => return,
    };
    let Some(pattern) = &spec.schedule else { return rest(look, &job.id, &record) };
    let schedule = match Schedule::parse(pattern, spec.time_zone.as_deref()) {
        Ok(schedule) => schedule,
        // Deploy refuses it; another version of Disco may have another list of time zones.
        Err(error) => {
            tracing::error!(stack = job.id.0, job = job.id.1, %error, "the schedule of a job cannot be read");
            return rest(look, &job.id, &record);
        }
    };
    let name = format!("{pattern} {}", schedule.zone());
    let ticked = record.ticked.parse::<Timestamp>();
    let Some(ticked) = ticked.ok().filter(|_| record.schedule == name) else {
        // It is new, or counts from now on: an earlier time of another schedule is none of this one.
        let (now, next) = (look.now, schedule.next_after(look.now));
        look.pass.draft.records.jobs.change(&job.id, |job| {
            (job.schedule, job.ticked, job.next) = (name, now.to_string(), next.map(|next| next.to_string()));
        });
        look.step();
        return wake(look, next);
    };
    let catch_up = if spec.no_catch_up { CatchUp::None } else { CatchUp::Last };
    let found = due(&schedule, look.now, ticked, catch_up);
    if found.begins_anew {
        tracing::warn!(stack = job.id.0, job = job.id.1, %ticked, "the schedule of a job was counted by a wrong clock");
    }
    let next = found.next.map(|next| next.to_string());
    if found.ticked != ticked || next != record.next {
        take(look, job, &group, &spec, &found);
        look.pass.draft.records.jobs.change(&job.id, |job| {
            (job.ticked, job.next) = (found.ticked.to_string(), next);
        });
        look.step();
    }
    wake(look, found.next);
}

/// Begins the run of a tick, or notes why there is none.
fn take(look: &mut Look, job: &Job, group: &GroupRecord, spec: &JobSpec, found: &Due) {
    if found.missed > 0 {
        let reason = "no leader could decide in time";
        skip(look, &job.id, found.missed, found.tick.unwrap_or(found.ticked), reason);
    }
    let Some(tick) = found.tick else { return };
    let open: Vec<u64> = jobs::open(look.records(), &job.id).map(|run| run.number).collect();
    match admit(jobs::overlap(spec.overlap), open.len()) {
        Admission::Skipped => {
            let run = open.first().copied().unwrap_or_default();
            return skip(look, &job.id, 1, tick, &format!("run {run} is not over"));
        }
        Admission::Begins if open.len() >= jobs::MOST_OPEN => {
            return skip(look, &job.id, 1, tick, &format!("{} runs are not over", open.len()));
        }
        // Those before it are cancelled in the next pass, and it waits for their end.
        Admission::Begins | Admission::Replaces => {}
    }
    let number = jobs::new_run(&mut look.pass.draft, &job.id, group.id, Some(tick.to_string()));
    look.made.insert((job.id.0.clone(), job.id.1.clone(), number));
    look.step();
}

/// Notes times that begin no run: an event for the first after each run, since a run that does not end would fill the list of events.
fn skip(look: &mut Look, id: &ServiceId, count: u64, at: Timestamp, reason: &str) {
    let before = look.records().jobs.get(id).and_then(|job| job.skipped.clone());
    let is_new = before.as_ref().is_none_or(|before| before.reason != reason);
    let total = before.map_or(0, |before| before.count) + count;
    let skipped = SkippedRecord { count: total, at: at.to_string(), reason: reason.to_owned() };
    look.pass.draft.records.jobs.change(id, |job| job.skipped = Some(skipped));
    look.step();
    if !is_new {
        return;
    }
    let (stack, name) = id;
    let times = if count == 1 { format!("the time {at}") } else { format!("{count} times until {at}") };
    let text = format!("no run of the job `{stack}/{name}` begins for {times}: {reason}");
    let data = json!({ "stack": stack, "job": name, "scheduled": at.to_string(), "count": count, "reason": reason });
    let event = EventRecord { data: Some(data), ..event("job.skipped", Severity::Warning, None, text) };
    look.pass.draft.note(keys::job(stack, name), event);
}

/// The schedule counts nothing.
fn rest(look: &mut Look, id: &ServiceId, record: &JobRecord) {
    if record.next.is_none() && record.schedule.is_empty() {
        return;
    }
    look.pass.draft.records.jobs.change(id, |job| {
        (job.schedule, job.next) = (String::new(), None);
    });
    look.step();
}

fn wake(look: &mut Look, next: Option<Timestamp>) {
    let Some(next) = next else { return };
    // Rounded up: a wake-up before the time would find nothing due.
    let ms = next.as_millisecond().saturating_sub(look.now.as_millisecond());
    look.pass.due_in(u64::try_from(ms).unwrap_or(0).max(1));
}
