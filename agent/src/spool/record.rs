//! Records: a batch as a file. A header with the batch's number and digests, then exactly the bytes of the wire. Pure.

use super::Key;
use peerlight_proto::{
    batch::Batch,
    id::{AgentId, BatchDigest, BatchNumber, SessionId},
    time::Timestamp,
};
use sha2::{Digest as _, Sha256};

const MAGIC: &[u8; 8] = b"PLSPOOL\x01";
/// Magic and version, agent, session, sequence, newest end, length of the bytes, their digest.
const FIELDS: usize = 8 + 16 + 16 + 8 + 8 + 8 + 32;
/// The fields, and the first eight bytes of their SHA-256.
const HEADER: usize = FIELDS + 8;

/// A file that is not a whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is shorter or longer than its header says.
    #[error("the file is torn")]
    Torn,
    /// It is not a record of a version that this build reads.
    #[error("the file is not a spooled batch of this version")]
    Magic,
    /// A checksum does not match.
    #[error("a checksum of the file does not match")]
    Checksum,
    /// It is another batch than its name says.
    #[error("the file is another batch than its name says")]
    Misnamed,
}

/// A batch as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The batch's number.
    pub number: BatchNumber,
    /// The end of its newest interval.
    pub newest_end: Timestamp,
    /// The digest of its bytes.
    pub digest: BatchDigest,
    /// What goes on the wire.
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record of `batch`, which `bytes` encode.
    pub fn new(batch: &Batch, bytes: &'a [u8]) -> Self {
        let newest_end = batch.newest_end().unwrap_or(batch.created).max(Timestamp::default());
        Self { number: batch.number, newest_end, digest: BatchDigest::of(bytes), bytes }
    }

    /// Where it sorts in the spool.
    pub fn key(&self) -> Key {
        Key { newest_end: self.newest_end, session: self.number.session, sequence: self.number.sequence }
    }

    /// The file's content.
    pub fn to_file(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(HEADER + self.bytes.len());
        file.extend(MAGIC);
        file.extend(self.number.agent.as_bytes());
        file.extend(self.number.session.as_bytes());
        file.extend(self.number.sequence.to_le_bytes());
        file.extend(self.newest_end.as_micros().to_le_bytes());
        file.extend((self.bytes.len() as u64).to_le_bytes());
        file.extend(self.digest.as_bytes());
        let check = header_check(&file);
        file.extend(check);
        file.extend(self.bytes);
        file
    }

    /// Reads a file's content, and believes nothing that a checksum does not cover.
    pub fn parse(file: &'a [u8]) -> Result<Self, RecordError> {
        let (header, bytes) = file.split_at_checked(HEADER).ok_or(RecordError::Torn)?;
        let (fields, check) = header.split_at(FIELDS);
        if !fields.starts_with(MAGIC) {
            return Err(RecordError::Magic);
        }
        if header_check(fields) != check {
            return Err(RecordError::Checksum);
        }
        let mut rest = &fields[MAGIC.len()..];
        let record = Self {
            number: BatchNumber {
                agent: AgentId::new(take(&mut rest)?),
                session: SessionId::new(take(&mut rest)?),
                sequence: u64::from_le_bytes(take(&mut rest)?),
            },
            newest_end: Timestamp::from_micros(i64::from_le_bytes(take(&mut rest)?)),
            bytes: whole(bytes, u64::from_le_bytes(take(&mut rest)?))?,
            digest: BatchDigest::new(take(&mut rest)?),
        };
        if BatchDigest::of(bytes) == record.digest { Ok(record) } else { Err(RecordError::Checksum) }
    }
}

fn header_check(fields: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&Sha256::digest(fields)[..8]);
    check
}

fn whole(bytes: &[u8], length: u64) -> Result<&[u8], RecordError> {
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(RecordError::Torn) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (field, after) = rest.split_first_chunk::<N>().ok_or(RecordError::Torn)?;
    *rest = after;
    Ok(*field)
}
