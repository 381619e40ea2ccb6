//! In which form a report is answered, and the answer in that form.

use crate::{
    api::error::ApiError,
    report::render::{csv::CsvError, parquet},
};
use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

/// The media type of CSV with its header line (RFC 4180).
const CSV: &str = "text/csv; charset=utf-8; header=present";
/// The media type of JSON documents, one a line.
const NDJSON: &str = "application/x-ndjson";

/// The media type of Parquet.
const PARQUET: &str = "application/vnd.apache.parquet";

/// A report's table as Parquet.
#[derive(Debug, utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct ParquetFile(#[expect(dead_code, reason = "describes bytes, and is none")] Vec<u8>);

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Format {
    /// One document.
    #[default]
    Json,
    /// One line for each row, under a header.
    Csv,
    /// One document for each row, a line each.
    Ndjson,
    /// The lines of CSV, with types.
    Parquet,
}

impl Format {
    /// What is asked for, by parameter before header; of several media types the one that is named first.
    fn asked(parameters: &[(String, String)], headers: &HeaderMap) -> Result<Self, String> {
        match parameters.iter().find(|(name, _)| name == "format").map(|(_, value)| value.as_str()) {
            Some("csv") => return Ok(Self::Csv),
            Some("json") => return Ok(Self::Json),
            Some("ndjson") => return Ok(Self::Ndjson),
            Some("parquet") => return Ok(Self::Parquet),
            Some(_) => return Err("format: write json, ndjson, csv or parquet".to_owned()),
            None => {}
        }
        let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let named = [
            (Self::Json, "application/json"),
            (Self::Csv, "text/csv"),
            (Self::Ndjson, NDJSON),
            (Self::Parquet, PARQUET),
        ];
        let named = named.into_iter().filter_map(|(format, kind)| Some((accepted.find(kind)?, format)));
        Ok(named.min_by_key(|(position, _)| *position).map(|(_, format)| format).unwrap_or_default())
    }

    /// What is asked, in which form it is to be answered, and everything that is wrong with either.
    pub(super) fn read<'a, Q>(
        parameters: &'a [(String, String)],
        headers: &HeaderMap,
        read: impl FnOnce(Vec<(&'a str, &'a str)>) -> (Q, Vec<String>),
    ) -> (Q, Self, Vec<String>) {
        let asked = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let (question, mut errors) = read(asked.filter(|(name, _)| *name != "format").collect());
        let format = Self::asked(parameters, headers).unwrap_or_else(|error| {
            errors.push(error);
            Self::default()
        });
        (question, format, errors)
    }

    /// A report in this form.
    pub(super) fn answer<R: Serialize>(
        self,
        report: R,
        csv: impl FnOnce(&R) -> Result<String, CsvError>,
        ndjson: impl FnOnce(&R) -> Result<String, serde_json::Error>,
    ) -> Result<Response, ApiError> {
        let body = |kind, body: Result<Vec<u8>, String>| match body {
            Ok(body) => Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()),
            Err(error) => {
                tracing::error!(error, kind, "a report could not be written");
                Err(ApiError::internal())
            }
        };
        match self {
            Self::Json => Ok(Json(report).into_response()),
            Self::Csv => body(CSV, csv(&report).map(String::into_bytes).map_err(|error| error.to_string())),
            Self::Ndjson => {
                body(NDJSON, ndjson(&report).map(String::into_bytes).map_err(|error| error.to_string()))
            }
            Self::Parquet => {
                let table = csv(&report).map_err(|error| error.to_string());
                body(
                    PARQUET,
                    table.and_then(|table| parquet::of_csv(&table).map_err(|error| error.to_string())),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_decides_before_the_header_and_there_what_is_named_first() {
        let of = |format: Option<&str>, accept: &str| {
            let parameters: Vec<_> =
                format.map(|value| ("format".to_owned(), value.to_owned())).into_iter().collect();
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Format::asked(&parameters, &headers)
        };
        assert_eq!(of(Some("ndjson"), "text/csv"), Ok(Format::Ndjson));
        assert_eq!(of(None, "application/x-ndjson, text/csv"), Ok(Format::Ndjson));
        assert_eq!(of(None, "text/csv, application/json"), Ok(Format::Csv));
        assert_eq!(of(Some("parquet"), "text/csv"), of(None, "application/vnd.apache.parquet"));
        assert_eq!(of(Some("parquet"), ""), Ok(Format::Parquet));
        assert_eq!(
            (of(None, "*/*"), of(None, "application/json;q=1, text/csv")),
            (Ok(Format::Json), Ok(Format::Json))
        );
        assert!(of(Some("xml"), "text/csv").is_err());
    }
}
