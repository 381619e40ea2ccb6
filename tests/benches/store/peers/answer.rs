//! A peer's answer, and whether it is right.

use crate::workload::Truth;
use anyhow::{Context as _, bail, ensure};
use peerlight_proto::histogram::{Histogram, nearest_rank};

/// The percentiles that are asked for.
pub(super) const PERMILLES: [u32; 5] = [500, 900, 950, 990, 999];

/// What a peer says of a group of provider, location and target.
pub(super) struct Answer {
    pub(super) group: (String, String, String),
    pub(super) answered: u64,
    pub(super) lost: u64,
    pub(super) percentiles: [Percentile; 5],
}

/// A percentile as far as the peer can tell it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Percentile {
    /// The bucket that it lies in.
    Bucket(u16),
    /// A time within that bucket, or at its edges.
    Micros(f64),
}

/// Every group's counts must be those of the truth, and every percentile must lie in the bucket of its nearest rank.
pub(super) fn compare(answers: &[Answer], truth: &Truth) -> anyhow::Result<()> {
    ensure!(answers.len() == truth.len(), "{} groups, but {} were generated", answers.len(), truth.len());
    for answer in answers {
        let group = &answer.group;
        let (scheduled, histogram) = truth.get(group).with_context(|| format!("no such group: {group:?}"))?;
        let lost = scheduled - histogram.count();
        if (answer.answered, answer.lost) != (histogram.count(), lost) {
            bail!(
                "{group:?}: {} answered and {} lost in the place of {} and {lost}",
                answer.answered,
                answer.lost,
                histogram.count()
            );
        }
        for (permille, told) in PERMILLES.into_iter().zip(answer.percentiles) {
            let bucket = bucket_at(histogram, nearest_rank(histogram.count(), permille));
            let right = match told {
                Percentile::Bucket(told) => Some(told) == bucket,
                Percentile::Micros(told) => bucket.is_some_and(|bucket| within(told, bucket)),
            };
            ensure!(right, "{group:?}: {told:?} at {permille} permille in the place of bucket {bucket:?}");
        }
    }
    Ok(())
}

/// Whether a time lies in a bucket, but for the rounding of a quotient.
fn within(micros: f64, bucket: u16) -> bool {
    use peerlight_proto::histogram::{highest_of, lowest_of};
    let (low, high) = (lowest_of(bucket) as f64, highest_of(bucket) as f64 + 1.0);
    (low - low * 1e-9..=high + high * 1e-9).contains(&micros)
}

fn bucket_at(histogram: &Histogram, rank: u64) -> Option<u16> {
    let mut below = 0;
    histogram.buckets().iter().find_map(|(bucket, count)| {
        below += count;
        (below >= rank).then_some(*bucket)
    })
}
