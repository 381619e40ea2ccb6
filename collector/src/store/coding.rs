//! The coding of stored blocks: the measurements of one batch, or of one metric of a rollup, as protobuf in zstd.
//!
//! Agents and series stand in a block by their numbers in the store's dictionaries.

use super::{ClockOffsets, StoreError, Totals};
use crate::{admission::Attribution, registry::RegistrationId};
use ipnet::IpNet;
use peerlight_proto::{
    histogram::Histogram,
    measurement::{Attribute, Counters},
    time::Timestamp,
};
use prost::Message;
use std::net::IpAddr;

/// As in the wire's codec: beyond it the time grows faster than the bytes shrink.
const ZSTD_LEVEL: i32 = 3;
/// Far above what admission lets into a batch and what a rollup's part holds; a block over it is neither written nor read.
const MAX_BLOCK_BYTES: usize = 64 << 20;

/// One measurement, or one row of a rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The agent's number in the dictionary.
    pub(super) agent: i64,
    /// The series' number in the dictionary.
    pub(super) series: i64,
    pub(super) registration: RegistrationId,
    pub(super) attribution: Attribution,
    pub(super) prefix: Option<IpNet>,
    /// The start of its interval.
    pub(super) start: Timestamp,
    pub(super) totals: Totals,
}

#[derive(Clone, PartialEq, Message)]
struct Block {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<StoredEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredEntry {
    #[prost(int64, tag = "1")]
    agent: i64,
    #[prost(int64, tag = "2")]
    series: i64,
    #[prost(int64, tag = "3")]
    registration: i64,
    /// 0 verified, 1 declared, 2 off-prefix.
    #[prost(uint32, tag = "4")]
    attribution: u32,
    /// The network address and one byte of length; empty for none.
    #[prost(bytes = "vec", tag = "5")]
    prefix: Vec<u8>,
    #[prost(sint64, tag = "6")]
    start_secs: i64,
    /// In the order of `fields`.
    #[prost(uint64, repeated, tag = "7")]
    counters: Vec<u64>,
    #[prost(bytes = "vec", tag = "8")]
    histogram: Vec<u8>,
    #[prost(uint64, tag = "9")]
    sum_us: u64,
    #[prost(uint64, tag = "10")]
    min_us: u64,
    #[prost(uint64, tag = "11")]
    max_us: u64,
    #[prost(uint64, tag = "12")]
    overflow: u64,
    #[prost(message, repeated, tag = "13")]
    attributes: Vec<StoredAttribute>,
    /// The offsets of clocks; both or neither.
    #[prost(sint64, optional, tag = "14")]
    min_offset_us: Option<i64>,
    #[prost(sint64, optional, tag = "15")]
    max_offset_us: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAttribute {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(uint64, tag = "3")]
    count: u64,
}

/// Writes a block.
pub(super) fn encode(entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
    let bytes = Block { entries: entries.iter().map(to_stored).collect() }.encode_to_vec();
    if bytes.len() > MAX_BLOCK_BYTES {
        return Err(StoreError::TooLarge { bytes: bytes.len() });
    }
    zstd::bulk::compress(&bytes, ZSTD_LEVEL).map_err(damaged)
}

/// Reads a block. Allocates what its frame says that it inflates to, within the limit.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Entry>, StoreError> {
    let size = zstd::zstd_safe::get_frame_content_size(bytes).map_err(damaged)?;
    let size = size.and_then(|size| usize::try_from(size).ok()).filter(|&size| size <= MAX_BLOCK_BYTES);
    let size = size.ok_or_else(|| damaged("its frame has no size within the limit"))?;
    let inflated = zstd::bulk::decompress(bytes, size).map_err(damaged)?;
    let block = Block::decode(inflated.as_slice()).map_err(damaged)?;
    block.entries.into_iter().map(from_stored).collect()
}

fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: "block of measurements", detail: error.to_string() }
}

