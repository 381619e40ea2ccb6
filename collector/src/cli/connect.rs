//! From options, environment and configuration to a client of the running collector.

use super::Connection;
use crate::{
    client::{Client, Endpoint},
    config::Config,
    paths,
};
use anyhow::{Context as _, bail};
use std::{
    fs,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};
use url::Url;

/// The environment variable that may hold an operator token.
const TOKEN_VARIABLE: &str = "PEERLIGHT_OPERATOR_TOKEN";
/// No token is longer.
const MAX_TOKEN_BYTES: u64 = 4_096;

/// What the configuration says of the running collector.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Where operators reach it.
    pub url: Url,
    /// The token file that the collector keeps in its state directory.
    pub token_file: PathBuf,
}

impl Defaults {
    /// What this configuration says.
    pub fn of(config: &Config) -> Result<Self, url::ParseError> {
        let mut listen = config.operators.listen;
        if listen.ip().is_unspecified() {
            // It listens everywhere, so also here.
            listen.set_ip(match listen.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let scheme = if config.operators.tls.is_some() { "https" } else { "http" };
        Ok(Self {
            url: format!("{scheme}://{listen}/").parse()?,
            token_file: paths::operator_token(&config.store.directory),
        })
    }
}

/// The client that the options ask for.
pub(super) fn client(options: &Connection, defaults: &Defaults) -> anyhow::Result<Client> {
    let ca_pem = options
        .ca_file
        .as_ref()
        .map(|path| fs::read(path).with_context(|| format!("cannot read the CA file {}", path.display())))
        .transpose()?;
    let url = options.url.clone().unwrap_or_else(|| defaults.url.clone());
    if !matches!(url.scheme(), "http" | "https") {
        bail!("`{url}` is not the URL of a collector; write http://127.0.0.1:8080 or https://…");
    }
    Ok(Client::new(Endpoint { url, token: token(options, defaults)?, ca_pem })?)
}

/// The token: by option, by environment, or the collector's own.
fn token(options: &Connection, defaults: &Defaults) -> anyhow::Result<String> {
    if let Some(path) = &options.token_file {
        return read(path);
    }
    match std::env::var(TOKEN_VARIABLE) {
        Ok(token) if !token.trim().is_empty() => Ok(token.trim().to_owned()),
        Ok(_) | Err(std::env::VarError::NotPresent) => read(&defaults.token_file).context(
            "no operator token: run this on the collector's machine as the user that may read that file, or give a token \
             by --token-file or PEERLIGHT_OPERATOR_TOKEN",
        ),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{TOKEN_VARIABLE} does not hold a token"),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot read the operator token from {}", path.display());
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text).with_context(context)?;
    } else {
        fs::File::open(path)
            .and_then(|file| file.take(MAX_TOKEN_BYTES).read_to_string(&mut text))
            .with_context(context)?;
    }
    let token = text.trim();
    if token.is_empty() || token.chars().any(|character| !character.is_ascii_graphic()) {
        bail!("{} does not hold an operator token", path.display());
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn a_collector_that_listens_everywhere_is_asked_on_this_machine() {
        let mut config = Config::default();
        let url = |config: &Config| Defaults::of(config).unwrap().url.to_string();
        assert_eq!(url(&config), "http://127.0.0.1:8080/");
        config.operators.listen = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 9090));
        assert_eq!(url(&config), "http://[::1]:9090/");
    }

    #[test]
    fn a_file_without_a_token_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operator.token");
        let missing = format!("{:#}", read(&path).unwrap_err());
        assert!(
            missing.starts_with(&format!("cannot read the operator token from {}", path.display())),
            "{missing}"
        );
        for text in ["", "\n", "two words\n"] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).unwrap_err().to_string().ends_with("does not hold an operator token"));
        }
        fs::write(&path, "peerlight-operator.00\n").unwrap();
        assert_eq!(read(&path).unwrap(), "peerlight-operator.00");
    }
}
