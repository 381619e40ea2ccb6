//! Where locations and Microsoft's front doors are, and how fast light is between them. Pure.
//!
//! Neither is a point: a location is a circle around all of it, and a front door lies somewhere in its city. What is computed from
//! them is therefore a range, from the least distance that may be to the greatest.

mod edges;
mod places;

pub use edges::{Edge, Nearness, all as all_edges, edge, nearest, nearness};
pub use places::{Area, KnownBy, Places};

use serde::{Deserialize, Serialize};

/// The mean radius of the Earth.
const EARTH_KM: f64 = 6_371.0;
/// How far from the middle of its city a front door may stand.
pub const EDGE_RADIUS_KM: f64 = 50.0;
/// The speed of light, in km per ms.
const LIGHT_KM_PER_MS: f64 = 299.792_458;
/// How much slower light is in fibre: the group index of common single-mode fibre (ITU-T G.652) at 1,550 nm.
const FIBRE_INDEX: f64 = 1.468;

/// A place on the Earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Point {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

impl Point {
    /// The great circle to another place, in km.
    pub fn distance_km(self, to: Self) -> f64 {
        let [lat, to_lat] = [self.latitude, to.latitude].map(f64::to_radians);
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let haversine = half(to.latitude - self.latitude)
            + lat.cos() * to_lat.cos() * half(to.longitude - self.longitude);
        2.0 * EARTH_KM * haversine.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// How far apart two things may be, in km.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Distance {
    /// At least; 0 where one may stand in the other.
    pub least_km: f64,
    /// At most, on a great circle.
    pub most_km: f64,
}

impl Distance {
    /// From anywhere in an area to a front door.
    pub fn between(area: &Area, edge: &Edge) -> Self {
        let middle = area.centre.distance_km(edge.point);
        let slack = area.radius_km + EDGE_RADIUS_KM;
        Self { least_km: (middle - slack).max(0.0).round(), most_km: (middle + slack).round() }
    }
}

/// The least round trip over so many km, in ms: there and back through fibre that lies on the great circle.
pub fn fibre_rtt_ms(km: f64) -> f64 {
    2.0 * km * FIBRE_INDEX / LIGHT_KM_PER_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point() -> impl Strategy<Value = Point> {
        (-90.0..90.0_f64, -180.0..180.0_f64).prop_map(|(latitude, longitude)| Point { latitude, longitude })
    }

    proptest! {
        #[test]
        fn distances_are_those_of_a_sphere(a in point(), b in point(), c in point()) {
            prop_assert!(a.distance_km(a) < 1e-6);
            prop_assert!((a.distance_km(b) - b.distance_km(a)).abs() < 1e-6);
            prop_assert!(a.distance_km(b) <= EARTH_KM * std::f64::consts::PI + 1e-6);
            prop_assert!(a.distance_km(c) <= a.distance_km(b) + b.distance_km(c) + 1e-3);
        }
    }

    #[test]
    fn known_distances_and_the_speed_of_light_come_out() {
        let london = Point { latitude: 51.5, longitude: -0.1 };
        let frankfurt = Point { latitude: 50.1, longitude: 8.7 };
        assert!((london.distance_km(frankfurt) - 636.0).abs() < 5.0);
        // About 1 ms for 100 km.
        assert!((fibre_rtt_ms(1_000.0) - 9.793).abs() < 0.001);
    }
}
