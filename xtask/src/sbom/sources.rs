//! What compiled programs are made of: crates by `cargo tree`, Go modules by what the program itself says.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Part, UNKNOWN, purl};
use crate::metadata::cargo;

/// The crates that are linked into a program of this workspace, and the macros that wrote parts of it.
pub(super) fn of_crate(package: &str) -> Result<Vec<Part>> {
    let tree = cargo(&[
        "tree",
        "--package",
        package,
        "--locked",
        "--edges=normal",
        "--prefix=none",
        "--format={p}|{l}",
        "--no-dedupe",
    ])?;
    tree.lines().filter(|line| !line.is_empty()).map(crate_of_line).collect()
}

/// `serde v1.0.0 (proc-macro)|MIT OR Apache-2.0`.
fn crate_of_line(line: &str) -> Result<Part> {
    let (package, licence) =
        line.rsplit_once('|').with_context(|| format!("not a line of the tree: {line}"))?;
    let mut words = package.split(' ');
    let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let version = version.strip_prefix('v').with_context(|| format!("no version: {line}"))?;
    // The old way to write OR.
    let licence = licence.replace(" / ", " OR ").replace('/', " OR ");
    Ok(Part {
        purl: purl("cargo", name, version),
        name: name.to_owned(),
        version: version.to_owned(),
        licence: if licence.is_empty() { UNKNOWN.to_owned() } else { licence },
        own_licences: Vec::new(),
    })
}

/// The modules of a Go program. It does not carry their licences.
pub(super) fn of_go(program: &str) -> Result<Vec<Part>> {
    let output = Command::new("go").args(["version", "-m", program]).output().context("go")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(modules(&String::from_utf8_lossy(&output.stdout)))
}

/// First line `<program>: go1.24.1`, then `path`, `mod` (the program), `dep` and `=>` (stands for the line before).
fn modules(text: &str) -> Vec<Part> {
    let part = |name: &str, version: &str| Part {
        purl: purl("golang", name, version),
        name: name.to_owned(),
        version: version.to_owned(),
        licence: UNKNOWN.to_owned(),
        own_licences: Vec::new(),
    };
    let mut parts = Vec::new();
    if let Some((_, version)) = text.lines().next().and_then(|line| line.rsplit_once(": go")) {
        parts.push(Part { licence: "BSD-3-Clause".to_owned(), ..part("stdlib", version.trim()) });
    }
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["mod" | "dep", name, version, ..] => parts.push(part(name, version)),
            ["=>", name, version, ..] => {
                parts.pop();
                parts.push(part(name, version));
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tree_is_a_crate_with_its_licence() {
        let part = crate_of_line("serde_derive v1.0.2 (proc-macro)|MIT/Apache-2.0").unwrap();
        assert_eq!((part.name.as_str(), part.version.as_str()), ("serde_derive", "1.0.2"));
        assert_eq!(part.licence, "MIT OR Apache-2.0");
        assert_eq!(crate_of_line("own v0.1.0 (/here)|").unwrap().licence, UNKNOWN);
        assert!(crate_of_line("nothing").is_err() && crate_of_line("own (/here)|MIT").is_err());
    }

    #[test]
    fn a_go_program_is_its_modules_its_standard_library_and_what_stands_for_others() {
        let text = "/bin/x: go1.24.1\n\tpath\ta.b/x\n\tmod\ta.b/x\tv1.2.3\th1:aa=\n\tdep\tc.d/y\tv0.1.0\th1:bb=\n\t=>\te.f/y\tv0.2.0\th1:cc=\n\tbuild\t-trimpath=true\n";
        let told: Vec<String> = modules(text).iter().map(|part| part.purl.clone()).collect();
        assert_eq!(told, ["pkg:golang/stdlib@1.24.1", "pkg:golang/a.b/x@v1.2.3", "pkg:golang/e.f/y@v0.2.0"]);
    }
}
