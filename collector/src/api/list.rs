//! Lists: how every resource of the registry answers with many, page by page, and what may be asked of all of them.

use super::error::ApiError;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// How many entries a list has unless told otherwise, and at most.
pub(super) const DEFAULT_LIMIT: usize = 10_000;

/// Entries, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
    /// How many there are: more than `items` where `limit` cut it.
    pub total: usize,
    /// What `cursor` is to be for the entries that follow; absent where none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// The first `limit` of these entries.
    pub fn new(mut items: Vec<T>, limit: Option<usize>) -> Self {
        let total = items.len();
        items.truncate(limit.unwrap_or(DEFAULT_LIMIT));
        Self { items, total, next: None }
    }

    /// A page of `total` entries: at most `limit` of `items`, which are one more if others follow. `place` says where an
    /// entry stands.
    pub(super) fn page<P: Serialize>(
        mut items: Vec<T>,
        limit: usize,
        total: usize,
        place: impl FnOnce(&T) -> P,
    ) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| cursor(&place(last)));
        Self { items, total, next }
    }
}

/// What may be asked of every list.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// The most entries to answer with.
    pub limit: Option<usize>,
    /// Answer with what has ended, too.
    #[serde(default)]
    pub all: bool,
}

/// What may be asked of a list that comes in pages.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The most entries to answer with; 10,000 unless given, and at most.
    pub limit: Option<usize>,
    /// Answer with what has ended, too.
    #[serde(default)]
    pub all: bool,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
}

/// The most entries of a page.
pub(super) fn page_limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(DEFAULT_LIMIT).clamp(1, DEFAULT_LIMIT)
}

/// The place behind which to go on.
pub(crate) fn place<P: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<P>, ApiError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let read = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let unknown = || ApiError::invalid("cursor: write `next` of the page before".to_owned(), Vec::new());
    read(cursor).map(Some).ok_or_else(unknown)
}

/// Opaque to callers: what it says may change with each version.
pub(crate) fn cursor(place: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let all: Vec<u32> = (1..=7).collect();
        let (mut seen, mut next) = (Vec::new(), None::<String>);
        loop {
            let after = place::<u32>(next.as_deref()).unwrap().unwrap_or(0);
            let items = all.iter().copied().filter(|one| *one > after).take(4).collect();
            let page = List::page(items, 3, all.len(), |last| *last);
            assert_eq!(page.total, 7);
            seen.push(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        assert!(place::<u32>(Some("%")).is_err());
        assert!(place::<u32>(Some(&cursor(&"a place"))).is_err());
        assert_eq!(place::<u32>(None).unwrap(), None);
    }
}
