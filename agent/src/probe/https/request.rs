//! One GET on a fresh connection, by HTTP/1.1 or 2 as the handshake agreed.

use super::watched::{Notes, Passage};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::TokioIo;
use peerlight_proto::{series::HttpVersion, target::Host};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};

/// Who asks: names Peerlight, so that a target's owner knows (rules, §9).
pub(super) const USER_AGENT: &str =
    concat!("Peerlight/", env!("CARGO_PKG_VERSION"), " (network measurement)");
/// How much of a body is read.
const MAX_BODY: usize = 64 << 10;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) host: &'a Host,
    pub(super) port: u16,
    pub(super) path: &'a str,
}

/// An answer whose head is there; its body still comes. Dropping it ends the connection.
pub(super) struct Answer {
    /// The status code.
    pub(super) status: StatusCode,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// When the bytes of its head came in.
    pub(super) head: Option<Passage>,
    body: Incoming,
    _tasks: Tasks,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// The target's path or host makes no request.
    #[error("cannot form the request: {0}")]
    Form(#[from] http::Error),
    /// The server ended the connection or broke the protocol.
    #[error("no HTTP answer: {0}")]
    Exchange(#[from] hyper::Error),
}

/// Asks; the caller bounds the time.
pub(super) async fn ask<S>(
    stream: S,
    version: HttpVersion,
    question: Question<'_>,
    notes: &Notes,
) -> Result<Answer, RequestError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, tasks) = (TokioIo::new(stream), Tasks::default());
    let response = match version {
        HttpVersion::Http1 => {
            let (mut sender, connection) = conn::http1::handshake::<_, Empty<Bytes>>(io).await?;
            tasks.spawn(connection);
            sender.send_request(question.http1()?).await?
        }
        HttpVersion::Http2 => {
            let (mut sender, connection) =
                conn::http2::handshake::<_, _, Empty<Bytes>>(tasks.clone(), io).await?;
            tasks.spawn(connection);
            sender.send_request(question.http2()?).await?
        }
    };
    let head = notes.last_in();
    let (parts, body) = response.into_parts();
    Ok(Answer { status: parts.status, headers: parts.headers, head, body, _tasks: tasks })
}

impl Answer {
    /// Reads the body and drops it, up to a limit.
    pub(super) async fn read_body(&mut self) -> Result<(), RequestError> {
        let mut read = 0;
        while read < MAX_BODY {
            match self.body.frame().await.transpose()? {
                Some(frame) => read += frame.data_ref().map_or(0, Bytes::len),
                None => break,
            }
        }
        Ok(())
    }
}

impl Question<'_> {
    fn authority(&self) -> String {
        let host =
            if self.host.as_str().contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }

    fn http1(&self) -> Result<Request<Empty<Bytes>>, http::Error> {
        let builder = Request::get(self.path).header(header::HOST, self.authority());
        common(builder)
    }

    fn http2(&self) -> Result<Request<Empty<Bytes>>, http::Error> {
        common(Request::get(format!("https://{}{}", self.authority(), self.path)))
    }
}

fn common(builder: http::request::Builder) -> Result<Request<Empty<Bytes>>, http::Error> {
    builder.header(header::USER_AGENT, USER_AGENT).header(header::ACCEPT, "*/*").body(Empty::new())
}

/// The tasks of one connection; the last clone that is dropped ends them.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn spawn<F>(&self, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // What ends a connection also ends the request on it, which reports it.
        let task = async move {
            task.await;
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}
