//! The way of strays to whoever counts them: bounded, and what does not fit is counted here.

use crate::sample::Stray;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::mpsc;

/// How many strays may wait to be counted.
const CAPACITY: usize = 1_024;

/// Where the engines report strays. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Strays {
    sender: mpsc::Sender<Stray>,
    dropped: Arc<AtomicU64>,
}

impl Strays {
    /// A way with its end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Stray>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self { sender, dropped: Arc::default() }, receiver)
    }

    /// Reports one, or counts that it could not be.
    pub(crate) fn report(&self, stray: Stray) {
        if self.sender.try_send(stray).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many could not be reported.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerlight_proto::{id::TargetId, metric::Metric, series::Family};

    #[test]
    fn what_does_not_fit_is_counted() {
        let (strays, _receiver) = Strays::new();
        let stray = Stray {
            target: TargetId::new([0; 16]),
            metric: Metric::IcmpRtt,
            family: Family::V4,
            duplicate: true,
        };
        for _ in 0..CAPACITY + 3 {
            strays.report(stray);
        }
        assert_eq!(strays.dropped(), 3);
    }
}
