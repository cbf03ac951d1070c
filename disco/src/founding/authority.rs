//! The operator's side of the cluster's certificates.

use disco_identity::{
    Authority, CertificateInfo, Credentials, Identity, NODE_LIFETIME, OPERATOR_LIFETIME, Phase, PrivateKey, Role,
    Validity, read_limited, read_private, unix_now,
};

use crate::{
    client::{CA_CERTIFICATE, OPERATOR_CERTIFICATE, OPERATOR_KEY},
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::{ClusterRecord, StateDir},
};

pub(super) const CA_KEY: &str = "ca.key";
const INTERMEDIATE_CERTIFICATE: &str = "intermediate.pem";
const INTERMEDIATE_KEY: &str = "intermediate.key";
/// Maximum size of a certificate or key file.
pub(super) const LONGEST: u64 = 64 << 10;

pub(super) fn failure(what: &str) -> impl Fn(&dyn std::error::Error) -> Failure {
    move |error| Failure::usage(format!("cannot {what}")).because(error).hint("`disco doctor` shows details")
}

/// The root with its key; `None` if this operator does not have the key.
pub(super) fn load_root(state: &StateDir) -> Outcome<Option<Authority>> {
    load(state, CA_CERTIFICATE, CA_KEY, "use the cluster's root")
}

/// The root with its key, which only the operator who created the cluster has.
pub(crate) fn require_root(state: &StateDir) -> Outcome<Authority> {
    load_root(state)?.ok_or_else(|| {
        Failure::new(ExitStatus::Denied, format!("the cluster's root key is missing: no `{CA_KEY}` in `.disco/`"))
            .hint("run the command in the project that the cluster was created from")
    })
}

/// The root, created if it does not exist. Writes the key first: a root certificate without its key is never used.
pub(super) fn ensure_root(state: &StateDir, record: &ClusterRecord) -> Outcome<Authority> {
    if let Some(root) = load_root(state)? {
        return Ok(root);
    }
    let failed = failure("create the cluster's root");
    let id = record.id.parse().map_err(|error| failed(&error))?;
    let root = Authority::new_root(&id, &record.name).map_err(|error| failed(&error))?;
    store(state, &root, CA_CERTIFICATE, CA_KEY)?;
    Ok(root)
}

/// The signing key for the first node, created once and kept until that node has answered.
pub(super) fn ensure_intermediate(state: &StateDir, root: &Authority) -> Outcome<Authority> {
    if let Some(intermediate) = load(state, INTERMEDIATE_CERTIFICATE, INTERMEDIATE_KEY, "use the first signing key")? {
        return Ok(intermediate);
    }
    let intermediate = root.new_intermediate().map_err(|error| failure("create the first signing key")(&error))?;
    store(state, &intermediate, INTERMEDIATE_CERTIFICATE, INTERMEDIATE_KEY)?;
    Ok(intermediate)
}

/// Removes the signing key from this computer: from now on, only the voters have it.
pub(super) fn forget_intermediate(state: &StateDir) -> Outcome<()> {
    state.remove(INTERMEDIATE_KEY)?;
    state.remove(INTERMEDIATE_CERTIFICATE)
}

/// This operator's certificate, issued if it does not exist or is due for renewal.
pub(super) fn ensure_operator(state: &StateDir, root: &Authority) -> Outcome<Identity> {
    if let Some(identity) = crate::client::load_identity(state)?
        && identity.own().validity().phase(unix_now()) < Phase::Due
    {
        return Ok(identity);
    }
    renew_operator(state, root)
}

