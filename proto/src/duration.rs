//! Durations as people write and read them, and as configurations, options and URLs take them: `14d`, `1m30s`, `500ms`.

use std::{fmt::Write as _, time::Duration};

/// The units, the longest first, in nanoseconds. Months and years are none: nobody knows how long they are.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The duration in the units that it has any of, without spaces: `14d`, `1h30m`, `1s500ms`; `0s` if it is none.
pub fn text(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (unit, length) in UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let seconds = [0, 1, 60, 90, 3_600, 5_400, 86_400, 14 * 86_400, 400 * 86_400 + 61];
        let written = ["0s", "1s", "1m", "1m30s", "1h", "1h30m", "1d", "14d", "400d1m1s"];
        assert_eq!(seconds.map(|seconds| text(Duration::from_secs(seconds))), written);
        assert_eq!(text(Duration::from_millis(1_500)), "1s500ms");
        assert_eq!(text(Duration::from_nanos(2_000_003)), "2ms3ns");
    }

    proptest! {
        /// What is shown may be pasted into a configuration, an option or a URL.
        #[test]
        fn what_is_shown_is_read_as_the_same_duration(seconds in 0_u64..1_u64 << 40, nanos in 0_u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(humantime::parse_duration(&text(duration)).ok(), Some(duration));
        }
    }
}
