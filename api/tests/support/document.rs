//! Tables that tests write into the documentation: with ALLMENDE_WRITE_DOCS=1 written, else compared with what is committed.

use std::path::Path;

/// `name` below `docs/reference/security/`.
pub fn check(name: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/security").join(name);
    if std::env::var_os("ALLMENDE_WRITE_DOCS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let different: Vec<String> = content
        .lines()
        .zip(committed.lines().chain(std::iter::repeat("")))
        .filter(|(now, then)| now != then)
        .map(|(now, then)| format!("- {then}\n+ {now}"))
        .collect();
    assert!(
        content == committed,
        "docs/reference/security/{name} is not what the API answers today; look at the difference, then write it with \
         ALLMENDE_WRITE_DOCS=1:\n{}",
        different.join("\n")
    );
}

/// `PERMISSION_DENIED` for a code.
pub fn code_text(code: tonic::Code) -> String {
    let camel = format!("{code:?}");
    let mut text = String::new();
    for (index, letter) in camel.chars().enumerate() {
        if index > 0 && letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}
