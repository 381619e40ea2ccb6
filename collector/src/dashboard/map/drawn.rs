//! The map drawn: a point for each location, shaded by its median, marked where something is wrong now, and the same as a table. Pure.

use super::{
    super::{
        chart::place,
        frame::{View, address},
        list::{Cell, List, numbers, words},
        table::{NONE, or_none},
    },
    Answer,
    projection::{HEIGHT, Line, Projection, WIDTH},
};
use crate::{
    geography::{Area, KnownBy, all_edges},
    report::{Dimension, Question, render::figure},
};

/// How high a label is, and how wide one of its letters.
const LABEL_HEIGHT: f64 = 15.0;
const LETTER_WIDTH: f64 = 6.8;
/// How far from its point a label stands.
const APART: f64 = 10.0;
/// Into how many shades medians are divided.
const SHADES: usize = 4;

/// A location with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot {
    location: String,
    name: String,
    area: Option<Area>,
    p50_ms: Option<f64>,
    p95: String,
    loss: String,
    sent: u64,
    /// What is wrong there now, the gravest first.
    wrong: Vec<String>,
    grave: bool,
    href: String,
}

/// The map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawn {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) meridians: Vec<Line>,
    pub(super) parallels: Vec<Line>,
    /// Microsoft's front doors, as landmarks.
    pub(super) doors: Vec<(String, String, String)>,
    pub(super) points: Vec<Mark>,
    /// What each shade stands for.
    pub(super) key: Vec<(String, String)>,
    pub(super) desc: String,
    /// How many locations are not on it, since nobody knows where they are.
    pub(super) nowhere: usize,
    /// How many labels had no room.
    pub(super) unlabelled: usize,
}

/// A location on the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) x: String,
    pub(super) y: String,
    /// The class of its shade.
    pub(super) shade: String,
    /// `grave`, `wrong` or nothing.
    pub(super) state: &'static str,
    pub(super) href: String,
    pub(super) told: String,
    /// Where its label stands; none where there is no room.
    pub(super) label: Option<Label>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) anchor: &'static str,
    pub(super) text: String,
}

/// The locations of a report by location, those with something wrong first.
pub(super) fn spots(question: &Question, answer: &Answer) -> Vec<Spot> {
    let kept = question.parameters();
    let mut spots: Vec<_> = answer
        .report
        .rows
        .iter()
        .filter(|row| !row.group.is_proxied())
        .map(|row| {
            let location = row.group.name(Dimension::Location).to_owned();
            let worries = answer.now.iter().flat_map(|now| &now.worries);
            let wrong: Vec<_> = worries.filter(|worry| worry.location.as_ref() == Some(&location)).collect();
            let others = kept.iter().filter(|(name, _)| !["by", "location"].contains(name));
            let there = [("location", location.clone()), ("by", "location,provider".to_owned())];
            Spot {
                href: address(View::Latency.path(), others.chain(&there)),
                name: answer.names.get(&location).cloned().unwrap_or_default(),
                area: answer.places.area(&location),
                p50_ms: row.latency_ms.p50,
                p95: or_none(row.latency_ms.p95),
                loss: row.loss.map_or_else(|| NONE.to_owned(), |loss| figure::percent(loss.value)),
                sent: row.sent,
                grave: wrong.iter().any(|worry| worry.grave),
                wrong: wrong.iter().map(|worry| format!("{} {}", worry.what, worry.detail)).collect(),
                location,
            }
        })
        .collect();
    spots.sort_by_key(|spot| (!spot.grave, spot.wrong.is_empty()));
    spots
}

/// The map of these locations.
pub(super) fn drawn(spots: &[Spot]) -> Drawn {
    let known: Vec<(&Spot, Area)> = spots.iter().filter_map(|spot| Some((spot, spot.area?))).collect();
    let centres: Vec<_> = known.iter().map(|(_, area)| area.centre).collect();
    let projection = Projection::of(&centres);
    let bounds = shades(known.iter().filter_map(|(spot, _)| spot.p50_ms));
    let mut taken: Vec<Room> = centres.iter().map(|centre| Room::around(projection.place(*centre))).collect();
    // What is wrong gets its label first; what is drawn last lies on top.
    let mut points: Vec<_> = known
        .iter()
        .map(|(spot, area)| mark(spot, projection.place(area.centre), &bounds, &mut taken))
        .collect();
    let unlabelled = points.iter().filter(|mark| mark.label.is_none()).count();
    points.reverse();
    let (meridians, parallels) = projection.graticule();
    let doors = all_edges().filter(|edge| projection.holds(edge.point)).map(|edge| {
        let (x, y) = projection.place(edge.point);
        (place(x), place(y), format!("{} {}", edge.code, edge.city))
    });
    let wrong = known.iter().filter(|(spot, _)| !spot.wrong.is_empty()).count();
    Drawn {
        width: WIDTH,
        height: HEIGHT,
        meridians,
        parallels,
        doors: doors.collect(),
        key: key(&bounds),
        desc: format!(
            "{} locations, something is wrong at {wrong} now. The table below holds each.",
            known.len()
        ),
        nowhere: spots.len() - known.len(),
        unlabelled,
        points,
    }
}

