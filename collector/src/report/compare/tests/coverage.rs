//! How often intervals hold the truth: a thousand simulated comparisons each, in which quarter hours are as alike as they
//! are on real paths. Rates below 93 % would say more than the data do, above 97 % less.

use super::super::{
    loss_difference::{Lost, difference},
    shift::{FEWEST_DAYS, median, shift},
};
use peerlight_proto::histogram::{bucket_of, highest_of};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use statrs::distribution::{ContinuousCDF as _, Normal};

const RUNS: u32 = 1_000;
/// Quarter hours of a day.
const CELLS: u32 = 96;
/// What a quarter hour keeps of the one before: a time constant of three hours.
const KEPT: f64 = 0.92;

/// One provider's path: a slow process, the evening's load, and congestion that comes and stays for hours.
struct Path {
    least_ms: f64,
    slow: f64,
    congestion_ms: f64,
}

impl Path {
    fn new(least_ms: f64, random: &mut StdRng) -> Self {
        Self { least_ms, slow: normal(random), congestion_ms: 0.0 }
    }

    /// The median of the next quarter hour as a histogram tells it.
    fn next(&mut self, quarter: u32, random: &mut StdRng) -> f64 {
        self.slow = KEPT * self.slow + (1.0 - KEPT * KEPT).sqrt() * normal(random);
        if self.congestion_ms > 0.0 {
            self.congestion_ms = if random.random_bool(0.12) { 0.0 } else { self.congestion_ms };
        } else if random.random_bool(0.01) {
            self.congestion_ms = random.random_range(2.0..30.0);
        }
        let evening = if (72..92).contains(&quarter) { 1.5 } else { 0.0 };
        let ms = self.least_ms + 3.0 * (0.5 * self.slow).exp() + evening + self.congestion_ms;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some milliseconds")]
        let us = (ms * 1_000.0) as u64;
        #[expect(clippy::cast_precision_loss, reason = "some milliseconds")]
        let ms = highest_of(bucket_of(us)) as f64 / 1_000.0;
        ms
    }
}

fn normal(random: &mut StdRng) -> f64 {
    Normal::standard().inverse_cdf(random.random_range(1e-9..1.0))
}

/// What the days of both providers differ by, in milliseconds.
fn simulated(days: usize, truth_ms: f64, seed: u32) -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(u64::from(seed));
    let (mut one, mut other) = (Path::new(20.0 + truth_ms, &mut random), Path::new(20.0, &mut random));
    (0..days)
        .map(|_day| {
            let difference = |quarter| one.next(quarter, &mut random) - other.next(quarter, &mut random);
            median(&mut (0..CELLS).map(difference).collect::<Vec<_>>()).unwrap()
        })
        .collect()
}

#[test]
fn the_interval_of_the_shift_holds_the_truth_as_often_as_it_says() {
    const TRUTH_MS: f64 = 4.0;
    let runs: Vec<_> = (0..RUNS).map(|seed| simulated(14, TRUTH_MS, seed)).collect();
    // With six days 96.9 % is the least that there is above 95 %: conservative by nature.
    for (days, most) in [(FEWEST_DAYS, 1_000), (7, 970), (14, 970)] {
        let holds = |run: &&Vec<f64>| {
            let shift = shift(&run[..days]).unwrap();
            (shift.low..=shift.high).contains(&TRUTH_MS)
        };
        let covered = runs.iter().filter(holds).count();
        println!("{days} days: {covered} of {RUNS}");
        assert!((930..=most).contains(&covered), "{days} days: {covered}");
    }
}

#[test]
fn the_interval_of_the_difference_of_losses_holds_the_truth_as_often_as_it_says() {
    for (one, other, probes) in [(0.05, 0.02, 600_u64), (0.2, 0.2, 300), (0.01, 0.005, 3_000)] {
        let mut random = StdRng::seed_from_u64(probes);
        let lose = |share: f64, random: &mut StdRng| Lost {
            lost: (0..probes).filter(|_| random.random_bool(share)).count() as u64,
            of: probes,
        };
        let covered = (0..RUNS).filter(|_| {
            let (mine, theirs) = (lose(one, &mut random), lose(other, &mut random));
            let found = difference(mine, theirs).unwrap();
            (found.low..=found.high).contains(&(one - other))
        });
        let covered = covered.count();
        println!("{one} against {other}: {covered} of {RUNS}");
        assert!((930..=970).contains(&covered), "{one} against {other}: {covered}");
    }
}
