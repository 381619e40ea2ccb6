//! The tables of a page as a reader sees them: the words in the document's cells after the page's own scripts ran.

use crate::{chromium::Visit, door::Script};
use serde::Deserialize;

/// A table of a page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Table {
    /// The identity of the heading that it is labelled by.
    pub place: String,
    /// What that heading says.
    pub title: String,
    /// The columns' names.
    pub columns: Vec<String>,
    /// The words of each row's cells.
    pub rows: Vec<Vec<String>>,
}

/// What writes a page's tables into it.
pub fn script() -> Script {
    Script { name: "tables.js", text: include_str!("tables.js").to_owned() }
}

/// The tables of a page, and its charts' lists of figures (at `figures-of-chart`), that was visited with [`script`]. Panics if it was not.
pub fn tables(visit: &Visit, page: &str) -> Vec<Table> {
    let told = visit.left("tables-result");
    let told = told.unwrap_or_else(|| panic!("the tables of {page} were not read: {:?}", visit.complaints));
    serde_json::from_str(&told).unwrap()
}

impl Table {
    /// The rows whose cells begin with these words.
    pub fn rows_of(&self, names: &[&str]) -> Vec<&[String]> {
        let is_it = |row: &&Vec<String>| {
            names.iter().enumerate().all(|(at, name)| row.get(at).is_some_and(|cell| begins(cell, name)))
        };
        self.rows.iter().filter(is_it).map(Vec::as_slice).collect()
    }

    /// What a row says in a column, without the small words beside it.
    pub fn figure<'a>(&self, row: &'a [String], column: &str) -> &'a str {
        let at = self.columns.iter().position(|name| name == column);
        let at = at.unwrap_or_else(|| panic!("no column {column} in {:?}", self.columns));
        row[at].split(' ').next().unwrap_or_default()
    }
}

fn begins(cell: &str, name: &str) -> bool {
    cell.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_its_first_words_and_read_by_its_columns_name() {
        let text = r#"[{"place": "figures", "title": "Latency, ms", "columns": ["provider", "p50"],
            "rows": [["Aurora Networks", "9.1 9–10"], ["Aurora", "8.0"]]}]"#;
        let document = format!("<pre id=\"tables-result\" hidden=\"\">{text}</pre>");
        let visit = Visit { document, complaints: Vec::new() };
        let [table] = tables(&visit, "/").try_into().unwrap();
        let found = table.rows_of(&["Aurora Networks"]);
        assert_eq!((found.len(), table.figure(found[0], "p50")), (1, "9.1"));
        assert_eq!(table.rows_of(&["Aurora"]).len(), 2);
        assert!(table.rows_of(&["Auror"]).is_empty());
    }
}
