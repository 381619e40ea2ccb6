//! The line of an agent to the collector: a TLS connection from the agent's own address, with a session ticket of its own,
//! and signed requests over it.

use super::{Answers, prepare::Prepared};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use peerlight_agent::{
    clock::Clock,
    signature::{AgentKey, ResponseKey, content_digest},
};
use peerlight_proto::{
    codec::decode_ack,
    http::{ACK_MEDIA_TYPE, BATCH_MEDIA_TYPE, BATCHES_PATH},
    id::{BatchDigest, BatchNumber},
    limits::MAX_BODY_BYTES,
};
use rustls::{
    ClientConfig, HandshakeKind, NamedGroup,
    client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue},
};
use rustls_pki_types::ServerName;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// How long a connection, a handshake and an answer may take together.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the collector said of a push.
#[derive(Debug)]
pub(super) enum Said {
    /// It is stored: whether it was before, and how many measurements were refused.
    Acknowledged { duplicate: bool, refused: u64 },
    /// Come again, after this long if it said so.
    Later(StatusCode, Option<Duration>),
}

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("no TLS: {0}")]
    Tls(std::io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    #[error("an answer that is not the collector's: {0}")]
    Foreign(String),
}

/// The ticket of the last session, and nothing else: what an agent by itself keeps.
#[derive(Debug, Default)]
struct Ticket(Mutex<Option<Tls13ClientSessionValue>>);

impl ClientSessionStore for Ticket {
    fn set_kx_hint(&self, _server: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _server: ServerName<'static>, _session: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ticket);
    }

    fn take_tls13_ticket(&self, _server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The way of one agent to the collector.
pub(super) struct Line {
    key: Arc<AgentKey>,
    response_key: ResponseKey,
    tls: Arc<ClientConfig>,
    source: Ipv4Addr,
    collector: SocketAddr,
    answers: Answers,
    clock: Clock,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    pub(super) fn new(
        prepared: &Prepared,
        key: Arc<AgentKey>,
        source: Ipv4Addr,
        (collector, answers): (SocketAddr, Answers),
    ) -> Self {
        let mut tls = prepared.tls.clone();
        tls.resumption = Resumption::store(Arc::new(Ticket::default()));
        Self {
            key,
            response_key: prepared.response_key.clone(),
            tls: Arc::new(tls),
            source,
            collector,
            answers,
            clock: Clock::system(),
            open: None,
        }
    }

    /// Ends the connection, as an agent does that has nothing more to say.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Makes a connection if there is none. Says, of one that it made, whether it resumed a session.
    pub(super) async fn open(&mut self) -> Result<Option<bool>, LineError> {
        if self.open.as_ref().is_some_and(|open| !open.is_closed()) {
            return Ok(None);
        }
        let connect = async {
            let socket = TcpSocket::new_v4().map_err(LineError::Connect)?;
            socket.bind((self.source, 0).into()).map_err(LineError::Connect)?;
            let stream = socket.connect(self.collector).await.map_err(LineError::Connect)?;
            stream.set_nodelay(true).map_err(LineError::Connect)?;
            let name = ServerName::IpAddress(self.collector.ip().into());
            let connector = TlsConnector::from(Arc::clone(&self.tls));
            let stream = connector.connect(name, stream).await.map_err(LineError::Tls)?;
            let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            // What breaks it, the next request tells.
            tokio::spawn(connection);
            Ok::<_, LineError>((sender, resumed))
        };
        let (sender, resumed) = tokio::time::timeout(PATIENCE, connect)
            .await
            .map_err(|_elapsed| LineError::TooSlow(PATIENCE))??;
        self.open = Some(sender);
        Ok(Some(resumed))
    }

    /// Pushes a batch over the open connection and checks the answer.
    pub(super) async fn push(&mut self, number: BatchNumber, bytes: &Bytes) -> Result<Said, LineError> {
        let Some(open) = &mut self.open else { return Err(LineError::Foreign("no connection".to_owned())) };
        let foreign = |error: &dyn std::fmt::Display| LineError::Foreign(error.to_string());
        let mut signed = Request::builder()
            .method("POST")
            .uri(format!("https://{}{BATCHES_PATH}", self.collector))
            .header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE)
            .header(header::CONTENT_ENCODING, "zstd")
            .header("content-digest", content_digest(bytes))
            .body(Full::default())
            .map_err(|error| foreign(&error))?;
        self.key.sign(&mut signed, self.clock.wall()).await.map_err(|error| foreign(&error))?;
        let mut request = Request::new(Full::new(bytes.clone()));
        *request.method_mut() = signed.method().clone();
        *request.uri_mut() = http::Uri::from_static(BATCHES_PATH);
        *request.headers_mut() = signed.headers().clone();
        let host = HeaderValue::try_from(self.collector.to_string()).map_err(|error| foreign(&error))?;
        request.headers_mut().insert(header::HOST, host);
        let ask = async {
            open.ready().await?;
            let (head, body) = open.send_request(request).await?.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
            Ok::<_, LineError>((head, body.map_err(|error| foreign(&error))?.to_bytes()))
        };
        let (head, body) =
            tokio::time::timeout(PATIENCE, ask).await.map_err(|_elapsed| LineError::TooSlow(PATIENCE))??;
        if self.answers == Answers::Unread && head.status.is_success() {
            return Ok(Said::Acknowledged { duplicate: false, refused: 0 });
        }
        let mut response = Response::new(Full::default());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        let believed = self.response_key.verify(&response, &body, &signed);
        judge((head.status, response.headers(), &body), believed.is_ok(), (number, bytes))
    }
}

/// What an answer says; one that asks to come again need not be signed.
fn judge(
    (status, headers, body): (StatusCode, &HeaderMap, &Bytes),
    believed: bool,
    (number, bytes): (BatchNumber, &Bytes),
) -> Result<Said, LineError> {
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        let wait = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Ok(Said::Later(status, wait.map(Duration::from_secs)));
    }
    let typed = headers.get(header::CONTENT_TYPE).is_some_and(|value| value == ACK_MEDIA_TYPE);
    let ack = (believed && status.is_success() && typed).then(|| decode_ack(body).ok()).flatten();
    match ack {
        Some(ack) if ack.number == number && ack.digest == BatchDigest::of(bytes) => {
            Ok(Said::Acknowledged { duplicate: ack.duplicate, refused: ack.refused.len() as u64 })
        }
        Some(_) | None => {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            Err(LineError::Foreign(format!("{status}, signed: {believed}, {text}")))
        }
    }
}
