//! A release: the packages, of each what it is made of, the checksums of all of it, and their signature.

use crate::{
    manifest::Package,
    packages::{self, Making},
    sbom,
    signing::Signing,
};
use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, fs, path::Path};

/// The file with the checksums, as `sha256sum --check` reads it.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// Their signature, where minisign looks for it.
pub const SIGNATURE: &str = "SHA256SUMS.minisig";

/// What a release is made of, and who signs it.
#[derive(Debug, Clone, clap::Args)]
pub struct Releasing {
    /// Of what packages are made
    #[command(flatten)]
    pub making: Making,
    /// With what to sign
    #[command(flatten)]
    pub signing: Signing,
}

/// Makes the release. The same programs, source and time make the same bytes, but for the package for Windows and the signature.
pub fn make(packages: &[Package], releasing: &Releasing) -> anyhow::Result<()> {
    let Releasing { making, signing } = releasing;
    let output = &making.output;
    let is_empty = fs::read_dir(output)
        .map_or(Ok(true), |mut entries| entries.next().transpose().map(|entry| entry.is_none()));
    anyhow::ensure!(
        is_empty.with_context(|| format!("cannot look into {}", output.display()))?,
        "{} holds something already, which would be released, too: name another directory",
        output.display()
    );
    let time = making.time()?;
    for made in packages::make_all(packages, making)? {
        let text = sbom::of(made.name, made.target, time)?;
        packages::write(&output.join(made.sbom()), text.as_bytes())?;
    }
    let checksums = checksums(output)?;
    packages::write(&output.join(CHECKSUMS), checksums.as_bytes())?;
    if let Some(signature) = signing.sign(CHECKSUMS, checksums.as_bytes(), time)? {
        packages::write(&output.join(SIGNATURE), signature.as_bytes())?;
    }
    Ok(())
}

/// A line for each file, in the order of their names.
fn checksums(directory: &Path) -> anyhow::Result<String> {
    let unread = || format!("cannot read {}", directory.display());
    let entries = fs::read_dir(directory).with_context(unread)?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(unread)?;
    names.sort_unstable();
    let mut lines = String::new();
    for name in names {
        let content = fs::read(directory.join(&name)).with_context(unread)?;
        writeln!(lines, "{}  {}", hex::encode(Sha256::digest(&content)), name.display())?;
    }
    Ok(lines)
}
