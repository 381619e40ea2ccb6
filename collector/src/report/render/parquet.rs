//! Tables of reports as Parquet: the columns and values of their CSV, with types. Columns may be null, compressed by Snappy.
//!
//! The type of a column follows from its name alone, so that files of the same report have the same schema whatever is in them.

use crate::rfc3339;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};
use peerlight_proto::time::Timestamp;
use std::sync::Arc;

/// Columns that hold names and words.
const TEXTS: [&str; 30] = [
    "provider",
    "location",
    "site",
    "target",
    "address",
    "probe",
    "prefix",
    "family",
    "path",
    "metric",
    "scope",
    "verdict",
    "reason",
    "against",
    "no_loss_because",
    "no_availability_because",
    "no_verdict_because",
    "no_result_because",
    "time_zone",
    "front_door",
    "front_doors",
    "city",
    "country",
    "nearness",
    "yardstick",
    "unit",
    "passes",
    "result",
    "source",
    "method",
];
/// Columns that hold figures, beside those whose names end in a unit.
const FIGURES: [&str; 11] = [
    "availability",
    "availability_high",
    "availability_low",
    "confidence",
    "coverage",
    "measured",
    "points",
    "share",
    "share_of_span",
    "stretch_high",
    "stretch_low",
];

/// Why there is no Parquet.
#[derive(Debug, thiserror::Error)]
pub enum ParquetFault {
    /// The table could not be read.
    #[error("cannot read the table: {0}")]
    Read(#[from] csv::Error),
    /// A value is not of its column's type.
    #[error("`{value}` in the column `{column}` is not of the type that the column's name says")]
    Value {
        /// The column.
        column: String,
        /// The value.
        value: String,
    },
    /// The writer failed.
    #[error("cannot write Parquet: {0}")]
    Write(#[from] ParquetError),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Instant,
    Figure,
    Count,
    Flag,
}

impl Kind {
    /// Of the column of this name among all `names`.
    fn of(name: &str, names: &[&str]) -> Self {
        match name {
            "slot" | "from" | "to" => Self::Instant,
            "start_known" | "end_known" | "ongoing" => Self::Flag,
            // Which days count, of the report that has hours; how many, of any other.
            "days" if names.contains(&"hour") => Self::Text,
            "dropped_reasons" => Self::Text,
            name if TEXTS.contains(&name) => Self::Text,
            name if FIGURES.contains(&name) || name.contains("loss") => Self::Figure,
            name if name.ends_with("_ms") || name.ends_with("_km") => Self::Figure,
            _ => Self::Count,
        }
    }

    fn described(self, name: &str) -> Result<TypePtr, ParquetError> {
        let (physical, logical) = match self {
            Self::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Self::Instant => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
            Self::Figure => (Physical::DOUBLE, None),
            Self::Count => (Physical::INT64, None),
            Self::Flag => (Physical::BOOLEAN, None),
        };
        let column = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        Ok(Arc::new(column.build()?))
    }
}

/// The table that is written so as CSV, with a header, as Parquet.
pub fn of_csv(table: &str) -> Result<Vec<u8>, ParquetFault> {
    let mut reader = csv::ReaderBuilder::new().from_reader(table.as_bytes());
    let header = reader.headers()?.clone();
    let names: Vec<&str> = header.iter().collect();
    let rows = reader.records().collect::<Result<Vec<_>, _>>()?;
    let kinds: Vec<Kind> = names.iter().map(|name| Kind::of(name, &names)).collect();
    let fields =
        names.iter().zip(&kinds).map(|(name, kind)| kind.described(name)).collect::<Result<_, _>>()?;
    let schema = Arc::new(Type::group_type_builder("report").with_fields(fields).build()?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (index, (name, kind)) in names.iter().zip(kinds).enumerate() {
        let cells = rows.iter().map(|row| row.get(index).unwrap_or_default());
        let fault = |cell: &str| ParquetFault::Value { column: (*name).to_owned(), value: cell.to_owned() };
        match kind {
            Kind::Text => {
                column::<ByteArrayType>(&mut group, cells, |cell| Some(ByteArray::from(plain(cell))), fault)
            }
            Kind::Instant => column::<Int64Type>(&mut group, cells, instant, fault),
            Kind::Figure => column::<DoubleType>(&mut group, cells, |cell| cell.parse().ok(), fault),
            Kind::Count => column::<Int64Type>(&mut group, cells, |cell| cell.parse().ok(), fault),
            Kind::Flag => column::<BoolType>(&mut group, cells, |cell| cell.parse().ok(), fault),
        }?;
    }
    group.close()?;
    Ok(writer.into_inner()?)
}

/// Writes the next column: an empty cell is null.
fn column<'a, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: impl Iterator<Item = &'a str>,
    value: impl Fn(&str) -> Option<T::T>,
    fault: impl Fn(&str) -> ParquetFault,
) -> Result<(), ParquetFault> {
    let (mut values, mut defined) = (Vec::new(), Vec::new());
    for cell in cells {
        defined.push(i16::from(!cell.is_empty()));
        if !cell.is_empty() {
            values.push(value(cell).ok_or_else(|| fault(cell))?);
        }
    }
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(&values, Some(&defined), None)?;
        column.close()?;
    }
    Ok(())
}

fn instant(cell: &str) -> Option<i64> {
    rfc3339::parse(cell).ok().map(Timestamp::as_micros)
}

/// A name as it is: CSV keeps spreadsheets from taking it for a formula.
fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| super::csv::defused(rest) == cell).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::{Field, RowAccessor as _},
    };

    fn read(table: &str) -> SerializedFileReader<bytes::Bytes> {
        SerializedFileReader::new(bytes::Bytes::from(of_csv(table).unwrap())).unwrap()
    }

    #[test]
    fn every_value_is_read_back_with_the_type_that_its_column_says() {
        let file = read(
            "slot,provider,sent,loss,p50_ms,ongoing\n2026-09-21T14:00:00Z,'=Aurora,7,0.25,,true\n2026-09-21T14:05:00Z,\"a,b\",0,,12.5,\n",
        );
        let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].get_timestamp_micros(0).unwrap(), 1_789_999_200_000_000);
        assert_eq!(
            (rows[0].get_string(1).unwrap().as_str(), rows[1].get_string(1).unwrap().as_str()),
            ("=Aurora", "a,b")
        );
        assert_eq!((rows[0].get_long(2).unwrap(), rows[1].get_double(4).unwrap()), (7, 12.5));
        let field = |row: usize, column: usize| rows[row].get_column_iter().nth(column).unwrap().1.clone();
        assert_eq!([field(0, 4), field(1, 3), field(1, 5)], [Field::Null, Field::Null, Field::Null]);
        assert_eq!(field(0, 5), Field::Bool(true));
    }

    #[test]
    fn the_schema_is_the_same_without_rows_and_a_value_of_another_type_is_an_error() {
        let schema = |table: &str| read(table).metadata().file_metadata().schema().clone();
        assert_eq!(schema("provider,sent\n"), schema("provider,sent\nAurora,3\n"));
        assert!(matches!(of_csv("sent\nmany\n"), Err(ParquetFault::Value { .. })));
    }
}
