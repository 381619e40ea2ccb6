//! What is asked of the provider: what it says of itself, its keys, and a token for a code. It is asked when somebody signs in and at no other
//! time; each answer has a bound in bytes and in time, and stands before anything of it is decoded.

use super::{id_token, metadata::Metadata};
use crate::outward::{ANSWER_TIMEOUT, without_url};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};
use url::{Url, form_urlencoded};

/// The most that is read of an answer, in bytes.
const MOST_BYTES: usize = 256 * 1024;
/// How long what was read is good: keys change now and then, and a new one is looked for when a token names it.
const GOOD_FOR: Duration = Duration::from_hours(1);
/// How long nobody asks again for what could not be had.
const PAUSE: Duration = Duration::from_secs(10);
/// How long nobody asks again for a key that was not there.
const PAUSE_FOR_KEYS: Duration = Duration::from_mins(1);

/// The provider, and what is known of it.
pub(super) struct Provider {
    http: reqwest::Client,
    issuer: String,
    client_id: String,
    secret: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    good: Option<(Instant, Arc<Description>)>,
    /// When it was asked for a key that was not there.
    asked_again: Option<Instant>,
    /// Everybody who waited for a provider that does not answer is told so at once.
    failed: Option<(Instant, String)>,
}

/// What a provider says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Description {
    pub(super) metadata: Metadata,
    pub(super) keys: Vec<Jwk>,
}

/// What redeems a code.
pub(super) struct Grant<'a> {
    pub(super) code: &'a str,
    pub(super) verifier: &'a str,
    pub(super) redirect: &'a Url,
}

impl Provider {
    /// One that nobody has asked anything yet.
    pub(super) fn new(http: reqwest::Client, issuer: &str, (client_id, secret): (&str, String)) -> Self {
        let (issuer, client_id) = (issuer.to_owned(), client_id.to_owned());
        Self { http, issuer, client_id, secret, known: Mutex::default() }
    }

