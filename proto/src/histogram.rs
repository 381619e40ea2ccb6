//! Histograms of latencies: fixed log-linear buckets that are exactly HdrHistogram's at unit 1 µs and two significant
//! digits, so that a bucket id is a `u16` that any engine can merge by adding counts.
//!
//! A bucket is at most 1/128 (0.78 %) of its value wide. Count, sum, smallest and largest value stand beside it exactly.
//! The encoding is documented to the bit in `peerlight.proto`.

use std::time::Duration;

/// The highest value that is kept apart; beyond it values are clamped and counted as overflow: 60 s in microseconds.
pub const MAX_VALUE_US: u64 = 60_000_000;
/// The bucket of [`MAX_VALUE_US`].
pub const MAX_BUCKET: u16 = bucket_of(MAX_VALUE_US);
/// How many buckets there are.
pub const BUCKETS: usize = MAX_BUCKET as usize + 1;

/// A distribution of times in microseconds. Merging is associative and commutative.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// Ascending bucket ids with their counts, none of them zero.
    buckets: Vec<(u16, u64)>,
    sum_us: u64,
    min_us: u64,
    max_us: u64,
    overflow: u64,
}

/// Bytes or numbers that no histogram encodes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HistogramError {
    /// The bytes end inside a varint.
    #[error("the histogram's bytes end inside a number")]
    Truncated,
    /// A varint is longer than needed or beyond 64 bits.
    #[error("a number in the histogram is not minimal or is too large")]
    Varint,
    /// Bucket ids do not ascend, or pass the last bucket.
    #[error("a bucket id does not ascend or lies beyond 60 s")]
    Bucket,
    /// A count of zero, a count of one written out, or counts that add up beyond 64 bits.
    #[error("a bucket's count is zero, not minimal, or too large")]
    Count,
    /// Sum, minimum, maximum or overflow contradict the buckets.
    #[error("sum, minimum, maximum or overflow contradict the buckets")]
    Summary,
}

/// The bucket of a value in microseconds; values beyond [`MAX_VALUE_US`] fall into the last bucket.
pub const fn bucket_of(value_us: u64) -> u16 {
    let value = if value_us > MAX_VALUE_US { MAX_VALUE_US } else { value_us };
    let shift = 56 - (value | 0xff).leading_zeros();
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_BUCKET for values up to MAX_VALUE_US")]
    {
        ((((shift as u64) + 1) << 7) + (value >> shift) - 128) as u16
    }
}

/// The lowest value of a bucket, in microseconds.
pub const fn lowest_of(bucket: u16) -> u64 {
    let id = bucket as u64;
    if id < 256 { id } else { ((id & 127) + 128) << ((id >> 7) - 1) }
}

/// The highest value of a bucket, in microseconds: HdrHistogram's "highest equivalent value".
pub const fn highest_of(bucket: u16) -> u64 {
    lowest_of(bucket) + width_of(bucket) - 1
}

/// How many values a bucket holds.
pub const fn width_of(bucket: u16) -> u64 {
    if bucket < 256 { 1 } else { 1 << ((bucket >> 7) - 1) }
}

/// A duration in whole microseconds, rounded to nearest.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from((duration.as_nanos() + 500) / 1_000).unwrap_or(u64::MAX)
}

impl Histogram {
    /// Builds a histogram from values in microseconds, in any order.
    pub fn from_values(values_us: impl IntoIterator<Item = u64>) -> Self {
        let mut histogram = Self::default();
        for value in values_us {
            histogram.record(value);
        }
        histogram
    }

