//! Jobs and their runs.

use disco_store::typed::{JobRunRecord, JobRunState, OverlapSpec};
use serde_json::{Value, json};

use super::units::seconds;
use crate::{
    printer::{Style, Table, View, cell},
    workload::{Catalogue, Job, RunName},
};

/// `disco job ls`.
#[derive(Debug)]
pub(crate) struct JobsView(Vec<Job>);

impl JobsView {
    pub(crate) fn new(jobs: Vec<Job>) -> Self {
        Self(jobs)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Its time zone stands behind a schedule, unless it is UTC.
fn schedule(job: &Job) -> String {
    match (&job.spec.schedule, &job.spec.time_zone) {
        (None, _) => "-".to_owned(),
        (Some(pattern), Some(zone)) if zone != "UTC" => format!("{pattern} ({zone})"),
        (Some(pattern), _) => pattern.clone(),
    }
}

fn time(time: Option<&String>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| seconds(time))
}

impl View for JobsView {
    fn json(&self) -> Value {
        self.0
            .iter()
            .map(|job| {
                json!({
                    "name": job.service.name,
                    "stack": job.service.stack,
                    "schedule": job.spec.schedule,
                    "last": job.record.last,
                    "next": job.record.next,
                    "running": job.running(),
                })
            })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(Job::name).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut table = Table::new(style, &["JOB", "SCHEDULE", "LAST", "NEXT", "RUNNING"]);
        for job in &self.0 {
            let next = match job.service.stopped {
                true => cell::warning("stopped"),
                false => cell::plain(time(job.record.next.as_ref())),
            };
            table.row(vec![
                cell::plain(job.name()),
                cell::plain(schedule(job)),
                cell::plain(time(job.record.last.as_ref())),
                next,
                cell::plain(job.running()),
            ]);
        }
        table.text()
    }
}

/// `disco job show`.
#[derive(Debug)]
pub(crate) struct JobView {
    job: Job,
    runs: Vec<RunView>,
}

impl JobView {
    pub(crate) fn new(job: Job, catalogue: &Catalogue) -> Self {
        let runs = job.runs.iter().map(|run| RunView::new(run.clone(), catalogue)).collect();
        Self { job, runs }
    }
}

impl View for JobView {
    fn json(&self) -> Value {
        let (job, spec) = (&self.job, &self.job.spec);
        let skipped = job.record.skipped.as_ref();
        json!({
            "name": job.service.name,
            "stack": job.service.stack,
            "schedule": spec.schedule,
            "time_zone": spec.schedule.as_ref().map(|_| spec.time_zone.as_deref().unwrap_or("UTC")),
            "overlap": overlap(spec.overlap),
            "catch_up": if spec.no_catch_up { "none" } else { "last" },
            "timeout_ms": spec.timeout_ms,
            "retries": spec.retries,
            "keep": spec.keep,
            "stopped": job.service.stopped,
            "last": job.record.last,
            "next": job.record.next,
            "running": job.running(),
            "skipped": skipped.map(|skipped| json!({ "count": skipped.count, "at": skipped.at, "reason": skipped.reason })),
            "runs": self.runs.iter().map(RunView::json).collect::<Vec<_>>(),
        })
    }

    fn names(&self) -> Vec<String> {
        self.runs.iter().map(|run| run.name.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        let job = &self.job;
        let next = if job.service.stopped { "stopped".to_owned() } else { time(job.record.next.as_ref()) };
        let mut text = format!("{}: schedule {}, next {next}\n", style.bold(&job.name()), schedule(job));
        if let Some(skipped) = &job.record.skipped {
            let count = skipped.count;
            text.push_str(&format!(
                "skipped since the last run: {count}, at {}: {}\n",
                seconds(&skipped.at),
                skipped.reason
            ));
        }
        if self.runs.is_empty() {
            return text;
        }
        let headings = ["RUN", "STATE", "SCHEDULED", "NODE", "EXIT", "STARTED", "ENDED", "REASON"];
        let mut table = Table::new(style, &headings).spare(&["ENDED", "SCHEDULED"]);
        for run in &self.runs {
            let shown = match run.record.as_ref().map(|run| run.state) {
                Some(JobRunState::Succeeded) => cell::good("succeeded"),
                Some(JobRunState::Failed) => cell::bad("failed"),
                _ => cell::plain(run.state()),
            };
            let of = |read: fn(&JobRunRecord) -> Option<&String>| time(run.record.as_ref().and_then(read));
            table.row(vec![
                cell::plain(&run.name),
                shown,
                cell::plain(of(|run| run.scheduled.as_ref())),
                cell::plain(run.node.as_deref().unwrap_or("-")),
                cell::plain(run.exit()),
                cell::plain(of(|run| run.started_at.as_ref())),
                cell::plain(of(|run| run.finished_at.as_ref())),
                cell::plain(run.record.as_ref().map_or("", |run| run.reason.lines().next().unwrap_or_default())),
            ]);
        }
        text.push_str(&table.text());
        text
    }
}

fn overlap(overlap: OverlapSpec) -> &'static str {
    match overlap {
        OverlapSpec::Forbid => "forbid",
        OverlapSpec::Allow => "allow",
        OverlapSpec::Replace => "replace",
    }
}

/// One run.
#[derive(Debug)]
pub(crate) struct RunView {
    name: String,
    /// Absent for a run that was just requested.
    record: Option<JobRunRecord>,
    /// The node's name.
    node: Option<String>,
    of: (String, String, u64),
}

impl RunView {
    pub(crate) fn new(record: JobRunRecord, catalogue: &Catalogue) -> Self {
        Self {
            name: record.name(),
            node: record.node.map(|node| catalogue.node_name(node)),
            of: (record.stack.clone(), record.job.clone(), record.number),
            record: Some(record),
        }
    }