    /// What it says of itself, lately. `lacking` is what a key was not found in.
    pub(super) async fn describe(
        &self,
        lacking: Option<&Arc<Description>>,
    ) -> Result<Arc<Description>, String> {
        // Held while it is asked, so that it is asked once by however many.
        let mut known = self.known.lock().await;
        if let Some((at, description)) = known.good.clone() {
            let is_lacking = lacking.is_some_and(|lacking| Arc::ptr_eq(lacking, &description));
            // Whoever makes keys up does not make the collector ask for each.
            let is_enough = if is_lacking {
                known.asked_again.is_some_and(|at| at.elapsed() < PAUSE_FOR_KEYS)
            } else {
                at.elapsed() < GOOD_FOR
            };
            if is_enough {
                return Ok(description);
            }
        }
        if let Some((_, why)) = known.failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE) {
            return Err(why.clone());
        }
        if lacking.is_some() {
            known.asked_again = Some(Instant::now());
        }
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, self.ask()).await;
        match asked.unwrap_or_else(|_elapsed| Err(too_long(&self.issuer))) {
            Ok(description) => {
                let description = Arc::new(description);
                known.good = Some((Instant::now(), Arc::clone(&description)));
                known.failed = None;
                Ok(description)
            }
            Err(why) => {
                known.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    async fn ask(&self) -> Result<Description, String> {
        let url = Metadata::address(&self.issuer)?;
        let metadata =
            Metadata::read(&self.get(&url).await?, &self.issuer).map_err(|what| format!("{url}: {what}"))?;
        let keys = id_token::keys(&self.get(&metadata.jwks_uri).await?);
        if keys.is_empty() {
            return Err(format!("{} holds no key that could sign an ID token", metadata.jwks_uri));
        }
        Ok(Description { metadata, keys })
    }

    /// The ID token for a code.
    pub(super) async fn redeem(&self, metadata: &Metadata, grant: &Grant<'_>) -> Result<String, String> {
        let url = &metadata.token_endpoint;
        let mut request = self.http.post(url.clone()).header(header::ACCEPT, "application/json");
        if !metadata.takes_secret_in_body() {
            request = request.header(header::AUTHORIZATION, self.basic());
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form(metadata, grant));
        let (status, answer) = self.answer(url, request).await?;
        if !status.is_success() {
            return Err(format!("{url} answered {status}{}", said(&answer)));
        }
        let token = answer.get("id_token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or_else(|| format!("{url} answered without an ID token"))
    }

    /// What redeems a code (RFC 6749, 4.1.3, and RFC 7636, 4.5).
    fn form(&self, metadata: &Metadata, grant: &Grant<'_>) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", grant.code)
            .append_pair("redirect_uri", grant.redirect.as_str())
            .append_pair("code_verifier", grant.verifier);
        if metadata.takes_secret_in_body() {
            form.append_pair("client_id", &self.client_id).append_pair("client_secret", &self.secret);
        }
        form.finish()
    }

    /// RFC 6749, 2.3.1: both parts are encoded as in forms.
    fn basic(&self) -> http::HeaderValue {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = STANDARD.encode(format!("{}:{}", encoded(&self.client_id), encoded(&self.secret)));
        let mut value = http::HeaderValue::try_from(format!("Basic {pair}"))
            .unwrap_or_else(|_unreachable_in_base64| http::HeaderValue::from_static("Basic"));
        value.set_sensitive(true);
        value
    }

    async fn get(&self, url: &Url) -> Result<Map<String, Value>, String> {
        let request = self.http.get(url.clone()).header(header::ACCEPT, "application/json");
        match self.answer(url, request).await? {
            (status, answer) if status.is_success() => Ok(answer),
            (status, _) => Err(format!("{url} answered {status}")),
        }
    }

    /// The status and the JSON object of an answer; an answer that is none of success may be anything.
    async fn answer(
        &self,
        url: &Url,
        request: reqwest::RequestBuilder,
    ) -> Result<(http::StatusCode, Map<String, Value>), String> {
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                return too_long(url);
            }
            format!("{url} cannot be asked: {}", without_url(error))
        };
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(format!("{url} answered with more than {MOST_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        match serde_json::from_slice(&body) {
            Ok(object) => Ok((status, object)),
            Err(_) if !status.is_success() => Ok((status, Map::new())),
            Err(error) => Err(format!("{url} answered with something that is no JSON object: {error}")),
        }
    }
}

fn too_long(whom: &impl std::fmt::Display) -> String {
    format!("{whom} takes too long to answer")
}

/// What an error of OAuth 2.0 says (RFC 6749, 5.2): its code alone, since the rest may repeat what was sent.
fn said(answer: &Map<String, Value>) -> String {
    let code = answer.get("error").and_then(Value::as_str).unwrap_or_default();
    let is_code = !code.is_empty()
        && code.len() <= 60
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match code {
        "invalid_client" | "unauthorized_client" => {
            format!(" ({code}): compare client_id and client_secret_file with what is registered there")
        }
        _ if is_code => format!(" ({code})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_that_has_signs_in_it_arrives_as_it_is() {
        let secret = "a:b~c%d e+f".to_owned();
        let provider = Provider::new(reqwest::Client::new(), "https://i", ("peer light", secret));
        let basic = provider.basic();
        let pair = STANDARD.decode(basic.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        let pair = String::from_utf8(pair).unwrap();
        assert_eq!(pair, "peer+light:a%3Ab%7Ec%25d+e%2Bf");
        assert!(basic.is_sensitive());
    }

    #[test]
    fn only_the_code_of_an_error_is_repeated() {
        let said =
            |error: Value| said(json!({"error": error, "error_description": "secret"}).as_object().unwrap());
        assert_eq!(said(json!("invalid_grant")), " (invalid_grant)");
        assert!(said(json!("invalid_client")).contains("client_secret_file"));
        for odd in [json!("<b>"), json!(""), json!("x".repeat(99)), json!(7)] {
            assert_eq!(said(odd), "");
        }
    }
}
