//! From the messages of the wire to checked types. A fault of the envelope refuses the batch, one of a measurement only
//! that measurement.

use super::{DecodeError, Decoded, Unread, protobuf, remarks, shapes::Shapes};
use crate::{
    ack::{Refusal, RefusalCode},
    batch::{Batch, Health, Part},
    drops::{Account, DropEntry, DropReason, Signed, hour_of},
    histogram::Histogram,
    id::{AccountId, AgentId, BatchDigest, BatchNumber, SessionId},
    limits,
    measurement::{Attribute, Counters, Measurement, Observed},
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength, Timestamp},
    wire,
};
use prost::Message as _;
use std::net::IpAddr;

/// A batch with its readable measurements; the others are refused by their place.
pub(super) fn batch_from_wire(
    message: wire::Batch,
    series: &[&[u8]],
    measurements: &[&[u8]],
    shapes: &mut Shapes,
) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded {
        batch: Batch {
            number: number_from_wire(&message.agent, &message.session, message.sequence)?,
            created: Timestamp::from_micros(message.created_us),
            clock_offset_us: message.clock_offset_us,
            agent_version: text(message.agent_version, limits::MAX_TEXT_BYTES)
                .ok_or(DecodeError::Envelope("agent_version"))?,
            part: message.part.map(|part| part_from_wire(&part)).transpose()?,
            health: health_from_wire(message.health.unwrap_or_default()),
            series: Vec::with_capacity(series.len()),
            measurements: Vec::with_capacity(measurements.len()),
        },
        indices: Vec::with_capacity(measurements.len()),
        refused: Vec::new(),
    };
    // Where each entry of the wire's dictionary went, or why it could not be read.
    let mut dictionary: Vec<Result<u32, RefusalCode>> = Vec::with_capacity(series.len());
    for bytes in series {
        let place = u32::try_from(decoded.batch.series.len()).map_err(|_bounded_above| RefusalCode::Series);
        dictionary.push(match shapes.read(bytes)? {
            Ok(series) => {
                decoded.batch.series.push(series);
                place
            }
            Err(code) => Err(code),
        });
    }
    // One after another, for its memory.
    let mut measurement = wire::Measurement::default();
    for (index, bytes) in (0_u32..).zip(measurements) {
        measurement.clear();
        measurement.merge(*bytes).map_err(protobuf)?;
        let interval = interval_from_wire(&measurement);
        let turns = measurement.counters.as_ref().map_or(0, |counters| counters.scheduled);
        match measurement_from_wire(&mut measurement, &dictionary) {
            Ok(measurement) => {
                decoded.batch.measurements.push(measurement);
                decoded.indices.push(index);
            }
            Err(code) => decoded.refused.push(Unread {
                refusal: Refusal { index, code },
                interval,
                turns: if turns <= limits::MAX_SCHEDULED { turns } else { 0 },
            }),
        }
    }
    Ok(decoded)
}

