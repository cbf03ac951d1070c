use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(
    long_about = "Operate an existing cluster from this computer.\n\nConnects to the node at ADDRESS or, without ADDRESS, to the \
                  machines that the provider in `client.js` lists. The node must prove that it belongs to the cluster of your saved \
                  keys: either `ca.pem` and `ca.key`, which sign a new operator certificate here, or `ca.pem`, `operator.pem` and \
                  `operator.key`. All of them are in the `.disco/` folder that the cluster was created from. Nothing is written \
                  before the proof succeeds.",
    after_help = "Examples:\n  disco connect --keys /media/backup/disco\n  disco connect 203.0.113.7 --keys ~/kept --ssh-key \
                  ~/.ssh/id_ed25519"
)]
pub(crate) struct ConnectArgs {
    /// Host name or IP address of a node, with a port unless it is 5080.
    #[arg(value_name = "ADDRESS")]
    pub(crate) node: Option<String>,

    /// Folder with the saved keys [default: the project's `.disco`].
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,

    /// The operator's private SSH key, for `node ssh` and `bootstrap` [default: `id_ed25519` in the project or in the keys' folder].
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Option<PathBuf>,

    /// Print what would be written, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
