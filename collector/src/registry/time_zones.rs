//! Time zones of locations: the IANA names of countries that have one, and of the states of those that have several.

/// The zone of a location, where its code alone decides. Codes that are not here must be given a zone.
pub(super) fn usual(code: &str) -> Option<&'static str> {
    let country = code.get(..2).filter(|_| !APART.contains(&code))?;
    SUBDIVISIONS
        .iter()
        .find(|(zones, _)| zones.split_whitespace().any(|listed| listed == code))
        .map(|(_, zone)| *zone)
        .or_else(|| COUNTRIES.iter().find(|(listed, _)| *listed == country).map(|(_, zone)| *zone))
}

/// States that lie in one zone, of countries that have several.
const SUBDIVISIONS: [(&str, &str); 13] = [
    (
        "US-CT US-DC US-DE US-GA US-MA US-MD US-ME US-NC US-NH US-NJ US-NY US-OH US-PA US-RI US-SC US-VA US-VT US-WV",
        "America/New_York",
    ),
    ("US-AL US-AR US-IA US-IL US-LA US-MN US-MO US-MS US-OK US-WI", "America/Chicago"),
    ("US-CO US-MT US-NM US-UT US-WY", "America/Denver"),
    ("US-AZ", "America/Phoenix"),
    ("US-CA US-NV US-WA", "America/Los_Angeles"),
    ("US-HI", "Pacific/Honolulu"),
    ("CA-QC", "America/Toronto"),
    ("CA-AB", "America/Edmonton"),
    ("CA-MB", "America/Winnipeg"),
    ("AU-NSW AU-ACT", "Australia/Sydney"),
    ("AU-VIC", "Australia/Melbourne"),
    ("AU-QLD", "Australia/Brisbane"),
    ("AU-WA", "Australia/Perth"),
];

/// Countries that lie in one zone.
const COUNTRIES: [(&str, &str); 50] = [
    ("AE", "Asia/Dubai"),
    ("AR", "America/Argentina/Buenos_Aires"),
    ("AT", "Europe/Vienna"),
    ("BE", "Europe/Brussels"),
    ("BG", "Europe/Sofia"),
    ("CH", "Europe/Zurich"),
    ("CO", "America/Bogota"),
    ("CZ", "Europe/Prague"),
    ("DE", "Europe/Berlin"),
    ("DK", "Europe/Copenhagen"),
    ("EE", "Europe/Tallinn"),
    ("EG", "Africa/Cairo"),
    ("FI", "Europe/Helsinki"),
    ("FR", "Europe/Paris"),
    ("GB", "Europe/London"),
    ("GH", "Africa/Accra"),
    ("GR", "Europe/Athens"),
    ("HK", "Asia/Hong_Kong"),
    ("HR", "Europe/Zagreb"),
    ("HU", "Europe/Budapest"),
    ("IE", "Europe/Dublin"),
    ("IL", "Asia/Jerusalem"),
    ("IN", "Asia/Kolkata"),
    ("IT", "Europe/Rome"),
    ("JP", "Asia/Tokyo"),
    ("KE", "Africa/Nairobi"),
    ("KR", "Asia/Seoul"),
    ("LT", "Europe/Vilnius"),
    ("LU", "Europe/Luxembourg"),
    ("LV", "Europe/Riga"),
    ("MA", "Africa/Casablanca"),
    ("MY", "Asia/Kuala_Lumpur"),
    ("NG", "Africa/Lagos"),
    ("NL", "Europe/Amsterdam"),
    ("NO", "Europe/Oslo"),
    ("NZ", "Pacific/Auckland"),
    ("PE", "America/Lima"),
    ("PH", "Asia/Manila"),
    ("PL", "Europe/Warsaw"),
    ("QA", "Asia/Qatar"),
    ("RO", "Europe/Bucharest"),
    ("SA", "Asia/Riyadh"),
    ("SE", "Europe/Stockholm"),
    ("SG", "Asia/Singapore"),
    ("SI", "Europe/Ljubljana"),
    ("SK", "Europe/Bratislava"),
    ("TH", "Asia/Bangkok"),
    ("TR", "Europe/Istanbul"),
    ("TW", "Asia/Taipei"),
    ("ZA", "Africa/Johannesburg"),
];

/// Places of those countries that keep another time: they must be given a zone.
const APART: [&str; 13] = [
    "FR-971", "FR-972", "FR-973", "FR-974", "FR-976", "FR-GF", "FR-GP", "FR-MQ", "FR-NC", "FR-PF", "FR-RE",
    "FR-YT", "NZ-CIT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_and_every_code_of_the_tables_exists() {
        for (codes, zone) in SUBDIVISIONS {
            assert!(jiff::tz::TimeZone::get(zone).is_ok(), "{zone}");
            for code in codes.split_whitespace() {
                assert!(rust_iso3166::iso3166_2::from_code(code).is_some(), "{code}");
                assert_eq!(usual(code), Some(zone));
            }
        }
        for (country, zone) in COUNTRIES {
            assert!(jiff::tz::TimeZone::get(zone).is_ok(), "{zone}");
            assert!(rust_iso3166::from_alpha2(country).is_some(), "{country}");
        }
    }

    #[test]
    fn a_state_of_two_zones_has_no_usual_one() {
        assert_eq!(usual("US-TX"), None);
        assert_eq!(usual("GB-LND"), Some("Europe/London"));
        assert_eq!(usual("US-WA"), Some("America/Los_Angeles"));
        assert_eq!((usual("x"), usual("FR-974")), (None, None));
    }
}
