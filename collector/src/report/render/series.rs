//! Series as text: a table for people, CSV for spreadsheets.

pub mod csv;
pub mod table;
