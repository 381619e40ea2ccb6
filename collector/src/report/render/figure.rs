//! Figures as people read them: as many digits as matter, in tables and on pages alike.

use std::time::Duration;

/// Milliseconds with three significant digits, and never fewer than whole ones.
pub fn ms(value: f64) -> String {
    let decimals = match value {
        value if value < 1.0 => 3,
        value if value < 10.0 => 2,
        value if value < 1_000.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A share as a percentage: small losses keep their digits, and what is not nothing never reads as 0.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        percent if percent > 0.0 && percent < 0.01 => "<0.01%".to_owned(),
        percent if percent > 0.0 && percent < 1.0 => format!("{percent:.2}%"),
        // 99.97 % is not all of it.
        percent if percent < 100.0 && percent > 99.9 => "99.9%".to_owned(),
        percent => format!("{percent:.1}%"),
    }
}

/// `0`, `45s`, `3h 12m`, `2d 4h`: the two largest units, seconds only below an hour.
pub fn length(seconds: u64) -> String {
    if seconds == 0 {
        return "0".to_owned();
    }
    let unit = match seconds {
        86_400.. => 3_600,
        3_600.. => 60,
        _ => 1,
    };
    humantime::format_duration(Duration::from_secs(seconds / unit * unit)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_the_digits_that_matter() {
        assert_eq!([0.0345, 5.678, 12.34, 1_234.5].map(ms), ["0.035", "5.68", "12.3", "1234"]);
        assert_eq!(
            [0.0, 0.000_01, 0.000_4, 0.0148, 0.9998, 1.0].map(percent),
            ["0.0%", "<0.01%", "0.04%", "1.5%", "99.9%", "100.0%"]
        );
    }

    #[test]
    fn lengths_are_in_the_units_that_matter() {
        let shown = [0, 45, 660, 3_660, 11_525, 187_200].map(length);
        assert_eq!(shown, ["0", "45s", "11m", "1h 1m", "3h 12m", "2days 4h"]);
    }
}
