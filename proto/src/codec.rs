//! The wire format: a batch is protobuf in one zstd frame, an acknowledgement is bare protobuf.
//!
//! Limits stand before decoding: the inflated size is bounded while inflating, the number of repeated messages is
//! counted by a scan that allocates nothing, and only then does prost decode.

use crate::{
    ack::{Ack, Refusal, RefusalCode},
    batch::{Batch, Health, Part},
    histogram::Histogram,
    id::{AgentId, BatchDigest, BatchNumber, SessionId},
    limits,
    measurement::{Attribute, Counters, Measurement, Observed},
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength, Timestamp},
    wire,
};
use prost::{
    Message as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use std::{io::Read as _, net::IpAddr};

/// zstd's own default: beyond it the CPU time grows faster than the bytes shrink.
const ZSTD_LEVEL: i32 = 3;

/// Bytes that are not a batch within the limits. [`DecodeError::problem`] tells what an agent should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is over [`limits::MAX_BODY_BYTES`], or inflates over [`limits::MAX_INFLATED_BYTES`].
    #[error("the batch is over {0} bytes")]
    TooLarge(usize),
    /// More entries than a batch may hold.
    #[error("the batch has over {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// Not one whole zstd frame.
    #[error("the body is not a zstd frame: {0}")]
    Zstd(String),
    /// Not a protobuf message of this contract.
    #[error("the body is not a batch: {0}")]
    Protobuf(String),
    /// A version that this build does not speak.
    #[error("the batch has version {0}, this collector speaks version {ours}", ours = limits::PROTOCOL_VERSION)]
    Version(u32),
    /// A field of the envelope is missing or malformed.
    #[error("the batch's {0} is missing or malformed")]
    Envelope(&'static str),
}

impl DecodeError {
    /// The problem that a collector answers with.
    pub const fn problem(&self) -> crate::problem::ProblemType {
        use crate::problem::ProblemType;
        match self {
            Self::TooLarge(_) => ProblemType::TooLarge,
            Self::TooMany { .. } => ProblemType::TooMany,
            Self::Zstd(_) | Self::Protobuf(_) | Self::Version(_) | Self::Envelope(_) => {
                ProblemType::Malformed
            }
        }
    }
}

/// A batch as it came, with the measurements that could not be read set apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The batch with its readable measurements.
    pub batch: Batch,
    /// The place that each of `batch.measurements` had on the wire.
    pub indices: Vec<u32>,
    /// The measurements that could not be read.
    pub refused: Vec<Refusal>,
}

/// Writes a batch as it stands on disk and on the wire.
pub fn encode_batch(batch: &Batch) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(&batch_to_wire(batch).encode_to_vec(), ZSTD_LEVEL)
}

/// Reads a batch, applying every limit before it decodes or allocates.
pub fn decode_batch(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    if bytes.len() > limits::MAX_BODY_BYTES {
        return Err(DecodeError::TooLarge(limits::MAX_BODY_BYTES));
    }
    let inflated = inflate(bytes)?;
    bound_repeated_fields(&inflated)?;
    let message =
        wire::Batch::decode(inflated.as_slice()).map_err(|error| DecodeError::Protobuf(error.to_string()))?;
    batch_from_wire(message)
}

/// Writes an acknowledgement.
pub fn encode_ack(ack: &Ack) -> Vec<u8> {
    wire::Ack {
        agent: ack.number.agent.as_bytes().to_vec(),
        session: ack.number.session.as_bytes().to_vec(),
        sequence: ack.number.sequence,
        sha256: ack.digest.as_bytes().to_vec(),
        collector_time_us: ack.collector_time.as_micros(),
        duplicate: ack.duplicate,
        refused: ack
            .refused
            .iter()
            .map(|refusal| wire::Refusal { index: refusal.index, code: refusal.code.as_str().to_owned() })
            .collect(),
    }
    .encode_to_vec()
}

