//! Native histograms, in the protobuf of Prometheus's own client library (`io.prometheus.client`, metrics.proto), length-delimited.
//!
//! A bucket of ours goes where its middle lies. The buckets of a native histogram grow by 2^(2^-schema); the finest schema is
//! taken of which an histogram has no more than 160, as others bound what they take, and none finer than ours is.

use super::{Exposed, Exposition, Gauge, LATENCY, LATENCY_HELP, Labels, gauges, labels, number, seconds};
use peerlight_proto::histogram::{Histogram, highest_of, lowest_of};
use prost::Message;

/// The media type.
pub const MEDIA_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Buckets that grow by 0.54 %: ours are 0.78 % wide at most.
const FINEST: i32 = 7;
/// Buckets that grow by the factor 65,536; all that is measured fits into three of them.
const COARSEST: i32 = -4;
/// The most buckets of a histogram.
const MOST_BUCKETS: usize = 160;
/// What took less than half a microsecond took no time, as far as it was measured.
const ZERO_THRESHOLD: f64 = 0.5e-6;

/// Writes the window.
pub fn render(exposition: &Exposition) -> Vec<u8> {
    let at_ms = exposition.at.as_micros().div_euclid(1_000);
    let times = MetricFamily {
        name: Some(LATENCY.to_owned()),
        help: Some(LATENCY_HELP.to_owned()),
        kind: Some(Kind::GaugeHistogram.into()),
        metric: exposition.rows.iter().map(|exposed| times(exposed, at_ms)).collect(),
    };
    let mut bytes = times.encode_length_delimited_to_vec();
    for gauge in gauges(exposition) {
        bytes.append(&mut counted(gauge, at_ms).encode_length_delimited_to_vec());
    }
    bytes
}

fn times(Exposed { row, histogram }: &Exposed, at_ms: i64) -> Metric {
    Metric {
        label: pairs(labels(row)),
        gauge: None,
        timestamp_ms: Some(at_ms),
        histogram: Some(NativeHistogram::of(histogram)),
    }
}

fn counted(Gauge { name, help, samples }: Gauge, at_ms: i64) -> MetricFamily {
    let metric = samples.into_iter().map(|(labels, count)| Metric {
        label: pairs(labels),
        gauge: Some(GaugeValue { value: Some(number(count)) }),
        timestamp_ms: Some(at_ms),
        histogram: None,
    });
    MetricFamily {
        name: Some(name.to_owned()),
        help: Some(help.to_owned()),
        kind: Some(Kind::Gauge.into()),
        metric: metric.collect(),
    }
}

fn pairs(labels: Labels) -> Vec<LabelPair> {
    let pair = |(name, value): (&str, String)| LabelPair { name: Some(name.to_owned()), value: Some(value) };
    labels.into_iter().map(pair).collect()
}

impl NativeHistogram {
    fn of(histogram: &Histogram) -> Self {
        let (zero_count, buckets) = spread(histogram, FINEST);
        let (schema, buckets) = coarsened(FINEST, buckets);
        let mut told = Self {
            sample_count: Some(histogram.count()),
            sample_sum: Some(seconds(histogram.sum_us())),
            schema: Some(schema),
            zero_threshold: Some(ZERO_THRESHOLD),
            zero_count: Some(zero_count),
            positive_span: Vec::new(),
            positive_delta: Vec::new(),
        };
        let (mut next, mut before) = (0, 0_i64);
        for (index, count) in buckets {
            match told.positive_span.last_mut().filter(|_| index == next) {
                Some(span) => span.length = span.length.map(|length| length + 1),
                None => told.positive_span.push(BucketSpan { offset: Some(index - next), length: Some(1) }),
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            told.positive_delta.push(count.wrapping_sub(before));
            (next, before) = (index + 1, count);
        }
        told
    }
}

/// How many took no time, and the others by the index of their bucket, ascending.
fn spread(histogram: &Histogram, schema: i32) -> (u64, Vec<(i32, u64)>) {
    let (mut zero, mut buckets) = (0, Vec::new());
    for &(bucket, count) in histogram.buckets() {
        if lowest_of(bucket) == 0 {
            zero = count;
            continue;
        }
        let middle = f64::midpoint(seconds(lowest_of(bucket)), seconds(highest_of(bucket)));
        add(&mut buckets, index_of(middle, schema), count);
    }
    (zero, buckets)
}

/// The bucket with the index i holds what is above 2^((i-1)·2^-schema) and at most 2^(i·2^-schema).
#[expect(clippy::cast_possible_truncation, reason = "a minute's index is below 10,000 at every schema")]
fn index_of(seconds: f64, schema: i32) -> i32 {
    (seconds.log2() * f64::from(schema).exp2()).ceil() as i32
}

/// Two buckets in the place of each one, until they are few enough.
fn coarsened(mut schema: i32, mut buckets: Vec<(i32, u64)>) -> (i32, Vec<(i32, u64)>) {
    while buckets.len() > MOST_BUCKETS && schema > COARSEST {
        let mut wider = Vec::with_capacity(buckets.len());
        for (index, count) in buckets {
            // 2i-1 and 2i become i.
            add(&mut wider, (index + 1).div_euclid(2), count);
        }
        (schema, buckets) = (schema - 1, wider);
    }
    (schema, buckets)
}

fn add(buckets: &mut Vec<(i32, u64)>, index: i32, count: u64) {
    match buckets.last_mut().filter(|(last, _)| *last == index) {
        Some((_, sum)) => *sum = sum.saturating_add(count),
        None => buckets.push((index, count)),
    }
}

/// `MetricFamily` of metrics.proto, as far as it is used here.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(enumeration = "Kind", optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Gauge = 1,
    GaugeHistogram = 5,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<GaugeValue>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<NativeHistogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct GaugeValue {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

/// `Histogram` of metrics.proto: the part that is native.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NativeHistogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(sint32, optional, tag = "5")]
    pub(super) schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub(super) zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    pub(super) positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub(super) positive_delta: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub(super) offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) length: Option<u32>,
}
