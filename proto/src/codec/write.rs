//! From checked types to the messages of the wire.

use super::remarks;
use crate::{
    batch::{Batch, Health},
    drops::Account,
    limits,
    measurement::Measurement,
    series::{Family, Handshake, HttpVersion, Series},
    wire,
};
use std::net::IpAddr;

/// A batch as prost writes it.
pub(super) fn batch_to_wire(batch: &Batch) -> wire::Batch {
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
        health: Some(health_to_wire(&batch.health)),
        agent_version: batch.agent_version.clone(),
    }
}

fn health_to_wire(health: &Health) -> wire::Health {
    let remarks = &health.remarks;
    let refused = remarks.assignment.as_ref().and_then(|assignment| assignment.refused.as_ref());
    wire::Health {
        spooled_batches: health.spooled_batches,
        spooled_bytes: health.spooled_bytes,
        dropped_batches: health.dropped_batches,
        corrupt_batches: health.corrupt_batches,
        refused_measurements: health.refused_measurements,
        rejected_batches: health.rejected_batches,
        dropped: health.dropped.as_ref().map(account_to_wire),
        noise_p99_us: remarks.noise_p99_us,
        held_set: remarks.assignment.as_ref().map(|assignment| assignment.held),
        refused_set: refused.map(|refused| refused.set),
        refusal: refused
            .map(|refused| remarks::line(&refused.reason, limits::MAX_REASON_BYTES))
            .unwrap_or_default(),
        problems: remarks::to_lines(&remarks.problems),
    }
}

fn account_to_wire(account: &Account) -> wire::Dropped {
    wire::Dropped {
        account: account.id.as_bytes().to_vec(),
        until: account.until,
        entries: account
            .entries
            .iter()
            .map(|entry| wire::DropEntry {
                hour: entry.hour.as_secs(),
                uplink: entry.uplink.clone(),
                reason: entry.reason.as_str().to_owned(),
                measurements: entry.measurements,
                turns: entry.turns,
                unread_batches: entry.unread_batches,
                first_start: entry.first.as_secs(),
                last_end: entry.last.as_secs(),
            })
            .collect(),
    }
}

fn series_to_wire(series: &Series) -> wire::Series {
    let key = &series.key;
    wire::Series {
        uplink: key.uplink.to_string(),
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