/// The medians up to which each shade but the last reaches: each holds as many locations.
fn shades(medians: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut medians: Vec<f64> = medians.collect();
    medians.sort_by(f64::total_cmp);
    let at = |part: usize| medians.get((medians.len() * part / SHADES).saturating_sub(1)).copied();
    let mut bounds: Vec<f64> = (1..SHADES).filter_map(at).collect();
    bounds.dedup();
    if medians.len() < 2 || bounds.last() == medians.last() {
        bounds.pop();
    }
    bounds
}

fn shade(median: Option<f64>, bounds: &[f64]) -> String {
    median.map_or_else(
        || "shade-none".to_owned(),
        |median| format!("shade-{}", 1 + bounds.iter().filter(|bound| median > **bound).count()),
    )
}

fn key(bounds: &[f64]) -> Vec<(String, String)> {
    let mut key: Vec<_> = bounds
        .iter()
        .enumerate()
        .map(|(at, bound)| (format!("shade-{}", at + 1), format!("p50 up to {} ms", figure::ms(*bound))))
        .collect();
    let rest =
        bounds.last().map_or_else(|| "p50".to_owned(), |bound| format!("above {} ms", figure::ms(*bound)));
    key.push((format!("shade-{}", bounds.len() + 1), rest));
    key
}

