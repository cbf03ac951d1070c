//! The command line of `discod`.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use jiff::SignedDuration;

use crate::raft::Pace;

/// The Disco daemon: one on each node of a cluster.
#[derive(Debug, Parser)]
#[command(name = "discod", version, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub daemon: Option<DaemonArgs>,
}

impl Cli {
    /// Parses the command line of this process and exits if it is invalid.
    ///
    /// Environment variables of the daemon may also be set where another command runs; they apply to the daemon only.
    #[must_use]
    pub fn read() -> Self {
        let matches = Self::command().get_matches();
        let read = match matches.subcommand_name() {
            Some(_) => Command::from_arg_matches(&matches).map(|command| Self { command: Some(command), daemon: None }),
            None => Self::from_arg_matches(&matches),
        };
        read.unwrap_or_else(|error| error.exit())
    }
}

/// How to run the daemon. Every flag can also be given as an environment variable.
#[derive(Args, Clone, Debug)]
pub struct DaemonArgs {
    /// Folder for everything that the node stores: log, snapshots, identity
    #[arg(long, env = "DISCOD_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Address and port to serve on, `IP:PORT`
    #[arg(long, env = "DISCOD_LISTEN", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Address and port at which other nodes reach this one, if it differs from `--listen`
    #[arg(long, env = "DISCOD_ADVERTISE", value_name = "ADDR")]
    pub advertise: Option<SocketAddr>,
    /// IP address at which operators reach this node from outside, if it differs from `--advertise`
    #[arg(long, env = "DISCOD_PUBLIC_ADDRESS", value_name = "IP")]
    pub public_address: Option<IpAddr>,
    /// Name of the node; the cluster chooses one by default
    #[arg(long, env = "DISCOD_NAME")]
    pub name: Option<String>,
    /// File with the token by which a new node joins its cluster
    #[arg(long, env = "DISCOD_JOIN_TOKEN_FILE", value_name = "FILE")]
    pub join_token_file: Option<PathBuf>,
    /// How fast the cluster notices a dead leader: slower tolerates longer stalls
    #[arg(long, env = "DISCOD_RAFT_PACE", value_parser = pace(), default_value_t = Pace::Default)]
    pub raft_pace: Pace,
    /// The provider's id of the machine
    #[arg(long = "instance", env = "DISCOD_INSTANCE", value_name = "INSTANCE")]
    pub machine: Option<String>,
    /// Label of the node, `KEY=VALUE`; may be given several times
    #[arg(long = "label", env = "DISCOD_LABELS", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Time between two backups that the node makes by itself while it is a voter, such as `30m` or `6h`; `0` for none
    #[arg(long, env = "DISCOD_BACKUP_INTERVAL", value_name = "TIME", default_value = "1h", value_parser = interval)]
    pub backup_interval: Duration,
    /// Number of these backups to retain
    #[arg(
        long,
        env = "DISCOD_BACKUP_KEEP",
        value_name = "COUNT",
        default_value_t = 24,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub backup_keep: u32,
    /// Address and port at which anyone may read the node's metrics by HTTP, `IP:PORT`; a socket in the data folder has them always
    #[arg(long, env = "DISCOD_METRICS_LISTEN", value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
    /// Log filter, such as `info` or `discod=debug,openraft=info`
    #[arg(long, env = "DISCOD_LOG", default_value = crate::local::LOG_FILTER)]
    pub log: String,
}

