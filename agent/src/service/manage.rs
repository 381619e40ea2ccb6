//! The `service` command: the same words on every system, each by its own service manager.

#[cfg(windows)]
use super::control as manager;
#[cfg(unix)]
use super::systemctl as manager;
use super::{
    args::{InstallArgs, ServiceArgs, ServiceCommand, UninstallArgs},
    state::Activity,
};
use crate::{cli::Cli, command::say, config::Config, decommission::on_removal, paths::default_config};
use anyhow::{Context as _, ensure};
use std::process::ExitCode;
#[cfg(windows)]
use {
    super::{NAME, event_log::EventLog},
    tracing::Level,
};

/// Does with the service what the command line says.
pub(crate) async fn manage(cli: &Cli, args: &ServiceArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        cli.config.is_none() && cli.state_dir.is_none(),
        "the service reads {}, and the state directory stands in there: leave --config and --state-dir out",
        default_config().display()
    );
    match &args.command {
        ServiceCommand::Install(args) => install(args)?,
        ServiceCommand::Uninstall(args) => uninstall(args).await?,
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

async fn uninstall(args: &UninstallArgs) -> anyhow::Result<()> {
    let was_there = manager::uninstall(args)?;
    let config = Config::load(&default_config()).unwrap_or_default();
    if let Some(told) = on_removal(&config).await {
        say(&told)?;
        // An installer keeps to itself what its programs say.
        #[cfg(windows)]
        if args.package {
            EventLog::of(NAME).report(Level::INFO, &told);
        }
    }
    manager::forget(args)?;
    if was_there { say("The service is gone.") } else { say("There was no service.") }
}
