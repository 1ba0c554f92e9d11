//! The document: SPDX 2.3, <https://spdx.github.io/spdx-spec/v2.3/>.

use std::collections::{BTreeMap, hash_map::DefaultHasher};
use std::hash::{Hash, Hasher};

use serde_json::{Value, json};

use super::{Part, UNKNOWN};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";

/// The document of an image.
pub(super) fn of(image: &str, created: &str, parts: &[Part]) -> Value {
    let mut packages = vec![package(IMAGE, image, &json!({ "primaryPackagePurpose": "CONTAINER" }))];
    let mut relations = vec![relation(DOCUMENT, "DESCRIBES", IMAGE)];
    for (number, part) in parts.iter().enumerate() {
        let id = format!("SPDXRef-Package-{number}");
        let more = json!({
            "versionInfo": part.version,
            "licenseDeclared": part.licence,
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": part.purl,
            }],
        });
        packages.push(package(&id, &part.name, &more));
        relations.push(relation(IMAGE, "CONTAINS", &id));
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": image,
        "documentNamespace": format!("urn:allmende:sbom:{image}:{}", fingerprint(created, parts)),
        "creationInfo": { "created": created, "creators": ["Tool: allmende-xtask-sbom"] },
        "packages": packages,
        "relationships": relations,
    });
    let own = own_licences(parts);
    if !own.is_empty() {
        document["hasExtractedLicensingInfos"] = json!(own);
    }
    document
}

fn package(id: &str, name: &str, more: &Value) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": name,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        package[key] = value.clone();
    }
    package
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// A document has its own name: it is another as soon as a part is.
fn fingerprint(created: &str, parts: &[Part]) -> String {
    let mut hash = DefaultHasher::new();
    created.hash(&mut hash);
    for part in parts {
        (&part.purl, &part.licence).hash(&mut hash);
    }
    format!("{:016x}", hash.finish())
}

fn own_licences(parts: &[Part]) -> Vec<Value> {
    let mut all: BTreeMap<&str, (&str, Vec<&str>)> = BTreeMap::new();
    for part in parts {
        for (reference, name) in &part.own_licences {
            all.entry(reference).or_insert_with(|| (name, Vec::new())).1.push(&part.name);
        }
    }
    let told = all.into_iter().map(|(reference, (name, of))| {
        let text = format!(
            "The text stands in the image, in /usr/share/doc/<package>/copyright of: {}",
            of.join(", ")
        );
        json!({ "licenseId": reference, "name": name, "extractedText": text })
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the specification asks of each document, package and relationship; an error names the place.
    fn missing(document: &Value) -> Vec<String> {
        let mut missing = Vec::new();
        let need = |missing: &mut Vec<String>, place: &str, object: &Value, fields: &[&str]| {
            let absent = fields.iter().filter(|field| object[**field].as_str().is_none_or(str::is_empty));
            missing.extend(absent.map(|field| format!("{place}.{field}")));
        };
        need(
            &mut missing,
            "document",
            document,
            &["spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace"],
        );
        need(&mut missing, "creationInfo", &document["creationInfo"], &["created"]);
        let mut ids = BTreeSet::from([DOCUMENT]);
        for package in document["packages"].as_array().into_iter().flatten() {
            let place = package["name"].as_str().unwrap_or("a package");
            need(
                &mut missing,
                place,
                package,
                &["SPDXID", "name", "downloadLocation", "licenseDeclared", "copyrightText"],
            );
            ids.insert(package["SPDXID"].as_str().unwrap_or_default());
        }
        let own: BTreeSet<&str> = document["hasExtractedLicensingInfos"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|info| info["extractedText"].is_string())
            .filter_map(|info| info["licenseId"].as_str())
            .collect();
        for relation in document["relationships"].as_array().into_iter().flatten() {
            need(&mut missing, "relationship", relation, &["relationshipType"]);
            for end in ["spdxElementId", "relatedSpdxElement"] {
                if !ids.contains(relation[end].as_str().unwrap_or_default()) {
                    missing.push(format!("relationship to nothing: {relation}"));
                }
            }
        }
        for package in document["packages"].as_array().into_iter().flatten() {
            for word in package["licenseDeclared"].as_str().unwrap_or_default().split([' ', '(', ')']) {
                if word.starts_with("LicenseRef-") && !own.contains(word) {
                    missing.push(format!("text of {word}"));
                }
            }
        }
        missing
    }

    fn part(name: &str, licence: &str) -> Part {
        let own = licence.starts_with("LicenseRef-").then(|| (licence.to_owned(), "custom".to_owned()));
        Part {
            purl: super::super::purl("cargo", name, "1.0.0+x"),
            name: name.into(),
            version: "1.0.0+x".into(),
            licence: licence.into(),
            own_licences: own.into_iter().collect(),
        }
    }

    #[test]
    fn a_document_has_every_field_that_the_specification_requires() {
        let parts = [part("serde", "MIT OR Apache-2.0"), part("odd", "LicenseRef-Debian-custom")];
        let document = of("api", "2026-11-24T10:00:00Z", &parts);
        assert_eq!(missing(&document), Vec::<String>::new());
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        assert_eq!(document["packages"].as_array().unwrap().len(), 3);
        let reference = &document["packages"][1]["externalRefs"][0]["referenceLocator"];
        assert_eq!(reference, "pkg:cargo/serde@1.0.0%2Bx");
        assert_ne!(
            document["documentNamespace"],
            of("api", "2026-11-24T10:00:00Z", &parts[..1])["documentNamespace"]
        );
    }

    #[test]
    fn the_check_of_a_document_finds_what_is_missing() {
        let mut document = of("api", "2026-11-24T10:00:00Z", &[part("odd", "LicenseRef-Debian-custom")]);
        document["hasExtractedLicensingInfos"] = json!([]);
        document["packages"][1]["downloadLocation"] = json!("");
        document["relationships"][1]["relatedSpdxElement"] = json!("SPDXRef-none");
        assert_eq!(missing(&document).len(), 3, "{:?}", missing(&document));
    }

    #[test]
    fn the_document_of_a_program_of_ours_is_whole_and_names_its_crates() {
        let parts = super::super::sources::of_crate("xtask").unwrap();
        let document = of("xtask", "2026-11-24T10:00:00Z", &parts);
        assert_eq!(missing(&document), Vec::<String>::new());
        let names: Vec<&str> =
            document["packages"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        assert!(names.contains(&"serde_json") && names.contains(&"anyhow"), "{names:?}");
    }
}
