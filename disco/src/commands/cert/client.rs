use std::time::Duration;

use disco_identity::Validity;
use serde_json::{Value, json};

use crate::{
    cli::CertClientArgs,
    client::{CA_CERTIFICATE, rfc3339},
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    founding::{client_name, issue_client, require_root},
    printer::{Style, View},
    project::Lock,
    view::would,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn run(args: &CertClientArgs, context: &Context) -> Outcome<ExitStatus> {
    let name = client_name(&args.name)?;
    let state = context.project()?.state();
    let root = require_root(&state)?;
    if args.dry_run {
        return would(context, vec![format!("issue a certificate to client `{name}` for {} days", args.days)]);
    }
    let _lock = Lock::take(&state, "cert client")?;
    let validity = Validity::lasting(DAY.saturating_mul(u32::try_from(args.days).unwrap_or(u32::MAX)));
    let issued = issue_client(&state, &root, &name, validity)?;
    let path = |name: &str| state.file(name).display().to_string();
    context.printer.show(&Issued {
        name,
        certificate: path(&issued.certificate),
        key: path(&issued.key),
        authority: path(CA_CERTIFICATE),
        not_after: rfc3339(issued.not_after),
    })?;
    Ok(ExitStatus::Done)
}

/// What the client needs.
struct Issued {
    name: String,
    certificate: String,
    key: String,
    authority: String,
    not_after: String,
}

impl View for Issued {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "certificate": self.certificate,
            "key": self.key,
            "authority": self.authority,
            "not_after": self.not_after,
        })
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn text(&self, _style: Style) -> String {
        format!(
            "certificate  {}\nkey          {}\nauthority    {}\nends         {}\n",
            self.certificate, self.key, self.authority, self.not_after
        )
    }
}
