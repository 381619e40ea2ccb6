//! One signed request to the collector and its checked answer: what enrolment, push, assignment and whoami share.

use crate::{
    causes::{self, with_causes},
    clock::Clock,
    credential::{CredentialError, keyring::Keyring},
    offset::{Offset, Window},
    probe::Departure,
    proxy::Proxies,
    signature::{AgentKey, Body, ResponseKey, SignatureError, content_digest},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, header};
use peerlight_proto::{
    keys::fingerprint,
    limits,
    problem::{Problem, ProblemType},
    time::Timestamp,
};
use std::{sync::Arc, time::Duration};
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long a connection is kept when nothing more is to be asked: a backlog goes over one, and between the intervals of a large
/// fleet the collector holds none. The next one resumes the TLS session.
pub const LINGER: Duration = Duration::from_secs(2);
/// The content type of a request without a body: signatures cover the header, so there must be one.
const NO_BODY: &str = "application/octet-stream";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The collector's address is not one that can be asked.
    #[error("`{0}` is not the address of a collector; write https://HOST:PORT")]
    Address(String),
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// The request cannot be built.
    #[error("cannot build the request: {0}")]
    Request(#[from] http::Error),
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignatureError),
    /// No connection, no TLS, or no whole answer.
    #[error("no answer from the collector: {}", with_causes(.0))]
    Transport(#[source] reqwest::Error),
    /// Another key cannot be read.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The answer is too large to be the collector's.
    #[error("the answer is over {0} bytes")]
    TooLarge(usize),
}

impl ExchangeError {
    /// Whether the certificate of whoever answered is not one of the collector's.
    pub fn is_distrust(&self) -> bool {
        let Self::Transport(error) = self else { return false };
        matches!(causes::find::<rustls::Error>(error), Some(rustls::Error::InvalidCertificate(_)))
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// How.
    pub method: Method,
    /// Where.
    pub path: &'static str,
    /// Headers besides those that every request bears.
    pub headers: HeaderMap,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Question {
    /// A question without a body.
    pub fn get(path: &'static str) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: HeaderMap::new(),
            content_type: NO_BODY,
            body: Bytes::new(),
        }
    }

    /// A question with a body.
    pub fn post(path: &'static str, content_type: &'static str, body: Bytes) -> Self {
        Self { method: Method::POST, path, headers: HeaderMap::new(), content_type, body }
    }
}

/// What was answered, by whomever.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`limits::MAX_BODY_BYTES`].
    pub body: Bytes,
    /// Whether the collector signed it for this question.
    pub signed: Result<(), SignatureError>,
    /// Between which instants the collector answered.
    pub window: Window,
}

impl Answer {
    /// The media type, without its parameters.
    pub fn media_type(&self) -> &str {
        let value = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        value.unwrap_or("").split(';').next().unwrap_or("").trim()
    }

    /// The collector's time, if it refused ours.
    pub fn skewed_by(&self) -> Option<Timestamp> {
        self.signed.as_ref().ok()?;
        let problem: Problem = serde_json::from_slice(&self.body).ok()?;
        let micros = problem.collector_time_us?;
        (ProblemType::from_uri(&problem.kind) == Some(ProblemType::ClockSkew))
            .then(|| Timestamp::from_micros(micros))
    }

    /// Whether this is how a collector answers that knows the key no more: it signs what it says to whom it knows.
    fn knows_no_such_key(&self) -> bool {
        self.status == 401 && self.signed.is_err()
    }

    /// How long the answer asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Asks one collector in the name of one agent.
#[derive(Debug, Clone)]
pub struct Exchange {
    client: reqwest::Client,
    base: Url,
    key: Arc<Keyring>,
    response_key: ResponseKey,
    clock: Clock,
    offset: Offset,
}

/// How a connection is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Source {
    /// The system decides, and a proxy may stand in between.
    #[default]
    System,
    /// As these probes leave and without a proxy: the path that they take. Marks are theirs alone.
    Bound(Departure),
}

