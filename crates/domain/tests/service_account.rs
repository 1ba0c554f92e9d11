//! The rules of service accounts.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use allmende_domain::{
    grant::Role,
    service_account::{
        AccountCredential, AccountScope, CREDENTIALS_MAX, CredentialBar, IssuedCertificate, LIFE_MAX,
        ServiceAccount,
    },
};
use jiff::Timestamp;
use proptest::prelude::*;

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn scope(role: Role, tenant: Option<&str>, read_only: bool) -> AccountScope {
    AccountScope { role, tenant: tenant.map(|tenant| tenant.parse().unwrap()), read_only }
}

fn account(scopes: Vec<AccountScope>) -> ServiceAccount {
    ServiceAccount {
        member: "m-05766044".parse().unwrap(),
        id: "ci".parse().unwrap(),
        display_name: String::new(),
        scopes,
        self_renew: true,
        disabled: false,
        expire_time: None,
        created_by: "allmende://member/m-05766044".into(),
        create_time: time(0),
        update_time: time(0),
        credentials: Vec::new(),
    }
}

fn certificate(serial: &str, end: i64) -> IssuedCertificate {
    IssuedCertificate { serial: serial.into(), not_before: time(0), not_after: time(end) }
}

fn credential(number: usize, serial: &str, end: i64) -> AccountCredential {
    AccountCredential {
        id: format!("0190f7a2-0000-7000-8000-{number:012}").parse().unwrap(),
        current: certificate(serial, end),
        renewed_from: None,
        issued_by: "allmende://member/m-05766044".into(),
        issue_time: time(0),
        renewals: 0,
    }
}

fn with(serial: &str, end: i64) -> ServiceAccount {
    account(vec![scope(Role::Viewer, None, false)]).issued(credential(1, serial, end), time(0)).unwrap()
}

#[test]
fn a_scope_reaches_its_tenant_and_what_lies_in_it_and_no_neighbour() {
    let member = "m-05766044".parse().unwrap();
    let narrow = scope(Role::Orderer, Some("prod"), false);
    for inside in ["members/m-05766044/tenants/prod", "members/m-05766044/tenants/prod/instances/db"] {
        assert!(narrow.covers(&member, inside, false), "{inside}");
    }
    for outside in [
        "members/m-05766044",
        "members/m-05766044/tenants/-",
        "members/m-05766044/tenants/production",
        "members/m-05766044/tenants/pro",
        "members/m-05374048/tenants/prod",
        "tenants/prod",
        "",
    ] {
        assert!(!narrow.covers(&member, outside, true), "{outside}");
    }
    assert!(scope(Role::Viewer, None, true).covers(&member, "members/m-05766044", true));
    assert!(!scope(Role::Viewer, None, true).covers(&member, "members/m-05766044", false));
}

#[test]
fn nobody_gives_an_account_what_it_may_not_grant() {
    let greedy =
        account(vec![scope(Role::Viewer, None, true), scope(Role::CooperativeOperator, None, false)]);
    let fields = |grantable: &[Role]| -> Vec<String> {
        greedy.violations(grantable).into_iter().map(|violation| violation.field).collect()
    };
    assert_eq!(fields(Role::Admin.grantable()), ["scopes[1].role"]);
    assert_eq!(fields(Role::Orderer.grantable()), ["scopes[0].role", "scopes[1].role"]);
}

#[test]
fn a_life_is_cut_to_the_nearest_end_and_says_which() {
    let mut one = account(vec![scope(Role::Viewer, None, false)]);
    let now = time(1_000);
    assert_eq!(one.life(3_600, None, now).unwrap().shortened, "");
    let day = one.life(LIFE_MAX + 1, None, now).unwrap();
    assert_eq!((day.not_after, day.shortened.is_empty()), (time(1_000 + LIFE_MAX), false));
    assert_eq!(one.life(i64::MAX, Some(time(2_000)), now).unwrap().shortened, "the membership ends");
    one.expire_time = Some(time(1_500));
    assert_eq!(one.life(3_600, Some(time(2_000)), now).unwrap().shortened, "the account ends");
    assert_eq!(one.life(3_600, Some(time(1_030)), now), Err(CredentialBar::NothingLeft));
    assert_eq!(one.life(3_600, None, time(1_500)), Err(CredentialBar::Ended));
    one.disabled = true;
    assert_eq!(one.life(3_600, None, now), Err(CredentialBar::Disabled));
}

