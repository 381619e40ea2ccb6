//! The streams of a block: bytes of one kind each, so that a compressor finds likes beside likes.

use crate::store::StoreError;
use prost::encoding::{decode_varint, encode_varint};

/// The fastest: streams are short and without far repetitions, so that a higher level finds nothing more (level 3 makes
/// histograms 1 % larger).
const ZSTD_LEVEL: i32 = 1;
/// Shorter streams gain nothing.
const WORTH_COMPRESSING: usize = 32;
/// Bytes of all streams of a block. Far above what the parts hold that blocks are made of; more is neither written nor read.
pub(super) const MAX_BLOCK_BYTES: usize = 64 << 20;

/// What is wrong with a block. Small, so that reading the next number of many costs no more than the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("its version is unknown")]
    Version,
    #[error("a stream ends early")]
    Ends,
    #[error("bytes follow its end")]
    Follows,
    #[error("a stream does not inflate to what it says")]
    Inflates,
    #[error("its streams are larger than any that are written")]
    TooLarge,
    #[error("a number is too large")]
    Number,
    #[error("a text is not UTF-8")]
    Text,
    #[error("a number of a dictionary is out of range")]
    Dictionary,
    #[error("an unknown kind of cell")]
    Kind,
    #[error("an unknown metric")]
    Metric,
    #[error("buckets do not ascend, or pass 60 s")]
    Bucket,
    #[error("an attribute without a text")]
    Attribute,
    #[error("an offset that is not above, or of an unknown kind")]
    Offset,
}

impl From<Fault> for StoreError {
    #[cold]
    fn from(fault: Fault) -> Self {
        Self::Damaged { what: "block of measurements", detail: fault.to_string() }
    }
}

/// Appends a number, the small ones in few bytes.
#[inline]
pub(super) fn put(bytes: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(byte @ 0..0x80) => bytes.push(byte),
        _ => encode_varint(number, bytes),
    }
}

/// Appends a number that may be negative, the ones near zero in few bytes.
#[inline]
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Appends one stream: its length, whether it is compressed, and its bytes. It is where that makes it shorter.
pub(super) fn append(block: &mut Vec<u8>, stream: &[u8]) -> Result<(), StoreError> {
    if stream.len() >= WORTH_COMPRESSING {
        let packed = COMPRESSOR.with_borrow_mut(|compressor| compressor.compress(stream));
        let packed =
            packed.map_err(|error| StoreError::Damaged { what: "compressor", detail: error.to_string() })?;
        if packed.len() < stream.len() {
            put(block, (stream.len() as u64) << 1 | 1);
            put(block, packed.len() as u64);
            block.extend_from_slice(&packed);
            return Ok(());
        }
    }
    put(block, (stream.len() as u64) << 1);
    block.extend_from_slice(stream);
    Ok(())
}

/// Takes the next stream off a block. Allocates what it says that it inflates to, as far as there is room, which it takes up.
pub(super) fn take<'a>(
    block: &mut Stream<'a>,
    room: &mut usize,
) -> Result<std::borrow::Cow<'a, [u8]>, Fault> {
    let head = block.number()?;
    let length = usize::try_from(head >> 1).unwrap_or(usize::MAX);
    *room = room.checked_sub(length).ok_or(Fault::TooLarge)?;
    if head & 1 == 0 {
        return Ok(block.bytes(length)?.into());
    }
    let packed = block.number()?;
    let packed = block.bytes(usize::try_from(packed).unwrap_or(usize::MAX))?;
    let stream = DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.decompress(packed, length));
    match stream {
        Ok(stream) if stream.len() == length => Ok(stream.into()),
        Ok(_) | Err(_) => Err(Fault::Inflates),
    }
}

thread_local! {
    // Contexts are a hundred kilobytes and more, and cost more to make than a short stream costs to code.
    static COMPRESSOR: std::cell::RefCell<zstd::bulk::Compressor<'static>> =
        std::cell::RefCell::new(zstd::bulk::Compressor::new(ZSTD_LEVEL).unwrap_or_default());
    static DECOMPRESSOR: std::cell::RefCell<zstd::bulk::Decompressor<'static>> =
        std::cell::RefCell::new(zstd::bulk::Decompressor::new().unwrap_or_default());
}

/// What is left to read of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream<'a>(&'a [u8]);

impl<'a> Stream<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let (&byte, rest) = self.0.split_first().ok_or(Fault::Ends)?;
        self.0 = rest;
        Ok(byte)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Fault> {
        match *self.0 {
            [byte @ 0..0x80, ref rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(byte))
            }
            [low, high @ 0..0x80, ref rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, Fault> {
        decode_varint(&mut self.0).map_err(|_error| Fault::Number)
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Result<i64, Fault> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    #[inline]
    pub(super) fn short(&mut self) -> Result<u16, Fault> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Fault::Ends)?;
        self.0 = rest;
        Ok(u16::from_le_bytes(*bytes))
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Fault::Ends)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let length = self.number()?;
        let bytes = self.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
        std::str::from_utf8(bytes).map_err(|_error| Fault::Text)
    }

    /// How many bytes are left: nothing that takes a byte each can be more.
    pub(super) const fn left(&self) -> usize {
        self.0.len()
    }
}

/// Writes numbers of any few bits, one after another, into a stream.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the lowest `width` bits, 32 at most.
    #[inline]
    pub(super) fn put(&mut self, stream: &mut Vec<u8>, number: u64, width: u32) {
        self.pending |= number << self.count;
        self.count += width;
        while self.count >= 8 {
            stream.push((self.pending & 0xff) as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Appends what is left, and begins anew.
    pub(super) fn finish(&mut self, stream: &mut Vec<u8>) {
        if self.count > 0 {
            stream.push((self.pending & 0xff) as u8);
        }
        *self = Self::default();
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    pending: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, count: 0 }
    }

    /// The next `width` bits, 32 at most.
    #[inline]
    pub(super) fn take(&mut self, width: u32) -> Result<u64, Fault> {
        if self.count < width {
            self.refill();
            if self.count < width {
                return Err(Fault::Ends);
            }
        }
        let number = self.pending & ((1 << width) - 1);
        self.pending >>= width;
        self.count -= width;
        Ok(number)
    }

    #[inline]
    fn refill(&mut self) {
        if let Some((bytes, rest)) = self.bytes.split_first_chunk::<4>()
            && self.count <= 32
        {
            self.pending |= u64::from(u32::from_le_bytes(*bytes)) << self.count;
            self.count += 32;
            self.bytes = rest;
            return;
        }
        while self.count <= 56
            && let Some((&byte, rest)) = self.bytes.split_first()
        {
            self.pending |= u64::from(byte) << self.count;
            self.count += 8;
            self.bytes = rest;
        }
    }
}
