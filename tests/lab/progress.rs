//! Progress on standard error: a line that moves on a terminal, plain lines elsewhere. Standard output is the report's.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};

/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(120);

/// Tells people what the lab does.
#[derive(Debug)]
pub struct Progress {
    line: Option<ProgressBar>,
}

impl Progress {
    /// On standard error.
    pub fn new() -> Self {
        let line = stderr().is_terminal().then(|| {
            let line = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg}") {
                line.set_style(style);
            }
            line.enable_steady_tick(TICK);
            line
        });
        Self { line }
    }

    /// Says something that stays.
    pub fn say(&self, text: &str) {
        match &self.line {
            Some(line) => line.println(text),
            None => _ = writeln!(stderr(), "{text}"),
        }
    }

    /// Says what is going on now; the next of these replaces it. Only on a terminal.
    pub fn now(&self, text: impl Into<String>) {
        if let Some(line) = &self.line {
            line.set_message(text.into());
        }
    }

    /// Takes the moving line away, before the report is printed.
    pub fn quiet(&self, print: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
        match &self.line {
            Some(line) => line.suspend(print),
            None => print(),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}