/// Reads an acknowledgement.
pub fn decode_ack(bytes: &[u8]) -> Result<Ack, DecodeError> {
    if bytes.len() > limits::MAX_BODY_BYTES {
        return Err(DecodeError::TooLarge(limits::MAX_BODY_BYTES));
    }
    bound_field(bytes, 7, limits::MAX_MEASUREMENTS, "refusals", |_refusal| Ok(()))?;
    let ack = wire::Ack::decode(bytes).map_err(|error| DecodeError::Protobuf(error.to_string()))?;
    Ok(Ack {
        number: number_from_wire(&ack.agent, &ack.session, ack.sequence)?,
        digest: BatchDigest::try_from(ack.sha256.as_slice())
            .map_err(|_length| DecodeError::Envelope("sha256"))?,
        collector_time: Timestamp::from_micros(ack.collector_time_us),
        duplicate: ack.duplicate,
        refused: ack
            .refused
            .into_iter()
            .map(|refusal| Refusal { index: refusal.index, code: RefusalCode::from_name(&refusal.code) })
            .collect(),
    })
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let zstd = |error: std::io::Error| DecodeError::Zstd(error.to_string());
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(zstd)?.single_frame();
    decoder.window_log_max(limits::MAX_ZSTD_WINDOW_LOG).map_err(zstd)?;
    let mut inflated = Vec::new();
    let within = limits::MAX_INFLATED_BYTES as u64 + 1;
    decoder.by_ref().take(within).read_to_end(&mut inflated).map_err(zstd)?;
    if inflated.len() > limits::MAX_INFLATED_BYTES {
        return Err(DecodeError::TooLarge(limits::MAX_INFLATED_BYTES));
    }
    if decoder.finish().is_empty() {
        Ok(inflated)
    } else {
        Err(DecodeError::Zstd("bytes follow the frame".into()))
    }
}

/// Counts the repeated messages that prost would allocate for, which can be two hundred times their bytes.
fn bound_repeated_fields(batch: &[u8]) -> Result<(), DecodeError> {
    bound_field(batch, 7, limits::MAX_SERIES, "series", |_series| Ok(()))?;
    bound_field(batch, 8, limits::MAX_MEASUREMENTS, "measurements", |measurement| {
        bound_field(measurement, 10, limits::MAX_ATTRIBUTES, "attributes of a measurement", |_attribute| {
            Ok(())
        })
    })
}

/// Visits each occurrence of the length-delimited `field` at the top level of `message`, at most `limit` of them.
fn bound_field(
    message: &[u8],
    field: u32,
    limit: usize,
    what: &'static str,
    mut visit: impl FnMut(&[u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let protobuf = |error: prost::DecodeError| DecodeError::Protobuf(error.to_string());
    let mut rest = message;
    let mut seen = 0;
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).map_err(protobuf)?;
        if tag != field || wire_type != WireType::LengthDelimited {
            skip_field(wire_type, tag, &mut rest, DecodeContext::default()).map_err(protobuf)?;
            continue;
        }
        let length = decode_varint(&mut rest).map_err(protobuf)?;
        let (inner, after) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(|| DecodeError::Protobuf("a field runs past the end".into()))?;
        rest = after;
        seen += 1;
        if seen > limit {
            return Err(DecodeError::TooMany { what, limit });
        }
        visit(inner)?;
    }
    Ok(())
}

fn batch_to_wire(batch: &Batch) -> wire::Batch {
    wire::Batch {
        version: limits::PROTOCOL_VERSION,
        agent: batch.number.agent.as_bytes().to_vec(),
        session: batch.number.session.as_bytes().to_vec(),
        sequence: batch.number.sequence,
        created_us: batch.created.as_micros(),
        clock_offset_us: batch.clock_offset_us,
        series: batch.series.iter().map(series_to_wire).collect(),
        measurements: batch.measurements.iter().map(measurement_to_wire).collect(),
        part: batch.part.map(|part| wire::Part {
            session: part.session.as_bytes().to_vec(),
            sequence: part.sequence,
            sha256: part.digest.as_bytes().to_vec(),
            index: part.index,
            count: part.count,
        }),
        health: Some(wire::Health {
            spooled_batches: batch.health.spooled_batches,
            spooled_bytes: batch.health.spooled_bytes,
            dropped_batches: batch.health.dropped_batches,
            corrupt_batches: batch.health.corrupt_batches,
            refused_measurements: batch.health.refused_measurements,
            rejected_batches: batch.health.rejected_batches,
        }),
        agent_version: batch.agent_version.clone(),
    }
}

fn series_to_wire(series: &Series) -> wire::Series {
    let key = &series.key;
    wire::Series {
        uplink: key.uplink.clone(),
        target: Some(wire::Target {
            name: series.target.name.clone(),
            service: series.target.service.clone(),
            address: series.target.address.to_string(),
            probe: series.target.probe.to_string(),
        }),
        metric: key.metric.name().to_owned(),
        family: match key.family {
            Family::V4 => 4,
            Family::V6 => 6,
        },
        path: key.path.as_str().to_owned(),
        clock: key.clock.as_str().to_owned(),
        http_version: key.http_version.map_or("", HttpVersion::as_str).to_owned(),
        handshake: key.handshake.map_or("", Handshake::as_str).to_owned(),
        probe_interval_ms: series.probe_interval_ms,
    }
}

