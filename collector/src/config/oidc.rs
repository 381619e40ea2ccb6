//! `[operators.oidc]`: through which OpenID provider people sign in, and who of them may do what.

use super::Config;
use crate::client::is_unobserved;
use serde::Deserialize;
use std::path::PathBuf;
use url::Url;

/// The scope that makes a request one of OpenID Connect.
const OPENID: &str = "openid";
/// The longest name of a provider on the page, in characters.
const LONGEST_NAME: usize = 60;

/// `[operators.oidc]`: the OpenID provider, and who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Oidc {
    /// What the button on the sign-in page calls the provider; its host unless given.
    #[serde(default)]
    pub name: Option<String>,
    /// The provider's issuer, to the letter as its discovery document has it.
    pub issuer: String,
    /// What the collector is registered as there.
    pub client_id: String,
    /// A file that holds the secret which the collector proves that by.
    pub client_secret_file: PathBuf,
    /// What is asked for.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim of the ID token that decides what a person may do: its name, or a JSON pointer (RFC 6901) to it.
    pub claim: String,
    /// Values of it that make a person an administrator.
    #[serde(default)]
    pub administrators: Vec<String>,
    /// Values of it that make a person a reader.
    #[serde(default)]
    pub readers: Vec<String>,
    /// Where browsers reach the operators' listener; that of `[alerts]` unless given.
    #[serde(default)]
    pub url: Option<Url>,
    /// A PEM file of certificates to trust besides the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn default_scopes() -> Vec<String> {
    [OPENID, "profile", "email"].map(str::to_owned).to_vec()
}

/// Where browsers reach the operators' listener, and in which section that stands.
fn reached_at(config: &Config) -> Option<(&'static str, &Url)> {
    let own = config.operators.oidc.as_ref()?.url.as_ref().map(|url| ("operators.oidc", url));
    own.or_else(|| config.alerts.url.as_ref().map(|url| ("alerts", url)))
}

impl Oidc {
    /// Where browsers reach the operators' listener; none where nobody said so.
    pub fn reached_at(config: &Config) -> Option<&Url> {
        reached_at(config).map(|(_section, url)| url)
    }
}

/// Every rule that the section breaks.
pub(super) fn faults(config: &Config, faults: &mut Vec<String>) {
    let Some(oidc) = &config.operators.oidc else { return };
    if !cfg!(feature = "oidc") {
        faults.push(
            "[operators.oidc] this collector was built without the feature `oidc`; leave the section out, or \
             install the collector as it is released"
                .to_owned(),
        );
    }
    let mut fault = |what: String| faults.push(format!("[operators.oidc] {what}"));
    if !is_issuer(&oidc.issuer) {
        fault(format!(
            "issuer `{}` is not of the form https://host/path, as `issuer` stands in the provider's \
             /.well-known/openid-configuration",
            oidc.issuer
        ));
    }
    for (key, value) in [("client_id", &oidc.client_id), ("claim", &oidc.claim)] {
        if value.trim().is_empty() {
            fault(format!("{key} is empty"));
        }
    }
    if oidc.name.as_ref().is_some_and(|name| {
        let length = name.trim().chars().count();
        length == 0 || length > LONGEST_NAME || name.chars().any(char::is_control)
    }) {
        fault(format!("name must have 1 to {LONGEST_NAME} characters, no control characters among them"));
    }
    if !oidc.scopes.iter().any(|scope| scope == OPENID) {
        fault(format!("scopes must hold \"{OPENID}\""));
    }
    // RFC 6749, 3.3.
    let is_scope = |scope: &String| {
        !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
    };
    if !oidc.scopes.iter().all(is_scope) {
        fault("scopes: each is a word of its own, without spaces and quotation marks".to_owned());
    }
    values(oidc, &mut fault);
    match reached_at(config) {
        None => fault(
            "url is not set, nor that of [alerts]; write where browsers reach the operators' listener, such as \
             https://peerlight.example.com:8080"
                .to_owned(),
        ),
        Some((section, url)) => faults.extend(url_faults(config, section, url)),
    }
}

/// What is wrong with who may do what.
fn values(oidc: &Oidc, fault: &mut impl FnMut(String)) {
    if oidc.administrators.is_empty() && oidc.readers.is_empty() {
        fault(format!(
            "nobody could sign in: name values of the claim `{}` in administrators or readers",
            oidc.claim
        ));
    }
    if oidc.administrators.iter().chain(&oidc.readers).any(|value| value.trim().is_empty()) {
        fault("administrators and readers must not hold an empty value".to_owned());
    }
    if let Some(both) = oidc.administrators.iter().find(|value| oidc.readers.contains(value)) {
        fault(format!("`{both}` stands in administrators and in readers; leave it out of one"));
    }
}

