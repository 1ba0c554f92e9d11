//! The short form of `make fuzz`: each decoder for about two seconds, from a seed that is printed (ALLMENDE_SEED chooses another one,
//! ALLMENDE_FUZZ_SECONDS another time).

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and tells what it did"
)]

use std::{
    env,
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use allmende_decoders::{
    TARGETS, Target,
    mutation::{Dice, mutated},
};

/// At least so many, however slow the machine is.
const INPUTS_MIN: u64 = 300;
/// No input of 4 KiB may take longer, also on a machine that is busy with other things.
const SLOWEST: Duration = Duration::from_secs(10);

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn run(target: &Target) {
    let seed = number("ALLMENDE_SEED", 1);
    let time = Duration::from_secs(number("ALLMENDE_FUZZ_SECONDS", 2));
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{}: nothing to begin with", target.name);
    for bytes in &seeds {
        assert!((target.check)(bytes), "{}: a seed is not taken: {}", target.name, bytes.escape_ascii());
    }
    let (mut dice, mut inputs, mut taken, begun) = (Dice::new(seed), 0u64, 0u64, Instant::now());
    while inputs < INPUTS_MIN || begun.elapsed() < time {
        let bytes = mutated(&mut dice, &seeds);
        let one = Instant::now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.check)(&bytes)));
        let Ok(decoded) = outcome else {
            panic!("{}, seed {seed}, input {inputs}: {}", target.name, bytes.escape_ascii())
        };
        assert!(one.elapsed() < SLOWEST, "{}: endless: {}", target.name, bytes.escape_ascii());
        inputs += 1;
        taken += u64::from(decoded);
    }
    eprintln!("{}: {inputs} inputs from seed {seed}, {taken} of them taken, no finding", target.name);
    assert!(taken > 0, "{}: no changed input gets past the first look", target.name);
    assert!(taken < inputs, "{}: everything is taken", target.name);
}

macro_rules! targets {
    ($($test:ident $name:literal;)*) => {
        $(#[test]
        fn $test() {
            run(TARGETS.iter().find(|target| target.name == $name).unwrap());
        })*

        #[test]
        fn every_target_has_a_run_here_and_a_program_for_the_long_form() {
            let here = [$($name),*];
            let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(here.as_slice(), all);
            for name in all {
                let path = format!("{}/../../fuzz/targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
                let program = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
                assert!(program.contains(&format!("check(\"{name}\"")), "{path} fuzzes something else");
            }
        }
    };
}

targets! {
    no_text_confuses_its_parser "texts";
    no_certificate_confuses_its_parser "certificates";
    no_token_confuses_its_parser "tokens";
    no_message_confuses_its_parser "messages";
    no_stored_value_confuses_its_parser "records";
    no_changed_export_is_taken_for_a_whole_one "evidence";
    no_changed_snapshot_is_taken_for_a_whole_one "snapshots";
    no_file_confuses_its_parser "files";
}
