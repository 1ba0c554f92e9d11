//! Connections that live when the rules change: who would be refused now is cut off, everybody else notices nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

mod parties;

use std::time::{Duration, SystemTime};

use allmende_identity::{AcceptorLimits, Bar, Bars, Connection, Cut};
use allmende_testkit::ca::{Leaf, TestCa};
use parties::{LIMIT, LOOK, Server, connect, paths, refusal};
use rustls_pki_types::UnixTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// Both ends of one connection.
struct Pair {
    client: TlsStream<TcpStream>,
    served: Connection,
}

impl Pair {
    async fn open(server: &mut Server, ca: &TestCa, own: Option<&Leaf>) -> Self {
        let client = connect(server, ca, own).await.unwrap();
        Self { client, served: server.accepted().await }
    }

    async fn works(&mut self) {
        self.client.write_all(b"x").await.unwrap();
        self.client.flush().await.unwrap();
        let heard = tokio::time::timeout(LIMIT, self.served.read_u8()).await;
        assert_eq!(heard.expect("in time").unwrap(), b'x');
    }

    /// A read that waits is woken and fails.
    async fn is_cut(&mut self) {
        let read = tokio::time::timeout(LIMIT, self.served.read_u8()).await.expect("cut in time");
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
        let written = self.served.write_all(b"x").await;
        assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
    }
}

fn watched(server: &Server) -> tokio::task::JoinHandle<()> {
    tokio::spawn(server.tls.clone().watch_files(LOOK))
}

/// By the clock that handshakes go by.
fn in_three_seconds() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(UnixTime::now().as_secs() + 3)
}

const LEMGO: &str = "allmende://member/m-05766044";
const WIEHL: &str = "allmende://member/m-05374048";

#[tokio::test]
async fn a_revoked_certificate_cuts_its_open_connections_and_no_others() {
    let ca = TestCa::new();
    let mut server = Server::with_list(&ca, ca.revocation_list(&[], true)).await;
    let (lemgo, wiehl) = (ca.client("lemgo", &[LEMGO]), ca.client("wiehl", &[WIEHL]));
    let mut revoked =
        [Pair::open(&mut server, &ca, Some(&lemgo)).await, Pair::open(&mut server, &ca, Some(&lemgo)).await];
    let mut kept =
        [Pair::open(&mut server, &ca, Some(&wiehl)).await, Pair::open(&mut server, &ca, None).await];
    assert_eq!(server.tls.connections(), 4);
    let _watch = watched(&server);
    ca.revocation_list(&[&lemgo], true);
    for pair in &mut revoked {
        pair.is_cut().await;
    }
    for pair in &mut kept {
        pair.works().await;
    }
    assert_eq!(server.tls.cuts(Cut::Revoked), 2);
    drop(revoked);
    assert_eq!(server.tls.connections(), 2, "who is gone holds no place");
}

#[tokio::test]
async fn a_connection_ends_with_the_time_of_its_certificate() {
    let ca = TestCa::new();
    let mut server = Server::of(&ca).await;
    let short = ca.changed_client("short", LEMGO, |params| {
        params.not_after = in_three_seconds().into();
    });
    let long = ca.client("long", &[LEMGO]);
    let mut ends = Pair::open(&mut server, &ca, Some(&short)).await;
    let mut stays = Pair::open(&mut server, &ca, Some(&long)).await;
    ends.works().await;
    let _watch = watched(&server);
    ends.is_cut().await;
    stays.works().await;
    assert_eq!(server.tls.cuts(Cut::Expired), 1);
}

#[tokio::test]
async fn while_two_authorities_are_trusted_both_are_served_and_the_old_one_ends_with_its_removal() {
    let (old, new) = (TestCa::new(), TestCa::new());
    let mut server = Server::of(&old).await;
    let roots = old.cert();
    let pem = |ca: &TestCa| std::fs::read_to_string(ca.cert()).unwrap();
    let (old_pem, new_pem) = (pem(&old), pem(&new));
    let (before, after) = (old.client("before", &[LEMGO]), new.client("after", &[LEMGO]));
    let mut of_old = Pair::open(&mut server, &old, Some(&before)).await;
    assert!(refusal(connect(&server, &old, Some(&after)).await).await.is_some(), "not yet trusted");

    std::fs::write(&roots, format!("{old_pem}{new_pem}")).unwrap();
    server.tls.reload().unwrap();
    of_old.works().await;
    let mut of_new =
        Pair { client: connect(&server, &old, Some(&after)).await.unwrap(), served: server.accepted().await };
    of_new.works().await;

    std::fs::write(&roots, &new_pem).unwrap();
    server.tls.reload().unwrap();
    of_old.is_cut().await;
    of_new.works().await;
    assert_eq!(server.tls.cuts(Cut::Untrusted), 1);
}

