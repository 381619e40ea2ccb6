//! What difference matters in practice, whatever statistics can tell: so many milliseconds, or so many percent of the faster
//! provider's median, whichever is less.

use serde::{Deserialize, Serialize};
use std::fmt;

/// From which difference on one provider is better. At least one of both is given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Threshold {
    /// In milliseconds.
    pub ms: Option<f64>,
    /// In percent of the median of the faster provider.
    pub percent: Option<f64>,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { ms: Some(5.0), percent: Some(10.0) }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.ms.map(|ms| format!("{ms}ms")), self.percent.map(|percent| format!("{percent}%"))];
        f.pad(&parts.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

impl Threshold {
    /// Reads `5ms`, `10%` or both, separated by a comma.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text: String = text.chars().take(80).collect();
            format!("threshold: `{text}` is not a difference that matters; write 5ms, 10% or 5ms,10%")
        };
        let mut threshold = Self { ms: None, percent: None };
        for part in text.split(',').map(str::trim) {
            let (place, number, most) = if let Some(number) = part.strip_suffix("ms") {
                (&mut threshold.ms, number, 60_000.0)
            } else if let Some(number) = part.strip_suffix('%') {
                (&mut threshold.percent, number, 1_000.0)
            } else {
                return Err(wrong());
            };
            let number: f64 = number.trim_end().parse().map_err(|_not_a_number| wrong())?;
            if !(number > 0.0 && number <= most) || place.replace(number).is_some() {
                return Err(wrong());
            }
        }
        Ok(threshold)
    }

    /// For people: `5 ms or 10%`.
    pub fn words(&self) -> String {
        let parts = [self.ms.map(|ms| format!("{ms} ms")), self.percent.map(|percent| format!("{percent}%"))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" or ")
    }

    /// In milliseconds, given both medians.
    pub fn between(&self, one_ms: f64, other_ms: f64) -> f64 {
        let share = self.percent.map(|percent| percent / 100.0 * one_ms.min(other_ms));
        self.ms.into_iter().chain(share).fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lesser_of_both_decides_and_either_may_stand_alone() {
        let of = |text| Threshold::parse(text).unwrap();
        assert_eq!(of("5ms,10%"), Threshold::default());
        assert_eq!((of("10 %, 5 ms").between(200.0, 300.0), of("5ms,10%").between(20.0, 8.0)), (5.0, 0.8));
        assert_eq!((of("2.5ms").between(8.0, 9.0), of("50%").between(200.0, 100.0)), (2.5, 50.0));
    }

    #[test]
    fn what_is_no_threshold_says_what_to_write() {
        for text in ["", "5", "0ms", "-1%", "NaNms", "infms", "5ms,6ms", "5s", "60001ms"] {
            let error = Threshold::parse(text).unwrap_err();
            assert!(
                error.contains(&format!("`{text}`")) && error.contains("write 5ms, 10% or 5ms,10%"),
                "{error}"
            );
        }
    }
}
