//! A tunnel through an HTTP proxy: one CONNECT (RFC 9110, §9.3.6) and its answer.

use crate::proxy::{Authentication, Proxy, authority};
use http::{StatusCode, header};
use httparse::{EMPTY_HEADER, Response, Status};
use peerlight_proto::target::Host;
use std::{
    fmt::{self, Write as _},
    io,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest head of an answer.
const MAX_HEAD: usize = 16 << 10;
/// How many headers it may have.
const MAX_HEADERS: usize = 64;
/// How many schemes of authentication are named.
const MAX_SCHEMES: usize = 8;

/// Why there is no tunnel. Each goes on after "the proxy HOST:PORT".
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    /// The connection broke.
    #[error("broke the connection: {0}")]
    Broken(#[from] io::Error),
    /// It hung up.
    #[error("hung up instead of answering")]
    HungUp,
    /// Its answer is too long.
    #[error("answered at greater length than {MAX_HEAD} bytes and {MAX_HEADERS} headers")]
    TooLong,
    /// Its answer is not HTTP.
    #[error("did not answer by HTTP: {0}")]
    Malformed(httparse::Error),
    /// It sent something that nobody asked for.
    #[error("sent bytes into the tunnel before anything was asked")]
    Unasked,
    /// It wants to know who asks.
    #[error("wants to be signed on to (407); {offered}: {}", advice(.offered))]
    Unknown {
        /// What it says of that.
        offered: Offered,
    },
    /// It was told who asks.
    #[error("does not accept the credentials given by {given} (407); {offered}")]
    Denied {
        /// The scheme that was tried.
        given: &'static str,
        /// What it says of that.
        offered: Offered,
    },
    /// It said no.
    #[error("refuses {to}: {status}")]
    Refused {
        /// To whom it was to lead.
        to: String,
        /// What it said.
        status: StatusCode,
    },
}

/// Has `proxy`, at the other end of `stream`, lead on to `host`. The caller bounds the time.
pub(super) async fn open<S>(stream: &mut S, proxy: &Proxy, host: &Host, port: u16) -> Result<(), TunnelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let to = authority(host, port);
    stream.write_all(request(proxy, &to).as_bytes()).await?;
    let mut head = Vec::new();
    let mut chunk = [0; 4 << 10];
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Err(TunnelError::HungUp);
        }
        head.extend_from_slice(&chunk[..read]);
        if let Some(length) = judge(&head, proxy, &to)? {
            return if length == head.len() { Ok(()) } else { Err(TunnelError::Unasked) };
        }
        if head.len() >= MAX_HEAD {
            return Err(TunnelError::TooLong);
        }
    }
}

fn request(proxy: &Proxy, to: &str) -> String {
    let mut request =
        format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {}\r\n", super::request::USER_AGENT);
    if let Some(authentication) = &proxy.authentication {
        // Writing to a String cannot fail.
        let _infallible =
            write!(request, "{}: {}\r\n", header::PROXY_AUTHORIZATION, authentication.authorization());
    }
    request.push_str("\r\n");
    request
}

/// The length of the head that opens a tunnel; none as long as it is not complete.
fn judge(bytes: &[u8], proxy: &Proxy, to: &str) -> Result<Option<usize>, TunnelError> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(TunnelError::TooLong),
        Err(error) => return Err(TunnelError::Malformed(error)),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(TunnelError::Malformed(httparse::Error::Status))?;
    if status.is_success() {
        return Ok(Some(length));
    }
    if status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(TunnelError::Refused { to: to.to_owned(), status });
    }
    let offered = schemes(response.headers);
    Err(match proxy.authentication.as_ref().map(Authentication::scheme) {
        Some(given) => TunnelError::Denied { given, offered },
        None => TunnelError::Unknown { offered },
    })
}

/// The schemes of authentication that a proxy takes, by their names alone.
#[derive(Debug)]
pub(super) struct Offered(Vec<String>);

impl fmt::Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("it does not say how"),
            schemes => write!(f, "it takes {}", schemes.join(", ")),
        }
    }
}