fn measurement_to_wire(measurement: &Measurement) -> wire::Measurement {
    let (counters, histogram) = (&measurement.counters, &measurement.histogram);
    wire::Measurement {
        series: measurement.series,
        interval_start: measurement.interval.start().as_secs(),
        interval_seconds: measurement.interval.length().as_secs(),
        counters: Some(wire::Counters {
            scheduled: counters.scheduled,
            skipped: counters.skipped,
            voided: counters.voided,
            dns_failed: counters.dns_failed,
            send_failed: counters.send_failed,
            answered: counters.answered,
            retransmitted: counters.retransmitted,
            late: counters.late,
            lost: counters.lost,
            refused: counters.refused,
            duplicate: counters.duplicate,
            foreign: counters.foreign,
        }),
        histogram: histogram.encode(),
        sum_us: histogram.sum_us(),
        min_us: histogram.min_us().unwrap_or(0),
        max_us: histogram.max_us().unwrap_or(0),
        overflow: histogram.overflow(),
        attributes: measurement
            .attributes
            .iter()
            .map(|attribute| wire::Attribute {
                kind: attribute.kind.clone(),
                value: attribute.value.clone(),
                count: attribute.count,
            })
            .collect(),
        observed: measurement.observed.map(|observed| wire::Observed {
            address: match observed.address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            },
            age_seconds: observed.age_seconds,
        }),
    }
}

fn batch_from_wire(message: wire::Batch) -> Result<Decoded, DecodeError> {
    if message.version != limits::PROTOCOL_VERSION {
        return Err(DecodeError::Version(message.version));
    }
    let mut decoded = Decoded {
        batch: Batch {
            number: number_from_wire(&message.agent, &message.session, message.sequence)?,
            created: Timestamp::from_micros(message.created_us),
            clock_offset_us: message.clock_offset_us,
            agent_version: text(message.agent_version, limits::MAX_TEXT_BYTES)
                .ok_or(DecodeError::Envelope("agent_version"))?,
            part: message.part.map(|part| part_from_wire(&part)).transpose()?,
            health: health_from_wire(&message.health.unwrap_or_default()),
            series: Vec::with_capacity(message.series.len()),
            measurements: Vec::with_capacity(message.measurements.len()),
        },
        indices: Vec::with_capacity(message.measurements.len()),
        refused: Vec::new(),
    };
    // Where each entry of the wire's dictionary went, or why it could not be read.
    let dictionary: Vec<Result<u32, RefusalCode>> = message
        .series
        .into_iter()
        .map(|series| {
            let series = series_from_wire(series)?;
            decoded.batch.series.push(series);
            u32::try_from(decoded.batch.series.len() - 1).map_err(|_bounded_above| RefusalCode::Series)
        })
        .collect();
    for (index, measurement) in (0_u32..).zip(message.measurements) {
        match measurement_from_wire(measurement, &dictionary) {
            Ok(measurement) => {
                decoded.batch.measurements.push(measurement);
                decoded.indices.push(index);
            }
            Err(code) => decoded.refused.push(Refusal { index, code }),
        }
    }
    Ok(decoded)
}

fn number_from_wire(agent: &[u8], session: &[u8], sequence: u64) -> Result<BatchNumber, DecodeError> {
    Ok(BatchNumber {
        agent: AgentId::try_from(agent).map_err(|_length| DecodeError::Envelope("agent"))?,
        session: SessionId::try_from(session).map_err(|_length| DecodeError::Envelope("session"))?,
        sequence: if i64::try_from(sequence).is_ok() {
            sequence
        } else {
            return Err(DecodeError::Envelope("sequence"));
        },
    })
}

fn part_from_wire(part: &wire::Part) -> Result<Part, DecodeError> {
    let wrong = DecodeError::Envelope("part");
    let session = SessionId::try_from(part.session.as_slice()).map_err(|_length| wrong.clone())?;
    let digest = BatchDigest::try_from(part.sha256.as_slice()).map_err(|_length| wrong.clone())?;
    if part.index >= part.count || i64::try_from(part.sequence).is_err() {
        return Err(wrong);
    }
    Ok(Part { session, sequence: part.sequence, digest, index: part.index, count: part.count })
}

fn health_from_wire(health: &wire::Health) -> Health {
    Health {
        spooled_batches: health.spooled_batches,
        spooled_bytes: health.spooled_bytes,
        dropped_batches: health.dropped_batches,
        corrupt_batches: health.corrupt_batches,
        refused_measurements: health.refused_measurements,
        rejected_batches: health.rejected_batches,
    }
}

