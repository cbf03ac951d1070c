use std::os::unix::fs::MetadataExt;

use disco_identity::Phase;
use disco_provider::at_home;

use super::Check;
use crate::{
    client::load_identity,
    project::{ClusterRecord, Project},
};

/// Files that only their owner may read.
const SECRETS: [&str; 5] = ["ca.key", "operator.key", "intermediate.key", "id_ed25519", "cluster_key"];

pub(super) fn check(project: &Project, record: Option<&ClusterRecord>) -> Vec<Check> {
    let state = project.state();
    let mut secrets: Vec<_> = SECRETS.iter().map(|name| state.file(name)).collect();
    let own_key = record.and_then(|record| record.private_key.as_ref()).map(|key| project.root().join(at_home(key)));
    secrets.extend(own_key.clone());
    let mut checks: Vec<Check> = Vec::new();
    for path in &secrets {
        if let Ok(metadata) = std::fs::metadata(path)
            && metadata.mode() & 0o077 != 0
        {
            let mode = metadata.mode() & 0o777;
            checks.push(
                Check::bad("keys", format!("`{}` is open to others (mode {mode:03o})", path.display()))
                    .next(format!("chmod 600 {}", path.display())),
            );
        }
    }
    if let Some(key) = own_key.filter(|key| !key.exists()) {
        checks.push(
            Check::bad("keys", format!("the operator's SSH key `{}` does not exist", key.display()))
                .next("restore it: the machines accept no other operator key"),
        );
    }
    if checks.is_empty() {
        checks.push(Check::good("keys", "readable only by their owner"));
    }
    checks.extend(certificate(project));
    checks
}

fn certificate(project: &Project) -> Option<Check> {
    let identity = match load_identity(&project.state()) {
        Ok(identity) => identity?,
        Err(failure) => return Some(Check::failure("certificate", &failure)),
    };
    let own = identity.own();
    let now = disco_identity::unix_now();
    let days = own.validity().left(now).as_secs() / 86400;
    let renew = "`disco cert rotate --operator` renews it";
    Some(match own.validity().phase(now) {
        Phase::Expired => Check::bad("certificate", format!("of {} has expired", own.role)).next(renew),
        Phase::Due => Check::doubtful("certificate", format!("of {} expires in {days} days", own.role)).next(renew),
        Phase::Early => Check::bad("certificate", format!("of {} is not valid yet by this machine's clock", own.role))
            .next("synchronize the clock by NTP"),
        Phase::Valid => Check::good("certificate", format!("of {}, valid for {days} days", own.role)),
    })
}
