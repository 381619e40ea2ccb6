//! Windows' service control manager from within the service: it starts `peerlight-agent run`, hears of start and end from the work
//! itself, and says when to stop.

use super::{News, event_log::EventLog};
use crate::{
    cli::{Cli, Command},
    command::EXIT_CONFIG,
    life::{self, Ends},
    logging::{self, Journal},
};
use std::{
    ffi::OsString,
    process::ExitCode,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use windows_service::{
    Error, define_windows_service,
    service::{
        ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
    },
    service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle},
    service_dispatcher,
};
use windows_sys::Win32::Foundation::ERROR_FAILED_SERVICE_CONTROLLER_CONNECT;

/// The service, the source of its events, and its account (`NT SERVICE\…`).
pub(crate) const NAME: &str = "PeerlightAgent";
/// Within which time the agent starts to measure, at most: a spool that is full takes a while to be read.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// Within which time it ends, at most: it waits for probes under way and keeps the open interval, five seconds at most.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// The command line, until the service's thread takes it.
static WAITING: Mutex<Option<Cli>> = Mutex::new(None);
/// The service of this process, if it is one.
static HOSTED: OnceLock<Hosted> = OnceLock::new();

#[derive(Debug)]
struct Hosted {
    manager: ServiceStatusHandle,
    log: EventLog,
}

define_windows_service!(entry, serve);

/// Lives as the command line says: as the manager's service if the manager started this process to `run`, else like any program.
pub fn host(cli: Cli) -> ExitCode {
    if !matches!(cli.command, Command::Run) {
        return life::live(cli, Journal::StandardError, Ends::BySignal);
    }
    put(cli);
    match (service_dispatcher::start(NAME, entry), take()) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(Error::Winapi(error)), Some(cli))
            if error.raw_os_error() == Some(ERROR_FAILED_SERVICE_CONTROLLER_CONNECT.cast_signed()) =>
        {
            life::live(cli, Journal::StandardError, Ends::BySignal)
        }
        (Err(error), _) => {
            logging::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn put(cli: Cli) {
    *WAITING.lock().unwrap_or_else(PoisonError::into_inner) = Some(cli);
}

fn take() -> Option<Cli> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The service's thread, which the manager has started.
fn serve(_arguments: Vec<OsString>) {
    let Some(cli) = take() else { return };
    let shutdown = CancellationToken::new();
    let (told, log) = (shutdown.clone(), EventLog::of(NAME));
    let handler = move |control| {
        if !is_known(control) {
            return ServiceControlHandlerResult::NotImplemented;
        }
        if is_end(control) {
            say(ServiceState::StopPending, ServiceExitCode::NO_ERROR);
            told.cancel();
        }
        ServiceControlHandlerResult::NoError
    };
    match service_control_handler::register(NAME, handler) {
        Ok(manager) => drop(HOSTED.set(Hosted { manager, log })),
        Err(error) => {
            return log.report(Level::ERROR, &format!("the service manager does not listen: {error:?}"));
        }
    }
    say(ServiceState::StartPending, ServiceExitCode::NO_ERROR);
    let code = life::live(cli, Journal::Of(BoxMakeWriter::new(log)), Ends::By(shutdown));
    end(code);
}

/// A well-behaved end and a wrong configuration are told to the manager, which then leaves the service alone. Any other failure is
/// not: a process that is gone without a word is what the manager starts again.
fn end(code: ExitCode) {
    if code == ExitCode::SUCCESS {
        say(ServiceState::Stopped, ServiceExitCode::NO_ERROR);
    } else if code == ExitCode::from(EXIT_CONFIG) {
        say(ServiceState::Stopped, ServiceExitCode::ServiceSpecific(EXIT_CONFIG.into()));
    } else {
        std::process::exit(1);
    }
}

/// Whether the manager is told that a control was taken.
fn is_known(control: ServiceControl) -> bool {
    matches!(control, ServiceControl::Interrogate) || is_end(control)
}

/// Whether a control ends the service. Before a shutdown the machine waits for services that hear of it in advance.
fn is_end(control: ServiceControl) -> bool {
    matches!(control, ServiceControl::Stop | ServiceControl::Preshutdown)
}

/// Tells the manager, if it started this process.
pub fn tell(news: News<'_>) {
    match news {
        News::Started => say(ServiceState::Running, ServiceExitCode::NO_ERROR),
        News::Stops => say(ServiceState::StopPending, ServiceExitCode::NO_ERROR),
        // It asks neither what is done nor whether it is done still.
        News::Doing(_) | News::Works => {}
    }
}

/// It never asks.
pub const fn watchdog() -> Option<Duration> {
    None
}

/// The text as whoever reads standard error takes it for an error: as it is.
pub(crate) const fn as_error(text: String) -> String {
    text
}

/// Keeps an error that standard error does not bring to anybody, if this process is the service.
pub(crate) fn record(error: &str) {
    if let Some(Hosted { log, .. }) = HOSTED.get() {
        log.report(Level::ERROR, error);
    }
}

fn say(state: ServiceState, exit_code: ServiceExitCode) {
    let Some(Hosted { manager, log }) = HOSTED.get() else { return };
    let ends = ServiceControlAccept::STOP | ServiceControlAccept::PRESHUTDOWN;
    let (controls_accepted, wait_hint) = match state {
        ServiceState::StartPending => (ServiceControlAccept::empty(), STARTS_WITHIN),
        ServiceState::StopPending => (ServiceControlAccept::empty(), ENDS_WITHIN),
        ServiceState::Running => (ends, Duration::ZERO),
        ServiceState::Stopped
        | ServiceState::ContinuePending
        | ServiceState::PausePending
        | ServiceState::Paused => (ServiceControlAccept::empty(), Duration::ZERO),
    };
    let told = manager.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted,
        exit_code,
        checkpoint: 0,
        wait_hint,
        process_id: None,
    });
    if let Err(error) = told {
        log.report(Level::WARN, &format!("the service manager could not be told of {state:?}: {error:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_and_the_warning_before_a_shutdown_end_the_service_and_a_question_does_not() {
        assert!(is_end(ServiceControl::Stop) && is_end(ServiceControl::Preshutdown));
        assert!(is_known(ServiceControl::Interrogate) && !is_end(ServiceControl::Interrogate));
        assert!(!is_known(ServiceControl::Pause) && !is_known(ServiceControl::TimeChange));
    }

    #[test]
    fn who_was_started_by_nobody_tells_nobody() {
        tell(News::Started);
        tell(News::Stops);
        record("nothing");
        assert!(HOSTED.get().is_none());
    }
}
