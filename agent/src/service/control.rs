//! Windows' service control manager from outside: the service `PeerlightAgent` is made, started, stopped and taken away.

use super::{
    args::{InstallArgs, UninstallArgs},
    event_log::{self, EventLog},
    first,
    purge::purge,
    scm::NAME,
    state::{Activity, Installer, ServiceState, explain},
};
use crate::{
    access, durable,
    paths::{default_config, default_state},
};
use anyhow::{Context as _, bail, ensure};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tracing::Level;
use windows_registry::LOCAL_MACHINE;
use windows_service::{
    Error,
    service::{
        Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceExitCode,
        ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceSidType, ServiceStartType,
        ServiceState as Manager, ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_EXCEPTION_IN_SERVICE, ERROR_SERVICE_ALREADY_RUNNING,
    ERROR_SERVICE_DOES_NOT_EXIST, ERROR_SERVICE_MARKED_FOR_DELETE, ERROR_SERVICE_NEVER_STARTED,
    ERROR_SERVICE_NOT_ACTIVE,
};

/// The virtual account that the system makes of the service's name: no password, no privilege, nobody else's files.
const ACCOUNT: &str = r"NT SERVICE\PeerlightAgent";
const DISPLAY_NAME: &str = "Peerlight agent";
const DESCRIPTION: &str =
    "Measures latency, jitter and loss from this site to Microsoft's cloud, and hands them to a collector.";
/// Where the package says that it is there.
const PACKAGE_KEY: &str = r"SOFTWARE\Peerlight\Agent";
/// A service that died is started again after so long, as often as it takes.
const RESTARTS_AFTER: Duration = Duration::from_secs(30);
/// Deaths are forgotten after a day without one.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
/// For how long the machine's shutdown waits.
const PRESHUTDOWN: Duration = Duration::from_secs(20);
/// For how long `start` and `stop` wait at most, and how often they look.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// Installs the service for this program, or brings it up to date, and says what it did.
pub(super) fn install(program: &Path, args: &InstallArgs) -> anyhow::Result<Vec<String>> {
    let installed = try_install(program, args);
    if let Err(error) = &installed
        && args.package
    {
        // An installer keeps to itself what its programs say.
        EventLog::of(NAME).report(Level::ERROR, &format!("the installation failed: {error:#}"));
    }
    installed
}

fn try_install(program: &Path, args: &InstallArgs) -> anyhow::Result<Vec<String>> {
    let manager = open_manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    if !args.package {
        refuse_packaged("start it with `peerlight-agent service start`")?;
    }
    event_log::register(NAME).context("cannot make the event log know the service")?;
    let (collector, token) = (args.collector()?, first::read_token(args.token_file())?);
    claim(&default_config())?;
    let mut told = vec![first::make_configuration(collector.as_ref())?];
    let state = first::state_directory();
    if state.path() == default_state() {
        claim_directory(state.path(), false)?;
    } else {
        durable::create_private_directory(state.path())
            .with_context(|| format!("cannot make {}", state.path().display()))?;
    }
    if let Some(token) = &token {
        told.push(first::hand_over(token, &state)?);
    }
    let service = create(&manager, program)?;
    told.extend(configure(&service));
    Ok(told)
}

/// Stops the service and takes it away; false if there was none.
pub(super) fn uninstall(args: &UninstallArgs) -> anyhow::Result<bool> {
    if !args.package {
        refuse_packaged("remove it in the system's settings, or by `msiexec /x`")?;
    }
    let access = ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE;
    let service = open_service(access)?;
    let was_there = service.is_some();
    if let Some(service) = service {
        stop_and_wait(&service)?;
        match service.delete() {
            // An installer did, a moment ago.
            Err(error) if code(&error) == Some(ERROR_SERVICE_MARKED_FOR_DELETE) => {}
            deleted => deleted.map_err(told("remove the service"))?,
        }
    }
    Ok(was_there)
}

/// Removes its traces, and what a removal leaves if that is asked for.
pub(super) fn forget(args: &UninstallArgs) -> anyhow::Result<()> {
    event_log::forget(NAME).context("cannot make the event log forget the service")?;
    if args.purge { purge(&default_config(), &default_state()) } else { Ok(()) }
}

/// Starts the service, and waits until it measures.
pub(super) fn start() -> anyhow::Result<()> {
    let service = require_service(ServiceAccess::START | ServiceAccess::QUERY_STATUS)?;
    match service.start::<OsString>(&[]) {
        Err(error) if code(&error) == Some(ERROR_SERVICE_ALREADY_RUNNING) => {}
        started => started.map_err(told("start the service"))?,
    }
    let status = wait(&service, "start", |state| matches!(state, Manager::Running | Manager::Stopped))?;
    if status.current_state == Manager::Running {
        return Ok(());
    }
    let ended = failure(status.exit_code).map(explain).unwrap_or_default();
    bail!("the service ended at once ({ended}); the event log, source {NAME}, says why")
}

/// Stops the service, and waits until it has.
pub(super) fn stop() -> anyhow::Result<()> {
    let service = require_service(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS)?;
    stop_and_wait(&service)
}

/// What the service is doing.
pub(super) fn state() -> anyhow::Result<ServiceState> {
    let config = default_config();
    let Some(service) = open_service(ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG)? else {
        return Ok(ServiceState::not_installed(NAME, config));
    };
    let status = service.query_status().map_err(told("ask for the service's state"))?;
    let settings = service.query_config().map_err(told("ask for the service's settings"))?;
    let exit_code = failure(status.exit_code);
    let state = match status.current_state {
        Manager::Running => Activity::Running,
        Manager::StartPending | Manager::ContinuePending => Activity::Starting,
        Manager::StopPending | Manager::PausePending => Activity::Stopping,
        Manager::Stopped | Manager::Paused if exit_code.is_some() => Activity::Failed,
        Manager::Stopped | Manager::Paused => Activity::Stopped,
    };
    Ok(ServiceState {
        service: NAME.to_owned(),
        state,
        installed_by: Some(if is_packaged() { Installer::Package } else { Installer::Command }),
        starts_with_machine: settings.start_type == ServiceStartType::AutoStart,
        program: Some(program_of(&settings.executable_path.to_string_lossy())),
        account: settings.account_name.map(|account| account.to_string_lossy().into_owned()),
        pid: status.process_id.filter(|pid| *pid != 0),
        exit_code: exit_code.filter(|_| state == Activity::Failed),
        config,
    })
}

/// The directory of the configuration, and the configuration itself, are nobody else's.
fn claim(config: &Path) -> anyhow::Result<()> {
    claim_directory(config.parent().unwrap_or(config), true)?;
    access::refuse_strangers(config, &access::service_sid(NAME))
        .with_context(|| format!("cannot use {}", config.display()))
}

fn claim_directory(directory: &Path, everybody_reads: bool) -> anyhow::Result<()> {
    access::claim(directory, NAME, everybody_reads)
        .with_context(|| format!("cannot use {}", directory.display()))
}

/// The service as it shall be: made, or changed where it is there.
fn create(manager: &ServiceManager, program: &Path) -> anyhow::Result<Service> {
    let wanted = ServiceInfo {
        name: NAME.into(),
        display_name: DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.to_owned(),
        launch_arguments: vec!["run".into()],
        dependencies: Vec::new(),
        account_name: Some(ACCOUNT.into()),
        account_password: None,
    };
    // Actions that start the service again are for those to set who may start it.
    let access = ServiceAccess::CHANGE_CONFIG
        | ServiceAccess::START
        | ServiceAccess::QUERY_CONFIG
        | ServiceAccess::QUERY_STATUS;
    match open_service(access)? {
        Some(service) => {
            service.change_config(&wanted).map_err(told("change the service"))?;
            Ok(service)
        }
        None => manager.create_service(&wanted, access).map_err(told("make the service")),
    }
}

/// What is not said when a service is made. Old systems lack some of it, which is said and does no harm.
fn configure(service: &Service) -> Vec<String> {
    let restart = ServiceAction { action_type: ServiceActionType::Restart, delay: RESTARTS_AFTER };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGOTTEN_AFTER),
        reboot_msg: None,
        command: None,
        // The last one holds for every further death.
        actions: Some(vec![restart]),
    };
    let outcomes = [
        ("a description", service.set_description(DESCRIPTION)),
        ("restarts after a failure", service.update_failure_actions(actions)),
        ("an identity of its own", service.set_config_service_sid_info(ServiceSidType::Unrestricted)),
        ("time before a shutdown", service.set_preshutdown_timeout(PRESHUTDOWN)),
    ];
    let missing = |(what, outcome): (&str, Result<(), Error>)| {
        outcome.err().map(|error| format!("The service has not got {what}: {}", text(&error)))
    };
    outcomes.into_iter().filter_map(missing).collect()
}

