//! One JSON object a line for each probe, as it lands.

use crate::{
    oneshot::targets::Subject,
    sample::{Outcome, Reading, Sample},
};
use peerlight_proto::{
    measurement::Ending,
    series::{Handshake, HttpVersion},
    time::Timestamp,
};
use serde::Serialize;
use std::{
    io::{self, Write},
    time::Duration,
};

#[derive(Serialize)]
struct Landing<'a> {
    /// When it landed, RFC 3339.
    time: Option<String>,
    target: &'a str,
    /// Which of the target's probes, from 1.
    probe: u64,
    family: &'static str,
    address: Option<String>,
    path: &'static str,
    readings: Vec<Line>,
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
struct Line {
    metric: &'static str,
    clock: &'static str,
    ending: &'static str,
    latency_ms: Option<f64>,
    user_latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake: Option<&'static str>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    kind: &'static str,
    value: &'a str,
}

/// Writes the line and has it leave this process.
pub(in crate::oneshot) fn write(
    out: &mut impl Write,
    subject: &Subject,
    turn: u32,
    sample: &Sample,
    at: Timestamp,
) -> io::Result<()> {
    let landing = Landing {
        time: jiff::Timestamp::from_microsecond(at.as_micros()).ok().map(|at| format!("{at:.6}")),
        target: &subject.text,
        probe: u64::from(turn) + 1,
        family: sample.family.as_str(),
        address: sample.address.map(|address| address.to_string()),
        path: sample.path.as_str(),
        readings: sample.readings.iter().map(line).collect(),
        attributes: sample.attributes.iter().map(|(kind, value)| Attribute { kind, value }).collect(),
    };
    serde_json::to_writer(&mut *out, &landing)?;
    writeln!(out)?;
    out.flush()
}

fn line(reading: &Reading) -> Line {
    let (ending, latency_ms, user_latency_ms) = match reading.outcome {
        Outcome::Answered { latency, user_latency } => {
            (name(Ending::Answered), Some(ms(latency)), Some(ms(user_latency)))
        }
        Outcome::Failed(ending) => (name(ending), None, None),
    };
    Line {
        metric: reading.metric.name(),
        clock: reading.clock.as_str(),
        ending,
        latency_ms,
        user_latency_ms,
        http_version: reading.http_version.map(HttpVersion::as_str),
        handshake: reading.handshake.map(Handshake::as_str),
    }
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn name(ending: Ending) -> &'static str {
    match ending {
        Ending::Skipped => "skipped",
        Ending::Voided => "voided",
        Ending::DnsFailed => "dns_failed",
        Ending::SendFailed => "send_failed",
        Ending::Answered => "answered",
        Ending::Retransmitted => "retransmitted",
        Ending::Late => "late",
        Ending::Lost => "lost",
        Ending::Refused => "refused",
    }
}
