//! Traces with hand-worked factors.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::scenario::DemandProcess;
use flate2::{Compression, write::GzEncoder};

/// Ten ticks of 600 s. `b` has no value in the third, two in the second; `c` has nearly none.
fn rows() -> String {
    let mut text = String::from("when,who,what\n");
    for tick in 0..10 {
        let at = 1_000_000 + 600 * tick;
        text += &format!("{at},a,{}\n", 10 * tick);
        if tick != 2 {
            text += &format!("{at}.5,b,40\n");
        }
    }
    text + "1000700,b,20\n1000000,c,50\n"
}

fn options() -> TraceOptions {
    TraceOptions {
        columns: ["when", "who", "what"].map(str::to_owned),
        factors: [0.5, 1.4],
        ..TraceOptions::default()
    }
}

fn strict() -> TraceOptions {
    TraceOptions { strict: true, ..options() }
}

fn import(bytes: &[u8], options: &TraceOptions) -> Result<ImportedOnline<TraceReport>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.csv");
    std::fs::write(&file, bytes).unwrap();
    let base = Scenario::embedded("founding-10x50").unwrap();
    trace(&file, &base, options)
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn values_become_factors_and_the_workloads_follow_them_in_turn() {
    let imported = import(rows().as_bytes(), &options()).unwrap();
    let series = |at: usize| match &imported.scenario.workloads[at].process {
        DemandProcess::Trace { series, .. } => series.clone(),
        other => panic!("expected a trace, got {other:?}"),
    };
    // The highest value of the first six ticks, which training plays, is 50: a factor rises by
    // 0.9 / 50 = 0.018 per unit, and no higher than that.
    let a: Vec<f32> = (0..10).map(|tick| 0.5 + 0.18 * tick.min(5) as f32).collect();
    // The mean of 40 and 20 in the second tick, held over the third.
    let b = [1.22, 1.04, 1.04, 1.22, 1.22, 1.22, 1.22, 1.22, 1.22, 1.22];
    let close = |x: &[f32], y: &[f32]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-4);
    let first = series(0);
    assert!(first.len() == 2 && close(&first[0], &a) && close(&first[1], &b), "{first:?}");
    let report = &imported.report;
    assert_eq!((report.ids, report.workloads), ((2, 3), 50));
    assert_eq!(report.windows, ([0, 6], [6, 10], 2));
    assert_eq!(imported.scenario.rules.episode.ticks, 2);
    assert_eq!(
        report.to_string(),
        "trace from trace.csv on founding-10x50\n\
         21 rows; 10 ticks of 600 s\n\
         2 series for 50 workloads; left out, too few values: 1 ids\n\
         values: mean 41.50, highest in training 50.00; mean factor on the requests 1.157\n\
         training plays ticks 0 to 6, evaluation 6 to 10; episodes have 2\n"
    );
}

