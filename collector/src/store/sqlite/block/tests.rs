use super::{
    stream::{Fault, MAX_BLOCK_BYTES, append},
    *,
};
use crate::store::StoreError;
use peerlight_proto::{histogram::Histogram, metric::Metric};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A cell that owns what it holds.
#[derive(Debug, Clone, PartialEq)]
struct Owned {
    key: (u32, u32, u32),
    start: i64,
    counters: Counters,
    histogram: Histogram,
    attributes: Vec<(String, u64)>,
    clock_offsets: Option<ClockOffsets>,
}

/// Mostly what agents send: a few answered probes each minute; now and then anything.
fn owned() -> impl Strategy<Value = Owned> {
    let values = prop_oneof![
        8 => prop::collection::vec(9_000..30_000_u64, 6),
        2 => prop::collection::vec(0..70_000_000_u64, 0..12),
        1 => prop::collection::vec(20_000..21_000_u64, 30..60),
    ];
    let start = prop_oneof![6 => (0..60_i64).prop_map(|minute| minute * 60), 1 => -90_000..90_000_i64];
    let offset = prop::option::of((any::<i64>(), any::<i64>()));
    (
        (0..3_u32, 0..3_u32, 0..4_u32),
        start,
        values,
        prop_oneof![6 => Just(0_u64), 1 => 0..9_u64],
        prop::collection::vec((0..3_u8, 1..9_u64), 0..3),
        offset,
    )
        .prop_map(|(key, start, values, lost, attributes, offset)| {
            let answered = values.len() as u64;
            let mut attributes: Vec<(String, u64)> =
                attributes.into_iter().map(|(value, count)| (value.to_string(), count)).collect();
            attributes.sort();
            attributes.dedup_by(|one, other| one.0 == other.0);
            Owned {
                key,
                start,
                counters: Counters { scheduled: answered + lost, answered, lost, ..Counters::default() },
                histogram: Histogram::from_values(values),
                attributes,
                clock_offsets: offset.map(|(min_us, max_us)| ClockOffsets { min_us, max_us }),
            }
        })
}

fn cells_of(all: &[Owned]) -> Cells {
    let mut cells = Cells::default();
    for one in all {
        let attributes: Vec<(u32, u64)> =
            one.attributes.iter().map(|(value, count)| (cells.text("edge", value), *count)).collect();
        let (origin, agent, shape) = one.key;
        cells.push(
            Key { origin, agent, shape },
            &Cell {
                start: one.start,
                end: one.start + 60,
                counters: &one.counters,
                buckets: one.histogram.buckets(),
                sum_us: one.histogram.sum_us(),
                min_us: one.histogram.min_us().unwrap_or(0),
                max_us: one.histogram.max_us().unwrap_or(0),
                overflow: one.histogram.overflow(),
                attributes: &attributes,
                clock_offsets: one.clock_offsets,
            },
        );
    }
    cells
}

fn owned_of(cells: &Cells) -> Vec<Owned> {
    cells
        .iter()
        .map(|(key, cell)| {
            let buckets = Histogram::from_parts(
                cell.buckets.to_vec(),
                cell.sum_us,
                cell.min_us,
                cell.max_us,
                cell.overflow,
            );
            let mut attributes: Vec<(String, u64)> = cell
                .attributes
                .iter()
                .map(|&(place, count)| (cells.all().texts()[place as usize].1.clone(), count))
                .collect();
            attributes.sort();
            Owned {
                key: (key.origin, key.agent, key.shape),
                start: cell.start,
                counters: *cell.counters,
                histogram: buckets.unwrap(),
                attributes,
                clock_offsets: cell.clock_offsets,
            }
        })
        .collect()
}

fn reread(block: &[u8]) -> Result<Cells, StoreError> {
    let mut cells = Cells::default();
    read(block, &mut cells)?;
    Ok(cells)
}

fn written(cells: &Cells, records: bool) -> Vec<u8> {
    if records {
        records::records_of(Metric::HttpsTtfb, cells).unwrap().bytes
    } else {
        write(cells.all()).unwrap().bytes
    }
}

/// A block of no rows whose streams are that long, and say so in few bytes.
fn of_streams(lengths: [usize; Column::COUNT]) -> Vec<u8> {
    let mut block = vec![VERSION];
    for length in lengths {
        append(&mut block, &vec![0; length]).unwrap();
    }
    block
}

