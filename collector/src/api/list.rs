//! Lists: how every resource of the registry answers with many, and what may be asked of all of them.

use serde::{Deserialize, Serialize};

/// How many entries a list has unless told otherwise.
const DEFAULT_LIMIT: usize = 10_000;

/// Entries, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
    /// How many there are: more than `items` where `limit` cut it.
    pub total: usize,
}

impl<T> List<T> {
    /// The first `limit` of these entries.
    pub fn new(mut items: Vec<T>, limit: Option<usize>) -> Self {
        let total = items.len();
        items.truncate(limit.unwrap_or(DEFAULT_LIMIT));
        Self { items, total }
    }
}

/// What may be asked of every list.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// The most entries to answer with.
    pub limit: Option<usize>,
    /// Answer with what has ended, too.
    #[serde(default)]
    pub all: bool,
}
