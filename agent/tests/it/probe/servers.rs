//! Servers that tests script: DNS, and HTTPS with certificates of an own authority.

use bytes::Bytes;
use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{RData, Record, RecordType, rdata},
};
use http_body_util::Full;
use hyper::{Response, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

/// What a DNS server says.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Addresses(Vec<IpAddr>),
    NoData,
    NoName,
    ServFail,
    Nothing,
}

/// A DNS server with the number of questions that it was asked.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Dns {
    /// A server that answers A and AAAA questions for any name as told; ends with the test.
    pub(crate) async fn start(v4: Say, v6: Say) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                count.fetch_add(1, Ordering::Relaxed);
                let question = Message::from_vec(&packet[..length]).unwrap();
                let is_v4 = question.queries[0].query_type() == RecordType::A;
                if let Some(answer) = answer(&question, if is_v4 { &v4 } else { &v6 }) {
                    socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
                }
            }
        });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(question: &Message, say: &Say) -> Option<Message> {
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    let query = question.queries[0].clone();
    let name = query.name().clone();
    answer.add_query(query);
    match say {
        Say::Addresses(addresses) => {
            for &address in addresses {
                let data = match address {
                    IpAddr::V4(address) => RData::A(rdata::A(address)),
                    IpAddr::V6(address) => RData::AAAA(rdata::AAAA(address)),
                };
                answer.add_answer(Record::from_rdata(name.clone(), 1, data));
            }
        }
        Say::NoData => {}
        Say::NoName => answer.metadata.response_code = ResponseCode::NXDomain,
        Say::ServFail => answer.metadata.response_code = ResponseCode::ServFail,
        Say::Nothing => return None,
    }
    Some(answer)
}

/// An HTTPS server with a certificate for `localhost`, `peerlight.test`, `outlook.office365.com` and 127.0.0.1, and the
/// authority to trust.
pub(crate) struct Https {
    pub(crate) port: u16,
    pub(crate) authority: NamedTempFile,
    requested: Arc<AtomicUsize>,
}

/// What a server answers to every request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Https {
    /// A server that offers `protocol` and answers every request with `status` and a body of `length` bytes.
    pub(crate) async fn start(protocol: &str, status: u16, length: usize) -> Self {
        let body = Bytes::from(vec![b'x'; length]);
        Self::answering(protocol, Reply { status, headers: Vec::new(), body }).await
    }

    /// A server that offers `protocol` and answers every request so.
    pub(crate) async fn answering(protocol: &str, reply: Reply) -> Self {
        let (authority, acceptor) = certificates(protocol);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requested = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requested);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, reply, count) = (acceptor.clone(), reply.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                        let agent = request.headers()[http::header::USER_AGENT].to_str().unwrap();
                        assert!(
                            agent.starts_with("Peerlight/") || agent.starts_with("peerlight-agent/"),
                            "{agent}"
                        );
                        count.fetch_add(1, Ordering::Relaxed);
                        let response = reply
                            .headers
                            .iter()
                            .fold(Response::builder().status(reply.status), |response, (name, value)| {
                                response.header(*name, value)
                            });
                        let response = response.body(Full::new(reply.body.clone()));
                        async move { response }
                    });
                    // Probes close their connections as they please.
                    let _closed = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, authority, requested }
    }

    /// How many requests came.
    pub(crate) fn requested(&self) -> usize {
        self.requested.load(Ordering::Relaxed)
    }
}

fn certificates(protocol: &str) -> (NamedTempFile, TlsAcceptor) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Test Authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "peerlight.test", "outlook.office365.com", "127.0.0.1"].map(str::to_owned);
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(authority.pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    (file, TlsAcceptor::from(Arc::new(config)))
}
