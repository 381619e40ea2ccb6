//! Replays the corpus of the fuzz targets, so that what a search once found stays found without a nightly compiler.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken law, or no corpus, fails by panicking"
)]

#[path = "../fuzz/laws.rs"]
mod laws;

use std::path::Path;

fn replay(corpus: &str, law: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(corpus);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        law(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", folder.display());
}

#[test]
fn the_corpus_of_batches_holds() {
    replay("batch", laws::batch);
}

#[test]
fn the_corpus_of_histograms_holds() {
    replay("histogram", laws::histogram);
}

#[test]
fn the_corpus_of_acknowledgements_holds() {
    replay("ack", laws::ack);
}

#[test]
fn the_corpus_of_spool_records_holds() {
    replay("spool_record", laws::spool_record);
}

#[test]
fn the_corpus_of_signatures_holds() {
    replay("signature", laws::signature);
}

#[test]
fn the_corpus_of_registry_imports_holds() {
    replay("import", laws::import);
}

#[test]
fn the_corpus_of_questions_holds() {
    replay("question", laws::question);
}

#[test]
fn the_corpus_of_proxy_headers_holds() {
    replay("proxy_header", laws::proxy_header);
}

#[test]
fn the_corpus_of_blocks_holds() {
    replay("block", laws::block);
}
