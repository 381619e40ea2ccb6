//! What clocks show at a location: hour, date, and whether the day is one of the weekend there. Pure, but for the table of
//! time zones that is built in.

use jiff::{
    civil::{Date, Weekday},
    tz::TimeZone,
};
use peerlight_proto::time::Timestamp;

/// An hour of a day at a location. Where clocks are put back an hour comes twice, and both are it; where they are put
/// forward one does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LocalHour {
    pub(super) date: Date,
    pub(super) hour: u8,
    pub(super) is_weekend: bool,
}

/// The clocks of a location.
#[derive(Debug, Clone)]
pub(super) struct Clocks {
    pub(super) name: String,
    zone: TimeZone,
    weekend: &'static [Weekday],
}

impl Clocks {
    /// Those of a location by its code and IANA time zone. A zone that is not known any more is UTC, and is called so.
    pub(super) fn of(code: &str, zone: &str) -> Self {
        let weekend = weekend(code);
        TimeZone::get(zone).map_or_else(
            |_unknown| Self { name: "UTC".to_owned(), zone: TimeZone::UTC, weekend },
            |known| Self { name: zone.to_owned(), zone: known, weekend },
        )
    }

    /// What they show at an instant; nothing beyond the years that calendars reach.
    pub(super) fn at(&self, instant: Timestamp) -> Option<LocalHour> {
        let shown = jiff::Timestamp::from_microsecond(instant.as_micros()).ok()?.to_zoned(self.zone.clone());
        Some(LocalHour {
            date: shown.date(),
            hour: u8::try_from(shown.hour()).ok()?,
            is_weekend: self.weekend.contains(&shown.weekday()),
        })
    }
}

/// The weekend of a location's country, by CLDR's `weekData` (release 45), which falls on Saturday and Sunday elsewhere.
fn weekend(code: &str) -> &'static [Weekday] {
    use Weekday::{Friday, Saturday, Sunday, Thursday};
    let country = code.split_once('-').map_or(code, |(country, _)| country);
    match country {
        "AF" => &[Thursday, Friday],
        "IR" => &[Friday],
        "BH" | "DZ" | "EG" | "IL" | "IQ" | "JO" | "KW" | "LY" | "OM" | "QA" | "SA" | "SD" | "SY" | "YE" => {
            &[Friday, Saturday]
        }
        "IN" | "UG" => &[Sunday],
        _ => &[Saturday, Sunday],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, from: &str, quarters: i64) -> Vec<u32> {
        let clocks = Clocks::of("GB-LND", zone);
        let first = crate::rfc3339::parse(from).unwrap().as_secs();
        (0..quarters)
            .map(|quarter| clocks.at(Timestamp::from_secs(first + quarter * 900)).unwrap().hour.into())
            .collect()
    }

    fn count(hours: &[u32]) -> Vec<usize> {
        (0..24).map(|hour| hours.iter().filter(|there| **there == hour).count()).collect()
    }

    #[test]
    fn an_hour_that_comes_twice_is_one_hour_and_one_that_does_not_come_has_nothing() {
        // London, 2026-10-25: 25 hours from midnight on, 01 twice. 2026-03-29: 23 hours, no 01.
        let autumn = count(&hours("Europe/London", "2026-10-24T23:00:00Z", 100));
        assert_eq!((autumn[0], autumn[1], autumn[2], autumn[23]), (4, 8, 4, 4));
        let spring = count(&hours("Europe/London", "2026-03-29T00:00:00Z", 92));
        assert_eq!((spring[0], spring[1], spring[2], spring[23]), (4, 0, 4, 4));
        // New York puts its clocks forward three weeks earlier, at two.
        let york = count(&hours("America/New_York", "2026-03-08T05:00:00Z", 92));
        assert_eq!((york[1], york[2], york[3]), (4, 0, 4));
        // Lord Howe Island puts them back by half an hour.
        let howe = count(&hours("Australia/Lord_Howe", "2026-04-04T13:00:00Z", 98));
        assert_eq!((howe[0], howe[1], howe[2], howe[23]), (4, 6, 4, 4));
    }

    #[test]
    fn quarters_fall_into_hours_also_where_zones_are_off_by_less_than_an_hour() {
        assert_eq!(hours("Asia/Kolkata", "2026-06-01T00:00:00Z", 4), [5, 5, 6, 6]);
        assert_eq!(hours("Asia/Kathmandu", "2026-06-01T00:00:00Z", 3), [5, 6, 6]);
    }

    #[test]
    fn weekends_are_those_of_the_country_and_begin_at_its_midnight() {
        let of = |code: &str, zone: &str, instant: &str| {
            Clocks::of(code, zone).at(crate::rfc3339::parse(instant).unwrap()).unwrap().is_weekend
        };
        // 2026-06-05 is a Friday.
        assert!(!of("GB-LND", "Europe/London", "2026-06-05T22:59:00Z"));
        assert!(of("GB-LND", "Europe/London", "2026-06-05T23:00:00Z"));
        assert!(of("SA-01", "Asia/Riyadh", "2026-06-05T09:00:00Z"));
        assert!(!of("SA-01", "Asia/Riyadh", "2026-06-07T09:00:00Z"));
        assert!(!of("IN-MH", "Asia/Kolkata", "2026-06-06T09:00:00Z"));
    }

    #[test]
    fn a_zone_that_is_not_known_is_utc_by_name() {
        assert_eq!(Clocks::of("HK", "Mars/Olympus").name, "UTC");
    }
}
