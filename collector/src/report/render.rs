//! Reports as text: JSON for programs, CSV for spreadsheets, a table for people.

pub mod comparison;
pub mod csv;
pub mod figure;
pub mod json;
pub mod table;