fn advice(offered: &Offered) -> &'static str {
    if offered.0.is_empty() || offered.0.iter().any(|scheme| scheme.eq_ignore_ascii_case("Basic")) {
        "set username and password_file in [proxy]"
    } else {
        "this agent speaks Basic alone"
    }
}

fn schemes(headers: &[httparse::Header<'_>]) -> Offered {
    let name = |value: &[u8]| {
        let end = value.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'-'));
        String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
    };
    let offers = |header: &&httparse::Header<'_>| {
        header.name.eq_ignore_ascii_case(header::PROXY_AUTHENTICATE.as_str()) && !header.value.is_empty()
    };
    let mut names: Vec<_> = headers.iter().filter(offers).map(|header| name(header.value)).collect();
    names.retain(|name| (1..=20).contains(&name.len()));
    names.dedup();
    names.truncate(MAX_SCHEMES);
    Offered(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: &str = "outlook.office365.com:443";

    fn proxy(address: &str) -> Proxy {
        address.parse().unwrap()
    }

    fn verdict(answer: &str, address: &str) -> String {
        match judge(answer.as_bytes(), &proxy(address), TO) {
            Ok(length) => format!("{length:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_request_names_the_target_and_bears_credentials_only_where_there_are_some() {
        let asked = request(&proxy("p.test:3128"), TO);
        assert!(asked.starts_with(
            "CONNECT outlook.office365.com:443 HTTP/1.1\r\nHost: outlook.office365.com:443\r\n"
        ));
        assert!(asked.ends_with("\r\n\r\n") && !asked.contains("authorization"));
        // What `printf user:pass | base64` says.
        let asked = request(&proxy("user:pass@p.test:3128"), TO);
        assert!(asked.contains("\r\nproxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{asked}");
        assert_eq!(authority(&"2001:db8::1".parse().unwrap(), 443), "[2001:db8::1]:443");
    }

    #[test]
    fn any_success_opens_the_tunnel_once_its_head_is_whole() {
        let answer = "HTTP/1.0 200 Connection established\r\nVia: 1.1 p\r\n\r\n";
        for end in 0..answer.len() {
            assert_eq!(judge(&answer.as_bytes()[..end], &proxy("p.test"), TO).unwrap(), None);
        }
        assert_eq!(judge(answer.as_bytes(), &proxy("p.test"), TO).unwrap(), Some(answer.len()));
    }

    #[test]
    fn refusals_say_what_is_wrong_without_the_proxys_own_words() {
        let challenge = "HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: Basic realm=\"secret plans\"\r\n\r\n";
        let said = [
            verdict(challenge, "p.test"),
            verdict(challenge, "user:hunter2@p.test"),
            verdict("HTTP/1.1 407 x\r\n\r\n", "p.test"),
            verdict("HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\n\r\n", "p.test"),
            verdict("HTTP/1.1 403 <b>Blocked by policy</b>\r\n\r\n", "p.test"),
            verdict("HTTP/1.1 502 Bad Gateway\r\n\r\n", "p.test"),
            verdict("HTTP/1.1 101 Switching\r\n\r\n", "p.test"),
            verdict("SSH-2.0-OpenSSH_9.9\r\n", "p.test"),
            verdict("HTTP/1.1 2000 OK\r\n\r\n", "p.test"),
            verdict(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1)), "p.test"),
        ]
        .join("\n");
        insta::assert_snapshot!(said);
    }

    #[tokio::test]
    async fn a_head_without_end_and_bytes_that_nobody_asked_for_open_nothing() {
        for (answer, reason) in [
            (format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(1 << 20)), "at greater length"),
            ("HTTP/1.1 200 OK\r\n\r\n\u{16}\u{3}".to_owned(), "before anything was asked"),
            ("HTTP/1.1 200 OK\r\n".to_owned(), "hung up"),
        ] {
            let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
            let answering = async move {
                // It may be hung up on.
                let _cut = theirs.write_all(answer.as_bytes()).await;
                let _asked = theirs.read(&mut [0; 1_024]).await;
            };
            let host = "outlook.office365.com".parse().unwrap();
            let proxy = proxy("p.test");
            let opening = async move { open(&mut ours, &proxy, &host, 443).await };
            let (opened, ()) = tokio::join!(opening, answering);
            let error = opened.unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
