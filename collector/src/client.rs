//! The client of the operators' API: what the command line speaks to the running collector with.

use crate::api::list::List;
use http::{Method, StatusCode, header};
use peerlight_proto::problem::Problem;
use reqwest::Certificate;
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error as _, fmt, time::Duration};
use url::{Host, Url};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take: reports over years are not quick.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// Where the API is and who asks.
#[derive(Clone)]
pub struct Endpoint {
    /// The operators' listener.
    pub url: Url,
    /// The operator token.
    pub token: String,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// The token stays out of logs.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("the collector is not running at {url}, start it with `peerlight-collector run`")]
    NotRunning {
        /// Where it was looked for.
        url: Url,
    },
    /// The connection failed in another way.
    #[error("cannot ask the collector at {url}: {detail}")]
    Transport {
        /// Where it was asked.
        url: Url,
        /// The chain of errors.
        detail: String,
    },
    /// The endpoint cannot be used.
    #[error("cannot use {what}: {detail}")]
    Endpoint {
        /// Which part of it.
        what: &'static str,
        /// Why not.
        detail: String,
    },
    /// The token is not one that the collector knows.
    #[error(
        "the collector at {url} does not accept the operator token; give one that holds by --token-file or \
         PEERLIGHT_OPERATOR_TOKEN"
    )]
    Unauthorized {
        /// Where it was asked.
        url: Url,
    },
    /// The collector refused, and said why.
    #[error("{}", lines(problem))]
    Refused {
        /// What it said.
        problem: Box<Problem>,
    },
    /// The answer is not one of a collector.
    #[error("{url} answered {status} with something that is not of a Peerlight collector: {detail}")]
    Foreign {
        /// What was asked.
        url: Url,
        /// Its status.
        status: StatusCode,
        /// What is wrong with it.
        detail: String,
    },
}

/// A problem for people: one line for each thing that is wrong.
fn lines(problem: &Problem) -> String {
    let mut text = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
    for error in &problem.errors {
        text.push_str("\n  - ");
        text.push_str(error);
    }
    text
}

/// A connection to one collector.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
}

