//! The provider's announcement that it will take this node's machine away. In memory only: after a restart the node
//! polls it again.

use parking_lot::RwLock;

/// The announcement about this node's machine.
#[derive(Debug, Default)]
pub struct Retirement {
    notice: RwLock<Option<String>>,
}

impl Retirement {
    /// Why and when the machine goes, as a text; none if nothing is announced.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        self.notice.read().clone()
    }

    /// Sets the current announcement. True if it has changed.
    pub fn set(&self, notice: Option<String>) -> bool {
        let mut known = self.notice.write();
        let news = *known != notice;
        *known = notice;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_announcement_is_news_once() {
        let retirement = Retirement::default();
        assert!(!retirement.set(None));
        assert!(retirement.set(Some("soon".into())) && !retirement.set(Some("soon".into())));
        assert_eq!(retirement.notice().as_deref(), Some("soon"));
        assert!(retirement.set(None) && retirement.notice().is_none());
    }
}
