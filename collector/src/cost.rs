//! What the stages of a push cost: CPU time by the clock of the thread that spends it, so that waiting costs nothing. To
//! read that clock is a system call, so each stage is timed for one push in 16, by chance, which counts for the rest.

use prometheus_client::metrics::{counter::Counter, family::Family};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::AtomicU64,
    time::Duration,
};

/// One in so many is timed.
const ONE_IN: u32 = 16;

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
    one_in: u32,
}

impl Default for Costs {
    fn default() -> Self {
        Self::timing_one_in(ONE_IN)
    }
}

impl Costs {
    fn timing_one_in(one_in: u32) -> Self {
        let family = Family::<Label, Seconds>::default();
        let sums = Stage::ALL.map(|stage| family.get_or_create_owned(&[("stage", stage.name())]));
        Self { family, sums, one_in }
    }

    /// What is scraped.
    pub fn metric(&self) -> Family<Label, Seconds> {
        self.family.clone()
    }

    /// Does something at the cost of a stage.
    pub fn spend<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        if self.is_timed() { self.time(stage, work) } else { work() }
    }

    /// Does something that waits in between at the cost of a stage.
    pub async fn spend_on<F: Future>(&self, stage: Stage, work: F) -> F::Output {
        if !self.is_timed() {
            return work.await;
        }
        let mut work = pin!(work);
        poll_fn(|context| self.time(stage, || work.as_mut().poll(context))).await
    }

    /// By chance, since stages follow one another in turn.
    fn is_timed(&self) -> bool {
        rand::random_ratio(1, self.one_in)
    }

    fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = spent();
        let done = work();
        let took = spent().saturating_sub(begun);
        self.sums[stage as usize].inc_by((took * self.one_in).as_secs_f64());
        done
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
        let costs = Costs::timing_one_in(1);
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

    #[test]
    fn a_quarter_is_timed_and_counts_four_times() {
        let costs = Costs::timing_one_in(4);
        let timed = (0..4_000).filter(|_push| costs.is_timed()).count();
        // Five standard deviations either way.
        assert!((863..1_137).contains(&timed), "{timed}");

        let worked = costs.time(Stage::Admit, || {
            let begun = spent();
            let sum = (0..1_000_000_u64).fold(1, |sum: u64, n| sum.rotate_left(3) ^ n);
            assert!(std::hint::black_box(sum) != 0);
            spent().saturating_sub(begun)
        });
        let counted = costs.sums[Stage::Admit as usize].get();
        assert!(counted >= 4.0 * worked.as_secs_f64() && !worked.is_zero(), "{counted} for {worked:?}");
    }
}