fn stop_and_wait(service: &Service) -> anyhow::Result<()> {
    match service.stop() {
        Err(error) if code(&error) == Some(ERROR_SERVICE_NOT_ACTIVE) => return Ok(()),
        stopped => drop(stopped.map_err(told("stop the service"))?),
    }
    wait(service, "stop", |state| state == Manager::Stopped).map(drop)
}

/// Waits until the service is as it should be.
fn wait(
    service: &Service,
    what: &str,
    reached: impl Fn(Manager) -> bool,
) -> anyhow::Result<windows_service::service::ServiceStatus> {
    #[expect(clippy::disallowed_methods, reason = "nothing is measured here")]
    let start = Instant::now();
    loop {
        let status = service.query_status().map_err(told("ask for the service's state"))?;
        if reached(status.current_state) {
            return Ok(status);
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "the service did not {what} within {} s; the event log, source {NAME}, may say why",
            PATIENCE.as_secs()
        );
        thread::sleep(LOOKS_EVERY);
    }
}

/// How a service failed, if it did.
fn failure(code: ServiceExitCode) -> Option<u32> {
    match code {
        ServiceExitCode::Win32(0 | ERROR_SERVICE_NEVER_STARTED) => None,
        ServiceExitCode::Win32(code) | ServiceExitCode::ServiceSpecific(code) => Some(code),
    }
}

