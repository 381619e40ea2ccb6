//! Comparisons as text: a table for people, CSV for spreadsheets.

pub mod csv;
pub mod table;

use crate::report::compare::{FEWEST_DAYS, FEWEST_PROBES, Judgement, Reason, Verdict};

/// A verdict in words.
pub fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoDifference => "no difference",
        Verdict::InsufficientData => "insufficient data",
    }
}

/// Why there is no verdict, in words.
pub fn because(judgement: &Judgement) -> Option<String> {
    Some(match judgement.reason? {
        Reason::NoCommonLocation => "at no location did both measure".to_owned(),
        Reason::NoMatchedCells => {
            format!("never had both {FEWEST_PROBES} probes of the same target in the same quarter hour")
        }
        Reason::TooFewDays => {
            format!("{} of the {FEWEST_DAYS} days that it takes at least", judgement.days)
        }
        Reason::Undecided => {
            let threshold = judgement.threshold_ms.map(super::figure::ms).unwrap_or_default();
            format!("the truth may lie on either side of the {threshold} ms that matter; more days tell")
        }
    })
}
