//! The mix drawn: in each slot the shares of the front doors that served, one above the other. Pure.

use crate::{
    dashboard::chart::{
        Tick,
        axis::Axis,
        place,
        scale::{clock, time_ticks},
    },
    report::{
        edges::{EdgesReport, EdgesRow},
        render::{edges::table::called, figure},
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    time::Duration,
};

/// How many front doors have a colour of their own; the others share one.
const COLOURED: usize = 6;
/// The drawing's own units.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 100.0;

/// A front door and how it is drawn, in the whole page alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Colour {
    /// The class of its area.
    pub(super) class: String,
    pub(super) code: String,
    /// Code and city.
    pub(super) name: String,
}

/// Who served one group, over time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mix {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) desc: String,
    /// Whether it is the nearest that served most.
    pub(super) sentence: String,
    pub(super) first: i64,
    pub(super) step: i64,
    pub(super) x_ticks: Vec<Tick>,
    /// Areas by their classes.
    pub(super) areas: Vec<(String, String)>,
    /// Where the front door that served most changed.
    pub(super) shifts: Vec<String>,
    /// The columns of the table.
    pub(super) codes: Vec<String>,
    pub(super) slots: Vec<Slot>,
}

/// One slot, under the pointer and in the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) iso: String,
    pub(super) time: String,
    pub(super) told: String,
    /// Requests of each front door, in the order of the columns.
    pub(super) requests: Vec<u64>,
}

/// The front doors that served most, with a colour each, and one for all others if there are any.
pub(super) fn colours(report: &EdgesReport) -> Vec<Colour> {
    let mut doors: BTreeMap<&str, (u64, String)> = BTreeMap::new();
    for door in report.rows.iter().flat_map(|row| &row.front_doors) {
        let known = doors.entry(&door.code).or_insert_with(|| (0, called(door)));
        known.0 = known.0.saturating_add(door.requests);
    }
    let mut doors: Vec<_> = doors.into_iter().collect();
    doors.sort_by_key(|(_, (requests, _))| std::cmp::Reverse(*requests));
    let others = doors.len().saturating_sub(COLOURED);
    let own = doors.into_iter().take(COLOURED).enumerate().map(|(at, (code, (_, name)))| Colour {
        class: format!("door-{}", at + 1),
        code: code.to_owned(),
        name,
    });
    let rest = (others > 0).then(|| Colour {
        class: "door-others".to_owned(),
        code: String::new(),
        name: if others == 1 { "1 other".to_owned() } else { format!("{others} others") },
    });
    own.chain(rest).collect()
}

/// The mix of each group of which an answer named a front door.
pub(super) fn mixes(report: &EdgesReport, colours: &[Colour]) -> Vec<Mix> {
    let step = Duration::from_secs(report.question.step_seconds.unwrap_or(3_600));
    let axis = Axis::between(report.from, report.to, step).drawn(0.0, WIDTH);
    let ticks = time_ticks(axis.instant(0), report.to).into_iter();
    let ticks: Vec<_> =
        ticks.map(|(at, label)| Tick { at: place(axis.place(at) / WIDTH * 100.0), label }).collect();
    let told = report.rows.iter().filter(|row| row.requests > 0).enumerate();
    told.map(|(index, row)| mix(index, row, report, (axis, &ticks), colours)).collect()
}

fn mix(
    index: usize,
    row: &EdgesRow,
    report: &EdgesReport,
    (axis, ticks): (Axis, &[Tick]),
    colours: &[Colour],
) -> Mix {
    let codes: Vec<String> = row.front_doors.iter().map(|door| door.code.clone()).collect();
    let at: HashMap<&str, usize> = codes.iter().enumerate().map(|(at, code)| (code.as_str(), at)).collect();
    let counted: BTreeMap<u32, Vec<u64>> = row
        .slots
        .iter()
        .filter_map(|slot| {
            let mut requests = vec![0; codes.len()];
            for share in &slot.front_doors {
                if let Some(count) = at.get(share.code.as_str()).and_then(|at| requests.get_mut(*at)) {
                    *count = share.requests;
                }
            }
            Some((axis.slot(slot.slot)?, requests))
        })
        .collect();
    Mix {
        id: format!("mix-{index}"),
        title: row.group.label(&report.question.by),
        desc: description(row),
        sentence: sentence(row),
        first: axis.instant(0).as_secs(),
        step: axis.step(),
        x_ticks: ticks.to_vec(),
        areas: areas(&counted, &codes, axis, colours),
        shifts: row.shifts.iter().filter_map(|shift| Some(place(axis.left(axis.slot(shift.at)?)))).collect(),
        slots: counted.iter().map(|(slot, requests)| told(*slot, requests, &codes, axis)).collect(),
        codes,
    }
}

