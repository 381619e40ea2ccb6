//! What wixl is told of a package (`.wxs`). Pure.

use super::{Codes, UPGRADE_CODE, code};
use crate::{
    manifest::{Kind, Package, Shipped},
    packages::Making,
};
use std::{collections::BTreeMap, fmt::Write as _};

/// The service, as the agent itself calls it.
const SERVICE: &str = "PeerlightAgent";

/// Where the files lie, from where wixl runs: it takes no path from the root.
pub(super) const ROOT: &str = "root";

/// The whole of it.
pub(super) fn text(
    package: &Package,
    files: &[Shipped],
    version: &str,
    codes: &Codes,
    making: &Making,
) -> String {
    let (components, directories) = components(package, files);
    let name = escape(&package.name.replace("peerlight-", "Peerlight "));
    let (summary, maintainer) = (escape(package.summary), escape(&making.maintainer));
    let (product, package_code) = (&codes.product, &codes.package);
    let references = components.iter().fold(String::new(), |mut text, component| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "<ComponentRef Id=\"{component}\"/>");
        text
    });
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="{product}" Name="{name}" Language="1033" Version="{version}" Manufacturer="{maintainer}" UpgradeCode="{UPGRADE_CODE}">
    <Package Id="{package_code}" InstallerVersion="500" Compressed="yes" InstallScope="perMachine" Description="{summary}"
      Manufacturer="{maintainer}"/>
    <MajorUpgrade DowngradeErrorMessage="A newer version is installed; remove it first."/>
    <Media Id="1" Cabinet="peerlight.cab" EmbedCab="yes"/>
    <Property Id="ARPNOMODIFY" Value="1"/>
    <CustomAction Id="Configure" FileKey="program" Execute="deferred" Impersonate="no" Return="check"
      ExeCommand="service install --package --collector &quot;[COLLECTOR]&quot; --token-file &quot;[TOKENFILE]&quot;"/>
    <CustomAction Id="Tidy" FileKey="program" Execute="deferred" Impersonate="no" Return="ignore"
      ExeCommand="service uninstall --package"/>
    <CustomAction Id="Purge" FileKey="program" Execute="deferred" Impersonate="no" Return="check"
      ExeCommand="service uninstall --package --purge"/>
    <InstallExecuteSequence>
      <Custom Action="Configure" After="InstallServices">NOT REMOVE=&quot;ALL&quot;</Custom>
      <Custom Action="Tidy" After="DeleteServices">REMOVE=&quot;ALL&quot; AND NOT UPGRADINGPRODUCTCODE AND NOT PURGE=&quot;1&quot;</Custom>
      <Custom Action="Purge" After="DeleteServices">REMOVE=&quot;ALL&quot; AND NOT UPGRADINGPRODUCTCODE AND PURGE=&quot;1&quot;</Custom>
    </InstallExecuteSequence>
    <Directory Id="TARGETDIR" Name="SourceDir">
      <Directory Id="ProgramFiles64Folder">
        <Directory Id="INSTALLDIR" Name="Peerlight">
{directories}        </Directory>
      </Directory>
    </Directory>
    <Feature Id="Main" Title="{name}" Level="1">{references}</Feature>
  </Product>
</Wix>
"#
    )
}

/// The names of all components, and their elements in those of their directories.
fn components(package: &Package, files: &[Shipped]) -> (Vec<String>, String) {
    let (mut names, mut by_directory) = (Vec::new(), BTreeMap::<&str, String>::new());
    for (index, file) in files.iter().enumerate() {
        let (directory, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let is_program = file.kind == Kind::Program;
        let id = if is_program { "program".to_owned() } else { format!("text{index}") };
        let rest = if is_program { service(package) } else { String::new() };
        let (source, guid) = (escape(&format!("{ROOT}/{}", file.path)), code(&file.path));
        let element = format!(
            "<Component Id=\"{id}\" Guid=\"{guid}\" Win64=\"yes\"><File Id=\"{id}\" Name=\"{}\" Source=\"{source}\" KeyPath=\"yes\"/>{rest}</Component>\n",
            escape(name)
        );
        by_directory.entry(directory).or_default().push_str(&element);
        names.push(id);
    }
    let mut text = String::new();
    for (index, (directory, elements)) in by_directory.iter().enumerate() {
        // Writing to a String cannot fail.
        let _infallible = if directory.is_empty() {
            write!(text, "{elements}")
        } else {
            writeln!(
                text,
                "<Directory Id=\"below{index}\" Name=\"{}\">{elements}</Directory>",
                escape(directory)
            )
        };
    }
    (names, text)
}

/// What comes with the program: the service, and the mark by which the program knows that a package installed it.
fn service(package: &Package) -> String {
    let name = escape(&package.name.replace("peerlight-", "Peerlight "));
    format!(
        r#"
<RegistryValue Root="HKLM" Key="SOFTWARE\Peerlight\Agent" Name="Package" Type="string" Value="[ProductCode]"/>
<ServiceInstall Id="service" Name="{SERVICE}" DisplayName="{name}" Description="{}" Type="ownProcess" Start="auto" ErrorControl="normal"
  Account="NT SERVICE\{SERVICE}" Arguments="run" Vital="yes"/>
<ServiceControl Id="control" Name="{SERVICE}" Start="install" Stop="both" Remove="uninstall" Wait="yes"/>"#,
        escape(package.summary)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::PACKAGES;

    #[test]
    fn every_file_of_the_manifest_is_told_once_in_its_directory() {
        let files = PACKAGES[0].windows_files(b"program".into());
        let (names, text) = components(&PACKAGES[0], &files);
        assert_eq!(names.len(), files.len());
        for file in &files {
            assert_eq!(text.matches(&format!("Source=\"root/{}\"", file.path)).count(), 1, "{text}");
        }
        assert_eq!(text.matches("<ServiceInstall").count(), 1, "{text}");
        let (_, examples) = text.split_once("Name=\"examples\"").unwrap();
        assert!(examples.contains("agent-uplinks.toml"), "{text}");
    }

    #[test]
    fn what_stands_in_a_text_is_no_markup() {
        assert_eq!(escape("A & B <a@b.example> \"c\""), "A &amp; B &lt;a@b.example&gt; &quot;c&quot;");
    }
}
