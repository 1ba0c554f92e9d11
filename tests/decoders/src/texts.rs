//! Everything that is parsed from one text: what parses is written again as it came.

use std::{fmt::Display, str::FromStr};

use allmende_api::pagination::PageRequest;
use allmende_domain::{ids, leitweg::LeitwegId, period::Period, usage::Meter};
use allmende_identity::{Identity, http_client};
use allmende_operator::quantity;

fn same<T: FromStr + Display>(text: &str) -> bool {
    let Ok(value) = text.parse::<T>() else { return false };
    assert_eq!(value.to_string(), text);
    true
}

pub(crate) fn check(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let ids = [
        same::<ids::MemberId>(text),
        same::<ids::TenantId>(text),
        same::<ids::InstanceId>(text),
        same::<ids::ClusterId>(text),
        same::<ids::OfferingId>(text),
        same::<ids::OperationId>(text),
        same::<ids::RequestId>(text),
        same::<Period>(text),
        same::<Identity>(text),
        same::<LeitwegId>(text),
        text.parse::<Meter>().is_ok(),
        quantity::parse_milli(text).is_some(),
        quantity::parse_whole(text).is_some(),
    ];
    let decoded = http_client::percent_decoded(text);
    if let Some(decoded) = &decoded {
        let encoded = http_client::percent_encoded(decoded);
        assert_eq!(http_client::percent_decoded(&encoded).as_deref(), Some(decoded.as_str()));
    }
    let page = PageRequest::parse(10, text, "members").map(|page| {
        // A token is another text for the same key when it has padding bits; what it names is the same.
        let after = page.after().unwrap_or_default().to_owned();
        let again = PageRequest::parse(10, &page.token(&after), "members");
        assert!(text.is_empty() || again.is_ok_and(|again| again.after() == Some(after.as_str())));
    });
    // Any text without `%` is percent-encoded; one with it is so only by its form.
    page.is_ok() || ids.contains(&true) || (text.contains('%') && decoded.is_some())
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let page =
        PageRequest::parse(10, "", "members").map(|page| page.token("/allmende/v1/member/m-05766044/"));
    let texts = [
        "m-05766044",
        "k-03455",
        "genossenschaft",
        "00000000-0000-4000-8000-000000000001",
        "2026-09",
        "allmende://member/m-05766044",
        "allmende://cluster/nord",
        "allmende://issuer/alias/subject",
        "05334-IT01-11",
        "vcpu",
        "1500m",
        "2.5Gi",
        "1e3",
        "a%20b%C3%A4",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).chain(page.ok().map(String::into_bytes)).collect()
}
