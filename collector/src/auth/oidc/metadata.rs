//! What a provider says of itself (OpenID Connect Discovery, 4). Pure.

use crate::client::is_unobserved;
use serde_json::{Map, Value};
use url::Url;

/// The parts of it that signing in takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    /// Whether answers name their issuer (RFC 9207).
    pub(super) answers_name_issuer: bool,
    secret_in_body: bool,
}

impl Metadata {
    /// Where an issuer's stands.
    pub(super) fn address(issuer: &str) -> Result<Url, String> {
        let text = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        text.parse::<Url>().map_err(|error| format!("issuer `{issuer}` is no address: {error}"))
    }

    /// Reads the document of this issuer; one of another is none.
    pub(super) fn read(document: &Map<String, Value>, issuer: &str) -> Result<Self, String> {
        let named = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if named != issuer {
            let named: String = named.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(format!(
                "it is of issuer `{named}`; write that as issuer if it is the one that is meant"
            ));
        }
        // A provider on this machine may do without TLS.
        let may_be_plain =
            issuer.parse::<Url>().is_ok_and(|url| url.scheme() == "http" && is_unobserved(&url));
        let endpoint = |name: &str| -> Result<Url, String> {
            let text = document.get(name).and_then(Value::as_str).unwrap_or_default();
            let url = text.parse::<Url>().ok();
            let url = url.filter(|url| is_unobserved(url) && (may_be_plain || url.scheme() == "https"));
            url.ok_or_else(|| format!("{name} is not of the form https://host/path"))
        };
        let listed = |name: &str| document.get(name).and_then(Value::as_array);
        Ok(Self {
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            jwks_uri: endpoint("jwks_uri")?,
            answers_name_issuer: document.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            secret_in_body: listed("token_endpoint_auth_methods_supported")
                .is_some_and(|methods| methods.iter().any(|method| method == "client_secret_post")),
        })
    }

    /// Whether the client's secret goes into the form: where that is taken, since providers differ in how they decode a header. Those that
    /// do not say take the header.
    pub(super) const fn takes_secret_in_body(&self) -> bool {
        self.secret_in_body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(issuer: &str) -> Value {
        json!({"issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys")})
    }

    fn read(document: &Value, issuer: &str) -> Result<Metadata, String> {
        Metadata::read(document.as_object().unwrap(), issuer)
    }

    #[test]
    fn the_document_is_where_its_issuer_is() {
        for (issuer, address) in [
            ("https://example.com", "https://example.com/.well-known/openid-configuration"),
            ("https://example.com/", "https://example.com/.well-known/openid-configuration"),
            ("https://example.com/realms/a", "https://example.com/realms/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(Metadata::address(issuer).unwrap().as_str(), address);
        }
    }

    #[test]
    fn a_document_of_another_issuer_is_refused_to_the_letter() {
        let document = document("https://example.com");
        assert!(read(&document, "https://example.com").is_ok());
        for other in ["https://example.com/", "https://EXAMPLE.com", "https://other.example"] {
            assert!(read(&document, other).unwrap_err().contains("`https://example.com`"), "{other}");
        }
        assert!(read(&json!({}), "https://example.com").is_err());
    }

    #[test]
    fn endpoints_are_reached_by_tls_unless_provider_and_endpoint_are_on_this_machine() {
        let of = |issuer: &str, endpoint: &str| {
            let mut document = document(issuer);
            document["token_endpoint"] = json!(endpoint);
            read(&document, issuer)
        };
        assert!(of("https://example.com", "https://elsewhere.example/token").is_ok());
        assert!(of("http://127.0.0.1:4000", "http://127.0.0.1:4000/token").is_ok());
        for (issuer, endpoint) in [
            ("https://example.com", "http://example.com/token"),
            ("https://example.com", "http://127.0.0.1/token"),
            ("http://127.0.0.1:4000", "http://example.com/token"),
            ("https://example.com", "file:///etc/passwd"),
            ("https://example.com", "/token"),
            ("https://example.com", ""),
        ] {
            assert!(of(issuer, endpoint).unwrap_err().contains("token_endpoint"), "{endpoint}");
        }
    }

    #[test]
    fn the_secret_goes_into_the_form_where_that_is_taken() {
        let of = |methods: Value| {
            let mut document = document("https://example.com");
            document["token_endpoint_auth_methods_supported"] = methods;
            read(&document, "https://example.com").unwrap().takes_secret_in_body()
        };
        assert!(of(json!(["client_secret_basic", "client_secret_post"])));
        assert!(!of(json!(["client_secret_basic"])) && !of(Value::Null));
    }
}
