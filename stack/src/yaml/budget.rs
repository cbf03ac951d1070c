//! Limits on what a file may hold, so that a small file cannot become a large stack.

/// A stack file has some kilobytes; generated ones with a thousand services stay below a megabyte.
pub(crate) const MOST_BYTES: usize = 4 << 20;
/// Values after all aliases: a service has some fifty.
pub(super) const MOST_VALUES: usize = 200_000;
/// The specification's deepest key has ten levels.
pub(super) const DEEPEST: usize = 64;

/// Counts values as they are made, aliases included.
#[derive(Debug, Default)]
pub(super) struct Budget {
    values: usize,
}

impl Budget {
    /// Takes `count` values from the budget; false where it has no more.
    pub(super) fn take(&mut self, count: usize) -> bool {
        self.values = self.values.saturating_add(count);
        self.values <= MOST_VALUES
    }
}
