//! From options, environment and configuration to a client of the running collector.

use super::Connection;
use crate::client::{Client, Endpoint};
use anyhow::{Context as _, bail};
use std::{
    fs,
    io::{self, Read as _},
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
