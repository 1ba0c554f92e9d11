//! What an image is made of, with versions and licences: an SPDX 2.3 document on the terminal.
//!
//! `cargo xtask sbom <image> [crate:<package> | go:<program> | debian:<folder>]...`

mod debian;
mod document;
mod sources;

use anyhow::{Context, Result, bail, ensure};

/// One thing that is in the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// Package URL, as `pkg:cargo/serde@1.0.0`.
    pub(crate) purl: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression, or `NOASSERTION`.
    pub(crate) licence: String,
    /// Licences of the expression that are not on SPDX's list: their reference, and their name at the source.
    pub(crate) own_licences: Vec<(String, String)>,
}

/// What SPDX says where nothing is known.
const UNKNOWN: &str = "NOASSERTION";

/// The package URL of a version. <https://github.com/package-url/purl-spec>
fn purl(kind: &str, name: &str, version: &str) -> String {
    format!("pkg:{kind}/{}@{}", name.replace('+', "%2B"), version.replace('+', "%2B").replace(':', "%3A"))
}

/// Prints the document of an image.
pub(crate) fn print(arguments: &[String]) -> Result<()> {
    let (image, sources) = arguments.split_first().context("which image?")?;
    let mut parts = Vec::new();
    for source in sources {
        let found = match source.split_once(':') {
            Some(("crate", package)) => sources::of_crate(package),
            Some(("go", program)) => sources::of_go(program),
            Some(("debian", folder)) => debian::packages(folder.as_ref()),
            _ => bail!("`{source}` is none of crate:<package>, go:<program>, debian:<folder>"),
        };
        let found = found.with_context(|| format!("parts of {source}"))?;
        ensure!(!found.is_empty(), "{source} has no parts");
        parts.extend(found);
    }
    parts.sort();
    parts.dedup();
    let document = document::of(image, &created()?, &parts);
    println!("{}", serde_json::to_string_pretty(&document).context("JSON")?);
    Ok(())
}

/// RFC 3339, seconds. `SOURCE_DATE_EPOCH` stands for now, so that an image made again is the same.
fn created() -> Result<String> {
    let output = std::process::Command::new("date")
        .args(["--utc", "+%Y-%m-%dT%H:%M:%SZ"])
        .args(std::env::var("SOURCE_DATE_EPOCH").map(|at| format!("--date=@{at}")))
        .output()
        .context("date")?;
    ensure!(output.status.success(), "SOURCE_DATE_EPOCH is no number of seconds");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
