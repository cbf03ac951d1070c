//! Wake-ups of the leader's controllers: state outside of the store has changed.

use tokio::sync::watch;

/// Wakes all listeners.
#[derive(Debug)]
pub struct WakeUps {
    count: watch::Sender<u64>,
}

/// The listener of one controller. A wake-up during the controller's work is retained for it; several count as one.
#[derive(Debug)]
pub struct Woken {
    count: watch::Receiver<u64>,
}

// === impl WakeUps ===

impl Default for WakeUps {
    fn default() -> Self {
        Self { count: watch::Sender::new(0) }
    }
}

impl WakeUps {
    /// Wakes the current listeners, each as soon as it waits.
    pub fn wake(&self) {
        self.count.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Creates a listener.
    #[must_use]
    pub fn listen(&self) -> Woken {
        Woken { count: self.count.subscribe() }
    }
}

// === impl Woken ===

impl Woken {
    /// Returns at the next wake-up, immediately if one has come since the last return. Dropping the future loses none.
    pub async fn next(&mut self) {
        if self.count.changed().await.is_err() {
            // No sender is left.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_wake_up_during_work_is_retained() {
        let wake_ups = WakeUps::default();
        let (mut busy, mut waiting) = (wake_ups.listen(), wake_ups.listen());
        assert!(busy.next().now_or_never().is_none(), "what is woken for was already seen");
        let mut wait = Box::pin(busy.next());
        assert!(wait.as_mut().now_or_never().is_none());
        wake_ups.wake();
        wake_ups.wake();
        // A wait that is cancelled for another reason consumes nothing.
        drop(wait);
        assert!(busy.next().now_or_never().is_some());
        assert!(busy.next().now_or_never().is_none(), "two wake-ups are one look");
        assert!(waiting.next().now_or_never().is_some(), "each who listens is woken");
    }
}
