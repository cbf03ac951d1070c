use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// A timer on the clock of [`crate::boottime_ms`], which goes on while the machine sleeps.
pub struct Timer {
    descriptor: OwnedFd,
    set_to: Option<u64>,
}

impl Timer {
    pub fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { descriptor: timerfd_create(TimerfdClockId::Boottime, flags)?, set_to: None })
    }

    /// Makes the timer readable once the clock reaches this value, in milliseconds; never for `None`.
    pub fn set(&mut self, at: Option<u64>) -> std::io::Result<()> {
        // A timer that has gone off stays readable until it is set again, so only a timer of the future needs no call.
        if self.set_to == at && at.is_none_or(|at| at > crate::boottime_ms()) {
            return Ok(());
        }
        // A value of zero would mean never.
        let milliseconds = at.map_or(0, |at| at.clamp(1, i64::MAX.cast_unsigned())).cast_signed();
        let value = Timespec { tv_sec: milliseconds / 1_000, tv_nsec: milliseconds % 1_000 * 1_000_000 };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(
            &self.descriptor,
            TimerfdTimerFlags::ABSTIME,
            &Itimerspec { it_interval: never, it_value: value },
        )?;
        self.set_to = at;
        Ok(())
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
