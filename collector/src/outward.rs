//! Requests to servers of others, which the configuration names: receivers of alerts, an OpenID provider.

use crate::client::{choose_cryptography, is_loopback};
use std::{path::Path, time::Duration};
use url::Url;

/// How long one of them may take to answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that follows nobody elsewhere, and waits for nobody for long.
pub(crate) fn http_client(url: &Url, ca_file: Option<&Path>) -> Result<reqwest::Client, String> {
    choose_cryptography();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("peerlight-collector/", env!("CARGO_PKG_VERSION")))
        .timeout(ANSWER_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    if let Some(path) = ca_file {
        let pem = read(path)?;
        let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|error| format!("{} holds no certificates: {error}", path.display()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| format!("TLS cannot be used: {error}"))
}

/// A small file's text.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The error's causes; the URL may hold a secret in its path.
pub(crate) fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
