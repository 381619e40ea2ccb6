//! The wire format: a batch is protobuf in one zstd frame, an acknowledgement is bare protobuf.
//!
//! Limits stand before decoding: the inflated size is bounded while inflating, the number of repeated messages is
//! counted by a scan that allocates nothing, and only then does prost decode.

mod read;
mod write;

use crate::{
    ack::{Ack, Refusal, RefusalCode},
    batch::Batch,
    id::BatchDigest,
    limits,
    time::{Interval, Timestamp},
    wire,
};
use prost::{
    Message as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use read::{batch_from_wire, number_from_wire, signed_from_wire};
use std::io::Read as _;
use write::batch_to_wire;

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
    /// A version that this build does not read: the agent keeps the batch for a collector that does.
    #[error(
        "the batch has version {0} of the wire, and this collector reads {readable}: upgrade {outdated}; until then the agent \
         keeps its data and tries again",
        readable = limits::SUPPORTED_VERSIONS.map(|version| version.to_string()).collect::<Vec<_>>().join(" and "),
        outdated = if *.0 > limits::PROTOCOL_VERSION { "the collector" } else { "the agent" }
    )]
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
            Self::Version(_) => ProblemType::UnsupportedVersion,
            Self::Zstd(_) | Self::Protobuf(_) | Self::Envelope(_) => ProblemType::Malformed,
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
    pub refused: Vec<Unread>,
}

/// A measurement that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Which, and why not.
    pub refusal: Refusal,
    /// When it was measured, if that could be read.
    pub interval: Option<Interval>,
    /// The turns of schedules that it accounts for, as far as it says so.
    pub turns: u64,
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
    check_version(&inflated)?;
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
        dropped: ack
            .dropped
            .map(|signed| wire::Signed { account: signed.id.as_bytes().to_vec(), until: signed.until }),
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
        dropped: ack.dropped.as_ref().and_then(signed_from_wire),
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

/// Whether this build reads the batch. Comes first of all: nothing else of another version's batch is judged by this one's
/// rules, so that no agent deletes what a newer collector could have read.
fn check_version(batch: &[u8]) -> Result<(), DecodeError> {
    let protobuf = |error: prost::DecodeError| DecodeError::Protobuf(error.to_string());
    let mut rest = batch;
    let mut version = 0;
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).map_err(protobuf)?;
        if tag == 1 && wire_type == WireType::Varint {
            version = decode_varint(&mut rest).map_err(protobuf)?;
        } else {
            skip_field(wire_type, tag, &mut rest, DecodeContext::default()).map_err(protobuf)?;
        }
    }
    match u32::try_from(version).unwrap_or(u32::MAX) {
        // No version is the mark of no batch at all, not of another version's.
        0 => Err(DecodeError::Envelope("version")),
        version if limits::SUPPORTED_VERSIONS.contains(&version) => Ok(()),
        version => Err(DecodeError::Version(version)),
    }
}

/// Counts the repeated messages that prost would allocate for, which can be two hundred times their bytes.
fn bound_repeated_fields(batch: &[u8]) -> Result<(), DecodeError> {
    bound_field(batch, 7, limits::MAX_SERIES, "series", |_series| Ok(()))?;
    let mut entries = 0;
    each_field(batch, 10, |health| {
        each_field(health, 7, |dropped| {
            each_field(dropped, 3, |_entry| {
                entries += 1;
                within(entries, limits::MAX_DROP_ENTRIES, "entries of what was dropped")
            })
        })
    })?;
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
    let mut seen = 0;
    each_field(message, field, |inner| {
        seen += 1;
        within(seen, limit, what)?;
        visit(inner)
    })
}

const fn within(seen: usize, limit: usize, what: &'static str) -> Result<(), DecodeError> {
    if seen > limit { Err(DecodeError::TooMany { what, limit }) } else { Ok(()) }
}

/// Visits each occurrence of the length-delimited `field` at the top level of `message`.
fn each_field(
    message: &[u8],
    field: u32,
    mut visit: impl FnMut(&[u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let protobuf = |error: prost::DecodeError| DecodeError::Protobuf(error.to_string());
    let mut rest = message;
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
        visit(inner)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
