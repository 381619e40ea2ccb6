//! Where commands print: tables for people, JSON for programs.

use super::Format;
use anyhow::Context as _;
use comfy_table::{ContentArrangement, Row, Table, presets};
use serde::Serialize;
use std::{fmt, io::Write};

/// What a command writes to.
pub struct Output<'a> {
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// What people are told besides.
    pub notes: &'a mut dyn Write,
    /// How many columns a table may fill; none means as many as it needs.
    pub width: Option<u16>,
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("width", &self.width).finish_non_exhaustive()
    }
}

impl<'a> Output<'a> {
    /// Prints there; tables fill the terminal, or what they need where there is none.
    pub fn new(out: &'a mut dyn Write, notes: &'a mut dyn Write) -> Self {
        Self { out, notes, width: Table::new().width() }
    }
}

impl Output<'_> {
    /// Prints a JSON document.
    pub(super) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
        self.line(&text)
    }

    /// Prints what a change has made of a row: in a sentence, or as lists in JSON have it.
    pub(super) fn changed(
        &mut self,
        format: Format,
        row: &impl Serialize,
        sentence: &str,
    ) -> anyhow::Result<()> {
        match format {
            Format::Table => self.line(sentence),
            Format::Json => self.json(row),
        }
    }

    /// Prints a line of what was asked for.
    pub(super) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{text}").context("cannot print")
    }

    /// Writes a file to where it prints.
    pub(super) fn bytes(&mut self, file: &[u8]) -> anyhow::Result<()> {
        self.out.write_all(file).context("cannot write")
    }

    /// Tells people something besides.
    pub(super) fn note(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.notes, "{text}").context("cannot print")
    }

    /// Prints a table, or says that there is nothing, and what to do about it.
    pub(super) fn table<R: Into<Row>>(
        &mut self,
        header: &[&str],
        rows: impl IntoIterator<Item = R>,
        nothing: &str,
    ) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        if let Some(width) = self.width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        table.set_header(header.iter().map(|title| title.to_uppercase()));
        table.add_rows(rows);
        if table.is_empty() {
            return self.note(nothing);
        }
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
        }
        self.line(&table.trim_fmt())
    }
}

/// A cell that may be empty.
pub(super) fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

/// A list in a cell.
pub(super) fn listed<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        "-".to_owned()
    } else {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}