#[test]
fn only_what_is_on_the_list_and_has_not_ended_speaks_for_it() {
    let one = with("a", 100);
    assert!(one.admits("a", time(99)) && !one.admits("a", time(100)) && !one.admits("b", time(1)));
    assert!(!ServiceAccount { disabled: true, ..one.clone() }.admits("a", time(1)));
    assert!(!ServiceAccount { expire_time: Some(time(1)), ..one.clone() }.admits("a", time(1)));
    let id = one.credentials[0].id.clone();
    let (without, ended) = one.revoked(&id, time(1)).unwrap();
    assert!(!without.admits("a", time(1)) && ended.current.serial == "a");
    assert!(without.revoked(&id, time(1)).is_none());
    assert!(!one.barred(Some("a"), None, time(1)).admits("a", time(1)));
    assert!(!one.barred(None, Some(time(1)), time(1)).admits("a", time(1)));
    assert!(one.barred(Some("b"), Some(time(0)), time(1)).admits("a", time(1)));
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again_and_its_first_copy_counts_no_more() {
    let one = with("a", 1_000);
    let (one, _, dropped) = one.renewed("a", certificate("b", 1_000), time(1)).unwrap();
    assert!(dropped.is_none() && one.admits("a", time(1)) && one.admits("b", time(1)));
    let (one, again, dropped) = one.renewed("a", certificate("c", 1_000), time(2)).unwrap();
    assert_eq!(dropped.unwrap().serial, "b");
    assert!(one.admits("a", time(2)) && one.admits("c", time(2)) && !one.admits("b", time(2)));
    assert_eq!(again.renewals, 2);
    let (one, _, dropped) = one.renewed("c", certificate("d", 1_000), time(3)).unwrap();
    assert_eq!(dropped.unwrap().serial, "a");
    assert_eq!(one.may_renew("a"), Err(CredentialBar::Forked));
    assert_eq!(ServiceAccount { self_renew: false, ..one }.may_renew("d"), Err(CredentialBar::NoRenewal));
}

#[test]
fn the_number_of_credentials_is_bounded_and_ended_ones_make_room() {
    let mut one = account(vec![scope(Role::Viewer, None, false)]);
    for number in 0..CREDENTIALS_MAX {
        one = one.issued(credential(number, &format!("{number}"), 100), time(0)).unwrap();
    }
    assert_eq!(one.issued(credential(99, "x", 200), time(99)), Err(CredentialBar::TooMany));
    let later = one.issued(credential(99, "x", 200), time(100)).unwrap();
    assert_eq!(later.credentials.len(), 1);
}

proptest! {
    /// Two hold a copy of the first certificate and renew in any order: never do more than two certificates count, and after somebody's
    /// second renewal the other one is locked out.
    #[test]
    fn two_holders_of_one_certificate_do_not_both_go_on(turns in proptest::collection::vec(any::<bool>(), 1..30)) {
        let mut one = with("0", 1_000);
        let mut held = ["0".to_owned(), "0".to_owned()];
        let mut renewals = [0, 0];
        for (index, second) in turns.into_iter().enumerate() {
            let who = usize::from(second);
            let serial = format!("{}", index + 1);
            if !one.admits(&held[who], time(1)) {
                continue;
            }
            let (next, ..) = one.renewed(&held[who], certificate(&serial, 1_000), time(1)).unwrap();
            one = next;
            held[who] = serial;
            renewals[who] += 1;
            prop_assert_eq!(one.credentials.len(), 1);
            prop_assert!(one.credentials[0].certificates().count() <= 2);
            prop_assert!(one.admits(&held[who], time(1)));
        }
        prop_assert!(renewals[0] < 2 || renewals[1] < 2, "{:?}", renewals);
    }

    #[test]
    fn a_life_never_reaches_beyond_a_day_the_account_or_the_membership(
        seconds in 300_i64..1_000_000, end in 100_i64..200_000, left in 100_i64..200_000,
    ) {
        let now = time(1_000_000);
        let mut one = account(vec![scope(Role::Viewer, None, false)]);
        one.expire_time = Some(time(1_000_000 + end));
        let life = one.life(seconds, Some(time(1_000_000 + left)), now).unwrap();
        let most = seconds.min(LIFE_MAX).min(end).min(left);
        prop_assert_eq!(life.not_after, time(1_000_000 + most));
        prop_assert_eq!(life.shortened.is_empty(), most == seconds);
    }
}
