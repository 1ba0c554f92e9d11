//! The outside judge: Mustang with the official rules of EN 16931 and XRechnung 3.0.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../domain/tests/golden/mod.rs"]
mod golden;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use allmende_documents::{EInvoiceWriter, XRechnung3};
use allmende_domain::{
    invoice::Invoice,
    member::{TaxProfile, VatCategory},
    money::{Cents, Quantity},
    run::Cut,
};
use jiff::{Timestamp, civil::date};

const JAR: &str = "Mustang-CLI-2.26.0.jar";

fn jar() -> PathBuf {
    let cache = std::env::var_os("ALLMENDE_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/allmende"),
        PathBuf::from,
    );
    let path = cache.join("mustang").join(JAR);
    assert!(path.is_file(), "{} is missing: run `make tools`", path.display());
    path
}

/// What Mustang says of all files in a folder, in one JVM.
struct Verdict {
    /// Files that it has read.
    judged: usize,
    /// Whether it calls them all valid. It does so in spite of warnings.
    valid: bool,
    /// Errors, warnings and notices, each a line of its log.
    complaints: Vec<String>,
    log: String,
}

fn judge(folder: &Path) -> Verdict {
    let output = Command::new("java")
        .arg("-jar")
        .arg(jar())
        .args(["--disable-file-logging", "--action", "validateExpectValid", "-d"])
        .arg(folder)
        .current_dir(folder)
        .output()
        .expect("java runs");
    let log =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let parsed: Vec<&str> = log.lines().filter(|line| line.contains("Parsed PDF:")).collect();
    // Each file's last line lists the types of all its findings; the others are those findings, one a line.
    let complaint = |line: &&str| {
        let of_the_validator = line.contains("org.mustangproject.validator.");
        let finding =
            ["FailedAssert", "Error ", "Warning ", "Notice "].iter().any(|word| line.contains(word));
        let summed_up = line.contains("Parsed PDF:") && !line.contains("Errors:[] ErrorIDs: []");
        of_the_validator && (finding || summed_up)
    };
    Verdict {
        judged: parsed.len(),
        valid: output.status.success() && parsed.iter().all(|line| line.contains("XML:valid")),
        complaints: log.lines().filter(complaint).map(str::to_owned).collect(),
        log: log.clone(),
    }
}

fn issued(cut: &Cut) -> Vec<Invoice> {
    let drafts = cut.drafts(date(2026, 10, 5), Timestamp::UNIX_EPOCH).unwrap();
    (1..).zip(&drafts).map(|(number, draft)| draft.issued(&format!("MPG-2026-{number:06}"))).collect()
}

/// The golden month, taxed in another way.
fn taxed(category: VatCategory, reason: &str) -> Cut {
    let mut cut = golden::cut(&golden::golden());
    for member in &mut cut.members {
        member.tax_profiles = vec![TaxProfile {
            valid_from: date(2026, 1, 1),
            category,
            rate_basis_points: 0,
            exemption_reason: reason.into(),
        }];
    }
    cut
}

fn write(folder: &Path, name: &str, invoice: &Invoice) {
    std::fs::write(folder.join(format!("{name}.xml")), XRechnung3.write(invoice).unwrap()).unwrap();
}

#[test]
fn mustang_takes_all_golden_invoices_and_those_of_other_tax_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let golden_month = golden::cut(&golden::golden());
    let invoices = issued(&golden_month);
    assert_eq!(invoices.len(), 12);
    for invoice in &invoices {
        write(folder.path(), &invoice.number, invoice);
    }
    let exempt = issued(&taxed(VatCategory::E, "Steuerfrei nach § 4 Nr. 29 UStG"));
    write(folder.path(), "exempt", &exempt[0]);
    let outside = issued(&taxed(VatCategory::O, "Nicht steuerbar nach § 2b UStG"));
    write(folder.path(), "outside", &outside[0]);
    let mut refund = golden_month.clone();
    refund.pots[0].amount = Cents(-100_000);
    write(folder.path(), "refund", &issued(&refund)[0]);
    let mut partial = golden_month;
    for segment in &mut partial.segments {
        segment.start = segment.start.checked_add(jiff::SignedDuration::from_secs(123_457)).unwrap();
    }
    let partial = issued(&partial);
    assert!(
        partial[0].lines[0].quantity != Quantity((partial[0].lines[0].quantity.0 / 1_000_000) * 1_000_000)
    );
    write(folder.path(), "partial", &partial[0]);

    let verdict = judge(folder.path());
    assert_eq!(verdict.judged, 16, "{}", verdict.log);
    assert!(verdict.valid, "{}", verdict.log);
    assert_eq!(verdict.complaints, Vec::<String>::new());
}

/// Of a golden invoice, with one text replaced.
fn spoiled(what: &str, by: &str) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let invoice = issued(&golden::cut(&golden::golden())).remove(0);
    let xml = String::from_utf8(XRechnung3.write(&invoice).unwrap()).unwrap();
    assert!(xml.contains(what), "{what} is not in {xml}");
    std::fs::write(folder.path().join("spoiled.xml"), xml.replace(what, by)).unwrap();
    judge(folder.path())
}

#[test]
fn the_judge_refuses_a_payable_amount_that_is_wrong() {
    let verdict = spoiled(">1427.70</cbc:PayableAmount>", ">1.00</cbc:PayableAmount>");
    assert!(
        !verdict.valid && verdict.complaints.iter().any(|line| line.contains("BR-CO-16")),
        "{}",
        verdict.log
    );
}

#[test]
fn the_judge_hears_a_warning_in_a_file_that_mustang_calls_valid() {
    let verdict = spoiled("<cbc:InvoiceTypeCode>380<", "<cbc:InvoiceTypeCode>383<");
    assert!(verdict.complaints.iter().any(|line| line.contains("BR-DE-17")), "{}", verdict.log);
    assert!(verdict.log.contains("XML:valid"), "only a warning: {}", verdict.log);
}
