//! What a program is made of, as `CycloneDX` 1.5 says it: every crate that is linked into it or that helped to build it, with the
//! checksum by which cargo knows its source. A test has the schema's own authors find it valid.

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};
use uuid::Uuid;

/// What `cargo metadata` says, as far as it is wanted.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_members: BTreeSet<String>,
    workspace_root: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Needed>,
}

#[derive(Debug, Deserialize)]
struct Needed {
    pkg: String,
    dep_kinds: Vec<Use>,
}

#[derive(Debug, Deserialize)]
struct Use {
    kind: Option<Kind>,
}

/// What a package is needed for; none: to be linked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Build,
    Dev,
}

/// The checksums of the lock file, by name and version.
type Checksums = BTreeMap<(String, String), String>;

/// The bill of materials of `program`, built for `target` (a triple of Rust's) from the work tree that this runs in, as JSON. The same
/// source and time make the same bytes.
pub fn of(program: &str, target: &str, time: Timestamp) -> anyhow::Result<String> {
    let asked = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target])
        .output()
        .context("cannot run cargo, which knows what the programs are made of")?;
    anyhow::ensure!(asked.status.success(), "cargo: {}", String::from_utf8_lossy(&asked.stderr));
    let metadata: Metadata = serde_json::from_slice(&asked.stdout).context("cargo said something else")?;
    let lock = metadata.workspace_root.join("Cargo.lock");
    let text = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let bom = Materials::of(&metadata, program)?.document(&checksums(&text)?, target, time);
    Ok(serde_json::to_string_pretty(&bom)? + "\n")
}

fn checksums(lock: &str) -> anyhow::Result<Checksums> {
    let lock: toml::Table = lock.parse().context("Cargo.lock is not TOML")?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock has no packages")?;
    let text = |package: &toml::Value, key| package.get(key)?.as_str().map(str::to_owned);
    let entry =
        |package| Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?));
    Ok(packages.iter().filter_map(entry).collect())
}

/// A program with all that it needs.
struct Materials<'a> {
    packages: BTreeMap<&'a str, &'a Package>,
    nodes: BTreeMap<&'a str, &'a Node>,
    root: &'a Package,
}

impl<'a> Materials<'a> {
    fn of(metadata: &'a Metadata, program: &str) -> anyhow::Result<Self> {
        let is_root =
            |package: &&Package| package.name == program && metadata.workspace_members.contains(&package.id);
        let root = metadata.packages.iter().find(is_root);
        let root = root.with_context(|| format!("there is no {program} in this work tree"))?;
        let packages = metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let nodes = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        Ok(Self { packages, nodes, root })
    }

    fn document(&self, checksums: &Checksums, target: &str, time: Timestamp) -> Value {
        let all = self.reached(|kind, _package| kind != Some(Kind::Dev));
        let linked = self.reached(|kind, package| kind.is_none() && !package.runs_in_compiler());
        let mut others: Vec<_> = all.values().filter(|package| package.id != self.root.id).collect();
        others.sort_unstable_by_key(|package| (&package.name, &package.version));
        let components = others.into_iter().map(|package| {
            // `excluded` is the schema's word for what helps to build and is not in the product.
            let scope = if linked.contains_key(package.id.as_str()) { "required" } else { "excluded" };
            let mut component = package.component("library", checksums);
            component["scope"] = json!(scope);
            component
        });
        let components: Vec<_> = components.collect();
        let dependencies: Vec<_> = all.values().map(|package| self.dependencies(package)).collect();
        let mut bom = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": time.to_string(),
                "component": self.root.component("application", checksums),
                "properties": [{ "name": "cargo:target", "value": target }],
            },
            "components": components,
            "dependencies": dependencies,
        });
        // A number that follows from what it is for.
        let digest = Sha256::digest(bom.to_string());
        let serial = Uuid::new_v8(digest.first_chunk().copied().unwrap_or_default());
        bom["serialNumber"] = json!(serial.urn().to_string());
        bom
    }

    /// The program and all that it needs, by the uses that count.
    fn reached(&self, counts: impl Fn(Option<Kind>, &Package) -> bool) -> BTreeMap<&'a str, &'a Package> {
        let (mut reached, mut waiting) = (BTreeMap::new(), vec![self.root]);
        while let Some(package) = waiting.pop() {
            if reached.insert(package.id.as_str(), package).is_none() {
                let needed = self.needed(package).filter(|(kind, package)| counts(*kind, package));
                waiting.extend(needed.map(|(_kind, package)| package));
            }
        }
        reached
    }

    /// What a package needs itself, each with what for.
    fn needed(&self, package: &Package) -> impl Iterator<Item = (Option<Kind>, &'a Package)> {
        let needed = self.nodes.get(package.id.as_str()).into_iter().flat_map(|node| &node.deps);
        let uses = needed.flat_map(|needed| needed.dep_kinds.iter().map(|used| (used.kind, &needed.pkg)));
        uses.filter_map(|(kind, id)| Some((kind, *self.packages.get(id.as_str())?)))
    }

    fn dependencies(&self, package: &Package) -> Value {
        let needed = self.needed(package).filter(|(kind, _package)| *kind != Some(Kind::Dev));
        let names: BTreeSet<_> = needed.map(|(_kind, package)| package.purl()).collect();
        json!({ "ref": package.purl(), "dependsOn": names })
    }
}

