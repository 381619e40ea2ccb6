//! What must hold for any bytes. The fuzz targets search for bytes that break it; an ordinary test replays the corpus.

use peerlight_agent::spool::record::Record;
use peerlight_proto::{
    codec::{decode_ack, decode_batch, encode_ack, encode_batch},
    histogram::Histogram,
    id::{AgentId, BatchDigest, BatchNumber, SessionId},
    time::Timestamp,
};

/// A batch that decodes encodes to bytes that decode to the same batch; nothing panics. The bytes are tried as they are
/// and as the content of a zstd frame, so that a search gets behind the compression.
pub(crate) fn batch(bytes: &[u8]) {
    let framed = zstd::bulk::compress(bytes, 1).expect("compressing memory cannot fail");
    for body in [bytes, &framed] {
        if let Ok(decoded) = decode_batch(body) {
            let encoded = encode_batch(&decoded.batch).expect("what was decoded encodes");
            let again = decode_batch(&encoded).expect("what was encoded decodes");
            assert_eq!(again.batch, decoded.batch);
            assert!(again.refused.is_empty());
        }
    }
}

/// A histogram that decodes encodes to the very same bytes. The first eight bytes choose sum, minimum and maximum, as
/// shares of what the buckets allow is not known to the search.
pub(crate) fn histogram(bytes: &[u8]) {
    let Some((head, body)) = bytes.split_first_chunk::<8>() else { return };
    let number = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (sum, min, max, overflow) = (number(0) * (1 + number(6)), number(2), number(4), 0);
    if let Ok(histogram) = Histogram::decode(body, sum, min, max, overflow) {
        assert_eq!(histogram.encode(), body);
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!(twice.count(), histogram.count().saturating_mul(2));
    }
}

/// An acknowledgement that decodes encodes to bytes that decode to the same one.
pub(crate) fn ack(bytes: &[u8]) {
    if let Ok(ack) = decode_ack(bytes) {
        assert_eq!(decode_ack(&encode_ack(&ack)).expect("what was encoded decodes"), ack);
    }
}

/// A file that reads as a spool's record is that record, byte for byte. A search does not find checksums, so a record is
/// made of the bytes, too: it reads back, and with any one bit flipped or cut short anywhere it does not.
pub(crate) fn spool_record(bytes: &[u8]) {
    if let Ok(record) = Record::parse(bytes) {
        assert_eq!(record.to_file(), bytes);
    }
    let mut rest = bytes;
    let (Some(agent), Some(session), Some(sequence), Some(end), Some(place)) =
        (take(&mut rest), take(&mut rest), take(&mut rest), take(&mut rest), take(&mut rest))
    else {
        return;
    };
    let record = Record {
        number: BatchNumber {
            agent: AgentId::new(agent),
            session: SessionId::new(session),
            sequence: u64::from_le_bytes(sequence),
        },
        newest_end: Timestamp::from_micros(i64::from_le_bytes(end)),
        digest: BatchDigest::of(rest),
        bytes: rest,
    };
    let mut file = record.to_file();
    assert_eq!(Record::parse(&file), Ok(record));
    let place = usize::from(u16::from_le_bytes(place)) % file.len();
    assert!(Record::parse(&file[..place]).is_err());
    file[place] ^= 1 << (place % 8);
    assert!(Record::parse(&file).is_err());
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}
