use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Show the certificates in use: root, signing key, this operator, clients and each node.
    #[command(
        after_help = "Examples:\n  disco cert status\n  disco cert status -o json | jq '.[] | select(.state != \"valid\")'\n\n\
                            Exit codes: 1 if a certificate has expired, 4 if no node's certificate is known."
    )]
    Status,
    /// Renew certificates now, without downtime; nodes renew theirs when a third of the lifetime is left.
    Rotate(CertRotateArgs),
    /// Make a certificate for a client of etcd's API, which may use the keys and nothing else.
    Client(CertClientArgs),
    /// Sign a new certificate for a node that has expired and cannot be reached over SSH.
    Sign(CertSignArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco cert rotate\n  disco cert rotate web-2\n  disco cert rotate --operator\n  \
                        disco cert rotate --signing-key\n  disco cert rotate --expired\n\nWithout arguments, renews the certificates \
                        of all nodes, one after the other. `--operator`, `--signing-key` and `--expired` need the cluster's root key, \
                        `.disco/ca.key`.")]
pub(crate) struct CertRotateArgs {
    /// Renew only these nodes, by id or name [default: all].
    #[arg(value_name = "NODE", add = clap_complete::ArgValueCandidates::new(crate::project::known_nodes))]
    pub(crate) nodes: Vec<String>,

    /// Renew this operator's certificate.
    #[arg(long)]
    pub(crate) operator: bool,

    /// Replace the key that signs the nodes' certificates, then renew all of them.
    #[arg(long, conflicts_with = "nodes")]
    pub(crate) signing_key: bool,

    /// Renew expired certificates over SSH: of all nodes, or of the named ones.
    #[arg(long, conflicts_with_all = ["operator", "signing_key"])]
    pub(crate) expired: bool,

    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  disco cert client billing\n  disco cert client billing --days 30 -o json\n\nWrites the files \
                        `.disco/client-NAME.pem` and `.disco/client-NAME.key`; again, it renews the certificate for the same key. \
                        Needs the cluster's root key, `.disco/ca.key`."
)]
pub(crate) struct CertClientArgs {
    /// Name of the client: 1 to 64 letters, digits and `._@-`.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Number of days for which the certificate is valid.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
    pub(crate) days: u64,

    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  on the node, as root:  discod identity show --data-dir /var/lib/disco > node.json\n  here:  \
                        disco cert sign node.json > node.pem\n  on the node, as root:  discod identity renew --data-dir \
                        /var/lib/disco < node.pem"
)]
pub(crate) struct CertSignArgs {
    /// Output of `discod identity show` on the node; `-` reads standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}
