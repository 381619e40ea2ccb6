//! What is installed, and where: the one list that packages of every kind are made of.

use crate::{
    AGENT_SAMPLE, ALERTS, COLLECTOR_SAMPLE, GRAFANA, UPLINKS_SAMPLE,
    documents::{completions, manual},
};
use clap::{Command, CommandFactory as _};
use flate2::{Compression, GzBuilder};
use std::io::{self, Write as _};

/// A program with what is installed beside it.
#[derive(Debug)]
pub struct Package {
    /// Its name, which is the program's, the service's and the account's.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What it does, for who chooses.
    pub description: &'static str,
    /// Its command line.
    command: fn() -> Command,
    /// Texts with their places below `/usr`.
    texts: &'static [(&'static str, &'static str)],
    /// Texts with their places below the program's directory on Windows; none where there is no such package.
    windows: Option<&'static [(&'static str, &'static str)]>,
    /// What Debian's checker is told to overlook, and why.
    lintian: &'static str,
    /// The configuration with its place below `/etc/peerlight`.
    configuration: (&'static str, &'static str),
    /// What is run, by the shell, when it is removed for good: its service has stopped, and its program is still there.
    on_removal: &'static str,
}

/// Both.
pub const PACKAGES: [Package; 2] = [
    Package {
        name: "peerlight-agent",
        summary: "measures latency to Microsoft's cloud",
        description: "Probes Microsoft 365 and Azure from this site by ICMP, TCP, HTTPS, DNS and\n\
                      UDP, keeps histograms through outages and pushes them to a\n\
                      peerlight-collector.",
        command: peerlight_agent::cli::Cli::command,
        texts: &[
            ("lib/systemd/system/peerlight-agent.service", include_str!("../linux/peerlight-agent.service")),
            ("lib/sysusers.d/peerlight-agent.conf", include_str!("../linux/peerlight-agent.sysusers.conf")),
            ("lib/sysctl.d/60-peerlight-agent.conf", include_str!("../linux/peerlight-agent.sysctl.conf")),
            ("share/doc/peerlight-agent/examples/agent-uplinks.toml", UPLINKS_SAMPLE),
            (
                "share/doc/peerlight-agent/examples/icmp-by-capability.conf",
                include_str!("../linux/icmp-by-capability.conf"),
            ),
        ],
        windows: Some(&[
            ("LICENSE.txt", include_str!("../../LICENSE")),
            ("examples/agent.toml", AGENT_SAMPLE),
            ("examples/agent-uplinks.toml", UPLINKS_SAMPLE),
        ]),
        lintian: "# They are no upload to Debian, so they close none of its bugs.\n\
                  peerlight-agent: initial-upload-closes-no-bugs\n",
        configuration: ("agent.toml", AGENT_SAMPLE),
        // Under its own account, whose files it reads; bounded once more, should looking up a name take long; never a failure.
        on_removal: "runuser -u peerlight-agent -- timeout --kill-after=5 40 /usr/bin/peerlight-agent decommission --removal || true",
    },
    Package {
        name: "peerlight-collector",
        summary: "gathers what Peerlight's agents measure",
        description: "Authenticates agents, stores their measurements exactly once and answers\n\
                      latency reports for each provider and location over an API, a command\n\
                      line and a dashboard.",
        command: peerlight_collector::cli::Cli::command,
        texts: &[
            (
                "lib/systemd/system/peerlight-collector.service",
                include_str!("../linux/peerlight-collector.service"),
            ),
            (
                "lib/sysusers.d/peerlight-collector.conf",
                include_str!("../linux/peerlight-collector.sysusers.conf"),
            ),
            ("share/doc/peerlight-collector/examples/alerts.yml", ALERTS),
            ("share/doc/peerlight-collector/examples/grafana/dashboard.json", GRAFANA[0]),
            ("share/doc/peerlight-collector/examples/grafana/datasource.yml", GRAFANA[1]),
            (
                "share/doc/peerlight-collector/examples/low-ports.conf",
                include_str!("../linux/low-ports.conf"),
            ),
        ],
        windows: None,
        lintian: "# They are no upload to Debian, so they close none of its bugs.\n\
                  peerlight-collector: initial-upload-closes-no-bugs\n\
                  # SQLite is built in: the store relies on its very version.\n\
                  peerlight-collector: embedded-library\n",
        configuration: ("collector.toml", COLLECTOR_SAMPLE),
        on_removal: "true",
    },
];

