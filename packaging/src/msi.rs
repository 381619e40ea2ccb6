//! The agent's package for Windows Installer, made of the manifest by wixl; what wixl has no words for is added by msibuild.

mod source;

use crate::{
    manifest::{Package, Shipped},
    packages::{Making, write},
};
use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::{fs::File, path::Path, process::Command, time::SystemTime};
use uuid::Uuid;

/// What every version of the package has in common: by it a new one finds the old one.
const UPGRADE_CODE: &str = "{8D5F0A52-6B0B-4C39-9C0E-5F1B7C7E9A41}";
/// The package's version is the program's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Adds the directory of the program to everybody's PATH, and takes it out again.
const ENVIRONMENT: &str = "Environment\tName\tValue\tComponent_\r\ns72\tl255\tL255\ts72\r\nEnvironment\tEnvironment\r\n\
                           path\t=-*PATH\t[~];[INSTALLDIR]\tprogram\r\n";

/// By which numbers a package finds others of this program: older ones and those of its own version give way, newer ones stop it.
fn upgrade(version: &str) -> String {
    format!(
        "UpgradeCode\tVersionMin\tVersionMax\tLanguage\tAttributes\tRemove\tActionProperty\r\n\
         s38\tS20\tS20\tS255\ti4\tS255\ts72\r\n\
         Upgrade\tUpgradeCode\tVersionMin\tVersionMax\tLanguage\tAttributes\r\n\
         {UPGRADE_CODE}\t\t{version}\t\t513\t\tWIX_UPGRADE_DETECTED\r\n\
         {UPGRADE_CODE}\t{version}\t\t\t2\t\tWIX_DOWNGRADE_DETECTED\r\n"
    )
}

/// What wixl gets wrong or has no words for:
/// - the old version goes within the transaction of the new one, so that it is back if that fails;
/// - the program prepares its service once that is registered, and before it starts; and tidies up once it is gone;
/// - properties may come from whoever lets an administrator's installation run (`Secure`).
const CORRECTIONS: [&str; 7] = [
    "UPDATE `InstallExecuteSequence` SET `Sequence`=1501 WHERE `Action`='RemoveExistingProducts'",
    "UPDATE `InstallExecuteSequence` SET `Sequence`=5850 WHERE `Action`='Configure'",
    "UPDATE `InstallExecuteSequence` SET `Sequence`=2050 WHERE `Action`='Tidy'",
    "UPDATE `InstallExecuteSequence` SET `Sequence`=2051 WHERE `Action`='Purge'",
    "INSERT INTO `InstallExecuteSequence` (`Action`,`Sequence`) VALUES ('RemoveEnvironmentStrings',3300)",
    "INSERT INTO `InstallExecuteSequence` (`Action`,`Sequence`) VALUES ('WriteEnvironmentStrings',5200)",
    "UPDATE `Property` SET `Value`='WIX_DOWNGRADE_DETECTED;WIX_UPGRADE_DETECTED;COLLECTOR;TOKENFILE;PURGE' \
     WHERE `Property`='SecureCustomProperties'",
];

/// Makes the .msi of `package`.
pub(crate) fn pack(package: &Package, files: &[Shipped], making: &Making) -> anyhow::Result<()> {
    let stage = tempfile::tempdir().context("cannot make a directory to work in")?;
    let root = stage.path().join(source::ROOT);
    files.iter().try_for_each(|file| write(&root.join(&file.path), &file.content))?;
    // The cabinet holds the times of its files.
    let time = SystemTime::from(making.time()?);
    files
        .iter()
        .try_for_each(|file| File::options().append(true).open(root.join(&file.path))?.set_modified(time))?;
    let version = format!("{VERSION}.{}", making.release);
    let codes = Codes::of(&version, files);
    let source = stage.path().join("package.wxs");
    write(&source, source::text(package, files, &version, &codes, making).as_bytes())?;
    let output = std::path::absolute(&making.output).context("cannot tell where the package goes")?;
    let target = output.join(format!("{}-{VERSION}-{}-x64.msi", package.name, making.release));
    run(Command::new("wixl")
        .current_dir(stage.path())
        .args(["--arch", "x64", "--output"])
        .arg(&target)
        .arg(&source))?;
    for (table, text) in [("Environment", ENVIRONMENT), ("Upgrade", &upgrade(&version))] {
        let path = stage.path().join(format!("{table}.idt"));
        write(&path, text.as_bytes())?;
        run(msibuild(&target).arg("-i").arg(&path))?;
    }
    CORRECTIONS.iter().try_for_each(|query| run(msibuild(&target).args(["-q", query])))?;
    let title = format!("Installs the {}", package.name.replace("peerlight-", "Peerlight "));
    run(msibuild(&target).args(["-s", &title, &making.maintainer, "x64;1033", &codes.package]))
}

/// The numbers by which Windows Installer tells packages apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codes {
    /// What is installed: another one for other files, so that no two that differ are taken for the same.
    product: String,
    /// The file that installs it.
    package: String,
}

impl Codes {
    fn of(version: &str, files: &[Shipped]) -> Self {
        let mut all = Sha256::new();
        for file in files {
            all.update(file.path.as_bytes());
            all.update(Sha256::digest(&file.content));
        }
        let all = hex::encode(all.finalize());
        Self {
            product: code(&format!("product {version} {all}")),
            package: code(&format!("package {version} {all}")),
        }
    }
}

/// A number that follows from what it is for.
fn code(of: &str) -> String {
    let digest = Sha256::digest(format!("{UPGRADE_CODE} {of}"));
    let half = digest.first_chunk().copied().unwrap_or_default();
    Uuid::new_v8(half).braced().to_string().to_uppercase()
}

fn msibuild(package: &Path) -> Command {
    let mut command = Command::new("msibuild");
    command.arg(package);
    command
}

/// Runs a tool, which must have nothing to say.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| {
        format!("cannot run {name}, which makes packages for Windows; packaging/windows/README.md says where to get it")
    })?;
    let said = String::from_utf8_lossy(&done.stderr);
    // wixl says so, and goes on, where it leaves out what it was told.
    anyhow::ensure!(
        done.status.success() && said.trim().is_empty(),
        "{name} ended with {}: {said}",
        done.status
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::PACKAGES;

    #[test]
    fn codes_are_the_same_for_the_same_files_and_others_for_others() {
        let of =
            |program: &[u8], version: &str| Codes::of(version, &PACKAGES[0].windows_files(program.into()));
        assert_eq!(of(b"one", "0.1.0.1"), of(b"one", "0.1.0.1"));
        assert_ne!(of(b"one", "0.1.0.1"), of(b"two", "0.1.0.1"));
        assert_ne!(of(b"one", "0.1.0.1"), of(b"one", "0.1.0.2"));
        let codes = of(b"one", "0.1.0.1");
        assert_ne!(codes.product, codes.package);
        assert!(codes.product.starts_with('{') && codes.product.len() == 38, "{codes:?}");
    }
}
