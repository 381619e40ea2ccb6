//! Pages that took long to make, kept for the reader who asks for the same again: such a page is answered at once, says how old it is, and
//! is made anew behind its reader. What is made fast is never kept. While a page is made, whoever asks for it waits for that one.

use crate::{api::error::ApiError, app::App, registry::Operator};
use askama::Template;
use axum::{
    Extension,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use moka::sync::Cache;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What all kept pages may take of memory together.
const MOST_BYTES: u64 = 32 << 20;
/// One page that takes more is not kept.
const MOST_BYTES_OF_ONE: usize = 4 << 20;
/// Older ones are nobody's answer any more.
const KEPT_FOR: Duration = Duration::from_mins(10);
/// A page is made anew at most so often, …
const RENEWED_AFTER: Duration = Duration::from_secs(10);
/// … and for at most one part in so many of the time.
const SHARE: u32 = 10;
/// Where templates leave a place for a kept page to say its age. No text of others can stand for it: they are escaped.
const PLACE: &[u8] = b"<!-- kept -->";

/// The kept pages of a collector.
pub struct KeptPages {
    /// What takes longer is kept.
    slow: Duration,
    by_key: Cache<Key, Arc<KeptPage>>,
    /// What is being made. It goes on when all who wait for it have gone: who asks again finds it.
    making: Mutex<HashMap<Key, Making>>,
}

/// A page on its way; nothing if its maker failed.
type Making = Shared<BoxFuture<'static, Option<Response<Bytes>>>>;

/// What a page depends on besides what was measured: two who may see different things never share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Everything that a page tells of, or lets do, by who asks.
    operator: Operator,
    address: String,
}

/// A page and the place in it where its age is said.
struct KeptPage {
    before: Bytes,
    after: Bytes,
    headers: HeaderMap,
    made: Instant,
    took: Duration,
}

/// What a kept page says of itself.
#[derive(Template)]
#[template(path = "kept.html")]
struct Label {
    age_s: u64,
    took_s: String,
}

/// What becomes of a page that is asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is the answer.
    Answer,
    /// It is the answer, and the next one is made.
    AnswerAndRenew,
    /// It is too old.
    Nothing,
}

impl Use {
    /// Of a page so old that took so long to make.
    fn of(age: Duration, took: Duration) -> Self {
        if age >= KEPT_FOR {
            Self::Nothing
        } else if age >= RENEWED_AFTER.max(took * SHARE) {
            Self::AnswerAndRenew
        } else {
            Self::Answer
        }
    }
}

impl KeptPages {
    /// None yet; what takes longer than `slow` will be kept.
    pub fn new(slow: Duration) -> Self {
        let weigh = |key: &Key, page: &Arc<KeptPage>| {
            let bytes = key.address.len() + page.before.len() + page.after.len();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let by_key = Cache::builder().max_capacity(MOST_BYTES).weigher(weigh).time_to_live(KEPT_FOR).build();
        Self { slow, by_key, making: Mutex::default() }
    }

    /// The page that is being made, or else the one that `make` begins.
    fn make_once(&self, key: Key, make: impl FnOnce(Key) -> Making) -> Making {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        making.entry(key).or_insert_with_key(|key| make(key.clone())).clone()
    }
}

impl Key {
    fn of(operator: &Operator, uri: &Uri) -> Self {
        Self { operator: operator.clone(), address: uri.to_string() }
    }
}

impl KeptPage {
    /// Nothing where a page has no place for its age.
    fn new(html: &Bytes, headers: HeaderMap, (made, took): (Instant, Duration)) -> Option<Self> {
        let at = html.windows(PLACE.len()).position(|bytes| bytes == PLACE)?;
        let (before, after) = (html.slice(..at), html.slice(at + PLACE.len()..));
        Some(Self { before, after, headers, made, took })
    }

