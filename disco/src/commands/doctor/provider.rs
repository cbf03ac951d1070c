use disco_provider::{Finding, InstanceState};

use super::Check;
use crate::{
    founding::{provider_failure, recorded_provider},
    project::{ClusterRecord, Project},
};

pub(super) async fn check(project: &Project, record: &ClusterRecord) -> Vec<Check> {
    let provider = match recorded_provider(project, record) {
        Ok(provider) => provider,
        Err(failure) => return vec![Check::failure("provider", &failure)],
    };
    let mut checks: Vec<Check> = provider.examine().await.into_iter().map(check_of).collect();
    checks.push(match provider.list().await {
        Ok(instances) => {
            let running = instances.iter().filter(|instance| instance.state == InstanceState::Running).count();
            let detail = format!("{} machines of the {} provider, {running} running", instances.len(), provider.kind());
            if running == instances.len() {
                Check::good("provider", detail)
            } else {
                Check::doubtful("provider", detail).next("`disco bootstrap` starts and repairs what is down")
            }
        }
        Err(error) => Check::failure("provider", &provider_failure(&error)),
    });
    checks
}

fn check_of(finding: Finding) -> Check {
    let check =
        if finding.good { Check::good(finding.name, finding.detail) } else { Check::bad(finding.name, finding.detail) };
    match finding.hint {
        Some(hint) => check.next(hint),
        None => check,
    }
}
