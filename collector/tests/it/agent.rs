//! A small agent that signs, sends and checks the answer's signature; tests spoil its requests on purpose.

use crate::collector::Place;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use httpsig_hyper::{
    MessageSignatureReq as _, MessageSignatureRes as _,
    prelude::{
        AlgorithmName, HttpSignatureParams, PublicKey, SecretKey, message_component::HttpMessageComponentId,
    },
};
use peerlight_proto::{
    enrolment::EnrolmentRequest,
    http::{ENROLMENTS_PATH, REQUEST_COMPONENTS, REQUEST_TAG},
    id::AgentId,
    time::Timestamp,
};
use sha2::{Digest as _, Sha256};
use std::{net::IpAddr, time::Duration};

pub(crate) struct Agent {
    pub id: AgentId,
    seed: [u8; 32],
    authority: String,
    http: reqwest::Client,
    response_key: [u8; 32],
    now: Timestamp,
}

/// What is signed, and how; tests change one thing.
#[derive(Clone)]
pub(crate) struct Plan {
    pub method: Method,
    pub path: String,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub components: Vec<&'static str>,
    pub created: Timestamp,
    pub life: Duration,
    pub key_id: String,
    pub seed: [u8; 32],
    pub tag: &'static str,
    pub nonce: Option<String>,
}

pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the collector's signature binds it to the request.
    pub signed: bool,
}

impl Answer {
    /// The problem's type, without the prefix that all share.
    pub(crate) fn problem(&self) -> String {
        let problem: peerlight_proto::problem::Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        problem.kind.strip_prefix("urn:peerlight:problem:").unwrap().to_owned()
    }
}

impl Agent {
    /// An agent that has not enrolled.
    pub(crate) fn new(collector: &Place, response_key: &str) -> Self {
        Self::at(collector, response_key, None)
    }

    /// The same, which connects from this address.
    fn at(collector: &Place, response_key: &str, address: Option<IpAddr>) -> Self {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([collector.ca()]);
        let http = http.local_address(address).build().unwrap();
        let mut key = [0; 32];
        hex::decode_to_slice(response_key, &mut key).unwrap();
        Self {
            id: AgentId::new(rand::random()),
            seed: rand::random(),
            authority: collector.agents.to_string(),
            http,
            response_key: key,
            now: collector.now,
        }
    }

    /// The same agent, key and all, which connects from this address.
    pub(crate) fn also_at(&self, collector: &Place, address: IpAddr) -> Self {
        let there = Self::at(collector, &hex::encode(self.response_key), Some(address));
        Self { id: self.id, seed: self.seed, ..there }
    }

    /// The same key by another name.
    pub(crate) fn called(self, id: AgentId) -> Self {
        Self { id, ..self }
    }

    /// An agent that has enrolled for `site`.
    pub(crate) async fn enrolled(collector: &Place, site: &str) -> Self {
        let token = collector.token(site).await;
        let agent = Self::new(collector, &token.response_key);
        let answer = agent.send(&agent.enrolment(&token.secret)).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        assert!(answer.signed);
        agent
    }

    /// Another agent that has enrolled for `site`, which is registered already.
    pub(crate) async fn enrolled_beside(collector: &Place, site: &str) -> Self {
        let token = collector.further_token(site).await;
        let agent = Self::new(collector, &token.response_key);
        assert_eq!(agent.send(&agent.enrolment(&token.secret)).await.status, 201);
        agent
    }

    /// The same agent, whose collector has been started again elsewhere.
    pub(crate) fn again_at(&self, collector: &Place) -> Self {
        let there = Self::at(collector, &hex::encode(self.response_key), None);
        Self { id: self.id, seed: self.seed, ..there }
    }

    /// The same agent, which reaches the collector through a proxy.
    pub(crate) fn through(self, proxy: std::net::SocketAddr) -> Self {
        Self { authority: proxy.to_string(), ..self }
    }

