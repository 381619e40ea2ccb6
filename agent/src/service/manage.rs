//! The `service` command: the same words on every system, each by its own service manager.

#[cfg(windows)]
use super::control as manager;
#[cfg(unix)]
use super::systemctl as manager;
use super::{
    args::{InstallArgs, ServiceArgs, ServiceCommand, UninstallArgs},
    state::Activity,
};
use crate::{cli::Cli, command::say, paths::default_config};
use anyhow::{Context as _, ensure};
use std::process::ExitCode;

/// Does with the service what the command line says.
pub(crate) fn manage(cli: &Cli, args: &ServiceArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        cli.config.is_none() && cli.state_dir.is_none(),
        "the service reads {}, and the state directory stands in there: leave --config and --state-dir out",
        default_config().display()
    );
    match &args.command {
        ServiceCommand::Install(args) => install(args)?,
        ServiceCommand::Uninstall(args) => uninstall(args)?,
        ServiceCommand::Start => manager::start().and_then(|()| say("The service runs."))?,
        ServiceCommand::Stop => manager::stop().and_then(|()| say("The service has stopped."))?,
        ServiceCommand::Status(args) => {
            let state = manager::state()?;
            say(&state.show(args.format)?)?;
            return Ok(if state.state == Activity::Running { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn install(args: &InstallArgs) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let told = manager::install(&program, args)?;
    told.iter().try_for_each(|line| say(line))?;
    say("The service is installed; `peerlight-agent service start` starts it.")
}

fn uninstall(args: &UninstallArgs) -> anyhow::Result<()> {
    if manager::uninstall(args)? { say("The service is gone.") } else { say("There was no service.") }
}