/// Commands of `discod` other than running the daemon.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make, show, install and renew the identity of a node
    #[command(hide = true, subcommand)]
    Identity(IdentityCommand),
    /// Keep the daemon running where there is no systemd
    #[command(hide = true, disable_help_flag = true)]
    Supervise {
        /// As passed by the installer
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Report an unexpected end of the daemon to the cluster
    #[command(hide = true, name = disco_provider::supervise::REPORT_SUBCOMMAND)]
    ReportEnd(ReportEndArgs),
    /// Run one task: its specification is read from standard input, what becomes of it is written to the folder
    #[command(hide = true)]
    Shim {
        /// The task's own folder, which need not exist
        folder: PathBuf,
    },
    /// Run one command that checks a task: read from standard input, with its result on standard output
    #[command(hide = true)]
    Probe,
    /// Run one program beside a task: read from standard input, with its output on standard output
    #[command(hide = true)]
    Session,
    /// End all tasks of a node whose daemon does not run
    #[command(hide = true, name = disco_provider::END_TASKS_SUBCOMMAND)]
    EndTasks {
        /// The node's data folder
        data_dir: PathBuf,
    },
    /// Run a machine of the local provider
    #[command(hide = true, disable_help_flag = true)]
    Machine {
        /// As passed by the provider
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Arguments passed by the supervisor or by systemd's `ExecStopPost=`.
#[derive(Args, Debug)]
pub struct ReportEndArgs {
    /// The service's folder
    #[arg(long)]
    pub dir: PathBuf,
    /// systemd is the caller and reports in the environment how the daemon ended
    #[arg(long)]
    pub systemd: bool,
    /// The daemon's own arguments
    #[arg(last = true)]
    pub daemon: Vec<OsString>,
}

impl ReportEndArgs {
    /// The daemon's arguments, with its variables.
    ///
    /// # Errors
    /// The daemon would reject them.
    pub fn daemon(&self) -> Result<DaemonArgs, clap::Error> {
        let words = std::iter::once(OsString::from("discod")).chain(self.daemon.iter().cloned());
        let matches = Cli::command().try_get_matches_from(words)?;
        DaemonArgs::from_arg_matches(&matches)
    }
}

/// Steps of the installer on the first node, and of recovering nodes whose certificates have expired.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Print a signing request for this node's key; creates the key if missing
    Request {
        /// The node's data folder
        #[arg(long, env = "DISCOD_DATA_DIR")]
        data_dir: PathBuf,
        /// Address that the certificate must name
        #[arg(long, env = "DISCOD_ADVERTISE")]
        advertise: Option<SocketAddr>,
    },
    /// Read the signed identity from standard input
    Install {
        /// The node's data folder
        #[arg(long, env = "DISCOD_DATA_DIR")]
        data_dir: PathBuf,
    },
    /// Print the node's identity, its certificate and a signing request as JSON, which `disco cert sign` reads
    Show {
        /// The node's data folder
        #[arg(long, env = "DISCOD_DATA_DIR")]
        data_dir: PathBuf,
    },
    /// Read a new certificate from standard input; a running daemon uses it within seconds
    Renew {
        /// The node's data folder
        #[arg(long, env = "DISCOD_DATA_DIR")]
        data_dir: PathBuf,
    },
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("invalid label `{text}`: expected KEY=VALUE")),
    }
}

fn pace() -> impl TypedValueParser<Value = Pace> {
    PossibleValuesParser::new(Pace::ALL.map(Pace::as_str)).try_map(|text| text.parse::<Pace>())
}

/// A duration with its unit, or a number of seconds.
fn interval(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let time: Option<SignedDuration> = text.parse().ok();
    time.and_then(|time| Duration::try_from(time).ok())
        .ok_or_else(|| "expected a time such as `30m` or `6h`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_reported_with_the_daemons_own_arguments() {
        let words = ["discod", "report-end", "--dir", ".", "--", "--data-dir", "../data", "--listen", "127.0.0.1:5080"];
        let cli = Cli::try_parse_from(words).unwrap();
        let Some(Command::ReportEnd(args)) = cli.command else { panic!("{cli:?}") };
        assert!(!args.systemd);
        assert_eq!(args.daemon().unwrap().data_dir, PathBuf::from("../data"));
    }

    #[test]
    fn intervals_carry_a_unit_or_are_seconds() {
        assert_eq!(interval("6h"), Ok(Duration::from_secs(6 * 3600)));
        assert_eq!(interval("90"), Ok(Duration::from_secs(90)));
        assert_eq!(interval("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(interval("0"), Ok(Duration::ZERO));
        for bad in ["", "-1s", "soon", "5 parsecs"] {
            assert!(interval(bad).is_err(), "`{bad}` was taken");
        }
    }
}
