//! What must hold for any bytes. The fuzz targets search for bytes that break it; an ordinary test replays the corpus.

use peerlight_proto::{
    codec::{decode_ack, decode_batch, encode_ack, encode_batch},
    histogram::Histogram,
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
