//! The wire format: a batch is protobuf in one zstd frame, an acknowledgement is bare protobuf.
//!
//! Limits stand before decoding: the inflated size is bounded while inflating, the number of repeated messages is
//! counted by a scan that allocates nothing, and only then does prost decode.

mod read;
mod remarks;
mod shapes;
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
use shapes::Shapes;
use std::io::Read as _;
use write::batch_to_wire;

/// zstd's own default: beyond it the CPU time grows faster than the bytes shrink.
const ZSTD_LEVEL: i32 = 3;
/// What inflates at once, into as many bytes as it declares; more inflates piece by piece, so that a lie takes no memory.
const AT_ONCE: usize = 256 << 10;

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
    Decoder::default().decode(bytes)
}

/// Reads batches, and remembers how series are described: a fleet describes the same few over and over.
#[derive(Debug, Default)]
pub struct Decoder {
    shapes: Shapes,
}

impl Decoder {
    /// As [`decode_batch`] does.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, DecodeError> {
        if bytes.len() > limits::MAX_BODY_BYTES {
            return Err(DecodeError::TooLarge(limits::MAX_BODY_BYTES));
        }
        let inflated = inflate(bytes)?;
        check_version(&inflated)?;
        let Fields { rest, series, measurements } = Fields::of(&inflated)?;
        let message = wire::Batch::decode(rest.as_slice()).map_err(protobuf)?;
        batch_from_wire(message, &series, &measurements, &mut self.shapes)
    }
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
    bound_field(bytes, 7, limits::MAX_MEASUREMENTS, "refusals")?;
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

/// What a body says that it inflates to, where it does. Decoding it takes no more than that: a body that lies is refused.
pub fn declared_size(bytes: &[u8]) -> Option<usize> {
    let declared = zstd::zstd_safe::get_frame_content_size(bytes).ok()??;
    usize::try_from(declared).ok()
}

thread_local! {
    // Making one takes longer than inflating a small batch does.
    static DECOMPRESSOR: std::cell::RefCell<zstd::bulk::Decompressor<'static>> = std::cell::RefCell::default();
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let zstd = |error: std::io::Error| DecodeError::Zstd(error.to_string());
    if let Some(size) = declared_size(bytes).filter(|size| *size <= AT_ONCE)
        && zstd::zstd_safe::find_frame_compressed_size(bytes) == Ok(bytes.len())
    {
        let inflated = DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.decompress(bytes, size));
        return inflated.map_err(zstd);
    }
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

/// A batch in parts: what is repeated in it, each by itself, and the bytes of all other fields. Whole, prost would allocate
/// for it what can be two hundred times its bytes.
struct Fields<'a> {
    rest: Vec<u8>,
    series: Vec<&'a [u8]>,
    measurements: Vec<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn of(batch: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Self { rest: Vec::new(), series: Vec::new(), measurements: Vec::new() };
        let mut left = batch;
        while !left.is_empty() {
            let field = left;
            let (tag, wire_type) = decode_key(&mut left).map_err(protobuf)?;
            let (into, limit, what) = match (tag, wire_type) {
                (7, WireType::LengthDelimited) => (&mut fields.series, limits::MAX_SERIES, "series"),
                (8, WireType::LengthDelimited) => {
                    (&mut fields.measurements, limits::MAX_MEASUREMENTS, "measurements")
                }
                _ => {
                    skip_field(wire_type, tag, &mut left, DecodeContext::default()).map_err(protobuf)?;
                    fields.rest.extend_from_slice(&field[..field.len() - left.len()]);
                    continue;
                }
            };
            if into.len() == limit {
                return Err(DecodeError::TooMany { what, limit });
            }
            into.push(take_message(&mut left)?);
        }
        bound_drops(&fields.rest)?;
        for measurement in &fields.measurements {
            bound_field(measurement, 10, limits::MAX_ATTRIBUTES, "attributes of a measurement")?;
        }
        Ok(fields)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
fn protobuf(error: prost::DecodeError) -> DecodeError {
    DecodeError::Protobuf(error.to_string())
}

/// Takes a message off the rest of another, whose key was read.
fn take_message<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let length = decode_varint(rest).map_err(protobuf)?;
    let (message, after) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(|| DecodeError::Protobuf("a field runs past the end".into()))?;
    *rest = after;
    Ok(message)
}

/// Counts the entries of what was dropped before prost allocates for them.
fn bound_drops(rest: &[u8]) -> Result<(), DecodeError> {
    let mut entries = 0;
    each_field(rest, 10, |health| {
        each_field(health, 7, |dropped| {
            each_field(dropped, 3, |_entry| {
                entries += 1;
                within(entries, limits::MAX_DROP_ENTRIES, "entries of what was dropped")
            })
        })
    })
}

/// Refuses a message with more than `limit` of a length-delimited field.
fn bound_field(message: &[u8], field: u32, limit: usize, what: &'static str) -> Result<(), DecodeError> {
    let mut seen = 0;
    each_field(message, field, |_inner| {
        seen += 1;
        within(seen, limit, what)
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
    let mut rest = message;
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).map_err(protobuf)?;
        if tag != field || wire_type != WireType::LengthDelimited {
            skip_field(wire_type, tag, &mut rest, DecodeContext::default()).map_err(protobuf)?;
            continue;
        }
        visit(take_message(&mut rest)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
