//! The agent as a package installs it: its program, a state directory, and a configuration that says no more than where the lab is.

use anyhow::{Context as _, ensure};
use ipnet::IpNet;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use peerlight_agent::{
    paths::StateDir,
    status::{self, Status},
};
use peerlight_lab::network::{Place, namespace::NamespaceError};
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Where distributions keep the authorities that they trust, in one file.
const AUTHORITIES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The agent's files.
pub(crate) struct Home {
    directory: PathBuf,
}

impl Home {
    /// Makes them: names are asked for at `dns`, what lies in `lab` may be probed although it is not public, and the system trusts `ca`
    /// beside those whom it trusts anyhow.
    pub(crate) fn make(
        directory: &Path,
        (dns, lab): (&[SocketAddr], &[IpNet]),
        ca: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        let home = Self { directory: directory.to_owned() };
        let configuration = format!(
            "state = \"{}\"\n[resolver]\nservers = {:?}\n[limits]\nallow = {:?}\n",
            home.state().path().display(),
            dns.iter().map(ToString::to_string).collect::<Vec<_>>(),
            lab.iter().map(ToString::to_string).collect::<Vec<_>>(),
        );
        let trusted = AUTHORITIES.iter().find_map(|path| fs::read_to_string(path).ok());
        let trusted = trusted.context("the system's certification authorities are not found")?;
        for (name, content) in [
            ("agent.toml", &configuration),
            ("token", &token.to_owned()),
            ("authorities.pem", &(trusted + ca)),
        ] {
            fs::write(home.file(name), content)?;
        }
        Ok(home)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn state(&self) -> StateDir {
        StateDir::new(self.file("state"))
    }

    /// What the agent has said so far.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.file("agent.log"))?)
    }

    /// What the running agent says of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        Ok(status::ask(&self.state()).await?)
    }

    fn command(&self, program: &Path) -> anyhow::Result<Command> {
        let log = File::options().create(true).append(true).open(self.file("agent.log"))?;
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(self.file("agent.toml"))
            .env("SSL_CERT_FILE", self.file("authorities.pem"))
            .env_remove("SSL_CERT_DIR")
            .stdin(Stdio::null())
            .stderr(log);
        Ok(command)
    }
}

/// The running agent.
pub(crate) struct Installed(Child);

impl Installed {
    /// Enrols `program` by the token in its home, and runs it at `place`.
    pub(crate) fn start(program: &Path, home: &Home, place: &Place) -> anyhow::Result<Self> {
        let (mut enrol, mut run) = (home.command(program)?, home.command(program)?);
        enrol.arg("enrol").arg("--token-file").arg(home.file("token"));
        run.arg("run");
        let enrolled =
            place.within(|| enrol.output().map_err(NamespaceError::at("run the agent's program")))?;
        ensure!(enrolled.status.success(), "the agent did not enrol:\n{}", home.log()?);
        Ok(Self(place.within(|| run.spawn().map_err(NamespaceError::at("run the agent's program")))?))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// Has it end as a service manager does.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid().try_into()?), Signal::SIGTERM)?;
        let ended = self.0.wait()?;
        ensure!(ended.success(), "the agent ended with {ended}");
        Ok(())
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
