//! What the stages of a push cost: CPU time by the clock of the thread that spends it, so that waiting costs nothing.

use prometheus_client::metrics::{counter::Counter, family::Family};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::AtomicU64,
    time::Duration,
};

/// One label with a value of a closed set.
type Label = [(&'static str, &'static str); 1];
type Seconds = Counter<f64, AtomicU64>;

/// A part of what a push takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The handshake.
    Tls,
    /// Who signed, and whether the body is the one that was signed.
    Signature,
    /// From bytes to a batch.
    Decode,
    /// What of it may be stored, and whose it is.
    Admit,
    /// Signing the answer.
    Answer,
}

impl Stage {
    /// All of them, in the order in which a push passes them.
    pub const ALL: [Self; 5] = [Self::Tls, Self::Signature, Self::Decode, Self::Admit, Self::Answer];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Signature => "signature",
            Self::Decode => "decode",
            Self::Admit => "admit",
            Self::Answer => "answer",
        }
    }
}

/// Adds up what stages cost; clones share their sums.
#[derive(Debug, Clone)]
pub struct Costs {
    family: Family<Label, Seconds>,
    sums: [Seconds; Stage::ALL.len()],
}

impl Default for Costs {
    fn default() -> Self {
        let family = Family::<Label, Seconds>::default();
        let sums = Stage::ALL.map(|stage| family.get_or_create_owned(&[("stage", stage.name())]));
        Self { family, sums }
    }
}

impl Costs {
    /// What is scraped.
    pub fn metric(&self) -> Family<Label, Seconds> {
        self.family.clone()
    }

    /// Does something at the cost of a stage.
    pub fn spend<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = spent();
        let done = work();
        self.sums[stage as usize].inc_by(spent().saturating_sub(begun).as_secs_f64());
        done
    }

    /// Does something that waits in between at the cost of a stage.
    pub async fn spend_on<F: Future>(&self, stage: Stage, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| self.spend(stage, || work.as_mut().poll(context))).await
    }
}

/// The CPU time of this thread so far; none where the system does not tell.
fn spent() -> Duration {
    #[cfg(unix)]
    let spent = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default();
    #[cfg(not(unix))]
    let spent = Duration::ZERO;
    spent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_costs_nothing_and_work_costs_its_own_stage() {
        let costs = Costs::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime
            .block_on(costs.spend_on(Stage::Tls, async {
                // Another thread works meanwhile.
                tokio::task::spawn_blocking(|| {
                    (0..20_000_000_u64).fold(1, |sum: u64, n| sum.rotate_left(3) ^ n)
                })
                .await
            }))
            .unwrap();
        let before = costs.sums[Stage::Decode as usize].get();
        let sum =
            costs.spend(Stage::Decode, || (0..5_000_000_u64).fold(1, |sum: u64, n| sum.rotate_left(3) ^ n));
        let worked = costs.sums[Stage::Decode as usize].get() - before;
        assert!(sum != 0 && worked > 0.0, "{worked}");
        assert!(costs.sums[Stage::Tls as usize].get() < worked, "{costs:?}");
    }
}
