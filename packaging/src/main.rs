//! Makes what is installed: packages, and what stands beside the programs.

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser};
use peerlight_packaging::{
    documents::{completions, manual},
    manifest::PACKAGES,
    packages::{self, Making},
    release::{self, Releasing},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Makes what is installed of Peerlight.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
enum Cli {
    /// Write manual pages and shell completions of both programs
    ///
    /// They are laid out as below /usr/share: man/man1, bash-completion, fish, zsh.
    Documents {
        /// Where to; what is there is overwritten
        directory: PathBuf,
    },
    /// Make packages of the programs that were built: .deb and .rpm (needs nfpm), of the agent for Windows an .msi (needs wixl and
    /// msitools)
    Packages(Making),
    /// Make a release: the packages, of each what it is made of (CycloneDX), SHA256SUMS of all of it, and their signature by minisign
    ///
    /// Run it in the work tree that the programs were built from. The directory that it goes to must be empty.
    Release(Releasing),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse() {
        Cli::Documents { directory } => write_documents(&directory),
        Cli::Packages(making) => packages::make_all(&PACKAGES, &making).map(drop),
        Cli::Release(releasing) => release::make(&PACKAGES, &releasing),
    }
}

fn write_documents(directory: &Path) -> anyhow::Result<()> {
    for program in [peerlight_agent::cli::Cli::command(), peerlight_collector::cli::Cli::command()] {
        for document in manual(&program)?.into_iter().chain(completions(&program)) {
            let path = directory.join(document.path);
            let place = path.parent().unwrap_or(directory);
            fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
            fs::write(&path, document.text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}
