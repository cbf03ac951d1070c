use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(
    long_about = "Take up a cluster from another computer.\n\nLooks for the machines of the cluster that `client.js` names, at its \
                  provider, or asks the node at ADDRESS. The node must prove that it belongs to the cluster whose root you have \
                  kept: `ca.pem` with `ca.key`, of which a new certificate is made for you here, or with `operator.pem` and \
                  `operator.key`. All of them are in the `.disco/` of whoever made the cluster. Nothing is written before that.",
    after_help = "Examples:\n  disco connect --keys /media/backup/disco\n  disco connect 203.0.113.7 --keys ~/kept --ssh-key \
                  ~/.ssh/id_ed25519"
)]
pub(crate) struct ConnectArgs {
    /// A node: a name or an address, with a port where it is not 5080.
    #[arg(value_name = "ADDRESS")]
    pub(crate) node: Option<String>,

    /// The folder with what you have kept [default: the project's `.disco`].
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,

    /// The operator's private SSH key, for `node ssh` and `bootstrap` [default: `id_ed25519` in the project or beside the kept keys].
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Option<PathBuf>,

    /// Say what would be written, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
