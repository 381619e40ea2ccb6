//! A small collector: real TLS, real signatures, and answers that a test chooses.

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use httpsig::prelude::{
    AlgorithmName, HttpSignatureParams, SecretKey, message_component::HttpMessageComponentId,
};
use httpsig_hyper::MessageSignatureRes as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use peerlight_agent::{
    clock::Clock,
    credential::load_or_create,
    enrol::{Applicant, enrol},
    link::Link,
    paths::StateDir,
    proxy::Proxies,
    signature::content_digest,
    trust::CollectorTrust,
};
use peerlight_proto::{
    ack::Ack,
    assignment::Assignment,
    batch::Batch,
    codec::{decode_batch, encode_ack},
    drops::Account,
    enrolment::{EnrolmentRequest, EnrolmentResponse, EnrolmentToken, SiteAssertion},
    http::{
        ACK_MEDIA_TYPE, ASSIGNMENT_PATH, BATCHES_PATH, ENROLMENTS_PATH, PROBLEM_MEDIA_TYPE,
        RESPONSE_COMPONENTS, RESPONSE_TAG, RETIREMENT_PATH, WHOAMI_PATH,
    },
    id::{AgentId, BatchDigest},
    problem::{Problem, ProblemType},
    retirement::{RetirementRequest, RetirementResponse},
    time::Timestamp,
    whoami::WhoAmI,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::HandshakeKind;
use rustls_pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the collector answers a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Stores it and signs for it.
    Accept,
    /// Is no collector but a captive portal: 200 to everything.
    Portal,
    /// Acknowledges with a key that is not the collector's.
    Forge,
    /// Signs an acknowledgement of other bytes.
    Misquote,
    /// Refuses batches of more than so many measurements.
    AtMost(usize),
    /// Knows no such agent.
    Unknown,
    /// Rejects it for good.
    Reject,
    /// Claims to reject it for good, without a signature.
    RejectUnsigned,
}

/// What the collector has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Requests of any kind.
    pub(crate) requests: usize,
    /// Batches that it signed for, in their order.
    pub(crate) stored: Vec<Batch>,
    /// From where `whoami` was asked.
    pub(crate) callers: Vec<IpAddr>,
    /// Connections that resumed a TLS session.
    pub(crate) resumed: usize,
    /// How often the assignment was asked for by an agent that had the newest.
    pub(crate) unchanged: usize,
    /// Agents that said that they will not come back.
    pub(crate) retired: Vec<AgentId>,
}

/// A running collector; ends with the test.
pub(crate) struct Collector {
    pub(crate) token: EnrolmentToken,
    pub(crate) seen: watch::Receiver<Seen>,
    mood: Arc<Mutex<Mood>>,
    assignment: Arc<Mutex<Assignment>>,
    known_as: Arc<Mutex<Option<AgentId>>>,
    authority: Authority,
    /// Shows the certificate of the day.
    tls: Arc<Mutex<TlsAcceptor>>,
}

/// A certification authority for collectors.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// TLS with a new certificate, which is shown with that of its issuer.
    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let leaf =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let chain = vec![leaf.der().clone(), self.0.der().clone()];
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Whether an answer bears the collector's signature.
enum Signing {
    Signed,
    Unsigned,
}

struct Server {
    key: SecretKey,
    stranger: SecretKey,
    clock: Clock,
    mood: Arc<Mutex<Mood>>,
    assignment: Arc<Mutex<Assignment>>,
    known_as: Arc<Mutex<Option<AgentId>>>,
    seen: watch::Sender<Seen>,
}

