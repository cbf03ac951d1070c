use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Show the certificates in use: of the root, the signing key, this operator, and each node.
    #[command(
        after_help = "Examples:\n  disco cert status\n  disco cert status -o json | jq '.[] | select(.state != \"valid\")'\n\n\
                            Exit codes: 1 where one has expired, 4 where no node's is known."
    )]
    Status,
    /// Renew certificates now, while the cluster runs; nodes do so by themselves when a third of the time is left.
    Rotate(CertRotateArgs),
    /// Sign for a node whose certificate has expired and that cannot be reached over SSH.
    Sign(CertSignArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco cert rotate\n  disco cert rotate web-2\n  disco cert rotate --operator\n  \
                        disco cert rotate --signing-key\n  disco cert rotate --expired\n\nWithout arguments, all nodes get a new \
                        certificate, one after the other. `--operator`, `--signing-key` and `--expired` need the cluster's root, \
                        `.disco/ca.key`.")]
pub(crate) struct CertRotateArgs {
    /// Only these nodes, by id or name.
    #[arg(value_name = "NODE", add = clap_complete::ArgValueCandidates::new(crate::project::known_nodes))]
    pub(crate) nodes: Vec<String>,

    /// Sign this operator's own certificate anew.
    #[arg(long)]
    pub(crate) operator: bool,

    /// Replace the key that nodes' certificates are signed with; all nodes get a new one.
    #[arg(long, conflicts_with = "nodes")]
    pub(crate) signing_key: bool,

    /// Bring back nodes whose certificates have expired, over SSH: all of them, or those that are named.
    #[arg(long, conflicts_with_all = ["operator", "signing_key"])]
    pub(crate) expired: bool,

    /// Say what would be done, and do nothing.
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
    /// What `discod identity show` has printed on the node; `-` reads it from standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}
