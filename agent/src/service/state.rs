//! What becomes of the service: the same words for every system.

use crate::format::Format;
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What the service manager knows of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// What the manager calls it.
    pub service: String,
    /// What it is doing.
    pub state: Activity,
    /// Who installed it; none where it is not.
    pub installed_by: Option<Installer>,
    /// Whether it starts with the machine.
    pub starts_with_machine: bool,
    /// The program that it runs.
    pub program: Option<PathBuf>,
    /// The account that it runs under.
    pub account: Option<String>,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// How it ended last, if not well; 78 is a wrong configuration.
    pub exit_code: Option<u32>,
    /// The configuration that it reads.
    pub config: PathBuf,
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// There is no service.
    NotInstalled,
    /// It does not run.
    Stopped,
    /// It is about to run, or to run again.
    Starting,
    /// It runs.
    Running,
    /// It is about to end.
    Stopping,
    /// It ended, and not well.
    Failed,
}

/// Who installed a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Installer {
    /// A package, which takes it away again.
    Package,
    /// The command `service install`, or a person.
    Command,
}

impl ServiceState {
    /// Of a service that is not installed.
    pub fn not_installed(service: &str, config: PathBuf) -> Self {
        Self {
            service: service.to_owned(),
            state: Activity::NotInstalled,
            installed_by: None,
            starts_with_machine: false,
            program: None,
            account: None,
            pid: None,
            exit_code: None,
            config,
        }
    }

    /// As text.
    pub fn show(&self, format: Format) -> serde_json::Result<String> {
        match format {
            Format::Json => serde_json::to_string_pretty(self),
            Format::Table => Ok(self.table()),
        }
    }

    fn table(&self) -> String {
        let mut lines = vec![("service", self.service.clone()), ("state", self.line())];
        if let Some(installer) = self.installed_by {
            let boot = if self.starts_with_machine { "starts with the machine" } else { "started by hand" };
            lines.push(("installed by", format!("{}, {boot}", installer.text())));
        }
        lines.extend(self.program.as_ref().map(|program| ("program", program.display().to_string())));
        lines.extend(self.account.clone().map(|account| ("account", account)));
        lines.push(("configuration", self.config.display().to_string()));
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (name, value) in lines {
            table.add_row([name.to_owned(), value]);
        }
        table.trim_fmt()
    }

    fn line(&self) -> String {
        let state = match self.state {
            Activity::NotInstalled => "not installed; `peerlight-agent service install` does it",
            Activity::Stopped => "stopped",
            Activity::Starting => "starting",
            Activity::Running => "running",
            Activity::Stopping => "stopping",
            Activity::Failed => "failed",
        };
        let process = self.pid.map(|pid| format!("process {pid}"));
        let ended = self.exit_code.map(explain);
        [Some(state.to_owned()), process, ended].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Installer {
    const fn text(self) -> &'static str {
        match self {
            Self::Package => "a package",
            Self::Command => "service install",
        }
    }
}

/// What an exit code says, and what to do about it.
pub(super) fn explain(code: u32) -> String {
    if code == u32::from(crate::command::EXIT_CONFIG) {
        "exit code 78: the configuration is wrong; `peerlight-agent check-config` says what".to_owned()
    } else {
        format!("exit code {code}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A service that a package installed, and that runs.
    pub(in crate::service) fn running() -> ServiceState {
        ServiceState {
            service: "peerlight-agent.service".to_owned(),
            state: Activity::Running,
            installed_by: Some(Installer::Package),
            starts_with_machine: true,
            program: Some("/usr/bin/peerlight-agent".into()),
            account: Some("peerlight-agent".to_owned()),
            pid: Some(7),
            exit_code: None,
            config: "/etc/peerlight/agent.toml".into(),
        }
    }

    #[test]
    fn the_table_says_what_the_service_does_and_whose_it_is() {
        insta::assert_snapshot!(running().show(Format::Table).unwrap());
    }

    #[test]
    fn the_json_has_the_same_words_on_every_system() {
        insta::assert_snapshot!(running().show(Format::Json).unwrap());
    }

    #[test]
    fn a_service_that_failed_or_is_missing_says_what_to_do() {
        let failed = ServiceState { state: Activity::Failed, pid: None, exit_code: Some(78), ..running() };
        assert_eq!(
            failed.line(),
            "failed, exit code 78: the configuration is wrong; `peerlight-agent check-config` says what"
        );
        let missing = ServiceState::not_installed("PeerlightAgent", "agent.toml".into());
        assert_eq!(missing.line(), "not installed; `peerlight-agent service install` does it");
        assert!(!missing.table().contains("installed by"), "{}", missing.table());
    }
}