#[test]
fn a_block_inflates_to_what_one_may_be_and_no_more() {
    let mut lengths = [0; Column::COUNT];
    (lengths[Column::Rows as usize], lengths[Column::Gaps as usize]) = (3, MAX_BLOCK_BYTES - 3);
    let most = of_streams(lengths);
    assert!(most.len() < 16 << 10 && reread(&most).unwrap().iter().next().is_none());
    lengths[Column::Beside as usize] = 1;
    let error = reread(&of_streams(lengths)).unwrap_err();
    assert_eq!(error.to_string(), StoreError::from(Fault::TooLarge).to_string());
}

proptest! {
    #[test]
    fn a_block_reads_back_as_it_was_written(all in prop::collection::vec(owned(), 0..40), records in any::<bool>()) {
        let mut cells = cells_of(&all);
        cells.sort();
        let again = reread(&written(&cells, records)).unwrap();
        prop_assert_eq!(owned_of(&again), owned_of(&cells));
        let end = |cells: &Cells| cells.iter().map(|(key, cell)| (key, cell.end)).fold(
            std::collections::BTreeMap::new(),
            |mut ends, (key, end): (Key, i64)| {
                let last = ends.entry(key).or_insert(end);
                *last = end.max(*last);
                ends
            },
        );
        prop_assert_eq!(end(&again), end(&cells), "the end of each row");
    }

    #[test]
    fn pieces_are_whole_rows_of_so_many_cells_or_buckets(
        all in prop::collection::vec(owned(), 0..40),
        most in (1..20_usize, 1..60_usize),
    ) {
        let mut cells = cells_of(&all);
        cells.sort();
        // Of each row its key, its cells and its buckets.
        let rows = |piece: View<'_>| -> Vec<(Key, usize, usize)> {
            let rows = piece.rows().map(|(key, row)| (key, row.map(|cell| cell.buckets.len())));
            rows.map(|(key, row)| (key, row.len(), row.sum())).collect()
        };
        let is_full = |rows: &[(Key, usize, usize)]| {
            let (cells, buckets) = rows.iter().fold((0, 0), |sum, row| (sum.0 + row.1, sum.1 + row.2));
            cells >= most.0 || buckets >= most.1
        };
        let pieces: Vec<_> = cells.all().pieces(most.0, most.1).into_iter().map(rows).collect();
        prop_assert_eq!(pieces.concat(), rows(cells.all()));
        for (place, piece) in pieces.iter().enumerate() {
            let (_last, before) = piece.split_last().unwrap();
            prop_assert!(!is_full(before), "{pieces:?}");
            prop_assert!(is_full(piece) || place + 1 == pieces.len(), "{pieces:?}");
        }
    }

    #[test]
    fn merging_adds_up_what_falls_into_one_slot(all in prop::collection::vec(owned(), 0..40), slot in 1..2_000_i64) {
        let mut cells = cells_of(&all);
        cells.sort();
        let mut merged = Cells::default();
        cells.merge_by(|start| start - start.rem_euclid(slot), &mut merged);
        let merged = owned_of(&merged);
        let mut expected: std::collections::BTreeMap<_, Owned> = std::collections::BTreeMap::new();
        for one in all {
            let start = one.start - one.start.rem_euclid(slot);
            let sum = expected.entry((one.key, start)).or_insert_with(|| Owned {
                start,
                counters: Counters::default(),
                histogram: Histogram::default(),
                attributes: Vec::new(),
                clock_offsets: None,
                ..one.clone()
            });
            sum.counters.merge(&one.counters);
            sum.histogram.merge(&one.histogram);
            sum.clock_offsets = crate::store::joined(sum.clock_offsets, one.clock_offsets);
            for (value, count) in one.attributes {
                match sum.attributes.iter_mut().find(|(there, _)| *there == value) {
                    Some((_, sum)) => *sum += count,
                    None => sum.attributes.push((value, count)),
                }
            }
            sum.attributes.sort();
        }
        prop_assert_eq!(merged, expected.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn a_damaged_block_is_an_error_and_never_a_panic(
        all in prop::collection::vec(owned(), 0..20),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        records in any::<bool>(),
    ) {
        let mut cells = cells_of(&all);
        cells.sort();
        let mut block = written(&cells, records);
        let at = at.index(block.len());
        block[at] = byte;
        let _ = reread(&block);
    }

    #[test]
    fn any_bytes_are_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = reread(&bytes);
        let _ = reread(&[&[VERSION], bytes.as_slice()].concat());
        let _ = reread(&[&[records::VERSION], bytes.as_slice()].concat());
    }

    #[test]
    fn records_are_gathered_of_whole_blocks_and_not_of_damaged_ones(
        batches in prop::collection::vec((prop::collection::vec(owned(), 0..12), any::<bool>()), 0..8),
    ) {
        let mut gathered = Gathered::default();
        let mut expected = Vec::new();
        for (batch, damaged) in batches {
            let mut block = records::records_of(Metric::IcmpRtt, &cells_of(&batch)).unwrap().bytes;
            if damaged {
                block.push(0);
                prop_assert!(gathered.add(&BTreeSet::new(), &block, |_key| Ok(true)).is_err());
                continue;
            }
            gathered.add(&BTreeSet::new(), &block, |_key| Ok(true)).unwrap();
            expected.extend(batch);
        }
        expected.sort_by_key(|one| (one.key, one.start));
        let mut spans: BTreeMap<Key, (i64, i64)> = BTreeMap::new();
        for one in &expected {
            let (origin, agent, shape) = one.key;
            let span = spans.entry(Key { origin, agent, shape }).or_insert((one.start, one.start + 60));
            *span = (span.0.min(one.start), span.1.max(one.start + 60));
        }
        prop_assert_eq!(gathered.spans().unwrap().into_iter().collect::<BTreeMap<_, _>>(), spans);
        gathered.sort();
        let mut cells = Cells::default();
        for (metric, records) in gathered.metrics() {
            prop_assert_eq!(metric, Metric::IcmpRtt);
            gathered.read(records, &mut cells).unwrap();
        }
        prop_assert_eq!(owned_of(&cells), expected.clone());
        cells.clear();
        gathered.drain(&mut cells).unwrap();
        cells.sort();
        prop_assert_eq!(owned_of(&cells), expected);
        prop_assert!(gathered.metrics().is_empty());
    }

    #[test]
    fn a_block_of_records_tells_each_metric_by_itself(
        all in prop::collection::vec((owned(), prop::sample::select(&Metric::ALL[..4])), 0..40),
        wanted in prop::collection::btree_set(prop::sample::select(&Metric::ALL[..5]), 0..3),
    ) {
        let mut records = Records::default();
        for (one, metric) in &all {
            let cells = cells_of(std::slice::from_ref(one));
            let (key, cell) = cells.iter().next().unwrap();
            let counted = one.attributes.iter().map(|(value, count)| (records.text("edge", value), *count));
            let attributes: Vec<_> = counted.collect();
            records.push(*metric, key, &Cell { attributes: &attributes, ..cell });
        }
        let (block, mut gathered) = (records.block(Ok).unwrap(), Gathered::default());
        // Of the rows only some are wanted, too.
        gathered.add(&wanted, &block.bytes, |key| Ok(key.shape > 0)).unwrap();
        gathered.sort();
        let mut found = Vec::new();
        for (metric, records) in gathered.metrics() {
            let mut cells = Cells::default();
            gathered.read(records, &mut cells).unwrap();
            found.extend(owned_of(&cells).into_iter().map(|one| (one, metric)));
        }
        let is_wanted = |metric: &Metric| wanted.is_empty() || wanted.contains(metric);
        let mut expected: Vec<_> =
            all.iter().filter(|(one, metric)| is_wanted(metric) && one.key.2 > 0).cloned().collect();
        expected.sort_by_key(|(one, metric)| (*metric, one.key, one.start));
        prop_assert_eq!(found, expected);
        let told = all.iter().map(|(one, _)| i64::try_from(one.counters.scheduled).unwrap()).sum::<i64>();
        prop_assert_eq!((block.cells, block.probes), (i64::try_from(all.len()).unwrap(), told));
    }
}

#[test]
fn few_records_that_hold_much_are_a_crowd_too() {
    let brim = Owned {
        key: (1, 1, 1),
        start: 0,
        counters: Counters { scheduled: 2_000, answered: 2_000, ..Counters::default() },
        histogram: Histogram::from_values((0..2_000).map(|number| number * 20_000)),
        attributes: Vec::new(),
        clock_offsets: None,
    };
    let block = records::records_of(Metric::IcmpRtt, &cells_of(&vec![brim; 100])).unwrap().bytes;
    let mut gathered = Gathered::default();
    let mut held = 0;
    while !gathered.is_crowded() {
        gathered.add(&BTreeSet::new(), &block, |_key| Ok(true)).unwrap();
        held += block.len();
    }
    assert!((16 << 20..17 << 20).contains(&held), "{held}");
}
