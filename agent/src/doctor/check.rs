//! What was looked at, what was found, and what to do.

use serde::Serialize;
use std::fmt;

/// How a check came out, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// The agent works, but less well or less surely than it could.
    Warning,
    /// Something does not work.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        })
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Of what.
    pub(super) name: String,
    /// How it came out.
    pub(super) outcome: Outcome,
    /// What was found.
    pub(super) found: String,
    /// What to do; none where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Check {
    /// All is well.
    pub(super) fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: Outcome::Ok, found: found.into(), advice: None }
    }

    /// It works, but.
    pub(super) fn warning(name: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, advice: Some(advice.into()), ..Self::ok(name, found) }
    }

    /// It does not work.
    pub(super) fn failed(name: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, advice: Some(advice.into()), ..Self::ok(name, found) }
    }
}
