//! Windows' event log ("Application"), which keeps what the service logs.
#![expect(unsafe_code, reason = "the event log is a C interface")]

use std::{
    io::{self, Write},
    ptr,
};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::{
    Foundation::HANDLE,
    System::EventLog::{
        EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, REPORT_EVENT_TYPE,
        RegisterEventSourceW, ReportEventW,
    },
};

/// Where sources are registered.
const SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
/// What shows the texts: a program of Windows whose messages 1 to 1000 are the text alone.
const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";
/// Errors, warnings and information.
const TYPES: u32 = 7;
/// The longest text that an event may have is a little more.
const MAX_UNITS: usize = 30_000;

/// Makes the source known, so that the event viewer shows its texts as they are.
pub(super) fn register(source: &str) -> windows_registry::Result<()> {
    let key = LOCAL_MACHINE.create(format!(r"{SOURCES}\{source}"))?;
    key.set_expand_string("EventMessageFile", MESSAGES)?;
    key.set_u32("TypesSupported", TYPES)
}

/// Makes it unknown again. One that is unknown already is no failure.
pub(super) fn forget(source: &str) -> windows_registry::Result<()> {
    match LOCAL_MACHINE.create(SOURCES)?.remove_tree(source) {
        Err(error) if LOCAL_MACHINE.open(format!(r"{SOURCES}\{source}")).is_ok() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The log as a source writes it, for as long as the process lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventLog(HANDLE);

// SAFETY: the handle names the log to the system, which takes reports from any thread.
unsafe impl Send for EventLog {}
// SAFETY: as above.
unsafe impl Sync for EventLog {}

impl EventLog {
    /// Opens it; where that fails, reports go nowhere.
    pub(super) fn of(source: &str) -> Self {
        let source: Vec<u16> = source.encode_utf16().chain([0]).collect();
        // SAFETY: the name ends with a zero, and no server means this machine.
        Self(unsafe { RegisterEventSourceW(ptr::null(), source.as_ptr()) })
    }

    /// Adds an entry.
    pub(super) fn report(self, level: Level, text: &str) {
        let (severity, id) = severity(level);
        let text: Vec<u16> =
            text.encode_utf16().filter(|unit| *unit != 0).take(MAX_UNITS).chain([0]).collect();
        let texts = [text.as_ptr()];
        // SAFETY: one text, which ends with a zero and lives until the call returns; no account and no data. A handle
        // that is none is refused.
        unsafe {
            ReportEventW(self.0, severity, 0, id, ptr::null_mut(), 1, 0, texts.as_ptr(), ptr::null());
        }
    }
}

/// What the log calls a level, and the number of its events.
const fn severity(level: Level) -> (REPORT_EVENT_TYPE, u32) {
    match level {
        Level::ERROR => (EVENTLOG_ERROR_TYPE, 3),
        Level::WARN => (EVENTLOG_WARNING_TYPE, 2),
        _ => (EVENTLOG_INFORMATION_TYPE, 1),
    }
}

impl MakeWriter<'_> for EventLog {
    type Writer = Entry;

    fn make_writer(&self) -> Entry {
        Entry { log: *self, level: Level::INFO }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Entry {
        Entry { log: *self, level: *metadata.level() }
    }
}

/// An entry that is being written: in one piece, as the subscriber does.
#[derive(Debug)]
pub(super) struct Entry {
    log: EventLog,
    level: Level,
}

impl Write for Entry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log.report(self.level, String::from_utf8_lossy(bytes).trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_warnings_are_told_apart_from_the_rest() {
        assert_eq!(severity(Level::ERROR), (EVENTLOG_ERROR_TYPE, 3));
        assert_eq!(severity(Level::WARN), (EVENTLOG_WARNING_TYPE, 2));
        assert_eq!(severity(Level::INFO), severity(Level::TRACE));
    }
}
