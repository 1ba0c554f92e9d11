//! A page of the reference that a test writes: with `ALLMENDE_WRITE_DOCS=1` it is written, otherwise compared with what is committed.

use std::path::Path;

/// Writes or compares `docs/reference/security/<name>`.
pub fn settle(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/security").join(name);
    if std::env::var("ALLMENDE_WRITE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed, text,
        "{name} is not what the test found: ALLMENDE_WRITE_DOCS=1 writes it; look at the change"
    );
}

/// One section of a page, between its marks: other tests write theirs into the same file.
pub fn settle_section(name: &str, section: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/security").join(name);
    let (begin, end) = (format!("<!-- {section}: begin -->\n"), format!("<!-- {section}: end -->\n"));
    let committed = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} is not there"));
    let (before, rest) =
        committed.split_once(&begin).unwrap_or_else(|| panic!("{name} has no section {section}"));
    let (old, after) =
        rest.split_once(&end).unwrap_or_else(|| panic!("the section {section} of {name} has no end"));
    if std::env::var("ALLMENDE_WRITE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, format!("{before}{begin}{text}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(
        old, text,
        "{name} is not what the test found: ALLMENDE_WRITE_DOCS=1 writes it; look at the change"
    );
}
