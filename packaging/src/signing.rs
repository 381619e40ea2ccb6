//! Signatures by minisign: ed25519, and a tool that every system has to verify them.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use minisign::SecretKey;
use std::{fs, path::PathBuf};

/// With what to sign. Neither key nor password is ever an argument.
#[derive(Debug, Clone, clap::Args)]
pub struct Signing {
    /// The secret key that signs, as `minisign -G` wrote it
    #[arg(long, value_name = "PATH", required_unless_present = "unsigned")]
    pub key_file: Option<PathBuf>,
    /// The file with the key's password alone; without it the password is asked for
    #[arg(long, value_name = "PATH", requires = "key_file")]
    pub password_file: Option<PathBuf>,
    /// Sign nothing
    #[arg(long, conflicts_with = "key_file")]
    pub unsigned: bool,
}

impl Signing {
    /// The signature of `content`, which goes by `name`; none if nothing is to be signed.
    pub fn sign(&self, name: &str, content: &[u8], time: Timestamp) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.key_file else { return Ok(None) };
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let no_key = || format!("{} is no secret key of minisign", path.display());
        let body = text.lines().nth(1).with_context(no_key)?;
        let mut key = SecretKey::from_bytes(&STANDARD.decode(body.trim()).with_context(no_key)?)
            .with_context(no_key)?;
        if key.is_encrypted() {
            key = SecretKey::from_box(text.into(), self.password()?)
                .with_context(|| format!("{} has another password", path.display()))?;
        }
        let comment = format!("timestamp:{}\tfile:{name}\thashed", time.as_second());
        let signature =
            minisign::sign(None, &key, content, Some(&comment), Some("signature of a release of Peerlight"))
                .context("cannot sign")?;
        Ok(Some(signature.into_string()))
    }

    fn password(&self) -> anyhow::Result<Option<String>> {
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        };
        self.password_file.as_ref().map(read).transpose()
    }
}
