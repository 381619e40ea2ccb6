//! Packages of the manifest: of each program that cargo built, for the system that it was built for. Those for Linux are made by nfpm.

use crate::{
    elf::{Library, Program},
    manifest::{Kind, Of, Package, Shipped},
    msi,
};
use anyhow::Context as _;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What packages are made of, and who answers for them.
#[derive(Debug, Clone, clap::Args)]
pub struct Making {
    /// Where cargo built a program, once for each place; a program may be there for several machines
    #[arg(long, value_name = "DIRECTORY", required = true)]
    pub programs: Vec<PathBuf>,
    /// Where the packages go
    #[arg(long, value_name = "DIRECTORY")]
    pub output: PathBuf,
    /// Who answers for them
    #[arg(long, value_name = "NAME <MAIL>")]
    pub maintainer: String,
    /// The time that they bear, in seconds since 1970; with the same, the same bytes come out
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    pub date: i64,
    /// Which package of this version it is
    #[arg(long, default_value_t = 1)]
    pub release: u32,
}

/// How a kind of package differs from the others.
struct Flavour {
    /// What nfpm calls it.
    packager: &'static str,
    of: Of,
    /// What runs the programs.
    runs: &'static str,
    /// What those need that do not bring a C library of their own.
    libraries: &'static [&'static str],
    /// What runs when it is installed and removed, as nfpm calls it.
    scripts: [(&'static str, &'static str); 3],
}

const FLAVOURS: [Flavour; 2] = [
    Flavour {
        packager: "deb",
        of: Of::Deb,
        runs: "systemd",
        libraries: &["libc6 (>= 2.34)", "libgcc-s1"],
        scripts: [
            ("postinstall", include_str!("../linux/deb/postinstall")),
            ("preremove", include_str!("../linux/deb/preremove")),
            ("postremove", include_str!("../linux/deb/postremove")),
        ],
    },
    Flavour {
        packager: "rpm",
        of: Of::Rpm,
        runs: "systemd",
        libraries: &["glibc >= 2.34", "libgcc"],
        scripts: [
            ("postinstall", include_str!("../linux/rpm/postinstall")),
            ("preremove", include_str!("../linux/rpm/preremove")),
            ("postremove", include_str!("../linux/rpm/postremove")),
        ],
    },
];

/// A program of which packages were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub name: &'static str,
    /// The triple of what it was built for, as Rust calls it.
    pub target: &'static str,
}

impl Made {
    /// The file that says what it is made of.
    pub fn sbom(&self) -> String {
        format!("{}-{}-{}.cdx.json", self.name, env!("CARGO_PKG_VERSION"), self.target)
    }
}

/// Makes the packages of every program that was built: a .deb and a .rpm of one for Linux, an .msi of one for Windows. Says of which.
pub fn make_all(packages: &[Package], making: &Making) -> anyhow::Result<Vec<Made>> {
    fs::create_dir_all(&making.output).with_context(|| format!("cannot make {}", making.output.display()))?;
    let mut all = Vec::new();
    for package in packages {
        let mut machines = Vec::new();
        for path in built(package.name, making) {
            let content = read(&path)?;
            let program = Program::read(&content).with_context(|| path.display().to_string())?;
            anyhow::ensure!(
                !machines.contains(&program.machine),
                "{} is the second one for {}: packages of both would have one name",
                path.display(),
                program.machine.debian()
            );
            machines.push(program.machine);
            let files = package.files(content, &changelog(package, making)?)?;
            FLAVOURS.iter().try_for_each(|flavour| pack(flavour, package, program, &files, making))?;
            all.push(Made { name: package.name, target: program.target() });
        }
        for path in package.windows_program().iter().flat_map(|name| built(name, making)).take(1) {
            msi::pack(package, &package.windows_files(read(&path)?), making)?;
            all.push(Made { name: package.name, target: "x86_64-pc-windows-gnu" });
        }
    }
    anyhow::ensure!(!all.is_empty(), "there is no program of Peerlight in {:?}", making.programs);
    Ok(all)
}

