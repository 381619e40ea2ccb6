//! The command line at a collector of a test, as an operator on its machine types it.

use peerlight_collector::cli::{Cli, Command, Defaults, Output, execute};
use std::{net::SocketAddr, path::PathBuf};

/// How wide the terminal is in which people look at tables.
pub(crate) const WIDE: Option<u16> = Some(160);

/// What a command printed.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) out: Vec<u8>,
    pub(crate) notes: Vec<u8>,
}

impl Printed {
    /// What was asked for.
    pub(crate) fn text(self) -> String {
        String::from_utf8(self.out).unwrap()
    }

    /// That, and what was said beside it.
    pub(crate) fn all(self) -> String {
        String::from_utf8([self.out, self.notes].concat()).unwrap()
    }
}

/// What `peerlight-collector WORDS` prints, in a terminal of this width or into a file, at the collector of this listener with the
/// operator token of this file.
pub(crate) async fn command<'a>(
    (operators, token_file): (SocketAddr, PathBuf),
    words: impl IntoIterator<Item = &'a str>,
    width: Option<u16>,
) -> anyhow::Result<Printed> {
    let cli = <Cli as clap::Parser>::try_parse_from(std::iter::once("peerlight-collector").chain(words))?;
    let Command::Operate(operation) = cli.command else { panic!("{:?} asks no collector", cli.command) };
    let defaults = Defaults { url: format!("http://{operators}").parse()?, token_file };
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut output = Output { out: &mut out, notes: &mut notes, width };
    execute(*operation, &cli.connection, &defaults, &mut output).await?;
    Ok(Printed { out, notes })
}
