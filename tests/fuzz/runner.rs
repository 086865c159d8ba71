//! Corpus first, long inputs next, then mutations until the time is over.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use crate::mutation::inputs;

/// As much as servers let through in a head.
const LONG: usize = 64 << 10;

/// What a check of a long input may take, on a machine that is busy with other tests and without
/// optimisation. Whatever is quadratic takes minutes.
const LONGEST: Duration = Duration::from_secs(5);

/// Checks the files of `corpus/{target}` and inputs like them.
///
/// # Panics
///
/// If the check does, of any of them.
pub fn fuzz(target: &str, check: impl Fn(&[u8])) {
    let corpus = files(target);
    for (name, bytes) in &corpus {
        println!("corpus/{target}/{name}");
        check(bytes);
    }
    let corpus: Vec<_> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    for seed in corpus.iter().filter(|seed| !seed.is_empty()) {
        let long = seed.repeat(LONG / seed.len());
        let began = Instant::now();
        check(&long);
        let took = began.elapsed();
        assert!(took < LONGEST, "{took:?} for many times {:?}", seed.escape_ascii().to_string());
    }
    mutate(corpus, check);
}

fn mutate(corpus: Vec<Vec<u8>>, check: impl Fn(&[u8])) {
    let end = Instant::now() + span();
    let config = ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() };
    let mut runner = TestRunner::new(config);
    let inputs = inputs(corpus);
    let mut rounds = 0;
    while rounds == 0 || Instant::now() < end {
        rounds += 1;
        let done = runner.run(&inputs, |bytes| {
            check(&bytes);
            Ok(())
        });
        if let Err(TestError::Fail(why, bytes)) = done {
            panic!("{why}\nb\"{}\"", bytes.escape_ascii());
        }
    }
    println!("{} mutations", rounds * 256);
}

fn span() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no inputs in {}", folder.display());
    files
}
