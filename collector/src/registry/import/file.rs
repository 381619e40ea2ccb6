//! The file of an import: CSV with a header line, read row by row. Pure; holds one row at a time, whatever the file says.

use crate::registry::NewRegistration;
use csv::{ByteRecord, ReaderBuilder};

/// The largest file: 100,000 rows of 160 bytes.
pub const MAX_FILE_BYTES: usize = 16 << 20;
/// The most rows of a file.
pub const MAX_ROWS: usize = 100_000;
/// The most prefixes of a row.
pub const MAX_PREFIXES: usize = 256;

/// The columns that every file has.
const REQUIRED: usize = 4;
/// What the columns are called; they may stand in any order.
pub const COLUMNS: [&str; 9] = [
    "site",
    "provider",
    "location",
    "prefixes",
    "valid_from",
    "valid_to",
    "count_declared",
    "allow_non_public",
    "nested",
];

/// The most columns that a header line is told to be wrong about.
const MAX_HEADER_FAULTS: usize = 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The number of the line on which it begins; the header's is 1.
    pub number: u64,
    /// What it says, or everything that is wrong with how it says it.
    pub row: Result<NewRegistration, Vec<String>>,
}

/// The rows of a file, in their order.
pub struct Lines<'a> {
    csv: csv::Reader<&'a [u8]>,
    file: &'a [u8],
    /// For each of [`COLUMNS`] its place in a row, if the file has it.
    places: [Option<usize>; COLUMNS.len()],
    /// How many fields the header has.
    width: usize,
    record: ByteRecord,
    rows: usize,
    /// Up to which byte lines are counted, and the number of the line that it lies on.
    counted: (usize, u64),
}

impl std::fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl<'a> Lines<'a> {
    /// The rows of this file, or everything that is wrong with its header.
    pub fn of(file: &'a [u8]) -> Result<Self, Vec<String>> {
        if file.len() > MAX_FILE_BYTES {
            return Err(vec![format!("the file is over {MAX_FILE_BYTES} bytes; import it in parts")]);
        }
        let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
        let mut csv = ReaderBuilder::new().flexible(true).from_reader(file);
        let header = csv.byte_headers().map_err(|error| vec![error.to_string()])?;
        let width = header.len();
        let places = places(header)?;
        Ok(Self { csv, file, places, width, record: ByteRecord::new(), rows: 0, counted: (0, 1) })
    }

    /// The number of the line on which the row begins that was just read. The csv crate counts blank lines, and the second
    /// half of a line's end, to the row that follows them.
    fn number(&mut self) -> u64 {
        let begins = self.record.position().map_or(0, csv::Position::byte);
        let mut begins = usize::try_from(begins).unwrap_or(usize::MAX).min(self.file.len());
        while matches!(self.file.get(begins), Some(b'\r' | b'\n')) {
            begins += 1;
        }
        let (counted, line) = self.counted;
        let passed = self.file.get(counted..begins).unwrap_or_default();
        // A line ends with either or both.
        let next = passed.iter().skip(1).chain(&[0]);
        let ends =
            passed.iter().zip(next).filter(|&(&byte, &next)| byte == b'\n' || byte == b'\r' && next != b'\n');
        let ends = ends.count() as u64;
        self.counted = (begins.max(counted), line + ends);
        self.counted.1
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        if self.rows > MAX_ROWS {
            return None;
        }
        let read = self.csv.read_byte_record(&mut self.record);
        if matches!(read, Ok(false)) {
            return None;
        }
        self.rows += 1;
        let number = self.number();
        let row = match read {
            Err(error) => Err(vec![error.to_string()]),
            Ok(_) if self.rows > MAX_ROWS => {
                Err(vec![format!("the file has more than {MAX_ROWS} rows; import it in parts")])
            }
            Ok(_) => row(&self.record, &self.places, self.width),
        };
        Some(Line { number, row })
    }
}

/// Where each column stands.
fn places(header: &ByteRecord) -> Result<[Option<usize>; COLUMNS.len()], Vec<String>> {
    if header.is_empty() {
        let columns = COLUMNS.join(",");
        return Err(vec![format!("the file is empty; its first line names the columns: {columns}")]);
    }
    let mut places = [None; COLUMNS.len()];
    let mut errors = Vec::new();
    for (at, name) in header.iter().enumerate() {
        let name = String::from_utf8_lossy(name);
        let name = name.trim();
        let column = COLUMNS.iter().position(|column| column.eq_ignore_ascii_case(name));
        match column.and_then(|column| places.get_mut(column)) {
            Some(place @ None) => *place = Some(at),
            Some(Some(_)) => errors.push(format!("line 1: the column `{name}` stands there twice")),
            None => errors.push(format!(
                "line 1: `{}` is not a column; the columns are {}",
                short(name),
                COLUMNS.join(", ")
            )),
        }
        if errors.len() == MAX_HEADER_FAULTS {
            return Err(errors);
        }
    }
    for (name, place) in COLUMNS.iter().zip(places).take(REQUIRED) {
        if place.is_none() {
            errors.push(format!("line 1: the column `{name}` is missing"));
        }
    }
    if errors.is_empty() { Ok(places) } else { Err(errors) }
}