fn series_from_wire(series: wire::Series) -> Result<Series, RefusalCode> {
    let short = |value: String| text(value, limits::MAX_TEXT_BYTES).ok_or(RefusalCode::Series);
    let target = series.target.ok_or(RefusalCode::Series)?;
    if target.address.len().max(target.probe.len()) > limits::MAX_TARGET_TEXT_BYTES {
        return Err(RefusalCode::Series);
    }
    let target = Target {
        name: short(target.name)?,
        service: short(target.service)?,
        address: target.address.parse().map_err(|_malformed| RefusalCode::Series)?,
        probe: target.probe.parse().map_err(|_malformed| RefusalCode::UnknownWord)?,
    };
    Ok(Series {
        key: SeriesKey {
            uplink: short(series.uplink)?,
            target: target.id(),
            metric: series.metric.parse::<Metric>().map_err(|_unknown| RefusalCode::UnknownMetric)?,
            family: match series.family {
                4 => Family::V4,
                6 => Family::V6,
                _ => return Err(RefusalCode::UnknownWord),
            },
            path: Path::from_name(&series.path).ok_or(RefusalCode::UnknownWord)?,
            clock: Clock::from_name(&series.clock).ok_or(RefusalCode::UnknownWord)?,
            http_version: optional(&series.http_version, HttpVersion::from_name)?,
            handshake: optional(&series.handshake, Handshake::from_name)?,
        },
        target,
        probe_interval_ms: series.probe_interval_ms,
    })
}

fn measurement_from_wire(
    measurement: wire::Measurement,
    dictionary: &[Result<u32, RefusalCode>],
) -> Result<Measurement, RefusalCode> {
    let series = usize::try_from(measurement.series)
        .ok()
        .and_then(|index| dictionary.get(index).copied())
        .unwrap_or(Err(RefusalCode::Series))?;
    let length = IntervalLength::from_secs(measurement.interval_seconds)
        .map_err(|_unaligned| RefusalCode::Interval)?;
    let interval = Interval::starting(measurement.interval_start, length).ok_or(RefusalCode::Interval)?;
    let counters = counters_from_wire(&measurement.counters.unwrap_or_default());
    let histogram = Histogram::decode(
        &measurement.histogram,
        measurement.sum_us,
        measurement.min_us,
        measurement.max_us,
        measurement.overflow,
    )
    .map_err(|_malformed| RefusalCode::Histogram)?;
    if !counters.identity_holds() || histogram.count() != counters.answered {
        return Err(RefusalCode::Counters);
    }
    let attributes = measurement
        .attributes
        .into_iter()
        .map(|attribute| {
            let kind = text(attribute.kind, limits::MAX_TEXT_BYTES)?;
            let value = text(attribute.value, limits::MAX_TEXT_BYTES)?;
            Some(Attribute { kind, value, count: attribute.count })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(RefusalCode::Attributes)?;
    let observed = measurement.observed.map(|observed| observed_from_wire(&observed)).transpose()?;
    Ok(Measurement { series, interval, counters, histogram, attributes, observed })
}

fn counters_from_wire(counters: &wire::Counters) -> Counters {
    Counters {
        scheduled: counters.scheduled,
        skipped: counters.skipped,
        voided: counters.voided,
        dns_failed: counters.dns_failed,
        send_failed: counters.send_failed,
        answered: counters.answered,
        retransmitted: counters.retransmitted,
        late: counters.late,
        lost: counters.lost,
        refused: counters.refused,
        duplicate: counters.duplicate,
        foreign: counters.foreign,
    }
}

fn observed_from_wire(observed: &wire::Observed) -> Result<Observed, RefusalCode> {
    let address = if let Ok(octets) = <[u8; 4]>::try_from(observed.address.as_slice()) {
        IpAddr::from(octets)
    } else if let Ok(octets) = <[u8; 16]>::try_from(observed.address.as_slice()) {
        IpAddr::from(octets)
    } else {
        return Err(RefusalCode::Attributes);
    };
    Ok(Observed { address, age_seconds: observed.age_seconds })
}

/// A text within its limit and without control characters, which have no place in a name.
fn text(value: String, limit: usize) -> Option<String> {
    (value.len() <= limit && !value.chars().any(char::is_control)).then_some(value)
}

fn optional<T>(name: &str, known: impl Fn(&str) -> Option<T>) -> Result<Option<T>, RefusalCode> {
    if name.is_empty() { Ok(None) } else { known(name).map(Some).ok_or(RefusalCode::UnknownWord) }
}

#[cfg(test)]
mod tests;
