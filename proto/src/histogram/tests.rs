//! The laws of the histogram, with the `hdrhistogram` crate as oracle.

use super::*;
use proptest::{collection::vec, prelude::*};

fn oracle() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, MAX_VALUE_US, 2).unwrap()
}

fn values() -> impl Strategy<Value = Vec<u64>> {
    vec(prop_oneof![0..300_u64, 0..200_000_u64, 0..=MAX_VALUE_US, Just(MAX_VALUE_US + 1)], 0..200)
}

fn histogram() -> impl Strategy<Value = Histogram> {
    values().prop_map(Histogram::from_values)
}

fn decoded(of: &Histogram, bytes: &[u8]) -> Result<Histogram, HistogramError> {
    Histogram::decode(bytes, of.sum_us, of.min_us, of.max_us, of.overflow)
}

#[test]
fn bucket_ids_are_those_that_the_contract_names() {
    assert_eq!((bucket_of(0), bucket_of(255), bucket_of(256), bucket_of(257)), (0, 255, 256, 256));
    assert_eq!((MAX_BUCKET, bucket_of(u64::MAX)), (2532, 2532));
    assert_eq!((lowest_of(256), highest_of(256), width_of(256)), (256, 257, 2));
}

proptest! {
    #[test]
    fn buckets_are_hdr_histograms(value in 0..=MAX_VALUE_US) {
        let oracle = oracle();
        let bucket = bucket_of(value);
        prop_assert_eq!(lowest_of(bucket), oracle.lowest_equivalent(value));
        prop_assert_eq!(highest_of(bucket), oracle.highest_equivalent(value));
        prop_assert!(value < 256 || width_of(bucket) * 128 <= value);
    }

    #[test]
    fn percentiles_are_hdr_histograms(values in vec(0..=MAX_VALUE_US, 1..300), permille in 1..=1000_u32) {
        let mut oracle = oracle();
        for &value in &values {
            oracle.record(value).unwrap();
        }
        let (min, max) = (values.iter().min().copied(), values.iter().max().copied());
        // A little below the exact fraction, so that floating point cannot push the oracle over a rank.
        let quantile = f64::from(permille) / 1000.0 - 1e-9;
        let expected = oracle.value_at_quantile(quantile).clamp(min.unwrap(), max.unwrap());
        prop_assert_eq!(Histogram::from_values(values).percentile(permille), Some(expected));
    }

    #[test]
    fn merging_is_recording_together_in_any_order(a in values(), b in values(), c in values()) {
        let of = |values: &[u64]| Histogram::from_values(values.iter().copied());
        let merge = |mut left: Histogram, right: &Histogram| { left.merge(right); left };
        let together = Histogram::from_values(a.iter().chain(&b).chain(&c).copied());
        prop_assert_eq!(&merge(merge(of(&a), &of(&b)), &of(&c)), &together);
        prop_assert_eq!(&merge(of(&c), &merge(of(&b), &of(&a))), &together);
    }

    #[test]
    fn the_recorder_folds_what_recording_one_by_one_gives(before in values(), values in values()) {
        let mut recorder = Recorder::new();
        for _again in 0..2 {
            let mut folded = Histogram::from_values(before.iter().copied());
            recorder.fold(&values, &mut folded);
            prop_assert_eq!(folded, Histogram::from_values(before.iter().chain(&values).copied()));
        }
    }

    #[test]
    fn decoding_returns_what_was_encoded(histogram in histogram()) {
        prop_assert_eq!(decoded(&histogram, &histogram.encode()), Ok(histogram));
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(
        bytes in vec(any::<u8>(), 0..40), sum in 0..1000_u64, min in 0..256_u64, span in 0..256_u64,
    ) {
        if let Ok(histogram) = Histogram::decode(&bytes, sum, min, min + span, 0) {
            prop_assert_eq!(histogram.encode(), bytes);
        }
    }

    #[test]
    fn a_truncated_histogram_never_passes_for_another(histogram in histogram(), cut in any::<prop::sample::Index>()) {
        let bytes = histogram.encode();
        prop_assume!(!bytes.is_empty());
        let short = &bytes[..cut.index(bytes.len())];
        if let Ok(other) = decoded(&histogram, short) {
            prop_assert!(other.count() < histogram.count());
        }
    }
}

#[test]
fn what_encoding_cannot_produce_is_refused() {
    let decode = |bytes: &[u8]| Histogram::decode(bytes, 5, 5, 5, 0);
    assert_eq!(decode(&[10]).map(|histogram| histogram.count()), Ok(1));
    assert_eq!(decode(&[10, 0]), Err(HistogramError::Bucket), "an id twice");
    assert_eq!(decode(&[11]), Err(HistogramError::Truncated), "a missing count");
    assert_eq!(decode(&[11, 0]), Err(HistogramError::Count), "a count of zero");
    assert_eq!(decode(&[11, 1]), Err(HistogramError::Count), "a count of one written out");
    assert_eq!(decode(&[0x8a, 0]), Err(HistogramError::Varint), "a varint longer than needed");
    assert_eq!(decode(&[0xff; 12]), Err(HistogramError::Varint), "a varint beyond 64 bits");
    assert_eq!(decode(&[0xfe, 0xff, 0x7f]), Err(HistogramError::Bucket), "an id beyond 60 s");
    assert_eq!(decode(&[12]), Err(HistogramError::Summary), "a minimum outside its bucket");
    assert_eq!(Histogram::decode(&[], 1, 0, 0, 0), Err(HistogramError::Summary), "a sum of nothing");
}

#[test]
fn an_empty_histogram_answers_nothing() {
    let empty = Histogram::default();
    assert_eq!((empty.percentile(500), empty.min_us(), empty.mean_us()), (None, None, None));
}