/// A batch's number.
pub(super) fn number_from_wire(
    agent: &[u8],
    session: &[u8],
    sequence: u64,
) -> Result<BatchNumber, DecodeError> {
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

fn health_from_wire(health: wire::Health) -> Health {
    let remarks = remarks::read(&health);
    Health {
        spooled_batches: health.spooled_batches,
        spooled_bytes: health.spooled_bytes,
        dropped_batches: health.dropped_batches,
        corrupt_batches: health.corrupt_batches,
        refused_measurements: health.refused_measurements,
        rejected_batches: health.rejected_batches,
        // What is malformed here costs no measurement: it is not signed for, and the agent tells again.
        dropped: health.dropped.and_then(account_from_wire),
        remarks,
    }
}

fn account_from_wire(account: wire::Dropped) -> Option<Account> {
    Some(Account {
        id: AccountId::try_from(account.account.as_slice()).ok()?,
        until: Some(account.until).filter(|until| i64::try_from(*until).is_ok())?,
        entries: account.entries.into_iter().map(drop_entry_from_wire).collect::<Option<_>>()?,
    })
}

fn drop_entry_from_wire(entry: wire::DropEntry) -> Option<DropEntry> {
    let count = |count: u64| Some(count).filter(|count| *count <= limits::MAX_DROPPED);
    let instant = |seconds: i64| {
        let instant = Timestamp::from_secs(seconds);
        (instant.as_secs() == seconds).then_some(instant)
    };
    let (hour, first, last) = (instant(entry.hour)?, instant(entry.first_start)?, instant(entry.last_end)?);
    if hour != hour_of(hour) || first > last {
        return None;
    }
    Some(DropEntry {
        hour,
        uplink: text(entry.uplink, limits::MAX_TEXT_BYTES)?,
        reason: DropReason::from_name(&entry.reason),
        measurements: count(entry.measurements)?,
        turns: count(entry.turns)?,
        unread_batches: count(entry.unread_batches)?,
        first,
        last,
    })
}

/// The collector's word on an account; none where it cannot be read, so that the agent tells again.
pub(super) fn signed_from_wire(signed: &wire::Signed) -> Option<Signed> {
    Some(Signed { id: AccountId::try_from(signed.account.as_slice()).ok()?, until: signed.until })
}

/// A series of a dictionary.
pub(super) fn series_from_wire(series: wire::Series) -> Result<Series, RefusalCode> {
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
            uplink: short(series.uplink)?.into(),
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
        target: target.into(),
        probe_interval_ms: series.probe_interval_ms,
    })
}

fn measurement_from_wire(
    measurement: &mut wire::Measurement,
    dictionary: &[Result<u32, RefusalCode>],
) -> Result<Measurement, RefusalCode> {
    let series = usize::try_from(measurement.series)
        .ok()
        .and_then(|index| dictionary.get(index).copied())
        .unwrap_or(Err(RefusalCode::Series))?;
    let interval = interval_from_wire(measurement).ok_or(RefusalCode::Interval)?;
    let counters = counters_from_wire(&measurement.counters.unwrap_or_default());
    let histogram = Histogram::decode(
        &measurement.histogram,
        measurement.sum_us,
        measurement.min_us,
        measurement.max_us,
        measurement.overflow,
    )
    .map_err(|_malformed| RefusalCode::Histogram)?;
    let bounded = counters.scheduled <= limits::MAX_SCHEDULED
        && counters.duplicate.max(counters.foreign) <= limits::MAX_COUNTED_BESIDE;
    if !bounded || !counters.identity_holds() || histogram.count() != counters.answered {
        return Err(RefusalCode::Counters);
    }
    let attributes = measurement
        .attributes
        .drain(..)
        .map(|attribute| {
            let kind = text(attribute.kind, limits::MAX_TEXT_BYTES)?;
            let value = text(attribute.value, limits::MAX_TEXT_BYTES)?;
            let count = Some(attribute.count).filter(|count| *count <= limits::MAX_COUNTED_BESIDE)?;
            Some(Attribute { kind, value, count })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(RefusalCode::Attributes)?;
    let observed = measurement.observed.as_ref().map(observed_from_wire).transpose()?;
    Ok(Measurement { series, interval, counters, histogram, attributes, observed })
}

fn interval_from_wire(measurement: &wire::Measurement) -> Option<Interval> {
    Interval::starting(
        measurement.interval_start,
        IntervalLength::from_secs(measurement.interval_seconds).ok()?,
    )
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
pub(super) fn text(value: String, limit: usize) -> Option<String> {
    (value.len() <= limit && !value.chars().any(char::is_control)).then_some(value)
}

fn optional<T>(name: &str, known: impl Fn(&str) -> Option<T>) -> Result<Option<T>, RefusalCode> {
    if name.is_empty() { Ok(None) } else { known(name).map(Some).ok_or(RefusalCode::UnknownWord) }
}