impl Package {
    /// Whether nothing of it is linked into what it helps to build.
    fn runs_in_compiler(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
    }

    /// By which it is known everywhere (package-url). Of what a version may hold, + alone has another meaning there.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }

    fn component(&self, kind: &str, checksums: &Checksums) -> Value {
        let mut component = json!({
            "type": kind,
            "bom-ref": self.purl(),
            "name": self.name,
            "version": self.version,
            "purl": self.purl(),
        });
        if let Some(description) = &self.description {
            component["description"] = json!(description.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        if let Some(license) = &self.license {
            // Old manifests write a slash.
            component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
        }
        if let Some(checksum) = checksums.get(&(self.name.clone(), self.version.clone())) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: &str = "x86_64-unknown-linux-gnu";

    fn document(program: &str, target: &str) -> Value {
        let text = of(program, target, Timestamp::from_second(1_790_000_000).unwrap()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The components of this name.
    fn named<'a>(document: &'a Value, name: &str) -> Vec<&'a Value> {
        let components = document["components"].as_array().unwrap();
        components.iter().filter(|component| component["name"] == name).collect()
    }

    #[test]
    fn what_is_linked_is_told_from_what_built_it_and_tests_need_nothing() {
        let agent = document("peerlight-agent", LINUX);
        assert_eq!(agent["metadata"]["component"]["name"], "peerlight-agent");
        assert_eq!(agent["metadata"]["timestamp"], "2026-09-21T14:13:20Z");
        let [rustls] = named(&agent, "rustls").try_into().unwrap();
        assert_eq!(rustls["scope"], "required");
        assert!(rustls["purl"].as_str().unwrap().starts_with("pkg:cargo/rustls@0.23."), "{rustls}");
        assert_eq!(rustls["hashes"][0]["content"].as_str().unwrap().len(), 64);
        assert!(rustls["licenses"][0]["expression"].as_str().unwrap().contains("Apache-2.0"));
        assert_eq!(named(&agent, "serde_derive")[0]["scope"], "excluded");
        for none in ["insta", "proptest", "rusqlite", "windows-service", "peerlight-agent"] {
            assert!(named(&agent, none).is_empty(), "{none}");
        }
        let components = agent["components"].as_array().unwrap();
        let names: BTreeSet<_> =
            components.iter().map(|component| component["bom-ref"].to_string()).collect();
        assert!(names.len() == components.len() && names.len() > 100, "{}", names.len());
    }

    #[test]
    fn each_program_and_system_has_its_own_and_always_the_same() {
        assert!(!named(&document("peerlight-agent", "x86_64-pc-windows-gnu"), "windows-service").is_empty());
        let collector = document("peerlight-collector", LINUX);
        assert_eq!(named(&collector, "rusqlite").len(), 1);
        assert_eq!(collector, document("peerlight-collector", LINUX));
        assert!(of("nothing", LINUX, Timestamp::UNIX_EPOCH).is_err());
    }
}