fn row(
    record: &ByteRecord,
    places: &[Option<usize>; COLUMNS.len()],
    width: usize,
) -> Result<NewRegistration, Vec<String>> {
    if record.len() != width {
        return Err(vec![format!("the row has {} fields, the header {width}", record.len())]);
    }
    let mut errors = Vec::new();
    let [site, provider, location, prefixes, valid_from, valid_to, count_declared, allow_non_public, nested] =
        std::array::from_fn(|column| {
            let field = places[column].and_then(|at| record.get(at)).unwrap_or_default();
            let not_utf8 = |_error| {
                errors.push(format!("`{}` is not UTF-8", COLUMNS[column]));
                ""
            };
            std::str::from_utf8(field).map_or_else(not_utf8, str::trim)
        });
    let mut flag = |name: &str, text: &str| match text.to_ascii_lowercase().as_str() {
        "" | "no" | "false" | "0" => false,
        "yes" | "true" | "1" => true,
        _ => {
            errors.push(format!("{name}: `{}` is neither yes nor no", short(text)));
            false
        }
    };
    let (count_declared, allow_non_public, nested) = (
        flag("count_declared", count_declared),
        flag("allow_non_public", allow_non_public),
        flag("nested", nested),
    );
    let mut listed = prefixes.split(|character: char| character.is_whitespace() || character == ';');
    let prefixes: Vec<String> =
        listed.by_ref().filter(|text| !text.is_empty()).take(MAX_PREFIXES).map(str::to_owned).collect();
    if listed.any(|text| !text.is_empty()) {
        errors.push(format!("the row has more than {MAX_PREFIXES} prefixes"));
    }
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if errors.is_empty() {
        Ok(NewRegistration {
            site: site.to_owned(),
            provider: provider.to_owned(),
            location: location.to_owned(),
            prefixes,
            count_declared,
            allow_non_public,
            nested,
            valid_from: given(valid_from),
            valid_to: given(valid_to),
        })
    } else {
        Err(errors)
    }
}

/// The head of a text that someone else wrote.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str) -> Vec<Line> {
        Lines::of(file.as_bytes()).unwrap().collect()
    }

    fn header_faults(file: &[u8]) -> Vec<String> {
        Lines::of(file).map(|_lines| ()).unwrap_err()
    }

    #[test]
    fn columns_may_stand_in_any_order_and_those_that_may_be_left_out_are() {
        let file = "Prefixes,location, site ,provider,nested,valid_from\r\n\
                    192.0.2.0/24;2001:db8::/48  198.51.100.0/24,gb-lnd,\"London, 1\",Example Telecom,YES,2026-01-01\r\n";
        let expected = NewRegistration {
            site: "London, 1".to_owned(),
            provider: "Example Telecom".to_owned(),
            location: "gb-lnd".to_owned(),
            prefixes: ["192.0.2.0/24", "2001:db8::/48", "198.51.100.0/24"].map(str::to_owned).to_vec(),
            nested: true,
            valid_from: Some("2026-01-01".to_owned()),
            ..NewRegistration::default()
        };
        assert_eq!(read(file), [Line { number: 2, row: Ok(expected) }]);
        let marked = [BYTE_ORDER_MARK, file.as_bytes()].concat();
        assert_eq!(Lines::of(&marked).unwrap().collect::<Vec<_>>(), read(file), "as spreadsheets write it");
    }

    #[test]
    fn a_row_is_told_by_the_line_on_which_it_begins() {
        for end in ["\n", "\r\n", "\r"] {
            let file = [
                "site,provider,location,prefixes",
                "a,P,GB-LND,\"192.0.2.0/24",
                "198.51.100.0/24\"",
                "",
                "b,P,GB-LND,203.0.113.0/24",
                "c,P,GB-LND,8.8.8.0/24",
            ];
            let numbers: Vec<u64> = read(&file.join(end)).iter().map(|line| line.number).collect();
            assert_eq!(numbers, [2, 5, 6], "{end:?}");
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_row_is_said_at_once() {
        let mut file =
            b"site,provider,location,prefixes,count_declared,nested\na,P,X,192.0.2.0/24\n\xff,P,X,".to_vec();
        file.extend_from_slice("10.0.0.0/8 ".repeat(MAX_PREFIXES + 1).as_bytes());
        file.extend_from_slice(b",perhaps,2\n");
        let faults: Vec<Vec<String>> = Lines::of(&file).unwrap().map(|line| line.row.unwrap_err()).collect();
        assert_eq!(
            faults,
            [
                vec!["the row has 4 fields, the header 6"],
                vec![
                    "`site` is not UTF-8",
                    "count_declared: `perhaps` is neither yes nor no",
                    "nested: `2` is neither yes nor no",
                    "the row has more than 256 prefixes",
                ],
            ]
        );
    }

    #[test]
    fn a_header_that_will_not_do_is_refused_with_what_would() {
        assert_eq!(
            header_faults(b"site,site,colour\n"),
            [
                "line 1: the column `site` stands there twice",
                "line 1: `colour` is not a column; the columns are site, provider, location, prefixes, valid_from, valid_to, \
                 count_declared, allow_non_public, nested",
                "line 1: the column `provider` is missing",
                "line 1: the column `location` is missing",
                "line 1: the column `prefixes` is missing",
            ]
        );
        assert!(header_faults(b"")[0].starts_with("the file is empty"));
        assert_eq!(header_faults(&b"x,".repeat(1_000_000)).len(), MAX_HEADER_FAULTS);
        assert!(header_faults(&vec![b'x'; MAX_FILE_BYTES + 1])[0].contains("import it in parts"));
    }

    #[test]
    fn rows_beyond_the_bound_are_not_read() {
        let file = format!("site,provider,location,prefixes\n{}", "a,P,X,8.8.8.0/24\n".repeat(MAX_ROWS + 10));
        let lines = read(&file);
        assert_eq!(lines.len(), MAX_ROWS + 1);
        assert!(lines[MAX_ROWS - 1].row.is_ok());
        assert_eq!(
            lines[MAX_ROWS].row.as_ref().unwrap_err(),
            &["the file has more than 100000 rows; import it in parts"]
        );
    }
}