    /// Adds one value in microseconds, clamped to [`MAX_VALUE_US`].
    pub fn record(&mut self, value_us: u64) {
        let clamped = value_us.min(MAX_VALUE_US);
        self.note(clamped, u64::from(value_us > MAX_VALUE_US));
        self.add(bucket_of(clamped), 1);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        (self.min_us, self.max_us) = if self.is_empty() {
            (other.min_us, other.max_us)
        } else {
            (self.min_us.min(other.min_us), self.max_us.max(other.max_us))
        };
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.overflow = self.overflow.saturating_add(other.overflow);
        let mut merged = Vec::with_capacity(self.buckets.len().max(other.buckets.len()));
        let (mut left, mut right) = (self.buckets.iter().peekable(), other.buckets.iter().peekable());
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(&&(a, count)), Some(&&(b, more))) if a == b => {
                    left.next();
                    right.next();
                    (a, count.saturating_add(more))
                }
                (Some(&&(a, _)), Some(&&(b, more))) if b < a => {
                    right.next();
                    (b, more)
                }
                (Some(&&bucket), _) => {
                    left.next();
                    bucket
                }
                (None, Some(&&bucket)) => {
                    right.next();
                    bucket
                }
                (None, None) => break,
            };
            merged.push(next);
        }
        self.buckets = merged;
    }

    /// How many values it holds.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum: u64, &(_, count)| sum.saturating_add(count))
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The buckets in use, ascending, with their counts.
    pub fn buckets(&self) -> &[(u16, u64)] {
        &self.buckets
    }

    /// The exact sum of its values in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Its exact smallest value in microseconds.
    pub fn min_us(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min_us)
    }

    /// Its exact largest value in microseconds.
    pub fn max_us(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max_us)
    }

    /// How many values were beyond the range.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The exact mean in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "sums stay far below 2^53 µs, 285 years")]
    pub fn mean_us(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum_us as f64 / self.count() as f64)
    }

    /// The value of the given rank (from 1, ascending): the highest value of its bucket, clamped to the exact minimum
    /// and maximum. None if there is no such rank.
    pub fn value_at_rank(&self, rank: u64) -> Option<u64> {
        let mut seen = 0_u64;
        let &(bucket, _) = self.buckets.iter().find(|&&(_, count)| {
            seen = seen.saturating_add(count);
            rank >= 1 && seen >= rank
        })?;
        Some(highest_of(bucket).clamp(self.min_us, self.max_us))
    }

    /// The percentile by nearest rank, `permille` in 0..=1000 (500 is the median), however few values there are.
    pub fn percentile(&self, permille: u32) -> Option<u64> {
        self.value_at_rank(nearest_rank(self.count(), permille))
    }

    /// The sparse bytes of the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 * self.buckets.len());
        let mut before = 0;
        for &(bucket, count) in &self.buckets {
            let many = u64::from(count != 1);
            push_varint(&mut bytes, u64::from(bucket - before) << 1 | many);
            if many == 1 {
                push_varint(&mut bytes, count);
            }
            before = bucket;
        }
        bytes
    }

    /// Reads what [`Histogram::encode`] wrote, refusing everything that it cannot write. Allocates at most 16 bytes for
    /// each byte of input.
    pub fn decode(
        bytes: &[u8],
        sum_us: u64,
        min_us: u64,
        max_us: u64,
        overflow: u64,
    ) -> Result<Self, HistogramError> {
        let mut rest = bytes;
        // At most as many as numbers, each of which has one last byte.
        let numbers = bytes.iter().filter(|byte| **byte < 0x80).count();
        let mut buckets: Vec<(u16, u64)> = Vec::with_capacity(numbers.min(BUCKETS));
        let mut total = 0_u64;
        while !rest.is_empty() {
            let head = take_varint(&mut rest)?;
            let before = buckets.last().map(|&(bucket, _)| u64::from(bucket));
            let delta = head >> 1;
            if before.is_some() && delta == 0 {
                return Err(HistogramError::Bucket);
            }
            let id = u16::try_from(before.unwrap_or(0).saturating_add(delta)).unwrap_or(u16::MAX);
            if id > MAX_BUCKET {
                return Err(HistogramError::Bucket);
            }
            let count = if head & 1 == 0 { 1 } else { take_varint(&mut rest)? };
            if count == 0 || (count == 1 && head & 1 == 1) {
                return Err(HistogramError::Count);
            }
            total = total.checked_add(count).ok_or(HistogramError::Count)?;
            buckets.push((id, count));
        }
        let histogram = Self { buckets, sum_us, min_us, max_us, overflow };
        if histogram.summary_fits(total) { Ok(histogram) } else { Err(HistogramError::Summary) }
    }

    /// Puts a histogram together from ascending buckets with their counts and what stands beside them, as a store keeps them.
    pub fn from_parts(
        buckets: Vec<(u16, u64)>,
        sum_us: u64,
        min_us: u64,
        max_us: u64,
        overflow: u64,
    ) -> Result<Self, HistogramError> {
        if !buckets.is_sorted_by(|one, next| one.0 < next.0)
            || buckets.last().is_some_and(|last| last.0 > MAX_BUCKET)
        {
            return Err(HistogramError::Bucket);
        }
        if buckets.iter().any(|(_, count)| *count == 0) {
            return Err(HistogramError::Count);
        }
        let histogram = Self { buckets, sum_us, min_us, max_us, overflow };
        if histogram.summary_fits(histogram.count()) { Ok(histogram) } else { Err(HistogramError::Summary) }
    }

    /// Whether sum, minimum, maximum and overflow can belong to these buckets.
    fn summary_fits(&self, total: u64) -> bool {
        let (Some(&(first, _)), Some(&(last, last_count))) = (self.buckets.first(), self.buckets.last())
        else {
            return self.sum_us == 0 && self.min_us == 0 && self.max_us == 0 && self.overflow == 0;
        };
        let lowest: u128 =
            self.buckets.iter().map(|&(id, n)| u128::from(lowest_of(id)) * u128::from(n)).sum();
        let highest: u128 = self
            .buckets
            .iter()
            .map(|&(id, n)| u128::from(highest_of(id).min(MAX_VALUE_US)) * u128::from(n))
            .sum();
        let overflow_fits = if last == MAX_BUCKET { self.overflow <= last_count } else { self.overflow == 0 };
        bucket_of(self.min_us) == first
            && bucket_of(self.max_us) == last
            && self.max_us <= MAX_VALUE_US
            && self.min_us <= self.max_us
            && (total != 1 || (self.min_us == self.max_us && self.sum_us == self.min_us))
            && (total != 2 || self.sum_us == self.min_us + self.max_us)
            && (lowest..=highest).contains(&u128::from(self.sum_us))
            && overflow_fits
    }

    fn note(&mut self, clamped_us: u64, overflow: u64) {
        if self.is_empty() {
            (self.min_us, self.max_us) = (clamped_us, clamped_us);
        }
        self.min_us = self.min_us.min(clamped_us);
        self.max_us = self.max_us.max(clamped_us);
        self.sum_us = self.sum_us.saturating_add(clamped_us);
        self.overflow = self.overflow.saturating_add(overflow);
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |&(id, _)| id) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }
}