/// Room that is taken.
#[derive(Debug, Clone, Copy)]
struct Room {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Room {
    fn around((x, y): (f64, f64)) -> Self {
        Self { left: x - 7.0, top: y - 7.0, right: x + 7.0, bottom: y + 7.0 }
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn is_on_the_sheet(&self) -> bool {
        self.left >= 0.0 && self.top >= 0.0 && self.right <= WIDTH && self.bottom <= HEIGHT
    }
}

fn mark(spot: &Spot, (x, y): (f64, f64), bounds: &[f64], taken: &mut Vec<Room>) -> Mark {
    let p50 = or_none(spot.p50_ms);
    let state = match (spot.grave, spot.wrong.is_empty()) {
        (true, _) => "grave",
        (false, false) => "wrong",
        (false, true) => "",
    };
    let sign = match state {
        "grave" => "● ",
        "wrong" => "▲ ",
        _ => "",
    };
    let mut told = format!("{}: p50 {p50} ms, p95 {} ms, loss {}", spot.location, spot.p95, spot.loss);
    for wrong in &spot.wrong {
        told.push('\n');
        told.push_str(wrong);
    }
    Mark {
        x: place(x),
        y: place(y),
        shade: shade(spot.p50_ms, bounds),
        state,
        href: spot.href.clone(),
        told,
        label: label(format!("{sign}{} {p50}", spot.location), (x, y), taken),
    }
}

/// The label where there is room for it: right, left, below or above its point.
#[expect(clippy::cast_precision_loss, reason = "a label has some letters")]
fn label(text: String, (x, y): (f64, f64), taken: &mut Vec<Room>) -> Option<Label> {
    let width = text.chars().count() as f64 * LETTER_WIDTH;
    let half = LABEL_HEIGHT / 2.0;
    let of = |left: f64, middle: f64| Room {
        left,
        top: middle - half,
        right: left + width,
        bottom: middle + half,
    };
    let tries = [
        ("start", x + APART, y, of(x + APART, y)),
        ("end", x - APART, y, of(x - APART - width, y)),
        ("middle", x, y + APART + half, of(x - width / 2.0, y + APART + half)),
        ("middle", x, y - APART - half, of(x - width / 2.0, y - APART - half)),
    ];
    let free = |room: &Room| room.is_on_the_sheet() && !taken.iter().any(|other| room.meets(other));
    let (anchor, x, y, room) = tries.into_iter().find(|(.., room)| free(room))?;
    taken.push(room);
    Some(Label { x: place(x), y: place(y), anchor, text })
}

/// The same as a table.
pub(super) fn table(spots: &[Spot], csv: String) -> List {
    let line = |spot: &Spot| {
        let known_by = spot.area.map(|area| match area.known_by {
            KnownBy::Coordinates => "coordinates",
            KnownBy::Subdivision => "the subdivision's middle",
            KnownBy::Country => "the country's middle",
        });
        let degrees = spot.area.map(|area| degrees(area.centre.latitude, area.centre.longitude));
        let wrong = if spot.wrong.is_empty() { NONE.to_owned() } else { spot.wrong.join("; ") };
        vec![
            Cell { href: spot.href.clone(), ..Cell::of(&spot.location) }.beside(&spot.name),
            Cell::or_none(spot.p50_ms.map(figure::ms)),
            Cell::of(&spot.p95),
            Cell::of(&spot.loss),
            Cell::of(spot.sent.to_string()),
            Cell { warn: !spot.wrong.is_empty(), ..Cell::of(wrong) },
            Cell::or_none(degrees)
                .beside(known_by.unwrap_or("nobody knows where it is: give it coordinates")),
        ]
    };
    List {
        id: "locations",
        title: "Locations",
        csv,
        empty: "Nothing was measured in this span.".to_owned(),
        columns: vec![
            words("location"),
            numbers("p50, ms"),
            numbers("p95, ms"),
            numbers("loss"),
            numbers("probes"),
            words("wrong now"),
            words("where"),
        ],
        rows: spots.iter().map(line).collect(),
        ..List::default()
    }
}

fn degrees(latitude: f64, longitude: f64) -> String {
    let side = |value: f64, positive: &'static str, negative: &'static str| {
        format!("{:.1}° {}", value.abs(), if value < 0.0 { negative } else { positive })
    };
    format!("{}, {}", side(latitude, "N", "S"), side(longitude, "E", "W"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::Point;

    fn spot(location: &str, (latitude, longitude): (f64, f64), p50: f64, wrong: &[&str]) -> Spot {
        let area =
            Area { centre: Point { latitude, longitude }, radius_km: 25.0, known_by: KnownBy::Coordinates };
        Spot {
            location: location.to_owned(),
            name: String::new(),
            area: Some(area),
            p50_ms: Some(p50),
            p95: "20.0".to_owned(),
            loss: "0.0%".to_owned(),
            sent: 100,
            wrong: wrong.iter().map(|text| (*text).to_owned()).collect(),
            grave: false,
            href: String::new(),
        }
    }

    #[test]
    fn labels_never_lie_on_each_other_and_what_is_wrong_has_the_first() {
        let london = (51.5, -0.1);
        let spots: Vec<_> = (0..8)
            .map(|at| spot(&format!("GB-{at:03}"), london, 10.0, if at == 0 { &["loses"] } else { &[] }))
            .collect();
        let drawn = drawn(&spots);
        let labels: Vec<_> = drawn.points.iter().filter_map(|mark| mark.label.as_ref()).collect();
        assert_eq!((labels.len(), drawn.unlabelled), (4, 4));
        assert!(labels.iter().any(|label| label.text == "▲ GB-000 10.0"), "{labels:?}");
        assert_eq!(drawn.points.last().unwrap().state, "wrong", "it lies on top");
    }

    #[test]
    fn shades_hold_as_many_locations_each_and_a_location_without_a_place_is_counted() {
        let mut spots: Vec<_> = (1..=8_i32)
            .map(|at| spot("GB-LND", (50.0 + f64::from(at), 0.0), f64::from(at) * 10.0, &[]))
            .collect();
        spots.push(Spot { area: None, ..spot("ZZ-1", (0.0, 0.0), 5.0, &[]) });
        let drawn = drawn(&spots);
        let of = |shade: &str| drawn.points.iter().filter(|mark| mark.shade == shade).count();
        assert_eq!(["shade-1", "shade-2", "shade-3", "shade-4"].map(of), [2; 4]);
        assert_eq!(drawn.key[0], ("shade-1".to_owned(), "p50 up to 20.0 ms".to_owned()));
        assert_eq!(drawn.key[3], ("shade-4".to_owned(), "above 60.0 ms".to_owned()));
        assert_eq!(drawn.nowhere, 1);
        assert!(drawn.doors.len() > 5, "front doors of Europe are landmarks");
    }

    #[test]
    fn one_location_has_one_shade() {
        let one = drawn(&[spot("GB-LND", (51.5, -0.1), 10.0, &[])]);
        assert_eq!(one.key, [("shade-1".to_owned(), "p50".to_owned())]);
        assert_eq!(one.points[0].shade, "shade-1");
        let alike = [spot("GB-LND", (51.5, -0.1), 10.0, &[]), spot("FR-IDF", (48.9, 2.4), 10.0, &[])];
        assert_eq!(drawn(&alike).key.len(), 1);
    }

    #[test]
    fn a_place_is_told_in_degrees() {
        assert_eq!(degrees(-33.9, 151.2), "33.9° S, 151.2° E");
    }
}
