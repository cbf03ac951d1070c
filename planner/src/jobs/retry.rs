//! What becomes of a run beside another run, and of a run that failed.

use std::time::Duration;

/// The pause before the first retry; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause before a retry.
const LONGEST: Duration = Duration::from_secs(300);

/// What a tick does while an earlier run is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Forbid,
    /// It begins a run beside the other.
    Allow,
    /// It ends the other, and begins a run once that is over.
    Replace,
}

/// What a new run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It begins.
    Begins,
    /// It does not.
    Skipped,
    /// It begins when the others have been ended.
    Replaces,
}

/// Whether a run begins while so many others are not over.
#[must_use]
pub const fn admit(overlap: Overlap, open: usize) -> Admission {
    match overlap {
        _ if open == 0 => Admission::Begins,
        Overlap::Forbid => Admission::Skipped,
        Overlap::Allow => Admission::Begins,
        Overlap::Replace => Admission::Replaces,
    }
}

/// The pause before a run is tried again after so many failures; `None`: it has failed.
#[must_use]
pub fn pause_after(failures: u32, retries: u32) -> Option<Duration> {
    if failures > retries {
        return None;
    }
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    Some(FIRST.saturating_mul(doubled).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_beside_another_one_is_as_the_job_says() {
        for overlap in [Overlap::Forbid, Overlap::Allow, Overlap::Replace] {
            assert_eq!(admit(overlap, 0), Admission::Begins);
        }
        let beside = [Overlap::Forbid, Overlap::Allow, Overlap::Replace].map(|overlap| admit(overlap, 2));
        assert_eq!(beside, [Admission::Skipped, Admission::Begins, Admission::Replaces]);
    }

    #[test]
    fn pauses_double_and_the_retries_end() {
        let seconds = |failures, retries| pause_after(failures, retries).map(|pause| pause.as_secs());
        assert_eq!([1, 2, 3, 4].map(|failures| seconds(failures, 3)), [Some(1), Some(2), Some(4), None]);
        assert_eq!(seconds(1, 0), None);
        assert_eq!(seconds(60, 100), Some(300));
    }
}
