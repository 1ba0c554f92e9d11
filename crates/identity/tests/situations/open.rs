//! In an open connection: what was right at the handshake is right no longer.

use std::time::{Duration, SystemTime};

use allmende_identity::{Bar, Bars, Cut};
use allmende_testkit::ca::{Leaf, TestCa, rcgen::date_time_ymd};
use rustls_pki_types::UnixTime;
use tokio::io::AsyncReadExt;

use super::{LEMGO, Row};
use crate::parties::{LIMIT, LOOK, Server, connect};

/// Opens, lets `change` happen, and tells how the connection ends.
async fn cut(
    situation: &'static str,
    (ca, server, leaf): (&TestCa, &mut Server, &Leaf),
    change: impl FnOnce(&Server),
) -> Row {
    let mut client = connect(server, ca, Some(leaf)).await.unwrap();
    let mut served = server.accepted().await;
    let watch = tokio::spawn(server.tls.clone().watch_files(LOOK));
    change(server);
    let ended = tokio::time::timeout(LIMIT, served.read_u8()).await.is_ok_and(|read| read.is_err());
    drop(served);
    let told = tokio::time::timeout(LIMIT, client.read_u8()).await.is_ok_and(|read| read.is_err());
    watch.abort();
    let why: Vec<&str> =
        Cut::ALL.into_iter().filter(|cut| server.tls.cuts(*cut) > 0).map(Cut::name).collect();
    let outcome = if ended && told {
        format!("cut, streams included ({})", why.join(", "))
    } else {
        "ADMITTED".to_owned()
    };
    Row { situation, outcome }
}

pub async fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let ca = TestCa::new();
    let lemgo = ca.client("lemgo", &[LEMGO]);

    let mut server = Server::with_list(&ca, ca.revocation_list(&[], true)).await;
    let parties = (&ca, &mut server, &lemgo);
    rows.push(cut("revoked while connected", parties, |_| drop(ca.revocation_list(&[&lemgo], true))).await);

    let soon = SystemTime::UNIX_EPOCH + Duration::from_secs(UnixTime::now().as_secs() + 2);
    let short = ca.changed_client("short", LEMGO, |params| params.not_after = soon.into());
    let mut server = Server::of(&ca).await;
    rows.push(cut("expires while connected", (&ca, &mut server, &short), |_| ()).await);

    let other = TestCa::new();
    let mut server = Server::of(&ca).await;
    let replace = |_: &Server| {
        std::fs::copy(other.cert(), ca.cert()).unwrap();
    };
    let pem = std::fs::read(ca.cert()).unwrap();
    rows.push(
        cut("its authority is taken from the file while connected", (&ca, &mut server, &lemgo), replace)
            .await,
    );
    std::fs::write(ca.cert(), pem).unwrap();

    let cluster = ca.changed_client("cluster", "allmende://cluster/local-1", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
    });
    let mut server = Server::of(&ca).await;
    let bar = |server: &Server| {
        let bars: Bars =
            std::iter::once(("allmende://cluster/local-1".to_owned(), Bar::before(1_700_000_000))).collect();
        server.tls.bar(bars).unwrap();
    };
    let situation = "`allmende cluster revoke` while connected";
    rows.push(cut(situation, (&ca, &mut server, &cluster), bar).await);
    rows.push(resumption(&ca).await);
    rows
}

/// A client that would resume finds nothing to resume with: each connection shows its certificate anew.
async fn resumption(ca: &TestCa) -> Row {
    use crate::parties::{TLS13, config, connect_with};
    let list = ca.revocation_list(&[], true);
    let mut server = Server::with_list(ca, list).await;
    let lemgo = ca.client("resuming", &[LEMGO]);
    let tls = config(ca, Some(&lemgo), TLS13);
    let _first = connect_with(server.address, tls.clone()).await.unwrap();
    server.accepted().await;
    ca.revocation_list(&[&lemgo], true);
    server.tls.reload().unwrap();
    let again = connect_with(server.address, tls).await;
    super::row("resuming the session of a certificate revoked since", crate::parties::refusal(again).await)
}