    /// The same agent with another key.
    pub(crate) fn with_key(&self, seed: [u8; 32]) -> Self {
        let (authority, http) = (self.authority.clone(), self.http.clone());
        Self { id: self.id, seed, authority, http, response_key: self.response_key, now: self.now }
    }

    /// What its key signs to prove that the agent holds it.
    pub(crate) fn prove(&self, statement: &[u8]) -> Vec<u8> {
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap();
        pair.sign(statement).as_ref().to_vec()
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        use ring::signature::KeyPair as _;
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap();
        pair.public_key().as_ref().try_into().unwrap()
    }

    pub(crate) fn enrolment(&self, secret: &str) -> Plan {
        let request = EnrolmentRequest {
            agent: self.id,
            public_key: hex::encode(self.public_key()),
            secret: secret.to_owned(),
            site: None,
            uplinks: Vec::new(),
            host: "test".into(),
            version: "0.1.0".into(),
            adopts: false,
        };
        self.plan(Method::POST, ENROLMENTS_PATH, "application/json", serde_json::to_vec(&request).unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> Plan {
        self.plan(Method::GET, path, "application/octet-stream", Vec::new())
    }

    pub(crate) fn plan(&self, method: Method, path: &str, content_type: &'static str, body: Vec<u8>) -> Plan {
        Plan {
            method,
            path: path.to_owned(),
            content_type,
            body,
            components: REQUEST_COMPONENTS.to_vec(),
            created: self.now,
            life: Duration::from_mins(5),
            key_id: self.id.to_string(),
            seed: self.seed,
            tag: REQUEST_TAG,
            nonce: None,
        }
    }

    pub(crate) async fn send(&self, plan: &Plan) -> Answer {
        self.send_signed(self.sign(plan).await).await
    }

    /// Signs a plan as a request that can be sent, or spoilt first.
    pub(crate) async fn sign(&self, plan: &Plan) -> Request<Full<Bytes>> {
        let digest = STANDARD.encode(Sha256::digest(&plan.body));
        let mut request = Request::builder()
            .method(plan.method.clone())
            .uri(format!("https://{}{}", self.authority, plan.path))
            .header("content-type", plan.content_type)
            .header("content-digest", format!("sha-256=:{digest}:"))
            .body(Full::from(plan.body.clone()))
            .unwrap();
        let components: Vec<_> =
            plan.components.iter().map(|name| HttpMessageComponentId::try_from(*name).unwrap()).collect();
        let mut params = HttpSignatureParams::try_new(&components).unwrap();
        let created = u64::try_from(plan.created.as_secs()).unwrap();
        params
            .set_created(created)
            .set_expires(created + plan.life.as_secs())
            .set_random_nonce()
            .set_alg(&AlgorithmName::Ed25519)
            .set_keyid(&plan.key_id)
            .set_tag(plan.tag);
        if let Some(nonce) = &plan.nonce {
            params.set_nonce(nonce);
        }
        let key = SecretKey::from_bytes(&AlgorithmName::Ed25519, &plan.seed).unwrap();
        request.set_message_signature(&params, &key, Some("sig")).await.unwrap();
        request
    }

    pub(crate) async fn send_signed(&self, request: Request<Full<Bytes>>) -> Answer {
        use http_body_util::BodyExt as _;
        let (parts, body) = request.into_parts();
        let sent = Request::from_parts(parts.clone(), body.collect().await.unwrap().to_bytes());
        let response = self.http.execute(reqwest::Request::try_from(sent).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        let signed =
            self.is_signed(&Request::from_parts(parts, Full::default()), status, &headers, &body).await;
        Answer { status, headers, body, signed }
    }

    async fn is_signed(
        &self,
        request: &Request<Full<Bytes>>,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> bool {
        let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)));
        let mut response = http::Response::new(Full::new(body.clone()));
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        let key = PublicKey::from_bytes(&AlgorithmName::Ed25519, &self.response_key).unwrap();
        headers.get("content-digest").is_some_and(|sent| *sent == *digest)
            && response.verify_message_signature(&key, Some("collector"), Some(request)).await.is_ok()
    }
}
