//! Notices: what is wrong with a target now, for `status`, and for the log once. A cheap shared handle.

use peerlight_proto::{
    id::TargetId,
    series::{Family, Path},
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many different notices are told in the log; the status shows the others all the same.
const MAX_TOLD: usize = 1_024;

/// What a notice is about; the next one about the same replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct About {
    /// Which target.
    pub target: TargetId,
    /// Over which family.
    pub family: Family,
    /// By which path.
    pub path: Path,
    /// What of it.
    pub matter: Matter,
}

/// What of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matter {
    /// Who answers in its place.
    Identity,
    /// Where its name leads.
    Address,
    /// How far from here that is.
    Distance,
    /// Whether the proxy leads to it.
    Proxy,
}

/// The notices.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    current: BTreeMap<About, String>,
    told: HashSet<String>,
}

impl Notices {
    /// Notes what holds now; true if this was never said before, so that the log says it once.
    pub fn raise(&self, about: About, text: String) -> bool {
        let mut inner = self.lock();
        let is_new = inner.told.len() < MAX_TOLD && inner.told.insert(text.clone());
        inner.current.insert(about, text);
        is_new
    }

    /// Notes that it holds no longer.
    pub fn clear(&self, about: About) {
        self.lock().current.remove(&about);
    }

    /// What holds now, each once.
    pub fn list(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.lock().current.values().cloned().collect();
        texts.sort_unstable();
        texts.dedup();
        texts
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_new_once_and_stays_until_it_is_cleared() {
        let notices = Notices::default();
        let (target, path) = (TargetId::new([7; 16]), Path::Direct);
        let about = |family| About { target, family, path, matter: Matter::Identity };
        assert!(notices.raise(about(Family::V4), "inspected".to_owned()));
        assert!(!notices.raise(about(Family::V4), "inspected".to_owned()));
        assert!(!notices.raise(about(Family::V6), "inspected".to_owned()));
        assert_eq!(notices.list(), ["inspected"]);
        notices.clear(about(Family::V4));
        assert_eq!(notices.list(), ["inspected"]);
        notices.clear(about(Family::V6));
        assert!(notices.list().is_empty());
        assert!(!notices.raise(about(Family::V4), "inspected".to_owned()));
    }

    #[test]
    fn a_flood_of_different_notices_ends_in_the_log_and_not_in_the_status() {
        let notices = Notices::default();
        let (target, family, path) = (TargetId::new([7; 16]), Family::V4, Path::Direct);
        let about = About { target, family, path, matter: Matter::Address };
        let told = (0..2 * MAX_TOLD).filter(|turn| notices.raise(about, format!("{turn}"))).count();
        assert_eq!((told, notices.list()), (MAX_TOLD, vec![format!("{}", 2 * MAX_TOLD - 1)]));
    }
}
