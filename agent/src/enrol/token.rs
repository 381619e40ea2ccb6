//! Where an enrolment token stands: in a file, on standard input, or in the environment; never in an argument.

use anyhow::Context as _;
use peerlight_proto::enrolment::EnrolmentToken;
use std::{
    env, fs,
    io::{self, Read as _},
    path::Path,
};

/// The longest token that is read.
const MAX_BYTES: u64 = 8 << 10;
/// The environment variable that may hold the token.
const VARIABLE: &str = "PEERLIGHT_TOKEN";

/// Reads the token of this file, where `-` is standard input; without one, of the environment.
pub fn read(file: Option<&Path>) -> anyhow::Result<EnrolmentToken> {
    let text = match file {
        Some(path) if path == Path::new("-") => read_from(io::stdin()).context("cannot read the token")?,
        Some(path) => {
            let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            read_from(file).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => env::var(VARIABLE).with_context(|| {
            format!("there is no token; give --token-file PATH, --token-file - or {VARIABLE}")
        })?,
    };
    Ok(text.trim().parse()?)
}

/// Whether a token stands in the environment.
pub fn is_in_the_environment() -> bool {
    env::var_os(VARIABLE).is_some_and(|token| !token.is_empty())
}

fn read_from(source: impl io::Read) -> io::Result<String> {
    let mut token = String::new();
    source.take(MAX_BYTES).read_to_string(&mut token)?;
    Ok(token)
}
