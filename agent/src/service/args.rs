//! The arguments of the `service` command.

use crate::{
    exchange::{ExchangeError, parse_address},
    format::Format,
};
use clap::{Args, Subcommand};
use std::{ffi::OsString, path::Path};
use url::Url;

/// What to do with the service.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// What to do with it
    #[command(subcommand)]
    pub command: ServiceCommand,
}

/// What to do with the service.
#[derive(Debug, Clone, Subcommand)]
pub enum ServiceCommand {
    /// Have the system run this program, from its next start on
    ///
    /// The service reads the default configuration, which is made if there is none, and runs under an account of its own without
    /// an administrator's rights. Where a package installed the service, that is the package's to do. Installing once more brings
    /// the service up to date and keeps configuration, keys and spool. Needs root, or an elevated prompt on Windows.
    Install(InstallArgs),
    /// Stop the service, take it off the system, and tell the collector that the agent goes
    ///
    /// Where the collector hears it, keys and spool are removed; where it cannot be reached within twenty seconds they stay, and
    /// what is left to do is said. `retire_on_removal = false` in [collector] tells nobody. The configuration stays.
    Uninstall(UninstallArgs),
    /// Start the service, and wait until it measures
    Start,
    /// Stop the service, and wait until it has spooled what it measured
    Stop,
    /// Say whether there is the service, and whether it runs
    ///
    /// Exit code: 0 if it runs, else 1. What the agent itself is doing is said by `peerlight-agent status`.
    Status(StatusArgs),
}

/// How to install the service.
#[derive(Debug, Clone, Default, Args)]
pub struct InstallArgs {
    /// The collector, for a configuration that is made; what is configured already is kept [default: the token's]
    #[arg(long, value_name = "URL")]
    pub collector: Option<String>,
    /// The file with an enrolment token: the service enrols the agent when it starts, and then removes its copy
    #[arg(long, value_name = "PATH")]
    pub token_file: Option<OsString>,
    /// Said by the package that installs the service
    #[arg(long, hide = true)]
    pub package: bool,
}

/// How to take the service off the system.
#[derive(Debug, Clone, Default, Args)]
pub struct UninstallArgs {
    /// Remove configuration, keys and spool from their default places whatever the collector heard: what was not delivered is lost,
    /// and the agent must be enrolled anew
    #[arg(long)]
    pub purge: bool,
    /// Said by the package that takes the service off the system
    #[arg(long, hide = true)]
    pub package: bool,
}

/// How to show the state of the service.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// An installer's property that was not given is an empty argument.
impl InstallArgs {
    /// The collector, if one was named.
    pub fn collector(&self) -> Result<Option<Url>, ExchangeError> {
        self.collector.as_deref().filter(|address| !address.is_empty()).map(parse_address).transpose()
    }

    /// The file with the token, if one was named.
    pub fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref().filter(|path| !path.is_empty()).map(Path::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn of(line: &[&str]) -> InstallArgs {
        let line = ["peerlight-agent", "service", "install"].iter().chain(line);
        let Command::Service(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command")
        };
        let ServiceCommand::Install(args) = args.command else { panic!("another word") };
        args
    }

    #[test]
    fn what_an_installer_leaves_empty_was_not_given() {
        let empty = of(&["--package", "--collector", "", "--token-file", ""]);
        assert_eq!((empty.collector().unwrap(), empty.token_file()), (None, None));
    }

    #[test]
    fn what_is_given_is_a_collector_and_a_file() {
        let given = of(&["--collector", "https://collector.example.com:8443", "--token-file", "a token"]);
        assert_eq!(given.collector().unwrap().unwrap().as_str(), "https://collector.example.com:8443/");
        assert_eq!(given.token_file(), Some(Path::new("a token")));
        assert!(of(&["--collector", "collector.example.com"]).collector().is_err());
    }
}