#[test]
fn a_compressed_trace_is_the_same_and_a_truncated_one_is_refused() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut encoder, rows().as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(import(&packed, &options()), import(rows().as_bytes(), &options()));
    for length in [3, packed.len() / 2, packed.len() - 4] {
        let error = import(&packed[..length], &options()).unwrap_err();
        assert!(error.starts_with("trace.csv"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_written_trace_reads_back_and_plays() {
    let imported = import(rows().as_bytes(), &options()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("duty.toml");
    imported.write(&out).unwrap();
    let read = Scenario::load(&out).unwrap();
    assert_eq!(read, Scenario { name: "duty".into(), ..imported.scenario });
}

#[test]
fn damaged_rows_and_impossible_options_are_refused() {
    let wrong = |from: &str, to: &str| {
        assert!(rows().contains(from), "{from:?} is in the rows");
        import(rows().replacen(from, to, 1).as_bytes(), &strict()).unwrap_err()
    };
    assert_eq!(
        wrong("1000600,a,10", "1000600,a,NaN"),
        "trace.csv: line 4: what: expected a number from 0 to 1000000000000, got \"NaN\""
    );
    assert_eq!(
        wrong("1000600,a,10", "1000600,,10"),
        "trace.csv: line 4: who: expected an id, got \"\""
    );
    assert_eq!(
        wrong("1000000,a,0", "0,a,0"),
        "trace.csv: who: expected ids with values in a share of 0.9 of the 1676 ticks, got none of 3"
    );
    assert!(wrong("when,who", "then,who").contains("expected a column when"));
    let refused = |options: &TraceOptions| import(rows().as_bytes(), options).unwrap_err();
    assert_eq!(
        refused(&TraceOptions { ticks: Some(4), ..options() }),
        "trace.csv: split: expected parts longer than an episode (4 ticks), got 6 and 4 ticks"
    );
    assert_eq!(
        refused(&TraceOptions { factors: [2.0, 1.0], ..options() }),
        "import: factors: expected two factors from 0 to 100, the first at most the second, got 2 and 1"
    );
    assert_eq!(
        refused(&TraceOptions { split: 0.0, ..options() }),
        "import: split: expected a share above 0, up to 1, got 0"
    );
    let unknown = TraceOptions { resources: vec!["disk".into()], ..options() };
    assert!(refused(&unknown).contains("process.resources[0]: expected one of"));
    let huge = import(b"when,who,what\n0,a,1\n9999999999999,a,1\n", &options()).unwrap_err();
    assert!(huge.contains("expected times that span at most 1000000 ticks"), "{huge}");
}

#[test]
fn bad_rows_are_left_out_counted_and_named_as_long_as_most_are_good() {
    let good = import(rows().as_bytes(), &options()).unwrap();
    assert_eq!(good.report.bad, BadRows::default());
    let damage = "1000100,a,NaN\n1000100,,1\n1000100,a\n1000100,a,-1\n";
    let imported = import((rows() + damage).as_bytes(), &options()).unwrap();
    assert_eq!(imported.scenario, good.scenario);
    let bad = &imported.report.bad;
    assert_eq!((imported.report.rows, bad.count, bad.first.len()), (21, 4, 3));
    let told = imported.report.to_string();
    assert!(
        told.contains(
            "bad rows left out: 4 (line 25: expected valid CSV, got 2 columns where the \
             header has 3; line 23: what: expected a number from 0 to 1000000000000, got \
             \"NaN\"; line 24: who: expected an id, got \"\"; ...)"
        ),
        "{told}"
    );
    let error = import((rows() + damage).as_bytes(), &strict()).unwrap_err();
    assert!(error.contains("2 columns where the header has 3"), "{error}");
    // With dates for times every row is bad.
    let dates = rows().replace("\n1", "\n2026-01-01 1");
    let error = import(dates.as_bytes(), &options()).unwrap_err();
    assert_eq!(
        error,
        "trace.csv: rows: expected more good ones than bad ones, got 21 bad of 21, first line 2: when: expected a number from 0 to 10000000000000, got \"2026-01-01 1000000\""
    );
    let commas = rows().replace('\n', ",\n").replacen(",\n", "\n", 1);
    let error = import(commas.as_bytes(), &options()).unwrap_err();
    assert!(error.contains("4 columns where the header has 3"), "{error}");
}

#[test]
fn a_value_that_rounding_puts_below_0_is_0() {
    let good = import(rows().as_bytes(), &options()).unwrap();
    let with = |value: &str| {
        let text = rows().replacen("1000000,a,0", &format!("1000000,a,{value}"), 1);
        import(text.as_bytes(), &strict())
    };
    // The highest value is 90.
    assert_eq!(with("-0.00008").unwrap(), good);
    assert!(with("-0.0001").unwrap_err().contains("expected a number from 0"));
}

#[test]
fn other_formats_are_named_with_what_to_do() {
    let refused = |bytes: &[u8]| import(bytes, &options()).unwrap_err();
    assert_eq!(
        refused(b"PAR1\x15\x04"),
        "trace.csv: the whole file: expected CSV, plain or compressed by gzip, got a Parquet file \
         (write it as CSV first)"
    );
    let mut tar = vec![0; 600];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refused(&tar).contains("got a tar archive (unpack it"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    assert!(refused(&encoder.finish().unwrap()).contains("got a tar archive"));
}