impl Exchange {
    /// Asks the collector at `base`, which `tls` recognises and whose answers bear `response_key`'s signature; through a
    /// proxy of `proxies` where `source` allows it.
    pub fn new(
        base: &str,
        tls: rustls::ClientConfig,
        (source, proxies): (Source, &Proxies),
        (key, response_key): (Arc<Keyring>, ResponseKey),
        (clock, offset): (Clock, Offset),
    ) -> Result<Self, ExchangeError> {
        let base = parse_address(base)?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("peerlight-agent/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // One request is under way at a time, so that HTTP/2 would only take memory, here and in the collector.
            .http1_only()
            .pool_idle_timeout(LINGER)
            .https_only(true);
        builder = match source {
            Source::System => proxies.lead(builder, &base).map_err(ExchangeError::Client)?,
            // A connection that is kept would hide that the address has changed.
            Source::Bound(departure) => departure.dial(builder).no_proxy().pool_max_idle_per_host(0),
        };
        let client = builder.build().map_err(ExchangeError::Client)?;
        Ok(Self { client, base, key, response_key, clock, offset })
    }

    /// Asks; what came back is checked but not judged. If the collector knows the key no more that signs, the agent's others
    /// are tried: one that it believes signs from then on.
    pub async fn ask(&self, question: &Question) -> Result<Answer, ExchangeError> {
        let key = self.key.signing();
        let answer = self.ask_by(&key, question).await?;
        let mut tried = vec![key.public_key()];
        while answer.knows_no_such_key()
            && let Some((slot, other)) = self.key.another(&tried)?
        {
            let answer = self.ask_by(&other, question).await?;
            if answer.signed.is_ok() {
                self.key.take_up(slot)?;
                tracing::info!(
                    key = fingerprint(&other.public_key()),
                    "the collector knows this agent by another key, which signs from now on"
                );
            }
            if !answer.knows_no_such_key() {
                return Ok(answer);
            }
            tried.push(other.public_key());
        }
        Ok(answer)
    }

    async fn ask_by(&self, key: &AgentKey, question: &Question) -> Result<Answer, ExchangeError> {
        let request = self.signed(key, question).await?;
        let asked = self.clock.wall();
        let outgoing = self.to_reqwest(&request, question);
        let mut incoming = outgoing.send().await.map_err(ExchangeError::Transport)?;
        let window = Window { asked, answered: self.clock.wall() };
        let (status, headers) = (incoming.status(), incoming.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = incoming.chunk().await.map_err(ExchangeError::Transport)? {
            if body.len() + chunk.len() > limits::MAX_BODY_BYTES {
                return Err(ExchangeError::TooLarge(limits::MAX_BODY_BYTES));
            }
            body.extend_from_slice(&chunk);
        }
        let body = body.freeze();
        let mut response = Response::new(Body::default());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let signed = self.response_key.verify(&response, &body, &request);
        Ok(Answer {
            status: status.as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body,
            signed,
            window,
        })
    }

    /// Keeps what a signed answer said of the collector's clock.
    pub fn learn_time(&self, collector: Timestamp, window: Window) {
        self.offset.measured(collector, window);
    }

    async fn signed(&self, key: &AgentKey, question: &Question) -> Result<Request<Body>, ExchangeError> {
        let mut url = self.base.clone();
        url.set_path(question.path);
        let mut request = Request::builder()
            .method(&question.method)
            .uri(url.as_str())
            .header(header::CONTENT_TYPE, question.content_type)
            .header("content-digest", content_digest(&question.body))
            .body(Body::default())?;
        request.headers_mut().extend(question.headers.clone());
        key.sign(&mut request, self.offset.correct(self.clock.wall())).await?;
        Ok(request)
    }

    fn to_reqwest(&self, request: &Request<Body>, question: &Question) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(question.path);
        self.client
            .request(request.method().clone(), url)
            .headers(request.headers().clone())
            .body(question.body.clone())
    }
}

/// The collector's address in its canonical form: scheme, host and port alone.
pub fn parse_address(text: &str) -> Result<Url, ExchangeError> {
    let wrong = || ExchangeError::Address(text.chars().take(200).collect());
    let mut url = Url::parse(text.trim()).map_err(|_malformed| wrong())?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if url.scheme() != "https" || url.host_str().is_none() || !bare || !anonymous {
        return Err(wrong());
    }
    url.set_path("");
    Ok(url)
}