impl Client {
    /// A client of this endpoint. Nothing is sent yet.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        choose_cryptography();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("peerlight-collector/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&endpoint.url) {
            builder = builder.no_proxy();
        }
        if endpoint.url.scheme() == "http" {
            // Nobody is asked for a certificate: a machine that has no authorities can do this all the same.
            builder = builder.tls_certs_only([]);
        } else if let Some(pem) = &endpoint.ca_pem {
            let certificates = Certificate::from_pem_bundle(pem)
                .map_err(|error| ClientError::Endpoint { what: "the CA file", detail: chain(&error) })?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http =
            builder.build().map_err(|error| ClientError::Endpoint { what: "TLS", detail: chain(&error) })?;
        Ok(Self { http, endpoint })
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        self.json(Method::GET, path, query, Body::None::<()>).await
    }

    /// Asks for a list, page by page to its end.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Vec<T>, ClientError> {
        let mut page: List<T> = self.get(path, query).await?;
        let mut items = page.items;
        while let Some(next) = page.next {
            let following: Vec<_> = query.iter().cloned().chain([("cursor", next)]).collect();
            page = self.get(path, &following).await?;
            items.append(&mut page.items);
        }
        Ok(items)
    }

    /// Adds something.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(Method::POST, path, &[], Body::Json(body)).await
    }

    /// Puts something in the place of what is there.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(Method::PUT, path, &[], Body::Json(body)).await
    }

    /// Ends something.
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        self.json(Method::DELETE, path, query, Body::None::<()>).await
    }

    /// Adds what stands in a CSV file.
    pub async fn post_csv<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        file: Vec<u8>,
    ) -> Result<T, ClientError> {
        self.json(Method::POST, path, query, Body::Csv::<()>(file)).await
    }

    /// Asks for something as CSV.
    pub async fn get_csv(&self, path: &str, query: &[(&str, String)]) -> Result<String, ClientError> {
        self.text("text/csv", path, query).await
    }

    /// Asks for something as JSON documents, one a line.
    pub async fn get_ndjson(&self, path: &str, query: &[(&str, String)]) -> Result<String, ClientError> {
        self.text("application/x-ndjson", path, query).await
    }

    /// Asks for something as a page.
    pub async fn get_html(&self, path: &str, query: &[(&str, String)]) -> Result<String, ClientError> {
        self.text("text/html", path, query).await
    }

    /// Asks for something as Parquet.
    pub async fn get_parquet(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<u8>, ClientError> {
        Ok(self
            .send((Method::GET, "application/vnd.apache.parquet"), path, query, Body::None::<()>)
            .await?
            .body)
    }

    /// Asks for the metrics, in Prometheus's text format.
    pub async fn get_metrics(&self) -> Result<String, ClientError> {
        self.text("text/plain", "/metrics", &[]).await
    }

    async fn text(
        &self,
        accept: &'static str,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<String, ClientError> {
        let answer = self.send((Method::GET, accept), path, query, Body::None::<()>).await?;
        String::from_utf8(answer.body).map_err(|error| ClientError::Foreign {
            url: answer.url,
            status: answer.status,
            detail: error.to_string(),
        })
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Body<'_, impl Serialize>,
    ) -> Result<T, ClientError> {
        let answer = self.send((method, "application/json"), path, query, body).await?;
        // A 204 has no body; null is what a caller without interest in one reads.
        let body: &[u8] = if answer.body.is_empty() { b"null" } else { &answer.body };
        serde_json::from_slice(body).map_err(|error| ClientError::Foreign {
            url: answer.url,
            status: answer.status,
            detail: error.to_string(),
        })
    }

    async fn send(
        &self,
        (method, accept): (Method, &'static str),
        path: &str,
        query: &[(&str, String)],
        body: Body<'_, impl Serialize>,
    ) -> Result<Answer, ClientError> {
        let url = self.address(path, query)?;
        let mut request = self
            .http
            .request(method, url.clone())
            .bearer_auth(&self.endpoint.token)
            .header(header::ACCEPT, accept);
        request = match body {
            Body::None => request,
            Body::Json(body) => request.json(body),
            Body::Csv(file) => request.header(header::CONTENT_TYPE, "text/csv").body(file),
        };
        let response = request.send().await.map_err(|error| self.transport(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.transport(&error))?.to_vec();
        if status == StatusCode::UNAUTHORIZED {
            Err(ClientError::Unauthorized { url: self.endpoint.url.clone() })
        } else if status.is_success() {
            Ok(Answer { url, status, body })
        } else {
            match serde_json::from_slice(&body) {
                Ok(problem) => Err(ClientError::Refused { problem: Box::new(problem) }),
                Err(error) => Err(ClientError::Foreign { url, status, detail: error.to_string() }),
            }
        }
    }

    fn address(&self, path: &str, query: &[(&str, String)]) -> Result<Url, ClientError> {
        let mut url = self
            .endpoint
            .url
            .join(path)
            .map_err(|error| ClientError::Endpoint { what: "the URL", detail: error.to_string() })?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn transport(&self, error: &reqwest::Error) -> ClientError {
        let url = self.endpoint.url.clone();
        let detail = chain(error);
        // A refused connection and one that nobody answers; a failed handshake is a connect error too, but a listener.
        if error.is_connect() && (detail.contains("refused") || error.is_timeout()) {
            ClientError::NotRunning { url }
        } else {
            ClientError::Transport { url, detail }
        }
    }
}

/// What is sent with a request.
enum Body<'a, T> {
    None,
    Json(&'a T),
    Csv(Vec<u8>),
}

/// A successful answer.
struct Answer {
    url: Url,
    status: StatusCode,
    body: Vec<u8>,
}

/// Says whose cryptography HTTP clients use, before the first one is made.
pub(crate) fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, with the same provider.
        let _installed_meanwhile = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

/// Whether nobody on the way reads along: by TLS, or without it on this machine.
pub(crate) fn is_unobserved(url: &Url) -> bool {
    url.host_str().is_some() && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
}

/// Whether it leads to this machine, where no proxy is.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The error and its causes. The first is reqwest's, whose URL our own errors name already.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}
