//! Yardsticks as CSV and as a table.

pub mod csv;
pub mod table;
