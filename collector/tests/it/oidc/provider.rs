//! A provider within the test: honest until it is told otherwise.

use super::CLIENT_ID;
use crate::collector::NOON;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use url::form_urlencoded;

/// What a provider answers to one question.
#[derive(Clone)]
pub(super) enum Says {
    Json(Value),
    Status(u16),
    /// Text that never ends.
    Endless,
    /// Nothing, for ever.
    Nothing,
}

/// How an ID token is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    /// By the key that is published.
    Well,
    /// By another one of the same name.
    ByAnother,
    /// By nothing: `alg: none`.
    Not,
    /// By HMAC, with what is published as the secret.
    ByThePublicKey,
}

/// What the provider does; tests change it.
pub(super) struct Conduct {
    pub(super) metadata: Says,
    pub(super) keys: Says,
    pub(super) token: Option<Says>,
    /// What differs from the claims of an honest token.
    pub(super) claims: Value,
    pub(super) signed: Signed,
    /// What signs, and what that is called.
    pub(super) key: Arc<EcdsaKeyPair>,
    pub(super) kid: &'static str,
    /// How often it was asked what it says of itself.
    pub(super) asked: usize,
    /// What it was asked with last to redeem a code.
    pub(super) redeemed: BTreeMap<String, String>,
}

/// A provider within the test.
#[derive(Clone)]
pub(super) struct Hostile {
    pub(super) issuer: String,
    pub(super) conduct: Arc<Mutex<Conduct>>,
}

/// What it publishes of a key.
pub(super) fn public(key: &EcdsaKeyPair, kid: &str) -> Value {
    let point = key.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": part(1..33), "y": part(33..65)})
}

/// A key that nobody has seen.
pub(super) fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

impl Hostile {
    /// One that is honest until it is told otherwise.
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = Arc::new(new_key());
        let metadata = json!({"issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys")});
        let conduct = Conduct {
            metadata: Says::Json(metadata),
            keys: Says::Json(json!({"keys": [public(&key, "k")]})),
            token: None,
            claims: json!({}),
            signed: Signed::Well,
            key,
            kid: "k",
            asked: 0,
            redeemed: BTreeMap::new(),
        };
        let hostile = Self { issuer, conduct: Arc::new(Mutex::new(conduct)) };
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async |State(own): State<Self>| {
                    let mut conduct = own.conduct.lock().unwrap();
                    conduct.asked += 1;
                    answer(conduct.metadata.clone())
                }),
            )
            .route(
                "/keys",
                get(async |State(own): State<Self>| {
                    let says = own.conduct.lock().unwrap().keys.clone();
                    answer(says)
                }),
            )
            .route("/token", post(redeem))
            .with_state(hostile.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        hostile
    }

    /// It does otherwise from now on.
    pub(super) fn does(&self, change: impl FnOnce(&mut Conduct)) {
        change(&mut self.conduct.lock().unwrap());
    }

    /// The token that it makes now.
    pub(super) fn token(&self, conduct: &Conduct) -> String {
        let mut claims = json!({"iss": self.issuer, "aud": CLIENT_ID, "sub": "ada", "name": "Ada Lovelace",
            "exp": NOON.as_secs() + 300, "iat": NOON.as_secs(), "groups": ["noc"]});
        for (name, value) in conduct.claims.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = |algorithm| Header { kid: Some(conduct.kid.to_owned()), ..Header::new(algorithm) };
        let by = |key: &EcdsaKeyPair| {
            let key = EncodingKey::from_ec_der(key.to_pkcs8v1().unwrap().as_ref());
            jsonwebtoken::encode(&header(Algorithm::ES256), &claims, &key).unwrap()
        };
        match conduct.signed {
            Signed::Well => by(&conduct.key),
            Signed::ByAnother => by(&new_key()),
            Signed::Not => {
                let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
                format!("{}.{}.", part(json!({"alg": "none", "kid": "k"})), part(claims))
            }
            Signed::ByThePublicKey => {
                let secret = EncodingKey::from_secret(conduct.key.public_key().as_ref()).unwrap();
                jsonwebtoken::encode(&header(Algorithm::HS256), &claims, &secret).unwrap()
            }
        }
    }
}

async fn redeem(State(own): State<Hostile>, body: Bytes) -> Response {
    let mut conduct = own.conduct.lock().unwrap();
    conduct.redeemed = form_urlencoded::parse(&body).into_owned().collect();
    match conduct.token.clone() {
        Some(says) => answer(says),
        None => answer(Says::Json(json!({"id_token": own.token(&conduct), "token_type": "Bearer"}))),
    }
}

fn answer(says: Says) -> Response {
    match says {
        Says::Json(value) => Json(value).into_response(),
        Says::Status(status) => http::StatusCode::from_u16(status).unwrap().into_response(),
        Says::Endless => {
            let chunk = Bytes::from_static(&[b' '; 8_192]);
            Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())))
                .into_response()
        }
        Says::Nothing => {
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()).into_response()
        }
    }
}
