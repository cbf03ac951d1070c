//! The arguments of the hidden subcommand. Only Disco itself writes them, so there is no help for them.

use std::ffi::OsString;
use std::path::PathBuf;

use super::MachineError;
use crate::process::ProcessName;

/// Which of the processes around a machine this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The machine.
    Machine,
    /// Starts the machine as nobody's child, and ends.
    Detach,
    /// Waits for the end of the machine.
    Watch(ProcessName),
}

/// `--dir DIR --id ID [--detach | --watch PID,START_TIME]`.
#[derive(Debug)]
pub(super) struct MachineArgs {
    pub(super) dir: PathBuf,
    pub(super) id: String,
    pub(super) part: Part,
}

impl MachineArgs {
    pub(super) fn parse(args: &[OsString]) -> Result<Self, MachineError> {
        let usage = |reason: String| MachineError::Usage { reason };
        let (mut dir, mut id, mut part) = (None, None, Part::Machine);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| usage(format!("`{}` needs a value", arg.display())));
            match arg.to_str() {
                Some("--dir") => dir = Some(PathBuf::from(value()?)),
                Some("--id") => id = value()?.to_str().map(str::to_owned),
                Some("--detach") => part = Part::Detach,
                Some("--watch") => {
                    let text = value()?;
                    let process = text.to_str().and_then(parse_process);
                    part = Part::Watch(process.ok_or_else(|| usage(format!("`{}` is no process", text.display())))?);
                }
                _ => return Err(usage(format!("unknown argument `{}`", arg.display()))),
            }
        }
        Ok(Self {
            dir: dir.ok_or_else(|| usage("`--dir` is missing".to_owned()))?,
            id: id.ok_or_else(|| usage("`--id` is missing".to_owned()))?,
            part,
        })
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
        let args = parse("--dir /d --id local-1 --watch 12,345").unwrap();
        assert_eq!(args.part, Part::Watch(ProcessName { pid: 12, start_time: 345 }));
        assert_eq!(parse("--dir /d --id local-1").unwrap().part, Part::Machine);
    }

    #[test]
    fn refuses_the_rest() {
        for words in
            ["--id local-1", "--dir /d", "--dir /d --id", "--dir /d --id x --what", "--dir /d --id x --watch 1"]
        {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