impl Making {
    /// The time that everything bears.
    pub fn time(&self) -> anyhow::Result<Timestamp> {
        Timestamp::from_second(self.date).context("SOURCE_DATE_EPOCH is no date")
    }
}

/// The programs of this name that cargo built.
fn built(name: &str, making: &Making) -> impl Iterator<Item = PathBuf> {
    making.programs.iter().map(move |directory| directory.join(name)).filter(|path| path.exists())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Lays everything out for nfpm, and has it packed.
fn pack(
    flavour: &Flavour,
    package: &Package,
    program: Program,
    files: &[Shipped],
    making: &Making,
) -> anyhow::Result<()> {
    let libraries = match program.library {
        Library::Glibc => flavour.libraries,
        Library::Own => &[],
    };
    let depends: Vec<_> = libraries.iter().chain([&flavour.runs]).collect();
    let stage = tempfile::tempdir().context("cannot make a directory to work in")?;
    let mut contents = Vec::new();
    for file in files.iter().filter(|file| [Of::All, flavour.of].contains(&file.of)) {
        let source = stage.path().join("root").join(&file.path);
        write(&source, &file.content)?;
        contents.push(content(file, &source));
    }
    let mut scripts = serde_json::Map::new();
    for (moment, text) in flavour.scripts {
        let path = stage.path().join(moment);
        write(&path, package.script(text).as_bytes())?;
        scripts.insert(moment.to_owned(), json!(path));
    }
    let manifest = json!({
        "name": package.name,
        "arch": program.machine.debian(),
        "version": env!("CARGO_PKG_VERSION"),
        "release": making.release.to_string(),
        "mtime": making.time()?.to_string(),
        "section": "net",
        "priority": "optional",
        "maintainer": making.maintainer,
        "license": "Apache-2.0",
        "description": format!("{}\n{}", package.summary, package.description),
        // Which machine made it is nobody's business, and another's would be another package.
        "rpm": { "summary": package.summary, "buildhost": "localhost" },
        "depends": depends,
        "scripts": scripts,
        "contents": contents,
    });
    // JSON is YAML, too.
    let path = stage.path().join("nfpm.yaml");
    write(&path, manifest.to_string().as_bytes())?;
    let status = Command::new("nfpm")
        .args(["package", "--packager", flavour.packager, "--config"])
        .arg(&path)
        .arg("--target")
        .arg(&making.output)
        .env("SOURCE_DATE_EPOCH", making.date.to_string())
        .status();
    let status =
        status.context("cannot run nfpm, which packs them; packaging/README.md says where to get it")?;
    anyhow::ensure!(status.success(), "nfpm made no {} package: {status}", flavour.packager);
    Ok(())
}

/// What nfpm is told of a file.
fn content(file: &Shipped, source: &Path) -> Value {
    let (kind, mode) = match file.kind {
        Kind::Program => ("", 0o755),
        Kind::Text => ("", 0o644),
        Kind::Configuration => ("config|noreplace", 0o644),
    };
    json!({
        "src": source,
        "dst": format!("/{}", file.path),
        "type": kind,
        "file_info": { "mode": mode, "owner": "root", "group": "root" },
    })
}

/// Debian's changelog is of packages; what changes for operators stands in `CHANGELOG.md`.
fn changelog(package: &Package, making: &Making) -> anyhow::Result<String> {
    let date = jiff::fmt::rfc2822::to_string(&making.time()?.to_zoned(TimeZone::UTC))?;
    Ok(format!(
        "{} ({}-{}) unstable; urgency=medium\n\n  * See CHANGELOG.md of this version for what changes.\n\n -- {}  {date}\n",
        package.name,
        env!("CARGO_PKG_VERSION"),
        making.release,
        making.maintainer,
    ))
}

pub(crate) fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let place = path.parent().unwrap_or(path);
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