#[tokio::test]
async fn an_outdated_list_refuses_and_cuts_everybody_with_a_certificate() {
    let ca = TestCa::new();
    let soon = in_three_seconds();
    let mut server = Server::with_list(&ca, ca.revocation_list_until(&[], soon)).await;
    let lemgo = ca.client("lemgo", &[LEMGO]);
    let mut with = Pair::open(&mut server, &ca, Some(&lemgo)).await;
    let mut without = Pair::open(&mut server, &ca, None).await;
    let _watch = watched(&server);
    with.is_cut().await;
    without.works().await;
    assert!(refusal(connect(&server, &ca, Some(&lemgo)).await).await.is_some());
    ca.revocation_list(&[], true);
    let served = async {
        while refusal_now(&server, &ca, &lemgo).await {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(LIMIT, served).await.expect("a new list opens the door again");
}

async fn refusal_now(server: &Server, ca: &TestCa, own: &Leaf) -> bool {
    match connect(server, ca, Some(own)).await {
        Err(_) => true,
        Ok(mut stream) => {
            // A server that says nothing has admitted.
            tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await.is_ok()
        }
    }
}

#[tokio::test]
async fn a_bar_refuses_what_was_issued_before_it_and_lets_in_what_comes_after() {
    let ca = TestCa::new();
    let mut server = Server::of(&ca).await;
    let cluster = "allmende://cluster/local-1";
    let dated = |file: &str, year: i32| {
        ca.changed_client(file, cluster, |params| {
            params.not_before = allmende_testkit::ca::rcgen::date_time_ymd(year, 1, 1);
        })
    };
    let (stolen, fresh) = (dated("stolen", 2021), dated("fresh", 2023));
    let other = ca.client("other", &["allmende://cluster/local-10"]);
    let mut cut = Pair::open(&mut server, &ca, Some(&stolen)).await;
    let mut kept = Pair::open(&mut server, &ca, Some(&other)).await;
    let year_2022 = 1_640_995_200;
    server.tls.bar(bars_of(cluster, Bar::before(year_2022))).unwrap();
    cut.is_cut().await;
    kept.works().await;
    assert!(refusal(connect(&server, &ca, Some(&stolen)).await).await.is_some());
    Pair::open(&mut server, &ca, Some(&fresh)).await.works().await;
    assert!(server.tls.cuts(Cut::Barred) >= 1);
    server.tls.reload().unwrap();
    assert!(refusal(connect(&server, &ca, Some(&stolen)).await).await.is_some(), "a reload forgets no bar");
}

fn bars_of(identity: &str, bar: Bar) -> Bars {
    std::iter::once((identity.to_owned(), bar)).collect()
}

#[tokio::test]
async fn a_bar_refuses_single_certificates_all_accounts_of_a_member_and_what_has_ended() {
    let ca = TestCa::new();
    let mut server = Server::of(&ca).await;
    let account = |id: &str| format!("allmende://member/m-05766044/serviceaccount/{id}");
    let (ci, backup) = (ca.client("ci", &[&account("ci")]), ca.client("backup", &[&account("backup")]));
    let fresh = ca.client("fresh", &[&account("ci")]);
    let member = ca.client("member", &[LEMGO]);
    let mut single = Pair::open(&mut server, &ca, Some(&ci)).await;
    let mut other = Pair::open(&mut server, &ca, Some(&backup)).await;
    let mut own = Pair::open(&mut server, &ca, Some(&member)).await;

    let serials = [format!("{:04x}", ci.serial)].into();
    let one = Bar { serials, ..Bar::default() };
    server.tls.bar(bars_of(&account("ci"), one)).unwrap();
    single.is_cut().await;
    assert!(refusal(connect(&server, &ca, Some(&ci)).await).await.is_some());
    let mut again = Pair::open(&mut server, &ca, Some(&fresh)).await;
    other.works().await;

    // What an account may do has changed: it connects anew, under the same certificate.
    server.tls.bar(bars_of(&account("ci"), Bar { turn: 1, ..Bar::default() })).unwrap();
    again.is_cut().await;
    other.works().await;
    let mut again = Pair::open(&mut server, &ca, Some(&fresh)).await;

    let year_2022 = Bar { ends: Some(1_640_995_200), ..Bar::default() };
    server.tls.bar(bars_of(&account("-"), year_2022)).unwrap();
    again.is_cut().await;
    other.is_cut().await;
    assert!(refusal(connect(&server, &ca, Some(&fresh)).await).await.is_some());
    own.works().await;
}

#[tokio::test]
async fn a_broken_part_leaves_the_others_to_be_renewed() {
    let ca = TestCa::new();
    let list = ca.revocation_list(&[], true);
    let mut server = Server::start(paths(&ca, Some(list)), AcceptorLimits::default()).await;
    let lemgo = ca.client("lemgo", &[LEMGO]);
    let mut pair = Pair::open(&mut server, &ca, Some(&lemgo)).await;
    std::fs::write(ca.folder().join("server.key"), "broken").unwrap();
    ca.revocation_list(&[&lemgo], true);
    let error = server.tls.reload().unwrap_err().to_string();
    assert!(error.contains("server.key") && !error.contains("broken"), "{error}");
    pair.is_cut().await;
    assert_eq!(server.tls.reloads_failed(), (1, true));
    ca.server("server");
    server.tls.reload().unwrap();
    assert_eq!(server.tls.reloads_failed(), (1, false));
    let kinds: Vec<&str> = server.tls.expiries().iter().map(|expiry| expiry.kind).collect();
    assert_eq!(kinds, ["own-certificate", "authority", "revocation-list"]);
}
