//! The `ClickHouse` engine, in a Python process (the chdb-core wheel): the schema that was found best for it, a table of
//! histograms with delta-coded columns, sorted as reports read it, and an hourly rollup.

use super::{
    Cost,
    answer::{Answer, PERMILLES, Percentile},
    process::Process,
};
use crate::workload::{ASKED, Generated};
use anyhow::{Context as _, bail, ensure};
use peerlight_proto::{
    histogram::{Histogram, highest_of, lowest_of},
    time::Timestamp,
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

/// The version of the wheel that is installed where no interpreter is given.
const WHEEL: &str = "chdb-core==26.9.0";
const SCRIPT: &str = include_str!("clickhouse.py");
/// So many rows make an insert: it must be fed large blocks.
const BLOCK_ROWS: usize = 50_000;

const TABLES: [&str; 2] = [
    "CREATE TABLE hist (ts DateTime CODEC(DoubleDelta, ZSTD(1)), agent UInt32 CODEC(ZSTD(1)),
        provider LowCardinality(String), location LowCardinality(String),
        target LowCardinality(String), metric LowCardinality(String),
        n UInt16 CODEC(ZSTD(1)), lost UInt16 CODEC(ZSTD(1)),
        dsum Int32 CODEC(ZSTD(1)), dmin UInt32 CODEC(ZSTD(1)), dmax UInt32 CODEC(ZSTD(1)),
        b Array(UInt16) CODEC(Delta(2), ZSTD(1)), c Array(UInt16) CODEC(ZSTD(1)))
     ENGINE = MergeTree PARTITION BY toDate(ts, 'UTC')
     ORDER BY (metric, toStartOfHour(ts, 'UTC'), provider, location, target, agent, ts)
     SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
    "CREATE TABLE roll (t DateTime, provider LowCardinality(String), location LowCardinality(String),
        target LowCardinality(String), metric LowCardinality(String), n UInt64, lost UInt64,
        b Array(UInt16) CODEC(Delta(2), ZSTD(1)), c Array(UInt32) CODEC(ZSTD(1)))
     ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(t, 'UTC') ORDER BY (metric, provider, location, target, t)",
];
const ROLL_UP: &str =
    "INSERT INTO roll SELECT toStartOfHour(ts, 'UTC') AS t, provider, location, target, metric,
    sum(n), sum(lost), (sumMap(b, arrayMap(x -> toUInt32(x), c)) AS m).1, m.2
    FROM hist GROUP BY t, provider, location, target, metric";

/// The engine and what is on its way to it.
pub(super) struct ClickHouse {
    process: Process,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    directory: PathBuf,
    block: Vec<u8>,
    rows: usize,
    inserted: u64,
    ingest: Duration,
}

/// The interpreter that has the engine: the given one, or one of a new virtual environment.
pub(super) fn interpreter(given: Option<&Path>, directory: &Path) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    eprintln!("… a virtual environment with {WHEEL} is made");
    let environment = directory.join("python");
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    let python = environment.join("bin/python");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", WHEEL]))?;
    Ok(python)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let done = command.stdout(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}

impl ClickHouse {
    /// Starts it with empty tables.
    pub(super) fn start(python: &Path, directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.join("clickhouse");
        fs::create_dir(&directory)?;
        let script = directory.join("clickhouse.py");
        fs::write(&script, SCRIPT)?;
        let mut command = Command::new(python);
        command.arg(&script).arg(directory.join("data"));
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let to = process.child().stdin.take().context("no pipe to the engine")?;
        let from = BufReader::new(process.child().stdout.take().context("no pipe from the engine")?);
        let (block, rows, inserted, ingest) = (Vec::new(), 0, 0, Duration::ZERO);
        let mut engine = Self { process, to, from, directory, block, rows, inserted, ingest };
        for table in TABLES {
            engine.ask(table, "TSV")?;
        }
        Ok(engine)
    }

    /// Takes a histogram; inserts when there are enough.
    pub(super) fn take(&mut self, one: &Generated<'_>) -> anyhow::Result<()> {
        encode(&mut self.block, one)?;
        self.rows += 1;
        if self.rows == BLOCK_ROWS { self.insert() } else { Ok(()) }
    }

    fn insert(&mut self) -> anyhow::Result<()> {
        let file = self.directory.join("block");
        fs::write(&file, &self.block)?;
        let before = self.process.cpu()?;
        self.ask(&format!("INSERT INTO hist FROM INFILE '{}' FORMAT RowBinary", file.display()), "TSV")?;
        self.ingest += self.process.cpu()? - before;
        self.inserted += self.rows as u64;
        self.rows = 0;
        self.block.clear();
        Ok(())
    }

