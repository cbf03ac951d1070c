//! The log of the daemon's previous run, as its supervisor keeps it on the machine.

/// Words with which a supervisor notes the end of the daemon: Disco's own, and systemd.
const ENDS: [&str; 3] = ["supervisor: the program ended", ": Main process exited, ", ": Deactivated successfully"];

/// The last `lines` lines of the run before the present one, with the line that says how it ended; `None` if the log has no end of a
/// run.
pub(super) fn previous_run(log: &str, lines: usize) -> Option<Vec<&str>> {
    let all: Vec<&str> = log.lines().collect();
    let is_end = |line: &&str| ENDS.iter().any(|words| line.contains(words));
    let end = all.iter().rposition(is_end)?;
    let begin = all[..end].iter().rposition(is_end).map_or(0, |before| before + 1);
    let begin = begin.max((end + 1).saturating_sub(lines));
    Some(all[begin..=end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPERVISED: &str = "\
2026-11-30T12:00:00Z  INFO discod: started
supervisor: the program ended: signal: 9 (SIGKILL)
2026-11-30T12:00:01Z  INFO discod: started
thread 'main' panicked at src/main.rs:1:1:
supervisor: the program ended: signal: 6 (SIGABRT)
2026-11-30T12:00:02Z  INFO discod: started
";

    #[test]
    fn the_run_before_the_present_one_ends_with_how_it_ended() {
        let run = previous_run(SUPERVISED, 100).expect("a run has ended");
        assert_eq!(run.len(), 3, "{run:?}");
        assert!(run[0].contains("12:00:01Z") && run[1].contains("panicked") && run[2].contains("signal: 6"), "{run:?}");
        assert_eq!(previous_run(SUPERVISED, 2).expect("the same"), run[1..]);
        assert_eq!(previous_run("2026-11-30T12:00:00Z  INFO discod: started\n", 100), None);
    }

    #[test]
    fn systemd_notes_the_end_in_the_units_journal() {
        let journal = "Started disco.service - Disco node.\n INFO discod: started\ndisco.service: Main process exited, \
                       code=killed, status=9/KILL\nStarted disco.service - Disco node.\n INFO discod: started again\n";
        let run = previous_run(journal, 100).expect("a run has ended");
        assert!(run.len() == 3 && run[2].contains("status=9/KILL"), "{run:?}");
    }
}
