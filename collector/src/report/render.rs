//! Reports as text: JSON and NDJSON for programs, CSV for spreadsheets, a table for people; Parquet for whoever has many; Prometheus's
//! formats for who watches.

pub mod availability;
pub mod comparison;
pub mod csv;
pub mod edges;
pub mod figure;
pub mod json;
pub mod ndjson;
pub mod parquet;
pub mod physics;
pub mod prometheus;
pub mod series;
pub mod table;
pub mod time_of_day;
pub mod yardsticks;
