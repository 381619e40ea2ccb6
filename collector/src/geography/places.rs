//! Where locations are: by the coordinates that the registry has, else by the table of subdivisions, else as wide as the country.

use super::Point;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::LazyLock};

/// Codes, centres and radii; says where they are from.
const TABLE: &str = include_str!("places.csv");
/// How far from a location's coordinates its sites may be: coordinates say which city.
const CITY_RADIUS_KM: f64 = 25.0;

static AREAS: LazyLock<HashMap<String, (Point, f64)>> = LazyLock::new(|| {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(TABLE.as_bytes());
    let rows = reader.deserialize::<Line>().filter_map(Result::ok);
    rows.map(|line| {
        (line.code, (Point { latitude: line.latitude, longitude: line.longitude }, line.radius_km))
    })
    .collect()
});

#[derive(Deserialize)]
struct Line {
    code: String,
    latitude: f64,
    longitude: f64,
    radius_km: f64,
}

/// By what it is known where a location is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// The coordinates that the registry has.
    Coordinates,
    /// The extent of the subdivision.
    Subdivision,
    /// The extent of the country: the subdivision is in no table.
    Country,
}

/// A circle around all of a location.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Area {
    /// Its middle.
    #[serde(flatten)]
    pub centre: Point,
    /// Its radius.
    pub radius_km: f64,
    /// By what it is known.
    pub known_by: KnownBy,
}

/// Where the locations of an organisation are.
#[derive(Debug, Clone, Default)]
pub struct Places(HashMap<String, Point>);

impl Places {
    /// Of the locations that have coordinates, by their codes.
    pub fn of(coordinates: impl IntoIterator<Item = (String, Point)>) -> Self {
        Self(coordinates.into_iter().collect())
    }

    /// Where the location of this code is; none if nobody knows.
    pub fn area(&self, code: &str) -> Option<Area> {
        if let Some(centre) = self.0.get(code).copied() {
            return Some(Area { centre, radius_km: CITY_RADIUS_KM, known_by: KnownBy::Coordinates });
        }
        let of = |code: &str, known_by| {
            AREAS.get(code).map(|&(centre, radius_km)| Area { centre, radius_km, known_by })
        };
        match code.split_once('-') {
            Some((country, _)) => of(code, KnownBy::Subdivision).or_else(|| of(country, KnownBy::Country)),
            None => of(code, KnownBy::Country),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read_and_lies_on_the_earth() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count() - 1;
        assert_eq!(AREAS.len(), lines);
        for (code, (centre, radius_km)) in AREAS.iter() {
            assert!(centre.latitude.abs() <= 90.0 && centre.longitude.abs() <= 180.0, "{code}");
            assert!((1.0..=11_000.0).contains(radius_km), "{code}: {radius_km}");
        }
    }

    #[test]
    fn a_location_is_where_the_registry_says_else_its_subdivision_else_its_country() {
        let london = Point { latitude: 51.5, longitude: -0.1 };
        let places = Places::of([("GB-LND".to_owned(), london)]);
        let known = |code| places.area(code).map(|area| area.known_by);
        assert_eq!(known("GB-LND"), Some(KnownBy::Coordinates));
        assert_eq!(known("US-WA"), Some(KnownBy::Subdivision));
        assert_eq!([known("GB-MAN"), known("SG")], [Some(KnownBy::Country); 2]);
        assert_eq!(known("ZZ-1"), None);
    }

    #[test]
    fn cities_lie_within_the_circles_of_their_states() {
        for (code, latitude, longitude) in [
            ("US-WA", 47.6, -122.3),
            ("US-WA", 47.7, -117.4),
            ("DE-HE", 51.3, 9.5),
            ("FR-IDF", 48.9, 2.4),
            ("JP-13", 35.7, 139.7),
            ("IN-MH", 21.1, 79.1),
            ("BR-SP", -23.6, -46.6),
            ("AU-NSW", -33.9, 151.2),
            ("GB", 57.1, -2.1),
        ] {
            let area = Places::default().area(code).unwrap();
            let distance = area.centre.distance_km(Point { latitude, longitude });
            assert!(distance <= area.radius_km, "{code}: {distance} of {}", area.radius_km);
        }
    }
}