fn to_stored(entry: &Entry) -> StoredEntry {
    let Totals { counters, histogram, attributes, clock_offsets } = &entry.totals;
    StoredEntry {
        agent: entry.agent,
        series: entry.series,
        registration: entry.registration.0,
        attribution: match entry.attribution {
            Attribution::Verified => 0,
            Attribution::Declared => 1,
            Attribution::OffPrefix => 2,
        },
        prefix: entry.prefix.map_or_else(Vec::new, |prefix| {
            let mut bytes = match prefix.network() {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            bytes.push(prefix.prefix_len());
            bytes
        }),
        start_secs: entry.start.as_secs(),
        counters: counters_to_numbers(*counters),
        histogram: histogram.encode(),
        sum_us: histogram.sum_us(),
        min_us: histogram.min_us().unwrap_or(0),
        max_us: histogram.max_us().unwrap_or(0),
        overflow: histogram.overflow(),
        attributes: attributes
            .iter()
            .map(|attribute| StoredAttribute {
                kind: attribute.kind.clone(),
                value: attribute.value.clone(),
                count: attribute.count,
            })
            .collect(),
        min_offset_us: clock_offsets.map(|offsets| offsets.min_us),
        max_offset_us: clock_offsets.map(|offsets| offsets.max_us),
    }
}

fn from_stored(entry: StoredEntry) -> Result<Entry, StoreError> {
    Ok(Entry {
        agent: entry.agent,
        series: entry.series,
        registration: RegistrationId(entry.registration),
        attribution: match entry.attribution {
            0 => Attribution::Verified,
            1 => Attribution::Declared,
            2 => Attribution::OffPrefix,
            unknown => return Err(damaged(format!("attribution {unknown}"))),
        },
        prefix: prefix_from(&entry.prefix)?,
        start: Timestamp::from_secs(entry.start_secs),
        totals: Totals {
            counters: numbers_to_counters(&entry.counters)?,
            histogram: Histogram::decode(
                &entry.histogram,
                entry.sum_us,
                entry.min_us,
                entry.max_us,
                entry.overflow,
            )
            .map_err(damaged)?,
            attributes: entry
                .attributes
                .into_iter()
                .map(|attribute| Attribute {
                    kind: attribute.kind,
                    value: attribute.value,
                    count: attribute.count,
                })
                .collect(),
            clock_offsets: entry
                .min_offset_us
                .zip(entry.max_offset_us)
                .map(|(min_us, max_us)| ClockOffsets { min_us, max_us }),
        },
    })
}

fn prefix_from(bytes: &[u8]) -> Result<Option<IpNet>, StoreError> {
    let Some((&length, address)) = bytes.split_last() else { return Ok(None) };
    let address = if let Ok(octets) = <[u8; 4]>::try_from(address) {
        IpAddr::from(octets)
    } else if let Ok(octets) = <[u8; 16]>::try_from(address) {
        IpAddr::from(octets)
    } else {
        return Err(damaged("a prefix of no family"));
    };
    IpNet::new(address, length).map(Some).map_err(damaged)
}

/// The counters in the order in which they are stored.
fn fields(counters: &mut Counters) -> [&mut u64; 12] {
    let Counters {
        scheduled,
        skipped,
        voided,
        dns_failed,
        send_failed,
        answered,
        retransmitted,
        late,
        lost,
        refused,
        duplicate,
        foreign,
    } = counters;
    [
        scheduled,
        skipped,
        voided,
        dns_failed,
        send_failed,
        answered,
        retransmitted,
        late,
        lost,
        refused,
        duplicate,
        foreign,
    ]
}

fn counters_to_numbers(mut counters: Counters) -> Vec<u64> {
    fields(&mut counters).map(|field| *field).to_vec()
}

fn numbers_to_counters(numbers: &[u64]) -> Result<Counters, StoreError> {
    let mut counters = Counters::default();
    let fields = fields(&mut counters);
    if numbers.len() != fields.len() {
        return Err(damaged(format!("{} counters", numbers.len())));
    }
    for (field, number) in fields.into_iter().zip(numbers) {
        *field = *number;
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let entry = (
            0..50_i64,
            prop::sample::select(vec![Attribution::Verified, Attribution::Declared, Attribution::OffPrefix]),
            prop::sample::select(vec![None, Some("192.0.2.0/24"), Some("2001:db8:7::/48")]),
            prop::collection::vec(0..100_000_u64, 0..9),
            (-5_000..5_000_i64, prop::option::of((any::<i64>(), any::<i64>()))),
        );
        prop::collection::vec(
            entry.prop_map(|(number, attribution, prefix, values, (start, offsets))| Entry {
                agent: number,
                series: number * 3,
                registration: RegistrationId(number),
                attribution,
                prefix: prefix.map(|text| text.parse().unwrap()),
                start: Timestamp::from_secs(start),
                totals: Totals {
                    counters: Counters {
                        scheduled: values.len() as u64,
                        answered: values.len() as u64,
                        ..Counters::default()
                    },
                    attributes: vec![Attribute { kind: "status".into(), value: "200".into(), count: 1 }],
                    histogram: Histogram::from_values(values),
                    clock_offsets: offsets.map(|(min_us, max_us)| ClockOffsets { min_us, max_us }),
                },
            }),
            0..20,
        )
    }

    proptest! {
        #[test]
        fn a_block_reads_back_as_it_was_written(entries in entries()) {
            prop_assert_eq!(decode(&encode(&entries).unwrap()).unwrap(), entries);
        }

        #[test]
        fn a_damaged_block_is_an_error_and_never_a_panic(entries in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = encode(&entries).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&bytes);
        }
    }
}