fn open_manager(access: ServiceManagerAccess) -> anyhow::Result<ServiceManager> {
    ServiceManager::local_computer(None::<&str>, access).map_err(told("reach the service manager"))
}

/// The service; none where there is none.
fn open_service(access: ServiceAccess) -> anyhow::Result<Option<Service>> {
    match open_manager(ServiceManagerAccess::CONNECT)?.open_service(NAME, access) {
        Err(error) if code(&error) == Some(ERROR_SERVICE_DOES_NOT_EXIST) => Ok(None),
        opened => opened.map(Some).map_err(told("open the service")),
    }
}

fn require_service(access: ServiceAccess) -> anyhow::Result<Service> {
    open_service(access)?.context("there is no service; `peerlight-agent service install` installs it")
}

/// Whether the package is there.
fn is_packaged() -> bool {
    LOCAL_MACHINE.open(PACKAGE_KEY).and_then(|key| key.get_string("Package")).is_ok()
}

fn refuse_packaged(instead: &str) -> anyhow::Result<()> {
    ensure!(!is_packaged(), "the package (MSI) of Peerlight installed the service: {instead}");
    Ok(())
}

/// The program of a service's command line, whose quotes some systems keep.
fn program_of(command_line: &str) -> PathBuf {
    let program = match command_line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => command_line.strip_suffix(" run"),
    };
    PathBuf::from(program.unwrap_or(command_line))
}

/// The system's number for an error.
fn code(error: &Error) -> Option<u32> {
    let Error::Winapi(error) = error else { return None };
    error.raw_os_error().map(i32::cast_unsigned)
}

/// The error in the system's own words, which the library keeps to itself.
fn text(error: &Error) -> String {
    if let Error::Winapi(error) = error { error.to_string() } else { error.to_string() }
}

/// What could not be done, why not, and what to do about it.
fn told(what: &'static str) -> impl Fn(Error) -> anyhow::Error {
    move |error| {
        let hint = match code(&error) {
            Some(ERROR_ACCESS_DENIED) => "; run this from an elevated prompt (Run as administrator)",
            Some(ERROR_EXCEPTION_IN_SERVICE) => "; the event log may say why",
            _ => "",
        };
        anyhow::anyhow!("cannot {what}: {}{hint}", text(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_never_ran_or_ended_well_has_not_failed() {
        assert_eq!(failure(ServiceExitCode::NO_ERROR), None);
        assert_eq!(failure(ServiceExitCode::Win32(ERROR_SERVICE_NEVER_STARTED)), None);
        assert_eq!(failure(ServiceExitCode::ServiceSpecific(78)), Some(78));
    }

    #[test]
    fn the_program_is_told_from_its_arguments_with_and_without_quotes() {
        let program = Path::new(r"C:\Program Files\Peerlight\peerlight-agent.exe");
        for line in [
            r#""C:\Program Files\Peerlight\peerlight-agent.exe" run"#,
            r"C:\Program Files\Peerlight\peerlight-agent.exe run",
            r"C:\Program Files\Peerlight\peerlight-agent.exe",
        ] {
            assert_eq!(program_of(line), program);
        }
    }

    #[test]
    fn who_lacks_the_right_is_told_how_to_get_it() {
        let denied = Error::Winapi(std::io::Error::from_raw_os_error(ERROR_ACCESS_DENIED.cast_signed()));
        let text = told("make the service")(denied).to_string();
        assert!(
            text.starts_with("cannot make the service: ") && text.ends_with("(Run as administrator)"),
            "{text}"
        );
    }
}