    /// Inserts the rest, merges, and rolls up.
    pub(super) fn settle(&mut self) -> anyhow::Result<Cost> {
        if self.rows > 0 {
            self.insert()?;
        }
        let before = self.process.cpu()?;
        self.ask("OPTIMIZE TABLE hist FINAL", "TSV")?;
        let merged = self.process.cpu()?;
        self.ask(ROLL_UP, "TSV")?;
        self.ask("OPTIMIZE TABLE roll FINAL", "TSV")?;
        let rolled = self.process.cpu()?;
        let counted: u64 = self.ask("SELECT count() FROM hist", "TSV")?.trim().parse()?;
        ensure!(counted == self.inserted, "{counted} rows in the place of {}", self.inserted);
        Ok(Cost {
            histograms: self.inserted,
            ingest: self.ingest + (merged - before),
            rollup: Some(rolled - merged),
            bytes: self.bytes("hist")?,
            rollup_bytes: Some(self.bytes("roll")?),
        })
    }

    fn bytes(&mut self, table: &str) -> anyhow::Result<u64> {
        let sql = format!(
            "SELECT sum(bytes_on_disk) FROM system.parts
             WHERE active AND database = currentDatabase() AND table = '{table}'"
        );
        Ok(self.ask(&sql, "TSV")?.trim().parse()?)
    }

    /// The report over a span, from what came or from the rollup.
    pub(super) fn report(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        rolled_up: bool,
    ) -> anyhow::Result<Vec<Answer>> {
        let (table, time) = if rolled_up { ("roll", "t") } else { ("hist", "ts") };
        let sql = format!(
            "SELECT provider, location, target, sum(n), sum(lost),
             quantilesExactWeightedArray(0.5, 0.9, 0.95, 0.99, 0.999)(b, c) FROM {table}
             WHERE metric = '{ASKED}' AND {time} >= toDateTime({}) AND {time} < toDateTime({})
             GROUP BY provider, location, target",
            from.as_secs(),
            to.as_secs()
        );
        let told = self.ask(&sql, "JSONCompactEachRow")?;
        told.lines().map(read).collect()
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    fn ask(&mut self, sql: &str, format: &str) -> anyhow::Result<String> {
        let asked = serde_json::json!({ "sql": sql, "format": format });
        writeln!(self.to, "{asked}")?;
        self.to.flush()?;
        let mut head = String::new();
        self.from.read_line(&mut head)?;
        let (word, length) = head.trim().split_once(' ').context("the engine has ended")?;
        let mut body = vec![0; length.parse()?];
        self.from.read_exact(&mut body)?;
        let body = String::from_utf8(body)?;
        if word == "ok" { Ok(body) } else { bail!("{sql}: {body}") }
    }
}

/// Counts are numbers or, beyond 32 bits, quoted ones.
fn read(line: &str) -> anyhow::Result<Answer> {
    type Row = (String, String, String, serde_json::Value, serde_json::Value, [u16; PERMILLES.len()]);
    let (provider, location, target, answered, lost, buckets): Row = serde_json::from_str(line)?;
    let count = |value: serde_json::Value| -> anyhow::Result<u64> {
        let quoted = value.as_str().map(str::parse).transpose()?;
        value.as_u64().or(quoted).context("a count is no number")
    };
    Ok(Answer {
        group: (provider, location, target),
        answered: count(answered)?,
        lost: count(lost)?,
        percentiles: buckets.map(Percentile::Bucket),
    })
}

/// A row as `RowBinary` has it. Exact sum and extremes are differences to what the buckets say.
fn encode(row: &mut Vec<u8>, one: &Generated<'_>) -> anyhow::Result<()> {
    let histogram = one.histogram;
    row.extend(u32::try_from(one.start.as_secs())?.to_le_bytes());
    row.extend(one.agent.to_le_bytes());
    let registration = one.registration;
    for text in [&registration.provider, &registration.location, &one.series.target.name] {
        put_text(row, text);
    }
    put_text(row, &one.series.key.metric.to_string());
    row.extend(u16::try_from(histogram.count())?.to_le_bytes());
    row.extend(u16::try_from(one.lost)?.to_le_bytes());
    let (sum, min, max) = differences(histogram)?;
    row.extend(sum.to_le_bytes());
    row.extend(min.to_le_bytes());
    row.extend(max.to_le_bytes());
    let buckets = histogram.buckets();
    put_length(row, buckets.len());
    for (bucket, _) in buckets {
        row.extend(bucket.to_le_bytes());
    }
    put_length(row, buckets.len());
    for (_, count) in buckets {
        row.extend(u16::try_from(*count)?.to_le_bytes());
    }
    Ok(())
}

fn differences(histogram: &Histogram) -> anyhow::Result<(i32, u32, u32)> {
    let buckets = histogram.buckets();
    let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else { return Ok((0, 0, 0)) };
    let middle = |bucket: u16| lowest_of(bucket).midpoint(highest_of(bucket));
    let middles: u64 = buckets.iter().map(|(bucket, count)| middle(*bucket) * count).sum();
    let extremes = histogram.min_us().zip(histogram.max_us()).context("buckets without extremes")?;
    Ok((
        i32::try_from(histogram.sum_us().cast_signed() - middles.cast_signed())?,
        u32::try_from(extremes.0 - lowest_of(*first))?,
        u32::try_from(extremes.1 - lowest_of(*last))?,
    ))
}

fn put_text(row: &mut Vec<u8>, text: &str) {
    put_length(row, text.len());
    row.extend(text.as_bytes());
}

/// As LEB128.
fn put_length(row: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        row.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    row.push(length.to_le_bytes()[0]);
}
