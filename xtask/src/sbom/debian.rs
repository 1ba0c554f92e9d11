//! Debian packages and their licences, as far as `/usr/share/doc/<package>/copyright` is written for machines
//! (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>).

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

use super::{Part, UNKNOWN, purl};

/// Debian's short names that are another on SPDX's list.
const NAMES: [(&str, &str); 21] = [
    ("Apache-2.0", "Apache-2.0"),
    ("Artistic", "Artistic-1.0-Perl"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("BSD-4-clause-UC", "BSD-4-Clause-UC"),
    ("CC0-1.0", "CC0-1.0"),
    ("Expat", "MIT"),
    ("GPL-1+", "GPL-1.0-or-later"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("ISC", "ISC"),
    ("LGPL-2", "LGPL-2.0-only"),
    ("LGPL-2+", "LGPL-2.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("LGPL-3+", "LGPL-3.0-or-later"),
    ("MPL-2.0", "MPL-2.0"),
    ("PostgreSQL", "PostgreSQL"),
    ("Zlib", "Zlib"),
];

/// The packages of a folder: `packages` has lines `name<TAB>version<TAB>architecture`, `doc` is a copy of `/usr/share/doc`.
pub(super) fn packages(folder: &Path) -> Result<Vec<Part>> {
    let list = folder.join("packages");
    let list = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    list.lines().map(|line| package(folder, line)).collect()
}

fn package(folder: &Path, line: &str) -> Result<Part> {
    let mut fields = line.split('\t');
    let mut field = || fields.next().filter(|text| !text.is_empty());
    let told = || format!("not a line of name, version and architecture: {line}");
    let (name, version) = (field().with_context(told)?, field().with_context(told)?);
    let architecture = field().with_context(told)?;
    let copyright = fs::read(folder.join("doc").join(name).join("copyright")).unwrap_or_default();
    let (licence, own_licences) = licence(&String::from_utf8_lossy(&copyright));
    Ok(Part {
        purl: format!(
            "{}?arch={architecture}&distro=bookworm",
            purl("deb", &format!("debian/{name}"), version)
        ),
        name: name.to_owned(),
        version: version.to_owned(),
        licence,
        own_licences,
    })
}

/// All licences of the files, joined; and those that are not on SPDX's list.
fn licence(copyright: &str) -> (String, Vec<(String, String)>) {
    let unknown = (UNKNOWN.to_owned(), Vec::new());
    if !copyright.lines().take(10).any(|line| line.starts_with("Format:")) {
        return unknown;
    }
    // Paragraphs without files hold the texts of licences that other paragraphs name, one choice of several each.
    let paragraphs =
        copyright.split("\n\n").filter(|text| text.lines().any(|line| line.starts_with("Files:")));
    let texts: BTreeSet<&str> = paragraphs
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("License:"))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    let mut own = Vec::new();
    let parts: BTreeSet<String> = texts.iter().map(|text| expression(text, &mut own)).collect();
    if parts.is_empty() {
        return unknown;
    }
    own.sort();
    own.dedup();
    (parts.into_iter().collect::<Vec<_>>().join(" AND "), own)
}

/// `GPL-2+ or Artistic` becomes `(GPL-2.0-or-later OR Artistic-1.0-Perl)`. What is written in another way stays one licence of its own.
fn expression(text: &str, own: &mut Vec<(String, String)>) -> String {
    let mut one = |name: &str| {
        let name = name.trim();
        if let Some((_, spdx)) = NAMES.iter().find(|(debian, _)| debian.eq_ignore_ascii_case(name)) {
            return (*spdx).to_owned();
        }
        let plain: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let reference = format!("LicenseRef-Debian-{plain}");
        own.push((reference.clone(), name.to_owned()));
        reference
    };
    let is_simple = !text.contains([',', '(', '|', '/']) && !text.contains(" with ");
    let choices: Vec<&str> = text.split(" or ").collect();
    let joined: Vec<&str> = text.split(" and ").collect();
    match (is_simple, choices.len(), joined.len()) {
        (true, 2.., 1) => format!("({})", choices.into_iter().map(one).collect::<Vec<_>>().join(" OR ")),
        (true, 1, 2..) => joined.into_iter().map(one).collect::<Vec<_>>().join(" AND "),
        _ => one(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";

    #[test]
    fn licences_are_joined_choices_kept_and_strange_ones_named() {
        let text = format!(
            "{HEAD}\nFiles: *\nLicense: GPL-2+ or Artistic\n text\n\nFiles: a\nLicense: Expat\n\n\
             Files: b\nLicense: GPL-2+ with font exception\n\nLicense: Artistic\n its text\n"
        );
        let (licence, own) = licence(&text);
        assert_eq!(
            licence,
            "(GPL-2.0-or-later OR Artistic-1.0-Perl) AND LicenseRef-Debian-GPL-2--with-font-exception AND MIT"
        );
        let named = ("LicenseRef-Debian-GPL-2--with-font-exception", "GPL-2+ with font exception");
        assert_eq!(own, [(named.0.to_owned(), named.1.to_owned())]);
    }

    #[test]
    fn a_text_that_is_not_for_machines_asserts_nothing() {
        assert_eq!(licence("License: MIT\n").0, UNKNOWN);
        assert_eq!(licence(HEAD).0, UNKNOWN);
    }

    #[test]
    fn a_malformed_list_is_an_error() {
        assert!(package(Path::new("/nowhere"), "zlib1g\t1.2").is_err());
        let found = package(Path::new("/nowhere"), "zlib1g\t1:1.2\tamd64").unwrap();
        let url = "pkg:deb/debian/zlib1g@1%3A1.2?arch=amd64&distro=bookworm";
        assert_eq!((found.purl.as_str(), found.licence.as_str()), (url, UNKNOWN));
    }
}
