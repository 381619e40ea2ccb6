//! Addresses of proxies as people write them: `http://HOST:PORT`. Pure.

use super::Proxy;
use super::authentication::{Authentication, Secret};
use percent_encoding::percent_decode_str;
use url::Url;

/// A text that names no proxy that can be used. Never says the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no address.
    #[error("is not the address of a proxy; write http://HOST:PORT")]
    Malformed,
    /// It asks for another protocol.
    #[error(
        "names a proxy that is spoken to by {0}, which is not supported; write http://HOST:PORT (the tunnel through it is encrypted all the same)"
    )]
    Scheme(String),
}

/// The proxy at an address; without a scheme it is HTTP. Credentials in it are taken as they are there.
pub(super) fn parse(text: &str) -> Result<Proxy, AddressError> {
    let text = text.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&text).map_err(|_malformed| AddressError::Malformed)?;
    if url.scheme() != "http" {
        return Err(AddressError::Scheme(url.scheme().to_owned()));
    }
    let host = url.host_str().and_then(|host| host.parse().ok()).ok_or(AddressError::Malformed)?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::Malformed);
    }
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map_err(|_not_utf8| AddressError::Malformed)?;
        if text.chars().any(char::is_control) { Err(AddressError::Malformed) } else { Ok(text.into_owned()) }
    };
    let username = decoded(url.username())?;
    let password = url.password().map(decoded).transpose()?;
    let is_named = !username.is_empty() || password.is_some();
    let password = Secret::new(password.unwrap_or_default());
    let authentication = is_named.then_some(Authentication::Basic { username, password });
    Ok(Proxy { host, port: url.port_or_known_default().unwrap_or(80), authentication })
}
