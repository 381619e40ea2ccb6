//! Pages that are lists: of sites, targets and changes. One template, and the same rows as CSV.

use super::frame::{Frame, address};
use crate::{
    api::error::ApiError,
    report::render::csv::{self, CsvError},
};
use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::header;

/// The media type of CSV with its header line (RFC 4180).
const CSV: &str = "text/csv; charset=utf-8; header=present";

/// A page of lists.
#[derive(Template)]
#[template(path = "list.html")]
pub(crate) struct Lists {
    pub(crate) frame: Frame,
    pub(crate) title: &'static str,
    /// How many there are, and of what kind.
    pub(crate) summary: String,
    /// What else may be shown, as links.
    pub(crate) choices: Vec<(String, String, bool)>,
    pub(crate) tables: Vec<List>,
    /// The page that follows.
    pub(crate) next: Option<String>,
}

/// A list as a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    /// Unique in the page.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) note: String,
    /// Where it is CSV.
    pub(crate) csv: String,
    /// What is said where it is empty.
    pub(crate) empty: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A column: its name, and what it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Words,
    Numbers,
    /// Instants, which are not broken over lines.
    Times,
}

impl Kind {
    /// How its cells are dressed.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Words => "",
            Self::Numbers => "n",
            Self::Times => "t",
        }
    }
}

/// What stands in a row of a column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) beside: String,
    pub(crate) href: String,
    /// Whether somebody should look into it.
    pub(crate) warn: bool,
    /// What is shown on demand.
    pub(crate) details: String,
}

/// A column of words.
pub(crate) const fn words(name: &'static str) -> Column {
    Column { name, kind: Kind::Words }
}

/// A column of numbers.
pub(crate) const fn numbers(name: &'static str) -> Column {
    Column { name, kind: Kind::Numbers }
}

/// A column of instants.
pub(crate) const fn times(name: &'static str) -> Column {
    Column { name, kind: Kind::Times }
}

impl Cell {
    /// Plain words.
    pub(crate) fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Words, or a dash.
    pub(crate) fn or_none(text: Option<impl Into<String>>) -> Self {
        Self::of(text.map_or_else(|| super::table::NONE.to_owned(), Into::into))
    }

    /// The same with smaller words below.
    pub(crate) fn beside(self, beside: impl Into<String>) -> Self {
        Self { beside: beside.into(), ..self }
    }

    /// The same, leading somewhere.
    pub(crate) fn to(self, path: &str, parameters: &[(&str, &str)]) -> Self {
        Self { href: address(path, parameters), ..self }
    }
}

impl List {
    /// The list as a file.
    pub(crate) fn download(&self) -> Result<Response, ApiError> {
        let text = self.csv_text().map_err(|error| {
            tracing::error!(%error, "a list could not be written");
            ApiError::internal()
        })?;
        let name = format!("attachment; filename=\"peerlight-{}.csv\"", self.id);
        Ok(([(header::CONTENT_TYPE, CSV.to_owned()), (header::CONTENT_DISPOSITION, name)], text)
            .into_response())
    }

    fn csv_text(&self) -> Result<String, CsvError> {
        let line = |row: &Vec<Cell>| {
            let told = row.iter().map(|cell| {
                let parts = [&cell.text, &cell.beside, &cell.details];
                let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).cloned().collect();
                let text = parts.join("; ");
                // A number below zero is no formula.
                if text.parse::<f64>().is_ok() { text } else { csv::defused(&text) }
            });
            told.collect::<Vec<_>>()
        };
        csv::table(self.columns.iter().map(|column| column.name.to_owned()), self.rows.iter().map(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_same_as_csv_and_no_name_is_a_formula() {
        let list = List {
            id: "sites",
            columns: vec![words("site"), numbers("degrees")],
            rows: vec![
                vec![Cell::of("=london, 1").beside("GB-LND"), Cell::of("-0.1")],
                vec![Cell::of("-1+1"), Cell::of("2")],
            ],
            ..List::default()
        };
        assert_eq!(list.csv_text().unwrap(), "site,degrees\n\"'=london, 1; GB-LND\",-0.1\n'-1+1,2\n");
    }
}
