//! The projection: degrees to a sheet that holds every point, the same scale in both directions at its middle (an equirectangular
//! projection with its standard parallel there). Pure.

use crate::geography::Point;

/// The sheet's own units.
pub(super) const WIDTH: f64 = 1_000.0;
pub(super) const HEIGHT: f64 = 520.0;
/// How far from the sheet's edge points stay: labels need room.
const MARGIN: f64 = 90.0;
/// What is shown at least, in degrees of latitude: a single city is not to fill the sheet.
const LEAST_SPAN: f64 = 12.0;
/// The distances at which the graticule may have its lines, in degrees.
const STEPS: [f64; 6] = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0];
/// The most meridians of a sheet.
const MOST_LINES: f64 = 12.0;

/// From degrees to the sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Projection {
    /// The middle of the sheet. Longitudes are counted from its meridian, so that the Pacific may be in the middle.
    middle: Point,
    /// Units per degree of latitude; of longitude it is less by the cosine of the middle's latitude.
    scale: f64,
    squeeze: f64,
}

/// A line of the graticule: where it lies, and what it is called.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) at: f64,
    pub(super) label: String,
}

impl Projection {
    /// The sheet that holds these points and is no larger than it takes.
    pub(super) fn of(points: &[Point]) -> Self {
        let (west, width) = arc(points);
        let longitude = wrapped(west + width / 2.0);
        let (south, north) =
            points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(south, north), point| {
                (south.min(point.latitude), north.max(point.latitude))
            });
        let (south, north) = if south <= north { (south, north) } else { (-30.0, 60.0) };
        let latitude = f64::midpoint(south, north);
        let squeeze = latitude.to_radians().cos().max(0.2);
        let by_height = (HEIGHT - 2.0 * MARGIN) / (north - south).max(LEAST_SPAN);
        let by_width = (WIDTH - 2.0 * MARGIN) / (width * squeeze).max(LEAST_SPAN);
        Self { middle: Point { latitude, longitude }, scale: by_height.min(by_width), squeeze }
    }

    /// Where a place lies on the sheet, or beside it.
    pub(super) fn place(self, point: Point) -> (f64, f64) {
        let east = wrapped(point.longitude - self.middle.longitude);
        let x = WIDTH / 2.0 + east * self.scale * self.squeeze;
        let y = HEIGHT / 2.0 - (point.latitude - self.middle.latitude) * self.scale;
        (x, y)
    }

    /// Whether a place lies on the sheet.
    pub(super) fn holds(self, point: Point) -> bool {
        let (x, y) = self.place(point);
        (0.0..=WIDTH).contains(&x) && (0.0..=HEIGHT).contains(&y)
    }

    /// The meridians and the parallels of the sheet, at round degrees.
    pub(super) fn graticule(self) -> (Vec<Line>, Vec<Line>) {
        let wide = (WIDTH / (self.scale * self.squeeze)).min(360.0);
        let high = HEIGHT / self.scale;
        let step = STEPS.into_iter().find(|step| wide / step <= MOST_LINES).unwrap_or(30.0);
        let west = self.middle.longitude - wide / 2.0;
        let meridians = rounds(west, west + wide, step).filter(|degrees| *degrees < west + 360.0);
        let meridians = meridians.map(|degrees| {
            let longitude = wrapped(degrees);
            // Not by `place`: at the far meridian it would jump to the other side.
            let at = WIDTH / 2.0 + (degrees - self.middle.longitude) * self.scale * self.squeeze;
            Line { at, label: named(longitude, "E", "W") }
        });
        let (south, north) = (self.middle.latitude - high / 2.0, self.middle.latitude + high / 2.0);
        let parallels = rounds(south.max(-90.0), north.min(90.0), step).map(|degrees| Line {
            at: self.place(Point { latitude: degrees, longitude: self.middle.longitude }).1,
            label: named(degrees, "N", "S"),
        });
        (meridians.collect(), parallels.collect())
    }
}

/// The shortest arc of longitudes that holds all points: from where eastwards, and how wide.
fn arc(points: &[Point]) -> (f64, f64) {
    let mut longitudes: Vec<f64> = points.iter().map(|point| point.longitude.rem_euclid(360.0)).collect();
    longitudes.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (longitudes.first(), longitudes.last()) else { return (-180.0, 360.0) };
    // All but the widest gap.
    let around = (last, first + 360.0);
    let gaps = longitudes.windows(2).map(|pair| (&pair[0], pair[1])).chain([around]);
    let widest = gaps.max_by(|one, other| (one.1 - one.0).total_cmp(&(other.1 - other.0)));
    widest.map_or((-180.0, 360.0), |(before, after)| (wrapped(after), 360.0 - (after - before)))
}

/// The multiples of a step between two values.
fn rounds(from: f64, to: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (from / step).ceil() * step;
    std::iter::successors(Some(first), move |at| Some(at + step)).take_while(move |at| *at <= to)
}

/// A longitude from -180 to 180.
fn wrapped(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(360.0) - 180.0
}

fn named(degrees: f64, positive: &str, negative: &str) -> String {
    let rounded = degrees.abs().round();
    if rounded < 0.5 {
        "0°".to_owned()
    } else if (rounded - 180.0).abs() < 0.5 {
        "180°".to_owned()
    } else {
        format!("{rounded:.0}° {}", if degrees > 0.0 { positive } else { negative })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(latitude: f64, longitude: f64) -> Point {
        Point { latitude, longitude }
    }

    proptest! {
        #[test]
        fn every_point_lies_on_the_sheet_with_room_for_its_label(
            points in prop::collection::vec((-85.0..85.0_f64, -180.0..180.0_f64), 1..20)
        ) {
            let points: Vec<_> = points.into_iter().map(|(north, east)| point(north, east)).collect();
            let projection = Projection::of(&points);
            for point in &points {
                let (x, y) = projection.place(*point);
                prop_assert!((MARGIN - 1e-6..=WIDTH - MARGIN + 1e-6).contains(&x), "{point:?} at {x}");
                prop_assert!((MARGIN - 1e-6..=HEIGHT - MARGIN + 1e-6).contains(&y), "{point:?} at {y}");
            }
            let (meridians, parallels) = projection.graticule();
            prop_assert!(meridians.len() <= 14 && !parallels.is_empty());
        }
    }

    #[test]
    fn east_is_right_north_is_up_and_the_pacific_may_be_in_the_middle() {
        let (tokyo, seattle) = (point(35.7, 139.7), point(47.6, -122.3));
        let projection = Projection::of(&[tokyo, seattle]);
        assert!(projection.place(tokyo).0 < projection.place(seattle).0, "the Pacific is narrower");
        assert!(projection.place(tokyo).1 > projection.place(seattle).1);
        let labels: Vec<_> = projection.graticule().0.into_iter().map(|line| line.label).collect();
        assert!(labels.contains(&"180°".to_owned()), "{labels:?}");
        assert!(!projection.holds(point(51.5, 0.0)));
    }

    #[test]
    fn one_city_does_not_fill_the_sheet() {
        let projection = Projection::of(&[point(51.5, -0.1)]);
        let (x, y) = projection.place(point(51.5, -0.1));
        assert!((x - WIDTH / 2.0).abs() < 1e-6 && (y - HEIGHT / 2.0).abs() < 1e-6);
        assert!(projection.holds(point(53.5, -2.2)), "Manchester is on it");
        assert!(!Projection::of(&[]).graticule().1.is_empty());
    }
}