/// A file as it is installed.
#[derive(Debug)]
pub struct Shipped {
    /// Its place: from the root, or on Windows from the program's directory.
    pub path: String,
    /// What it holds.
    pub content: Vec<u8>,
    /// What becomes of it.
    pub kind: Kind,
    /// Which packages it is in.
    pub of: Of,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is run.
    Program,
    /// It is read.
    Text,
    /// It is the operator's once it is there.
    Configuration,
}

/// Which packages a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Each kind.
    All,
    /// Debian's alone.
    Deb,
    /// RPM's alone.
    Rpm,
    /// Windows Installer's alone.
    Msi,
}

impl Package {
    /// What a package manager runs, of its template.
    pub fn script(&self, template: &str) -> String {
        template.replace("@NAME@", self.name).replace("@ON_REMOVAL@", self.on_removal)
    }

    /// The program's file on Windows, if there is a package for it.
    pub fn windows_program(&self) -> Option<String> {
        self.windows.map(|_texts| format!("{}.exe", self.name))
    }

    /// Every file on Windows, with its place below the program's directory; the program, as cargo built it, is the first. The
    /// configuration is made by the program itself, which knows what the installer was told.
    pub fn windows_files(&self, program: Vec<u8>) -> Vec<Shipped> {
        let file = |path: String, content, kind| Shipped { path, content, kind, of: Of::Msi };
        let texts = self.windows.unwrap_or_default().iter();
        let texts = texts.map(|(path, text)| file((*path).to_owned(), text.as_bytes().into(), Kind::Text));
        let program = file(format!("{}.exe", self.name), program, Kind::Program);
        std::iter::once(program).chain(texts).collect()
    }

    /// Every file on Linux, with `program` as cargo built it. `changelog` is the text of Debian's.
    pub fn files(&self, program: Vec<u8>, changelog: &str) -> io::Result<Vec<Shipped>> {
        let (name, command) = (self.name, (self.command)());
        let file = |path: String, content, kind, of| Shipped { path, content, kind, of };
        let text =
            |path: &str, content: &[u8], of| file(format!("usr/{path}"), content.into(), Kind::Text, of);
        let (place, configuration) = self.configuration;
        let mut files = vec![
            file(format!("usr/bin/{name}"), program, Kind::Program, Of::All),
            file(format!("etc/peerlight/{place}"), configuration.into(), Kind::Configuration, Of::All),
            text(&format!("share/doc/{name}/copyright"), COPYRIGHT.as_bytes(), Of::Deb),
            text(&format!("share/doc/{name}/changelog.Debian.gz"), &gzip(changelog.as_bytes())?, Of::Deb),
            text(&format!("share/lintian/overrides/{name}"), self.lintian.as_bytes(), Of::Deb),
            text(&format!("share/licenses/{name}/LICENSE"), include_bytes!("../../LICENSE"), Of::Rpm),
        ];
        files.extend(self.texts.iter().map(|(path, content)| text(path, content.as_bytes(), Of::All)));
        for page in manual(&command)? {
            files.push(text(&format!("share/{}.gz", page.path), &gzip(&page.text)?, Of::All));
        }
        for completion in completions(&command) {
            files.push(text(&format!("share/{}", completion.path), &completion.text, Of::All));
        }
        Ok(files)
    }
}

/// In Debian's form, which need not hold the text of a licence that every Debian system has.
const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Peerlight

Files: *
Copyright: 2026 the Peerlight authors
License: Apache-2.0
 On Debian systems the text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
";

/// The same bytes for the same bytes, whenever and wherever.
fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().operating_system(3).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