    /// A run that was just requested.
    pub(crate) fn started(name: &RunName) -> Self {
        let of = (name.stack.clone(), name.job.clone(), name.number);
        Self { name: name.to_string(), record: None, node: None, of }
    }

    /// Its state in a word.
    pub(crate) fn state(&self) -> &'static str {
        match self.record.as_ref().map(|run| run.state) {
            None | Some(JobRunState::Waiting) => "waiting",
            Some(JobRunState::Running) => "running",
            Some(JobRunState::Succeeded) => "succeeded",
            Some(JobRunState::Failed) => "failed",
            Some(JobRunState::Cancelled) => "cancelled",
        }
    }

    fn exit(&self) -> String {
        let record = self.record.as_ref();
        let code = record.and_then(|run| run.exit_code).map(|code| code.to_string());
        code.or_else(|| record.and_then(|run| run.signal.clone())).unwrap_or_else(|| "-".to_owned())
    }
}

impl View for RunView {
    fn json(&self) -> Value {
        let record = self.record.as_ref();
        json!({
            "id": self.name,
            "stack": self.of.0,
            "job": self.of.1,
            "run": self.of.2,
            "state": self.state(),
            "scheduled": record.and_then(|run| run.scheduled.as_deref()),
            "args": record.map(|run| run.args.as_slice()).unwrap_or_default(),
            "task": record.and_then(|run| run.task),
            "node": record.and_then(|run| run.node),
            "node_name": self.node,
            "failures": record.map_or(0, |run| run.failures),
            "exit_code": record.and_then(|run| run.exit_code),
            "signal": record.and_then(|run| run.signal.as_deref()),
            "created_at": record.map(|run| run.created_at.as_str()),
            "started_at": record.and_then(|run| run.started_at.as_deref()),
            "finished_at": record.and_then(|run| run.finished_at.as_deref()),
            "reason": record.map(|run| run.reason.as_str()),
        })
    }

    fn rows(&self) -> Vec<Value> {
        vec![self.json()]
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn text(&self, _style: Style) -> String {
        // The id of a run that goes on; how one ended is on a line of its own already.
        if self.record.is_none() { format!("{}\n", self.name) } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::catalogue;

    fn job() -> JobView {
        let service = json!({ "stack": "shop", "name": "backup", "copies": { "number": 0 }, "group": 1 });
        let record = json!({ "stack": "shop", "name": "backup", "ticked": "2026-12-01T02:00:00Z", "runs": 7,
            "next": "2026-12-02T02:00:00Z", "last": "2026-12-01T02:00:00.123Z",
            "skipped": { "count": 2, "at": "2026-12-01T02:00:00Z", "reason": "run 6 is not over" } });
        let run = |number: u64, more: Value| {
            let mut run = json!({ "stack": "shop", "job": "backup", "number": number, "group": 1, "since": "", "task": 1001,
                "node": 2, "created_at": "2026-12-01T02:00:00.123Z", "started_at": "2026-12-01T02:00:00.2Z" });
            run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(run).unwrap()
        };
        let failed = json!({ "state": "failed", "exit_code": 3, "failures": 1, "reason": "exit code 3",
            "scheduled": "2026-12-01T02:00:00Z", "finished_at": "2026-12-01T02:00:01Z" });
        let job = Job {
            service: serde_json::from_value(service).unwrap(),
            spec: serde_json::from_value(json!({ "schedule": "0 3 * * *", "time_zone": "Europe/Berlin" })).unwrap(),
            record: serde_json::from_value(record).unwrap(),
            runs: vec![run(6, failed), run(7, json!({ "state": "running" }))],
        };
        JobView::new(job, &catalogue(&json!({ "nodes": [{ "id": 2, "name": "shop-2" }] })))
    }

    #[test]
    fn a_job_in_the_list_has_exactly_these_fields() {
        let view = JobsView::new(vec![job().job]);
        let expected = json!([{ "name": "backup", "stack": "shop", "schedule": "0 3 * * *", "last": "2026-12-01T02:00:00.123Z",
            "next": "2026-12-02T02:00:00Z", "running": 1 }]);
        assert_eq!(view.json(), expected);
        assert_eq!(view.names(), ["shop/backup"]);
        let text = view.text(Style::default());
        assert!(text.contains("0 3 * * * (Europe/Berlin)  2026-12-01T02:00:00Z  2026-12-02T02:00:00Z  1"), "{text}");
    }

    #[test]
    fn runs_are_shown_with_how_they_ended() {
        let view = job();
        let json = view.json();
        assert_eq!((&json["time_zone"], &json["overlap"]), (&json!("Europe/Berlin"), &json!("forbid")));
        assert_eq!(json["skipped"]["count"], 2);
        let run = &json["runs"][0];
        for (field, value) in [
            ("id", json!("shop/backup/6")),
            ("run", json!(6)),
            ("state", json!("failed")),
            ("scheduled", json!("2026-12-01T02:00:00Z")),
            ("node", json!(2)),
            ("node_name", json!("shop-2")),
            ("exit_code", json!(3)),
            ("finished_at", json!("2026-12-01T02:00:01Z")),
            ("reason", json!("exit code 3")),
        ] {
            assert_eq!(run[field], value, "{field}");
        }
        assert_eq!(view.names(), ["shop/backup/6", "shop/backup/7"]);
        let text = view.text(Style::default());
        assert!(text.contains("skipped since the last run: 2") && text.contains("shop/backup/7  running"), "{text}");
    }
}
