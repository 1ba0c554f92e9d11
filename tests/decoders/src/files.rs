//! Files of people and what tools print: issuers, register, Helm.

use allmende_api::{
    app::register::{self, Upload},
    authn::Issuers,
};
use allmende_operator::helm::failure;

/// As the guide for signing in has it.
pub(crate) const ISSUERS: &str = r#"
[[issuer]]
alias = "seed"
issuer = "https://issuer.seed.invalid"
audience = "https://allmende.example"
algorithms = ["ES256"]
groups_claim = "groups"

[[group]]
issuer = "seed"
group = "Kasse"
member = "m-05766044"
role = "accountant"
"#;

const MUNICIPALITIES: &str =
    "ags,name,land,einwohner,plz\n05766044,Lemgo,05,40619,32657\n05374052,Wiehl,05,25090,51674\n";
const COUNTIES: &str = "kreisschluessel,name,land,einwohner\n05766,Lippe,05,347514\n";

pub(crate) fn check(bytes: &[u8]) -> bool {
    // One of both tables, so that a change in one does not cost the other.
    let upload = |municipalities: &[u8], counties: &[u8]| Upload {
        edition: "2026-01-01".to_owned(),
        population_as_of: "2024-12-31".to_owned(),
        source: "seed".to_owned(),
        municipalities: municipalities.to_vec(),
        counties: counties.to_vec(),
    };
    let mut taken = false;
    for upload in [upload(bytes, COUNTIES.as_bytes()), upload(MUNICIPALITIES.as_bytes(), bytes)] {
        if let Ok((edition, entries)) = register::parse(&upload) {
            let told = edition.municipalities.checked_add(edition.counties);
            assert_eq!(told, i64::try_from(entries.len()).ok(), "entries were lost");
            assert!(
                entries.is_sorted_by(|a, b| a.key < b.key),
                "entries are not in order, or one is there twice"
            );
            taken = true;
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return taken };
    let error = failure::translate(text);
    assert!(!error.detail.to_lowercase().contains("password"), "a line with a password was kept");
    taken | Issuers::parse(text).is_ok()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [ISSUERS, MUNICIPALITIES, COUNTIES].iter().map(|text| text.as_bytes().to_vec()).collect()
}