/// The areas of each colour: what follows one another alike is one rectangle.
fn areas(
    counted: &BTreeMap<u32, Vec<u64>>,
    codes: &[String],
    axis: Axis,
    colours: &[Colour],
) -> Vec<(String, String)> {
    let class_of = |code: &String| colours.iter().find(|colour| colour.code == *code).or(colours.last());
    let mut paths: BTreeMap<&str, String> = BTreeMap::new();
    // From and to which slot, from and to which height, of each code.
    let mut open: Vec<Option<(u32, u32, f64, f64)>> = vec![None; codes.len()];
    let mut close = |code: &String, (from, to, low, high): (u32, u32, f64, f64)| {
        let Some(colour) = class_of(code) else { return };
        let (left, right) = (axis.left(from), axis.left(to));
        let path = paths.entry(&colour.class).or_default();
        let _ = write!(
            path,
            "M{} {}H{}V{}H{}z",
            place(left),
            place(HEIGHT - high),
            place(right),
            place(HEIGHT - low),
            place(left)
        );
    };
    for (slot, requests) in counted {
        let all: u64 = requests.iter().sum();
        let mut low = 0.0;
        for ((count, code), open) in requests.iter().zip(codes).zip(&mut open) {
            let high = low + share(*count, all) * HEIGHT;
            match open {
                Some((_, to, from_low, from_high))
                    if *to == *slot && (*from_low - low).abs() < 0.05 && (*from_high - high).abs() < 0.05 =>
                {
                    *to = slot + 1;
                }
                open => {
                    if let Some(before) = open.take() {
                        close(code, before);
                    }
                    *open = (*count > 0).then_some((*slot, slot + 1, low, high));
                }
            }
            low = high;
        }
    }
    for (code, open) in codes.iter().zip(open) {
        if let Some(last) = open {
            close(code, last);
        }
    }
    paths.into_iter().map(|(class, path)| (class.to_owned(), path)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn told(slot: u32, requests: &[u64], codes: &[String], axis: Axis) -> Slot {
    let start = axis.instant(slot);
    let all: u64 = requests.iter().sum();
    let served = codes.iter().zip(requests).filter(|(_, count)| **count > 0);
    let served: Vec<_> =
        served.map(|(code, count)| format!("{code} {}", figure::percent(share(*count, all)))).collect();
    Slot {
        x: place(axis.left(slot)),
        width: place(axis.width()),
        iso: crate::rfc3339::text(start),
        time: clock(start, "%-d %b %H:%M"),
        told: format!("{} of {all} requests", served.join(", ")),
        requests: requests.to_vec(),
    }
}

/// What the drawing shows, for those who do not see it.
fn description(row: &EdgesRow) -> String {
    let doors = row.front_doors.iter().take(COLOURED);
    let doors: Vec<_> =
        doors.map(|door| format!("{} {}", called(door), figure::percent(door.share))).collect();
    let shifts = match row.shift_count {
        0 => "no shift".to_owned(),
        1 => "1 shift".to_owned(),
        many => format!("{many} shifts"),
    };
    format!("{}; {shifts}. The table below holds each slot.", doors.join(", "))
}

fn sentence(row: &EdgesRow) -> String {
    use crate::geography::Nearness;
    let Some(main) = row.front_doors.first() else { return String::new() };
    let served =
        format!("{} served {} of {} requests", called(main), figure::percent(main.share), row.requests);
    let nearest = row.nearest.as_ref().map(|nearest| format!("{} {}", nearest.code, nearest.city));
    match (main.nearness, nearest) {
        (Some(Nearness::Nearest), _) => format!("{served}; it is the nearest that is known."),
        (Some(Nearness::Farther), Some(nearest)) => format!("{served}; {nearest} is nearer."),
        (Some(Nearness::Undecided), Some(nearest)) => {
            format!("{served}; whether {nearest} is nearer depends on where in the location the site is.")
        }
        _ if main.city.is_none() => format!("{served}; it is in no table, so that nobody knows where it is."),
        _ => format!("{served}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::edges::{EdgeShare, EdgeSlot, SlotShare};
    use peerlight_proto::time::Timestamp;

    fn report(slots: &[&[(&str, u64)]]) -> EdgesReport {
        let mut all: BTreeMap<&str, u64> = BTreeMap::new();
        for (code, count) in slots.iter().copied().flatten() {
            *all.entry(code).or_default() += count;
        }
        let share = |(code, requests): (&&str, &u64)| EdgeShare {
            code: (*code).to_owned(),
            city: None,
            country: None,
            requests: *requests,
            share: 0.5,
            first_seen: Timestamp::from_secs(0),
            last_seen: Timestamp::from_secs(0),
            distance: None,
            nearness: None,
            connect_p50_ms: None,
        };
        let slot = |(at, doors): (usize, &&[(&str, u64)])| EdgeSlot {
            slot: Timestamp::from_secs(60 * i64::try_from(at).unwrap()),
            front_doors: doors
                .iter()
                .map(|(code, requests)| SlotShare { code: (*code).to_owned(), requests: *requests })
                .collect(),
        };
        let row = serde_json::json!({"area": null, "nearest": null, "requests": 1, "untold": 0, "front_doors": [],
            "shift_count": 0, "shifts": [], "slots": [], "location": "GB-LND", "path": "direct"});
        let mut row: EdgesRow = serde_json::from_value(row).unwrap();
        row.front_doors = all.iter().map(share).collect();
        row.slots = slots.iter().enumerate().filter(|(_, doors)| !doors.is_empty()).map(slot).collect();
        let asked = serde_json::json!({"by": ["location"], "metrics": ["https.tcp"], "providers": [], "locations": [],
            "sites": [], "targets": [], "step_seconds": 60});
        EdgesReport {
            generated_at: Timestamp::from_secs(0),
            from: Timestamp::from_secs(0),
            to: Timestamp::from_secs(600),
            question: serde_json::from_value(asked).unwrap(),
            codes: String::new(),
            rows: vec![row],
        }
    }

    #[test]
    fn what_stays_alike_is_one_rectangle_and_a_gap_ends_it() {
        let report = report(&[&[("FRA", 6)], &[("FRA", 6)], &[], &[("FRA", 3), ("LIS", 3)]]);
        let mixes = mixes(&report, &colours(&report));
        assert_eq!(
            mixes[0].areas,
            [
                ("door-1".to_owned(), "M0.0 0.0H200.0V100.0H0.0zM300.0 50.0H400.0V100.0H300.0z".to_owned()),
                ("door-2".to_owned(), "M300.0 0.0H400.0V50.0H300.0z".to_owned())
            ]
        );
        assert_eq!(mixes[0].slots.len(), 3);
        assert_eq!(
            (mixes[0].slots[2].told.as_str(), &mixes[0].slots[2].requests[..]),
            ("FRA 50.0%, LIS 50.0% of 6 requests", &[3, 3][..])
        );
    }

    #[test]
    fn the_seventh_front_door_and_those_after_it_share_a_colour() {
        let doors = ["A", "B", "C", "D", "E", "F", "G", "H"];
        let slot: Vec<(&str, u64)> =
            doors.iter().zip([8, 7, 6, 5, 4, 3, 2, 1]).map(|(code, count)| (*code, count)).collect();
        let report = report(&[&slot]);
        let key = colours(&report);
        assert_eq!((key.len(), key[6].name.as_str(), key[0].code.as_str()), (7, "2 others", "A"));
        let classes: Vec<_> = mixes(&report, &key)[0].areas.iter().map(|(class, _)| class.clone()).collect();
        assert!(classes.contains(&"door-others".to_owned()) && classes.len() == 7, "{classes:?}");
    }
}
