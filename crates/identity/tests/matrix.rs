//! Bad situations of TLS: every one is tried on a server or client as it is shipped, and ends as the table says.
//!
//! The table is `docs/reference/security/tls.md`: written with `ALLMENDE_WRITE_DOCS=1`, else compared with what is there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

mod parties;
mod situations;

use std::path::Path;

use situations::{Row, lower, open, servers, shown};

const ABOVE: &str = "\
# TLS: bad situations

Every row is tried by `cargo test -p allmende-identity --test matrix` on the server and the client as they are shipped, and this page is
written by that test (`ALLMENDE_WRITE_DOCS=1`). TLS 1.3 alone, ECDSA on P-256 for client certificates and their authorities, HTTP/2 by
ALPN, no resumption, revocation lists for every authority of a chain. The alert is what the peer receives.

";

const BELOW: &str = "
A certificate is optional in TLS and required by policy for each RPC: row 1 is admitted, and every RPC but `JoinCluster` answers it
UNAUTHENTICATED unless an access token names the caller (`api/tests/authorisation.rs`).

The validity of the configured authorities themselves is not judged in a handshake: they are trusted because they are in the file. Their
end is the metric `allmende_expiry_timestamp_seconds{kind=\"authority\"}` and has an alert.

What a stolen cluster certificate can do, and what it cannot, is in [A stolen cluster certificate](stolen-cluster-certificate.md).
";

fn table(rows: &[Row]) -> String {
    let mut text = format!("{ABOVE}| # | situation | outcome |\n|---|---|---|\n");
    for (index, row) in rows.iter().enumerate() {
        text += &format!("| {} | {} | {} |\n", index + 1, row.situation, row.outcome);
    }
    text + BELOW
}

#[tokio::test]
async fn every_bad_situation_ends_as_the_table_says() {
    let mut rows = shown::rows().await;
    rows.extend(lower::rows().await);
    rows.extend(open::rows().await);
    rows.extend(servers::rows().await);
    let admitted: Vec<&str> =
        rows.iter().filter(|row| row.outcome.starts_with("ADMITTED")).map(|row| row.situation).collect();
    assert!(admitted.is_empty(), "admitted although bad: {admitted:?}");
    assert!(rows.len() >= 24, "{}", rows.len());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/security/tls.md");
    let text = table(&rows);
    if std::env::var_os("ALLMENDE_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(page.parent().unwrap()).unwrap();
        std::fs::write(&page, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&page).unwrap_or_default();
    assert_eq!(committed, text, "docs/reference/security/tls.md is not current: ALLMENDE_WRITE_DOCS=1");
}