/// The nearest rank of a percentile among `count` values, from 1 (0 if there are none): `ceil(permille / 1000 * count)`.
pub fn nearest_rank(count: u64, permille: u32) -> u64 {
    let rank = (u128::from(count) * u128::from(permille.min(1000))).div_ceil(1000);
    u64::try_from(rank).unwrap_or(u64::MAX).clamp(u64::from(count > 0), count)
}

/// Folds raw values into histograms through one dense recorder, so that open series keep a few raw values each instead
/// of ten KiB of counters.
pub struct Recorder(hdrhistogram::Histogram<u32>);

impl Recorder {
    /// A recorder over the whole range.
    ///
    /// # Panics
    /// Never: the bounds are constants that `hdrhistogram` accepts.
    #[expect(clippy::expect_used, reason = "constant bounds")]
    pub fn new() -> Self {
        Self(hdrhistogram::Histogram::new_with_bounds(1, MAX_VALUE_US, 2).expect("constant bounds are valid"))
    }

    /// Adds `values_us` to `into`, leaving the recorder empty for the next series.
    pub fn fold(&mut self, values_us: &[u64], into: &mut Histogram) {
        let mut folded = Histogram::default();
        for &value in values_us {
            let clamped = value.min(MAX_VALUE_US);
            folded.note(clamped, u64::from(value > MAX_VALUE_US));
            // Cannot fail: clamped to the range, and fewer values than a u32 counts.
            self.0.saturating_record(clamped);
            if folded.buckets.is_empty() {
                folded.buckets.push((0, 0));
            }
        }
        folded.buckets = self
            .0
            .iter_recorded()
            .map(|step| (bucket_of(step.value_iterated_to()), step.count_since_last_iteration()))
            .collect();
        self.0.reset();
        into.merge(&folded);
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, HistogramError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(HistogramError::Truncated)?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 || shift > 0 && byte == 0 {
            return Err(HistogramError::Varint);
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(HistogramError::Varint)
}

#[cfg(test)]
mod tests;
