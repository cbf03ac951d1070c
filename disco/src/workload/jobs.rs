//! Jobs and their runs, as the cluster records them.

use std::time::Duration;

use disco_proto::v1::{ChangeJobsRequest, ChangeJobsResponse, change_jobs_request::Change};
use disco_store::typed::{JobRecord, JobRunRecord, JobSpec, ServiceRecord, keys};

use super::{
    Catalogue,
    catalogue::{decode, records},
    target,
};
use crate::{
    client::Client,
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// Time for the leader to accept a change: it writes one transaction.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);

/// A job, with its runs.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) service: ServiceRecord,
    pub(crate) spec: JobSpec,
    pub(crate) record: JobRecord,
    /// The oldest first.
    pub(crate) runs: Vec<JobRunRecord>,
}

impl Job {
    /// `STACK/JOB`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.service.stack, self.service.name)
    }

    /// Runs that are not over.
    pub(crate) fn running(&self) -> usize {
        self.runs.iter().filter(|run| !run.is_over()).count()
    }
}

/// A run by its job and its number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RunName {
    pub(crate) stack: String,
    pub(crate) job: String,
    pub(crate) number: u64,
}

impl std::fmt::Display for RunName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.stack, self.job, self.number)
    }
}

/// All jobs, in the order of stack and name.
pub(crate) async fn jobs(client: &Client, catalogue: &Catalogue) -> Outcome<Vec<Job>> {
    let records: Vec<JobRecord> = records(client, keys::JOBS).await?;
    let runs: Vec<JobRunRecord> = self::records(client, keys::JOB_RUNS).await?;
    let jobs = catalogue.services.values().filter_map(|service| {
        let spec = catalogue.job_of(service)?.clone();
        let is_own = |stack: &str, name: &str| stack == service.stack && name == service.name;
        let record = records.iter().find(|job| is_own(&job.stack, &job.name)).cloned().unwrap_or_default();
        let runs = runs.iter().filter(|run| is_own(&run.stack, &run.job)).cloned().collect();
        Some(Job { service: service.clone(), spec, record, runs })
    });
    Ok(jobs.collect())
}

/// A run's record; `None`: it does not exist, or is not retained any more.
pub(crate) async fn run(client: &Client, run: &RunName) -> Outcome<Option<JobRunRecord>> {
    let key = keys::job_run(&run.stack, &run.job, run.number);
    client.get(key.as_bytes(), false, 0).await?.as_ref().map(decode).transpose()
}

/// The stack and the name of a job.
pub(crate) fn job(named: &str, catalogue: &Catalogue) -> Outcome<(String, String)> {
    let found = target::service(named, catalogue).map_err(|failure| match failure.status() {
        ExitStatus::NotFound => Failure::new(ExitStatus::NotFound, format!("no job `{named}`")).hint(known(catalogue)),
        _ => failure,
    })?;
    let is_job = catalogue.services.get(&found).is_some_and(|service| catalogue.job_of(service).is_some());
    if !is_job {
        let message = format!("`{}/{}` is a service, not a job", found.0, found.1);
        return Err(Failure::new(ExitStatus::NotFound, message).hint(known(catalogue)));
    }
    Ok(found)
}

/// A run that an operator names: `STACK/JOB/N`, or `JOB/N`.
pub(crate) fn named_run(named: &str, catalogue: &Catalogue) -> Outcome<RunName> {
    let parts = named.rsplit_once('/').and_then(|(job, number)| Some((job, number.parse::<u64>().ok()?)));
    let Some((name, number)) = parts else {
        return Err(Failure::usage(format!(
            "invalid run `{named}`: expected a job and a number, such as `shop/backup/7`"
        ))
        .hint("`disco job show JOB` lists the runs of a job"));
    };
    let (stack, job) = job(name, catalogue)?;
    Ok(RunName { stack, job, number })
}

fn known(catalogue: &Catalogue) -> String {
    let jobs = catalogue.services.values().filter(|service| catalogue.job_of(service).is_some());
    let names: Vec<String> = jobs.map(|job| format!("`{}/{}`", job.stack, job.name)).collect();
    match names.as_slice() {
        [] => "the cluster has no jobs: `x-disco: { job: {} }` in a stack file makes a service one".to_owned(),
        some => format!("the jobs are {}", some.join(", ")),
    }
}

/// Sends a change. It may be sent again when an answer is lost: a run has a token, and a run that is over does not end again.
pub(crate) async fn change_jobs(client: &Client, change: Change, dry_run: bool) -> Outcome<ChangeJobsResponse> {
    let request = ChangeJobsRequest { dry_run, change: Some(change) };
    client
        .call_within(TAKEN_WITHIN, |mut control| {
            let request = request.clone();
            async move { control.change_jobs(request).await }
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::catalogue::tests::catalogue, *};

    fn known_jobs() -> Catalogue {
        let spec = |job: serde_json::Value| json!({ "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1, "job": job });
        let group = |id: u64, service: &str, job| json!({ "id": id, "stack": "shop", "service": service, "deployment": 1, "hash": "", "spec": spec(job) });
        let service = |name: &str, group: u64| json!({ "stack": "shop", "name": name, "copies": { "number": 0 }, "group": group });
        catalogue(&json!({
            "stacks": [{ "name": "shop", "deployment": 1 }],
            "services": [service("backup", 1), service("web", 2)],
            "groups": [group(1, "backup", json!({})), group(2, "web", serde_json::Value::Null)],
        }))
    }

    #[test]
    fn jobs_and_runs_are_found_by_their_names() {
        let known = known_jobs();
        let backup = ("shop".to_owned(), "backup".to_owned());
        assert_eq!(job("backup", &known).unwrap(), backup);
        assert_eq!(job("shop/backup", &known).unwrap(), backup);
        for (name, hint) in [("web", "`shop/backup`"), ("nothing", "`shop/backup`")] {
            let failure = job(name, &known).unwrap_err();
            assert_eq!(failure.status(), ExitStatus::NotFound);
            assert!(failure.next_step().is_some_and(|step| step.contains(hint)), "{failure:?}");
        }
        assert_eq!(named_run("shop/backup/7", &known).unwrap().to_string(), "shop/backup/7");
        assert_eq!(named_run("backup/7", &known).unwrap().to_string(), "shop/backup/7");
        for wrong in ["backup", "7", "backup/x"] {
            assert_eq!(named_run(wrong, &known).unwrap_err().status(), ExitStatus::Usage, "{wrong}");
        }
    }
}
