use super::{
    native::{MetricFamily, NativeHistogram},
    text::Times,
    *,
};
use crate::{
    organisation::OrganisationId,
    report::{
        Question,
        fixture::{self, registration, row},
    },
};
use peerlight_proto::{histogram::Histogram, metric::Metric, time::Timestamp};
use proptest::prelude::*;
use prost::Message as _;
use std::time::Duration;

const AT: Timestamp = Timestamp::from_secs(60);

fn window(values_us: &[u64], lost: u64) -> Exposition {
    let question = Question {
        from: Timestamp::from_secs(0),
        to: AT,
        step: Some(Duration::from_mins(1)),
        ..Question::new(OrganisationId::DEFAULT, AT)
    };
    let registrations = [registration(1, "Aurora \"Nord\"", "GB-LND")];
    let rows = [row(1, &fixture::series(Metric::TcpConnect, "edge"), values_us, lost)];
    let evidence =
        fixture::Evidence { rows: &rows, registrations: &registrations, ..fixture::Evidence::default() };
    fixture::exposition_of(&question, &evidence, AT)
}

/// The native histogram that is written of these values.
fn native(values_us: &[u64]) -> NativeHistogram {
    let bytes = native::render(&window(values_us, 0));
    let family = MetricFamily::decode_length_delimited(bytes.as_slice()).unwrap();
    assert_eq!(family.name.as_deref(), Some(LATENCY));
    family.metric[0].histogram.clone().unwrap()
}

/// Upper edges and counts of a native histogram's buckets, in seconds, as its readers compute them.
fn buckets(histogram: &NativeHistogram) -> Vec<(f64, u64)> {
    let growth = f64::from(-histogram.schema.unwrap()).exp2();
    let mut deltas = histogram.positive_delta.iter();
    let (mut index, mut count, mut buckets) = (0, 0, Vec::new());
    for span in &histogram.positive_span {
        index += span.offset.unwrap();
        for _bucket in 0..span.length.unwrap() {
            count += deltas.next().unwrap();
            buckets.push(((f64::from(index) * growth).exp2(), u64::try_from(count).unwrap()));
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
}

proptest! {
    #[test]
    fn a_native_histogram_holds_every_value_once_within_its_error(
        values in prop::collection::vec(prop_oneof![0_u64..500, 0..60_000_000_u64], 1..400)
    ) {
        let native = native(&values);
        let (buckets, schema) = (buckets(&native), native.schema.unwrap());
        prop_assert!(buckets.len() <= 160 && (-4..=7).contains(&schema));
        prop_assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>() + native.zero_count.unwrap(), values.len() as u64);
        // The value of each rank lies within a bucket of ours and one of theirs.
        let ours = Histogram::from_values(values.iter().copied());
        let (growth, width) = (f64::from(-schema).exp2().exp2(), 1.0 + 1.0 / 128.0);
        let mut rank = native.zero_count.unwrap();
        for (upper, count) in buckets {
            rank += count;
            let value = seconds(ours.value_at_rank(rank).unwrap());
            prop_assert!(value <= upper * width && value >= upper / (growth * width), "{value} {upper}");
        }
    }
}

#[test]
fn a_histogram_is_as_fine_as_160_buckets_let_it_be() {
    assert_eq!(native(&[9_000; 20]).schema, Some(7));
    let wide: Vec<u64> = (0..1_000).map(|step| 100 + step * step).collect();
    let wide = native(&wide);
    assert_eq!((wide.schema, buckets(&wide).len() > 80), (Some(3), true));
    let none = native(&[]);
    assert_eq!((none.zero_count, buckets(&none)), (Some(0), vec![]));
}

#[test]
fn text_has_the_reports_percentiles_or_ranges_and_no_name_breaks_out() {
    let window = window(&[[9_000; 18], [40_000; 18]].concat(), 2);
    insta::assert_snapshot!("summary", text::render(&window, Times::Summary));
    insta::assert_snapshot!("ranges", text::render(&window, Times::Ranges));
}
