//! Named instants at which a test may kill this process: what a power cut does, at the worst moments.

/// Every point, for the test that kills at each.
pub const CRASH_POINTS: [&str; 17] = [
    "before-ledger",
    "before-batch",
    "after-batch",
    "before-commit",
    "after-commit",
    "before-fold-commit",
    "after-fold-commit",
    "before-sweep-commit",
    "after-sweep-commit",
    "rollup-written",
    "after-rollup-commit",
    "before-expiry-commit",
    "after-expiry-commit",
    "reattribution-written",
    "before-reattribution-commit",
    "after-reattribution-commit",
    "backup-copied",
];

/// Ends the process at once if the environment's `PEERLIGHT_CRASH_AT` names this point, as `NAME` or `NAME:N` for the
/// N-th time that it is passed. Does nothing unless the crate is built with the feature `crash-points`.
#[cfg(feature = "crash-points")]
pub(crate) fn crash_point(name: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("PEERLIGHT_CRASH_AT").ok()?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), count.parse().ok()?))
    });
    if let Some((point, count)) = chosen
        && point == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        std::process::abort();
    }
}

/// Nothing: the crate is built without the feature `crash-points`.
#[cfg(not(feature = "crash-points"))]
pub(crate) const fn crash_point(_name: &str) {}
