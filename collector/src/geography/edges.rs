//! The table of front doors: our own, by Microsoft's codes. What is not in it is unknown, and is not guessed.

use super::{Area, Distance, EDGE_RADIUS_KM, Point};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::LazyLock};

/// Codes, cities and coordinates; says where they are from.
const TABLE: &str = include_str!("edges.csv");

static EDGES: LazyLock<BTreeMap<String, Edge>> = LazyLock::new(|| {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(TABLE.as_bytes());
    let rows = reader.deserialize::<Line>().filter_map(Result::ok);
    rows.map(|line| {
        let point = Point { latitude: line.latitude, longitude: line.longitude };
        (line.code.clone(), Edge { code: line.code, city: line.city, country: line.country, point })
    })
    .collect()
});

#[derive(Deserialize)]
struct Line {
    code: String,
    city: String,
    country: String,
    latitude: f64,
    longitude: f64,
}

/// A front door of Microsoft's network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Edge {
    /// Microsoft's code.
    pub code: String,
    /// The city.
    pub city: String,
    /// Its country, ISO 3166-1 alpha-2.
    pub country: String,
    /// The middle of the city.
    #[serde(flatten)]
    pub point: Point,
}

/// Whether a front door is the nearest one to a location that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nearness {
    /// None that is known is nearer to the middle of the location.
    Nearest,
    /// Another is nearer to the middle, but not to all of the location.
    Undecided,
    /// Another is nearer to all of the location.
    Farther,
}

/// Every front door that is known, by code.
pub fn all() -> impl Iterator<Item = &'static Edge> {
    EDGES.values()
}

/// The front door of this code; none if it is not in the table.
pub fn edge(code: &str) -> Option<&'static Edge> {
    EDGES.get(code)
}

/// The known front door that is nearest to the middle of an area.
pub fn nearest(area: &Area) -> Option<&'static Edge> {
    EDGES.values().min_by(|a, b| of(area, a).total_cmp(&of(area, b)))
}

/// Whether this front door is the nearest one that is known.
pub fn nearness(area: &Area, edge: &Edge) -> Nearness {
    let own = of(area, edge);
    let Some(best) = nearest(area).map(|best| of(area, best)) else { return Nearness::Nearest };
    // Doors of one city are as near, wherever in it they stand.
    if own <= best + EDGE_RADIUS_KM {
        Nearness::Nearest
    } else if Distance::between(area, edge).least_km > best + area.radius_km + EDGE_RADIUS_KM {
        Nearness::Farther
    } else {
        Nearness::Undecided
    }
}

fn of(area: &Area, edge: &Edge) -> f64 {
    area.centre.distance_km(edge.point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::Places;

    #[test]
    fn every_line_of_the_table_is_read_and_has_a_code_of_two_or_three_letters() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count() - 1;
        assert_eq!(EDGES.len(), lines);
        for edge in EDGES.values() {
            assert!(
                (2..=3).contains(&edge.code.len()) && edge.code.bytes().all(|byte| byte.is_ascii_uppercase())
            );
            assert!(
                edge.point.latitude.abs() <= 90.0
                    && edge.point.longitude.abs() <= 180.0
                    && !edge.city.is_empty()
            );
        }
    }

    #[test]
    fn codes_are_microsofts_and_no_airports() {
        let city = |code| edge(code).map(|edge| edge.city.as_str());
        assert_eq!(
            [city("WST"), city("LTS"), city("SGE")],
            [Some("Seattle"), Some("London"), Some("Singapore")]
        );
        assert_eq!([city("MEX"), city("CO")], [Some("Queretaro"), Some("Quincy")]);
        // Airports that headers name, but Microsoft's table does not.
        assert_eq!(["IAD", "CDG", "BY", "unknown"].map(city), [None; 4]);
    }

    #[test]
    fn the_nearest_is_told_from_one_that_is_farther_wherever_in_the_location_one_stands() {
        let hesse = Places::default().area("DE-HE").unwrap();
        assert_eq!(nearest(&hesse).unwrap().code, "FRA");
        let told = |code| nearness(&hesse, edge(code).unwrap());
        assert_eq!(told("FRA"), Nearness::Nearest);
        assert_eq!(told("DUS"), Nearness::Undecided);
        assert_eq!([told("LIS"), told("SIN")], [Nearness::Farther; 2]);
    }
}
