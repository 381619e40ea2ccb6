//! What a page shows in the place of an answer: what is missing before there can be one, or what went wrong.

use super::ground::Trouble;
use http::StatusCode;

/// What a page shows below its controls.
#[derive(Debug, Clone)]
pub(crate) enum Content<A> {
    /// Figures.
    Answer(A),
    /// What is missing before there can be any.
    Empty(Empty),
    /// What went wrong.
    Problem(Trouble),
}

/// Why there is nothing to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// No site is registered.
    NoRegistration,
    /// Sites are registered, no agent has pushed.
    NoMeasurement,
    /// A comparison takes two providers, and only one has measured.
    OneProvider,
}

/// What templates show where there is no answer.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) problem: Option<Trouble>,
    pub(crate) empty: Option<Empty>,
}

impl<A> Content<A> {
    /// The answer, or what stands in its place.
    pub(crate) fn parts(self) -> (Option<A>, State) {
        match self {
            Self::Answer(answer) => (Some(answer), State { problem: None, empty: None }),
            Self::Empty(empty) => (None, State { problem: None, empty: Some(empty) }),
            Self::Problem(problem) => (None, State { problem: Some(problem), empty: None }),
        }
    }

    /// The status of a page with this content.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Answer(_) | Self::Empty(_) => StatusCode::OK,
            Self::Problem(trouble) => trouble.status,
        }
    }
}
