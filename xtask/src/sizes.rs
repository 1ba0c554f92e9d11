//! Files stay small, and modules are nouns.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::findings::Findings;

/// Above this a file must be split.
const LINES_MAX: usize = 600;
/// Above this it is time to think about it.
const LINES_WARN: usize = 400;

const EXTENSIONS: &[&str] = &["rs", "sh", "py", "proto", "yaml", "yml", "tpl"];

/// Written by a program or copied as data: nobody reads them top to bottom.
const EXCLUDED: &[&str] = &["proto/src/generated/", "charts/allmende-crds/", "data/"];

/// Names that say nothing about what is inside.
const NAMES_FORBIDDEN: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];

/// Looks at every file that git tracks or would track.
pub(crate) fn check() -> Result<Findings> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .output()
        .context("git cannot be started")?;
    ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let mut findings = Findings::default();
    let mut count = 0_usize;
    for name in names.split('\0').filter(|name| !name.is_empty() && !is_excluded(name)) {
        if let Some(text) = source(name)? {
            count += 1;
            judge(name, text.lines().count(), &mut findings);
        }
    }
    ensure!(count > 0, "no source file was found: run this in the repository");
    findings.checked = format!("{count} files");
    Ok(findings)
}

fn is_excluded(name: &str) -> bool {
    EXCLUDED.iter().any(|prefix| name.starts_with(prefix)) || name.contains("/tests/snapshots/")
}

/// The text of a file that counts as source: by its ending, or as a script without one. Deleted files count as absent.
fn source(name: &str) -> Result<Option<String>> {
    let path = Path::new(name);
    let by_ending = path.extension().map(|ending| EXTENSIONS.iter().any(|known| ending == *known));
    if by_ending == Some(false) || !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(path).with_context(|| format!("{name} cannot be read"))?;
    if by_ending.is_none() && !bytes.starts_with(b"#!") {
        return Ok(None);
    }
    Ok(Some(String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8"))?))
}

fn judge(name: &str, lines: usize, findings: &mut Findings) {
    if lines > LINES_MAX {
        findings.errors.push(format!("{name} has {lines} lines, more than {LINES_MAX}: split it by noun"));
    } else if lines > LINES_WARN {
        findings.warnings.push(format!("{name} has {lines} lines: think about a split above {LINES_WARN}"));
    }
    // A module is a file or a folder: either may carry the name.
    if let Some(part) = Path::new(name).components().find_map(forbidden) {
        findings
            .errors
            .push(format!("{name}: `{part}` says nothing about what is inside; name it by its noun"));
    }
}

fn forbidden(part: std::path::Component<'_>) -> Option<String> {
    let part = part.as_os_str().to_str()?;
    let stem = part.split('.').next().unwrap_or(part);
    NAMES_FORBIDDEN.contains(&stem).then(|| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, lines: usize) -> (usize, usize) {
        let mut findings = Findings::default();
        judge(name, lines, &mut findings);
        (findings.warnings.len(), findings.errors.len())
    }

    #[test]
    fn six_hundred_lines_are_the_last_that_pass() {
        assert_eq!(judged("api/src/main.rs", 400), (0, 0));
        assert_eq!(judged("api/src/main.rs", 401), (1, 0));
        assert_eq!(judged("api/src/main.rs", 600), (1, 0));
        assert_eq!(judged("api/src/main.rs", 601), (0, 1));
    }

    #[test]
    fn names_without_meaning_are_refused_for_files_and_folders() {
        assert_eq!(judged("api/src/utils.rs", 1), (0, 1));
        assert_eq!(judged("operator/src/helpers/mod.rs", 1), (0, 1));
        assert_eq!(judged("operator/src/helm/mod.rs", 1), (0, 0));
    }

    #[test]
    fn generated_files_and_snapshots_do_not_count() {
        assert!(is_excluded("proto/src/generated/allmende.v1.rs"));
        assert!(is_excluded("charts/allmende/tests/snapshots/default.yaml"));
        assert!(!is_excluded("charts/allmende/values.yaml"));
    }
}