    /// The page with its age in it, and as RFC 9111, section 5.1, tells it to programs.
    fn answer(&self) -> Response {
        let age_s = self.made.elapsed().as_secs();
        let label = Label { age_s, took_s: format!("{:.1}", self.took.as_secs_f64()) };
        // Rendering numbers to memory does not fail.
        let label = label.render().unwrap_or_default();
        let body = [&self.before, label.as_bytes(), &self.after].concat();
        let mut response = Response::new(Body::from(body));
        *response.headers_mut() = self.headers.clone();
        response.headers_mut().insert(header::AGE, HeaderValue::from(age_s));
        response
    }
}

/// Whether the reader wants a page that is made now: by Ctrl-F5, and not merely because an open page renews itself.
fn wants_anew(headers: &HeaderMap) -> bool {
    let is_forced =
        headers.get_all(header::CACHE_CONTROL).iter().any(|value| value.as_bytes() == b"no-cache");
    is_forced && !headers.contains_key("peerlight-renewal")
}

/// Stands before pages of reports.
pub(super) async fn keep(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let key = Key::of(&operator, request.uri());
    let kept = (!wants_anew(request.headers())).then(|| app.pages.by_key.get(&key)).flatten();
    let kept = kept.map(|page| (Use::of(page.made.elapsed(), page.took), page));
    if let Some((Use::Answer, page)) = kept {
        return page.answer();
    }
    let making = app.pages.make_once(key, |key| begin(app.clone(), key, request, next));
    if let Some((Use::AnswerAndRenew, page)) = kept {
        return page.answer();
    }
    match making.await {
        Some(made) => made.map(Body::from),
        None => ApiError::internal().into_response(),
    }
}

/// Begins to make a page, by itself.
fn begin(app: App, key: Key, request: Request, next: Next) -> Making {
    let making = tokio::spawn(async move {
        let under_way = UnderWay { app, key };
        make(&under_way, request, next).await
    });
    making
        .map(|made| made.inspect_err(|error| tracing::error!(%error, "a page was not made")).ok().flatten())
        .boxed()
        .shared()
}

/// A page that is being made, until its maker ends, in whatever way.
struct UnderWay {
    app: App,
    key: Key,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.app.pages.making.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Makes a page, and keeps it if that took long.
async fn make(UnderWay { app, key }: &UnderWay, request: Request, next: Next) -> Option<Response<Bytes>> {
    let begun = Instant::now();
    let (parts, body) = next.run(request).await.into_parts();
    let took = begun.elapsed();
    // It was made in memory, as every page is.
    let html = to_bytes(body, usize::MAX).await.ok()?;
    if parts.status == StatusCode::OK {
        let is_to_keep = took > app.pages.slow && html.len() <= MOST_BYTES_OF_ONE;
        let page = is_to_keep.then(|| KeptPage::new(&html, parts.headers.clone(), (Instant::now(), took)));
        match page.flatten() {
            Some(page) => app.pages.by_key.insert(key.clone(), Arc::new(page)),
            None => app.pages.by_key.invalidate(key),
        }
    }
    Some(Response::from_parts(parts, html))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_made_anew_for_a_tenth_of_the_time_at_most_and_nobodys_answer_after_ten_minutes() {
        let use_of = |age_s, took_ms| Use::of(Duration::from_secs(age_s), Duration::from_millis(took_ms));
        assert_eq!(use_of(9, 300), Use::Answer);
        assert_eq!(use_of(10, 300), Use::AnswerAndRenew);
        assert_eq!(use_of(19, 2_000), Use::Answer);
        assert_eq!(use_of(20, 2_000), Use::AnswerAndRenew);
        assert_eq!(use_of(600, 300), Use::Nothing);
        assert_eq!(use_of(600, 120_000), Use::Nothing, "not even what takes minutes");
    }

    #[test]
    fn only_what_has_a_place_for_its_age_is_kept() {
        let kept = |html| {
            let html = Bytes::from_static(html);
            KeptPage::new(&html, HeaderMap::new(), (Instant::now(), Duration::ZERO)).is_some()
        };
        assert!(kept(b"<p><!-- kept --></p>"));
        assert!(!kept(b"<p>"));
    }

    #[tokio::test]
    async fn whoever_asks_for_a_page_that_is_being_made_waits_for_that_one() {
        let pages = KeptPages::new(Duration::ZERO);
        let key = || Key::of(&Operator::local(), &Uri::from_static("/latency?last=30d"));
        let (makes, made) = tokio::sync::oneshot::channel();
        let first = pages.make_once(key(), |_key| made.map(Result::ok).boxed().shared());
        let second = pages.make_once(key(), |_key| panic!("it is being made"));
        makes.send(Response::new(Bytes::from_static(b"page"))).unwrap();
        assert_eq!(first.await.unwrap().body(), second.await.unwrap().body());
    }

    #[test]
    fn only_readers_who_insist_wait_for_a_page_that_is_made_now() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect()
        };
        assert!(wants_anew(&headers(&[("cache-control", "no-cache")])));
        assert!(!wants_anew(&headers(&[("cache-control", "max-age=0")])), "F5");
        assert!(!wants_anew(&headers(&[("cache-control", "no-cache"), ("peerlight-renewal", "1")])));
    }
}