/// Issues a new certificate for this operator's key.
pub(crate) fn renew_operator(state: &StateDir, root: &Authority) -> Outcome<Identity> {
    let failed = failure("create the operator's certificate");
    let key = PrivateKey::load_or_generate(&state.file(OPERATOR_KEY)).map_err(|error| failed(&error))?;
    let request = key.signing_request().map_err(|error| failed(&error))?;
    let chain = root
        .issue_operator(&request, &operator_name(), Validity::lasting(OPERATOR_LIFETIME))
        .map_err(|error| failed(&error))?;
    state.write(OPERATOR_CERTIFICATE, chain.as_bytes())?;
    let credentials = Credentials::new(root.certificate_pem(), &chain, &key).map_err(|error| failed(&error))?;
    Identity::new(credentials).map_err(|error| failed(&error))
}

/// A client's name, which becomes part of a certificate and of the names of two files.
pub(crate) fn client_name(name: &str) -> Outcome<String> {
    match format!("client/{name}").parse::<Role>() {
        Ok(Role::Client(name)) => Ok(name),
        _ => {
            let message =
                format!("invalid client name `{name}`: expected 1 to 64 letters, digits, `.`, `_`, `@` or `-`");
            Err(Failure::usage(message))
        }
    }
}

/// The files of a client in `.disco/`.
pub(crate) struct ClientFiles {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// Last second of validity, since 1970.
    pub(crate) not_after: u64,
}

/// Beginning and end of the names of clients' certificates in `.disco/`.
const CLIENT_FILE: (&str, &str) = ("client-", ".pem");

/// Issues a certificate to a client, for the key that it has, or for a new one.
pub(crate) fn issue_client(state: &StateDir, root: &Authority, name: &str, validity: Validity) -> Outcome<ClientFiles> {
    let failed = failure("create the client's certificate");
    let (certificate, key) = (format!("client-{name}.pem"), format!("client-{name}.key"));
    let own = PrivateKey::load_or_generate(&state.file(&key)).map_err(|error| failed(&error))?;
    let request = own.signing_request().map_err(|error| failed(&error))?;
    let chain = root.issue_client(&request, name, validity).map_err(|error| failed(&error))?;
    state.write(&certificate, chain.as_bytes())?;
    let issued = CertificateInfo::chain_from_pem(&chain).map_err(|error| failed(&error))?;
    let not_after = issued.first().map(|leaf| leaf.validity.not_after).unwrap_or_default();
    Ok(ClientFiles { certificate, key, not_after })
}

/// The names of the files with clients' certificates in `.disco/`, in order.
pub(crate) fn client_certificates(state: &StateDir) -> Outcome<Vec<String>> {
    let failed = |error: std::io::Error| Failure::io("list", state.path(), &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(state.path()).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_str().filter(|name| name.starts_with(CLIENT_FILE.0) && name.ends_with(CLIENT_FILE.1));
        found.extend(name.map(str::to_owned));
    }
    found.sort_unstable();
    Ok(found)
}

/// Issues the first node's certificate.
pub(super) fn issue_first_node(
    intermediate: &Authority,
    request: &str,
    addresses: &[std::net::IpAddr],
) -> Result<String, disco_identity::AuthorityError> {
    intermediate.issue_node(request, 1, addresses, Validity::lasting(NODE_LIFETIME))
}

/// The login name, restricted to the characters that a certificate may contain.
pub(super) fn operator_name() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let name: String = user.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').take(32).collect();
    if name.is_empty() { "operator".to_owned() } else { name }
}

fn load(state: &StateDir, certificate: &str, key: &str, doing: &str) -> Outcome<Option<Authority>> {
    let (certificate, key) = (state.file(certificate), state.file(key));
    if !certificate.exists() || !key.exists() {
        return Ok(None);
    }
    let failed = failure(doing);
    let certificate = read_limited(&certificate, LONGEST).map_err(|error| failed(&error))?;
    let key = read_private(&key, LONGEST).map_err(|error| failed(&error))?;
    Authority::from_pem(&certificate, &key).map(Some).map_err(|error| failed(&error))
}

fn store(state: &StateDir, authority: &Authority, certificate: &str, key: &str) -> Outcome<()> {
    state.write(key, authority.key_pem().as_bytes())?;
    state.write(certificate, authority.certificate_pem().as_bytes())
}
