//! That this node's machine will be taken away, as its provider has announced it. In memory alone: whoever starts again asks
//! again.

use parking_lot::RwLock;

/// What is announced about this node's machine.
#[derive(Debug, Default)]
pub struct Retirement {
    notice: RwLock<Option<String>>,
}

impl Retirement {
    /// Why and when the machine goes, in words; none where nothing is announced.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        self.notice.read().clone()
    }

    /// Takes what is announced now. True when that is news.
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
