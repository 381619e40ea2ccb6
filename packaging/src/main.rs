//! Makes what is installed beside the programs.

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser};
use peerlight_packaging::documents::{completions, manual};
use std::{fs, path::PathBuf};

/// Makes what is installed beside Peerlight's programs.
#[derive(Debug, Parser)]
#[command(version)]
enum Cli {
    /// Write manual pages and shell completions of both programs
    ///
    /// They are laid out as below /usr/share: man/man1, bash-completion, fish, zsh.
    Documents {
        /// Where to; what is there is overwritten
        directory: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let Cli::Documents { directory } = Cli::parse();
    for program in [peerlight_agent::cli::Cli::command(), peerlight_collector::cli::Cli::command()] {
        for document in manual(&program)?.into_iter().chain(completions(&program)) {
            let path = directory.join(document.path);
            let place = path.parent().unwrap_or(&directory);
            fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
            fs::write(&path, document.text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}