/// What is wrong with where browsers are sent back to.
fn url_faults(config: &Config, section: &str, url: &Url) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("[{section}] url `{url}` {what}"));
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_unobserved(url) || !is_bare {
        fault("is not of the form https://host:port, which sign-in through a provider takes; http is for this machine alone".to_owned());
    }
    if url.scheme() == "http" && config.operators.tls.is_some() {
        fault("is http, but the listener has [operators.tls]; write https".to_owned());
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if !config.operators.answers_for(host) {
        fault("names a host that the listener does not answer for; add it to [operators] hosts".to_owned());
    }
    faults
}

/// OpenID Connect Discovery, 2: no query, no fragment. Plain HTTP is for a provider on this machine.
fn is_issuer(text: &str) -> bool {
    text.parse::<Url>().is_ok_and(|url| {
        is_unobserved(&url)
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const WHOLE: &str = r#"
        [operators]
        hosts = ["peerlight.example.com"]
        [operators.oidc]
        name = "Entra ID"
        issuer = "https://login.example.com/tenant/v2.0"
        client_id = "peerlight"
        client_secret_file = "/etc/peerlight/oidc.secret"
        claim = "roles"
        administrators = ["peerlight-admin"]
        readers = ["peerlight-reader"]
        url = "https://peerlight.example.com:8080"
        ca_file = "/etc/peerlight/ca.pem"
    "#;

    fn faults(text: &str) -> Vec<String> {
        match Config::parse(text) {
            Ok(_) => Vec::new(),
            Err(super::super::ConfigError::Invalid(faults)) => faults,
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn every_key_is_read_and_the_scopes_have_a_default() {
        let config = Config::parse(WHOLE).unwrap();
        let oidc = config.operators.oidc.clone().unwrap();
        assert_eq!(oidc.scopes, ["openid", "profile", "email"]);
        assert_eq!(oidc.client_secret_file, Path::new("/etc/peerlight/oidc.secret"));
        assert_eq!(oidc.administrators, ["peerlight-admin"]);
        assert_eq!(Oidc::reached_at(&config).unwrap().as_str(), "https://peerlight.example.com:8080/");
    }

    #[test]
    fn the_address_of_links_in_alerts_serves_as_well() {
        let without = WHOLE.replace("url = ", "# ");
        assert!(faults(&without).iter().any(|fault| fault.contains("url is not set")));
        let text = format!("{without}\n[alerts]\nurl = \"https://peerlight.example.com\"");
        let config = Config::parse(&text).unwrap();
        assert_eq!(Oidc::reached_at(&config).unwrap().as_str(), "https://peerlight.example.com/");
    }

    #[test]
    fn what_is_wrong_with_the_section_is_said_at_once() {
        let said = faults(
            r#"
            [operators.oidc]
            name = ""
            issuer = "http://login.example.com?tenant=1"
            client_id = " "
            client_secret_file = "/etc/peerlight/oidc.secret"
            scopes = ["profile email"]
            claim = "roles"
            administrators = ["noc", ""]
            readers = ["noc"]
            url = "http://peerlight.example.com/path"
            secret = "x"
            "#,
        );
        insta::assert_snapshot!(said.join("\n"), @r#"
        [operators.oidc] unknown key `secret`; there are: name, issuer, client_id, client_secret_file, scopes, claim, administrators, readers, url, ca_file
        [operators.oidc] issuer `http://login.example.com?tenant=1` is not of the form https://host/path, as `issuer` stands in the provider's /.well-known/openid-configuration
        [operators.oidc] client_id is empty
        [operators.oidc] name must have 1 to 60 characters, no control characters among them
        [operators.oidc] scopes must hold "openid"
        [operators.oidc] scopes: each is a word of its own, without spaces and quotation marks
        [operators.oidc] administrators and readers must not hold an empty value
        [operators.oidc] `noc` stands in administrators and in readers; leave it out of one
        [operators.oidc] url `http://peerlight.example.com/path` is not of the form https://host:port, which sign-in through a provider takes; http is for this machine alone
        [operators.oidc] url `http://peerlight.example.com/path` names a host that the listener does not answer for; add it to [operators] hosts
        "#);
    }

    #[test]
    fn nobody_could_sign_in_without_a_value_and_a_listener_with_tls_is_not_reached_by_http() {
        let said = faults(
            r#"
            [operators]
            tls = { certificate = "/c.pem", key = "/k.pem" }
            [operators.oidc]
            issuer = "http://127.0.0.1:4000"
            client_id = "peerlight"
            client_secret_file = "/etc/peerlight/oidc.secret"
            claim = "roles"
            url = "http://localhost:8080"
            "#,
        );
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("nobody could sign in") && said[1].contains("write https"), "{said:?}");
    }
}