impl Collector {
    /// A collector whose time is that of `clock`.
    pub(crate) async fn start(clock: Clock) -> Self {
        let authority = Authority::new("Peerlight collector");
        let tls = Arc::new(Mutex::new(authority.acceptor()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let secret = |byte| SecretKey::from_bytes(&AlgorithmName::Ed25519, &[byte; 32]).unwrap();
        let (sender, seen) = watch::channel(Seen::default());
        let mood = Arc::new(Mutex::new(Mood::Accept));
        let public = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let assignment = Arc::new(Mutex::new(Assignment::default()));
        let known_as = Arc::new(Mutex::new(None));
        let server = Server {
            key: secret(1),
            stranger: secret(2),
            clock,
            mood: Arc::clone(&mood),
            assignment: Arc::clone(&assignment),
            known_as: Arc::clone(&known_as),
            seen: sender,
        };
        tokio::spawn(serve(listener, Arc::clone(&tls), Arc::new(server)));
        let token = EnrolmentToken {
            collector: format!("https://localhost:{}", address.port()),
            ca_sha256: hex::encode(Sha256::digest(authority.0.der())),
            response_key: hex::encode(ring::signature::KeyPair::public_key(&public)),
            secret: "5e".repeat(32),
            agent: None,
        };
        Self { token, seen, mood, assignment, known_as, authority, tls }
    }

    /// Its certification authority's certificate.
    pub(crate) fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// From now on it shows a new certificate of its own authority.
    pub(crate) fn renew_certificate(&self) {
        *self.tls.lock().unwrap() = self.authority.acceptor();
    }

    /// From now on it shows a certificate of another authority.
    pub(crate) fn change_authority(&self, other: &Authority) {
        *self.tls.lock().unwrap() = other.acceptor();
    }

    /// From now on it assigns this.
    pub(crate) fn assign(&self, assignment: Assignment) {
        *self.assignment.lock().unwrap() = assignment;
    }

    /// From now on it knows every machine that enrols as this agent.
    pub(crate) fn know_as(&self, agent: AgentId) {
        *self.known_as.lock().unwrap() = Some(agent);
    }

    /// From now on it answers so.
    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Waits until it has seen what `enough` asks for.
    pub(crate) async fn until(&self, what: &str, enough: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        let reached = tokio::time::timeout(PATIENCE, seen.wait_for(enough)).await;
        let reached = reached.unwrap_or_else(|_late| panic!("the collector never saw {what}")).unwrap();
        reached.clone()
    }

    /// The way of a newly enrolled agent whose state is in `state`.
    pub(crate) async fn enrol(&self, state: &StateDir, clock: Clock) -> Link {
        let applicant = applicant(state, clock.clone());
        enrol(&applicant, &self.token, None).await.unwrap();
        Link {
            state: state.clone(),
            uplinks: Vec::new(),
            trust: CollectorTrust::Pinned,
            proxies: applicant.proxies,
            key: applicant.key,
            clock,
            offset: peerlight_agent::offset::Offset::default(),
        }
    }
}

/// An agent that would like to enrol.
pub(crate) fn applicant(state: &StateDir, clock: Clock) -> Applicant {
    Applicant {
        state: state.clone(),
        key: Arc::new(load_or_create(state).unwrap()),
        trust: CollectorTrust::Pinned,
        proxies: Proxies::default(),
        site: None,
        clock,
    }
}

/// The registration that this collector ties every agent to.
pub(crate) fn site() -> SiteAssertion {
    SiteAssertion {
        name: "london-1".to_owned(),
        provider: "Example Telecom".to_owned(),
        location: "GB-LND".to_owned(),
        prefixes: vec!["192.0.2.0/24".to_owned()],
    }
}

async fn serve(listener: TcpListener, tls: Arc<Mutex<TlsAcceptor>>, server: Arc<Server>) {
    while let Ok((stream, peer)) = listener.accept().await {
        let (tls, server) = (tls.lock().unwrap().clone(), Arc::clone(&server));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                server.seen.send_modify(|seen| seen.resumed += 1);
            }
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, std::convert::Infallible>(server.answer(request, peer.ip()).await) }
            });
            // A client may go at any time.
            let _gone = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>, caller: IpAddr) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.seen.send_modify(|seen| seen.requests += 1);
        let signature = parts.headers["signature"].clone();
        let mood = *self.mood.lock().unwrap();
        if mood == Mood::Portal {
            return response(200, "text/html", "<html>Welcome to the hotel</html>");
        }
        let now = self.clock.wall();
        if created(&parts.headers["signature-input"]).abs_diff(now.as_secs()) > 300 {
            return self.sign(problem(ProblemType::ClockSkew, 400, Some(now)), &signature, &self.key).await;
        }
        let answer = match parts.uri.path() {
            ENROLMENTS_PATH => self.enrol(&body),
            BATCHES_PATH => match self.judge(&body, mood) {
                (answer, Signing::Signed) => answer,
                (answer, Signing::Unsigned) => return answer,
            },
            RETIREMENT_PATH => {
                let request: RetirementRequest = serde_json::from_slice(&body).unwrap();
                self.seen.send_modify(|seen| seen.retired.push(request.agent));
                json(200, &RetirementResponse { agent: request.agent, collector_time_us: now.as_micros() })
            }
            ASSIGNMENT_PATH => self.assign(parts.headers.get("if-none-match")),
            WHOAMI_PATH => {
                self.seen.send_modify(|seen| seen.callers.push(caller));
                json(200, &WhoAmI { address: Some(caller), collector_time_us: now.as_micros() })
            }
            _ => response(404, "text/plain", "no"),
        };
        let key = if mood == Mood::Forge { &self.stranger } else { &self.key };
        self.sign(answer, &signature, key).await
    }

    fn enrol(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let request: EnrolmentRequest = serde_json::from_slice(body).unwrap();
        if request.site.is_some_and(|asserted| asserted.provider != site().provider) {
            return problem(ProblemType::SiteMismatch, 409, None);
        }
        let collector_time_us = self.clock.wall().as_micros();
        let adopt = self.known_as.lock().unwrap().filter(|known| request.adopts && *known != request.agent);
        json(201, &EnrolmentResponse { agent: request.agent, site: site(), collector_time_us, adopt })
    }

    fn assign(&self, known: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let assignment = self.assignment.lock().unwrap();
        if known.is_some_and(|known| known == format!("\"{}\"", assignment.version).as_str()) {
            self.seen.send_modify(|seen| seen.unchanged += 1);
            return response(304, "application/json", "");
        }
        json(200, &*assignment)
    }

    /// The answer to a batch, and whether to sign it.
    fn judge(&self, body: &[u8], mood: Mood) -> (Response<Full<Bytes>>, Signing) {
        let batch = decode_batch(body).unwrap().batch;
        match mood {
            Mood::AtMost(limit) if batch.measurements.len() > limit => {
                return (problem(ProblemType::TooMany, 413, None), Signing::Signed);
            }
            Mood::Unknown => return (problem(ProblemType::Unauthenticated, 401, None), Signing::Unsigned),
            Mood::Reject => return (problem(ProblemType::TooOld, 410, None), Signing::Signed),
            Mood::RejectUnsigned => return (problem(ProblemType::TooOld, 410, None), Signing::Unsigned),
            Mood::Accept | Mood::AtMost(_) | Mood::Portal | Mood::Forge | Mood::Misquote => {}
        }
        let digest = if mood == Mood::Misquote { BatchDigest::of(b"") } else { BatchDigest::of(body) };
        let ack = Ack {
            number: batch.number,
            digest,
            collector_time: self.clock.wall(),
            duplicate: false,
            refused: vec![],
            dropped: batch.health.dropped.as_ref().map(Account::signed),
        };
        if matches!(mood, Mood::Accept | Mood::AtMost(_)) {
            self.seen.send_modify(|seen| seen.stored.push(batch));
        }
        (response(200, ACK_MEDIA_TYPE, encode_ack(&ack)), Signing::Signed)
    }

    async fn sign(
        &self,
        mut answer: Response<Full<Bytes>>,
        request_signature: &HeaderValue,
        key: &SecretKey,
    ) -> Response<Full<Bytes>> {
        let body = answer.body_mut().clone().collect().await.unwrap().to_bytes();
        answer.headers_mut().insert("content-digest", content_digest(&body).parse().unwrap());
        let components: Vec<_> =
            RESPONSE_COMPONENTS.iter().map(|name| HttpMessageComponentId::try_from(*name).unwrap()).collect();
        let mut params = HttpSignatureParams::try_new(&components).unwrap();
        params.set_alg(&AlgorithmName::Ed25519).set_keyid("collector").set_tag(RESPONSE_TAG);
        let mut request = Request::new(Full::<Bytes>::default());
        request.headers_mut().insert("signature", request_signature.clone());
        answer.set_message_signature(&params, key, Some("sig"), Some(&request)).await.unwrap();
        answer
    }
}

fn response(status: u16, media_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", media_type)
        .body(Full::new(body.into()))
        .unwrap()
}

fn json(status: u16, body: &impl serde::Serialize) -> Response<Full<Bytes>> {
    response(status, "application/json", serde_json::to_vec(body).unwrap())
}

fn problem(kind: ProblemType, status: u16, now: Option<Timestamp>) -> Response<Full<Bytes>> {
    let problem = Problem {
        kind: kind.uri().to_owned(),
        title: "no".to_owned(),
        status,
        detail: "as the test asked".to_owned(),
        class: Some(kind.class()),
        errors: vec![],
        collector_time_us: now.map(Timestamp::as_micros),
    };
    response(status, PROBLEM_MEDIA_TYPE, serde_json::to_vec(&problem).unwrap())
}

/// The parameter `created` of a signature.
fn created(input: &HeaderValue) -> i64 {
    let (_, after) = input.to_str().unwrap().split_once("created=").unwrap();
    after.split(';').next().unwrap().parse().unwrap()
}
