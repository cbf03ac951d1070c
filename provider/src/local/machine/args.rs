//! The arguments of the hidden subcommand. Only Disco itself writes them, so there is no help for them.

use std::ffi::OsString;

use super::{MachineError, SUBCOMMAND};
use crate::local::MachineRecord;
use crate::process::ProcessName;

/// The part of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The machine.
    Machine,
    /// Starts the machine as an orphan, and ends.
    Detach,
    /// Waits for the end of the machine.
    Watch(ProcessName),
}

/// `--id ID [--project PROJECT] [--cluster NAME] [--detach | --watch PID,START_TIME]`. The machine's folder is the working
/// directory, which stays valid when it is moved, unlike a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MachineArgs {
    pub(crate) id: String,
    /// The id of the provider's folder. By it [`crate::local::RunningMachine`] knows which machines are of one project.
    pub(crate) project: String,
    /// The cluster's display name.
    pub(crate) cluster: String,
    pub(super) part: Part,
}

impl MachineArgs {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, MachineError> {
        let usage = |reason: String| MachineError::Usage { reason };
        let (mut id, mut project, mut cluster, mut part) = (None, String::new(), String::new(), Part::Machine);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || {
                let value = args.next().ok_or_else(|| usage(format!("`{}` needs a value", arg.display())))?;
                value.to_str().ok_or_else(|| usage(format!("`{}` is not UTF-8", value.display())))
            };
            match arg.to_str() {
                Some("--id") => id = Some(value()?.to_owned()),
                Some("--project") => value()?.clone_into(&mut project),
                Some("--cluster") => value()?.clone_into(&mut cluster),
                Some("--detach") => part = Part::Detach,
                Some("--watch") => {
                    let text = value()?;
                    let process = parse_process(text)
                        .ok_or_else(|| usage(format!("invalid process `{text}`: expected PID,START_TIME")))?;
                    part = Part::Watch(process);
                }
                _ => return Err(usage(format!("unknown argument `{}`", arg.display()))),
            }
        }
        Ok(Self { id: id.ok_or_else(|| usage("`--id` is missing".to_owned()))?, project, cluster, part })
    }

    /// The arguments of the process that starts this machine, and ends.
    pub(crate) fn detached(record: &MachineRecord, project: &str) -> Vec<OsString> {
        let args = Self {
            id: record.id.clone(),
            project: project.to_owned(),
            cluster: record.cluster.clone(),
            part: Part::Detach,
        };
        args.words()
    }

    /// The arguments of another process of the same machine.
    pub(super) fn with(self, part: Part) -> Self {
        Self { part, ..self }
    }

    /// The arguments, with the subcommand first.
    pub(super) fn words(&self) -> Vec<OsString> {
        let named = [("--id", &self.id), ("--project", &self.project), ("--cluster", &self.cluster)];
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        let part = match self.part {
            Part::Machine => Vec::new(),
            Part::Detach => vec!["--detach".to_owned()],
            Part::Watch(process) => vec!["--watch".to_owned(), format!("{},{}", process.pid, process.start_time)],
        };
        let named = named.flat_map(|(name, value)| [name.to_owned(), value.clone()]);
        std::iter::once(SUBCOMMAND.to_owned()).chain(named).chain(part).map(OsString::from).collect()
    }

    /// Whether it is the machine itself.
    pub(crate) fn is_machine(&self) -> bool {
        self.part == Part::Machine
    }
}

fn parse_process(text: &str) -> Option<ProcessName> {
    let (pid, start_time) = text.split_once(',')?;
    Some(ProcessName { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<MachineArgs, MachineError> {
        MachineArgs::parse(&words.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn reads_what_disco_writes() {
        let args = parse("--id local-1 --project ab12 --cluster web --watch 12,345").unwrap();
        assert_eq!(args.part, Part::Watch(ProcessName { pid: 12, start_time: 345 }));
        assert_eq!((args.id.as_str(), args.project.as_str(), args.cluster.as_str()), ("local-1", "ab12", "web"));
        let words = args.words();
        assert_eq!((words[0].to_str(), words.len()), (Some(SUBCOMMAND), 9));
        assert_eq!(MachineArgs::parse(&words[1..]).unwrap().words(), words);
        assert!(parse("--id local-1").unwrap().is_machine());
    }

    #[test]
    fn refuses_the_rest() {
        for words in ["--project ab12", "--id", "--id x --what", "--id x --watch 1"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
