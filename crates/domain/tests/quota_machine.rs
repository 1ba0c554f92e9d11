//! Everything that can happen to the pool, in any order: what must always hold does.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that fails should fail loudly"
)]

mod commons;

use allmende_domain::{quota::loan::LoanState, resources::Resources};
use commons::{Commons, Step, member};
use proptest::prelude::*;

fn one_step() -> impl Strategy<Value = Step> {
    let (m, h, n) = (0..4u8, 0..3u8, 0..6u8);
    let amount = || 0..25i64;
    prop_oneof![
        2 => m.clone().prop_map(Step::Join),
        1 => m.clone().prop_map(Step::Exit),
        6 => (m.clone(), h.clone(), amount(), amount()).prop_map(|(m, h, c, b)| Step::Reserve(m, h, c, b)),
        6 => (m.clone(), h.clone(), amount(), amount()).prop_map(|(m, h, c, b)| Step::Resize(m, h, c, b)),
        3 => (m.clone(), h).prop_map(|(m, h)| Step::Release(m, h)),
        4 => m.clone().prop_map(Step::Show),
        4 => (m.clone(), 0..50i64, 0..50i64).prop_map(|(m, c, b)| Step::Entitle(m, c, b)),
        1 => (0..120i64, 0..120i64).prop_map(|(c, b)| Step::Capacity(c, b)),
        2 => (20..100i64, 20..100i64, m.clone(), m.clone(), 0..20i64)
            .prop_map(|(c, b, one, other, keep)| Step::CapacityWithPlan(c, b, one, other, keep)),
        2 => (prop::collection::vec(0..5i64, 4), prop::sample::select(vec![1_000u32, 1_500]))
            .prop_map(|(shares, overcommit)| Step::Divide(shares, overcommit)),
        3 => m.clone().prop_map(Step::Settle),
        6 => (m.clone(), 0..12i64, 0..12i64).prop_map(|(m, c, b)| Step::Offer(m, c, b)),
        6 => n.clone().prop_map(Step::ApproveOffer),
        6 => (n.clone(), m).prop_map(|(n, m)| Step::Take(n, m)),
        6 => n.clone().prop_map(Step::ApproveTake),
        6 => n.clone().prop_map(Step::Begin),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, lender)| Step::Withdraw(n, lender)),
        1 => n.clone().prop_map(Step::Refuse),
        4 => n.clone().prop_map(Step::Recall),
        5 => n.clone().prop_map(Step::GiveBack),
        3 => (n, 0..3u8).prop_map(|(n, what)| Step::Decide(n, what)),
        3 => (1..12i64).prop_map(Step::Wait),
    ]
}

/// Begins with members that have something, so that loans come about.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let begun = (0..4u8).flat_map(|m| [Step::Join(m), Step::Entitle(m, 20, 20)]).collect::<Vec<_>>();
    prop::collection::vec(one_step(), 1..120).prop_map(move |more| [begun.clone(), more].concat())
}

/// I1: the sum of what is carved is what the cluster knows, and grows only up to what may be promised.
fn nothing_is_oversold(before: &Resources, pool: &Commons) {
    let sum = Resources::sum(pool.accounts.values().map(|account| &account.guaranteed)).unwrap();
    assert_eq!(sum, pool.cluster.carved);
    let over = pool.cluster.carved.saturating_sub(pool.cluster.ceiling().unwrap());
    for (resource, amount) in over.named() {
        // More is promised than there is only after less capacity was decided, and then it does not grow.
        assert!(amount == 0 || sum.get(&resource) <= before.get(&resource), "{resource} is oversold");
    }
}

/// I2: nobody has more reserved than it may, and what is free of a guaranteed part that is not lent can be had at once.
fn what_is_guaranteed_is_there(pool: &Commons) {
    for account in pool.accounts.values() {
        assert!(!account.reserved().unwrap().exceeds(account.limit().unwrap()), "{account:?}");
        assert!(!account.lent().unwrap().exceeds(&account.guaranteed));
        let free = account.available().unwrap();
        assert!(account.admit("probe", free.clone()).is_ok(), "{account:?} cannot have {free:?}");
        let one_way = account.lent().unwrap().min(account.borrowed().unwrap());
        assert!(one_way.is_zero(), "a chain: {account:?}");
    }
}

/// What is lent is borrowed; a loan is in both accounts exactly while it is outstanding.
fn loans_are_in_both_accounts_or_in_none(pool: &Commons) {
    for loan in &pool.loans {
        let booked = loan.state.is_outstanding();
        assert_eq!(pool.is_booked(loan), (booked, booked), "{loan:?}");
        let called_back = matches!(loan.state, LoanState::Recalled | LoanState::Overdue);
        for borrowing in pool.accounts.values().filter_map(|account| account.borrowings.get(&loan.id)) {
            assert_eq!(borrowing.recalled, called_back);
        }
    }
    let sum = |side: fn(&allmende_domain::account::QuotaAccount) -> Resources| {
        Resources::sum(&pool.accounts.values().map(side).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(sum(|account| account.lent().unwrap()), sum(|account| account.borrowed().unwrap()));
}

/// I5: what has ended, has ended once and for all.
fn every_end_is_one(before: &[LoanState], pool: &Commons) {
    for (state, now) in before.iter().zip(pool.states()) {
        assert!(!state.is_final() || *state == now, "{state:?} became {now:?}");
    }
    for loan in pool.loans.iter().filter(|loan| loan.state.is_final()) {
        assert_eq!(pool.ends.get(&loan.id), Some(&1), "{loan:?}");
    }
}

fn run(steps: &[Step]) -> Commons {
    let mut pool = Commons::new(100, 100);
    for step in steps {
        let (carved, states) = (pool.cluster.carved.clone(), pool.states());
        let (accounts, cluster) = (pool.accounts.clone(), pool.cluster.clone());
        if pool.apply(step).is_none() {
            // A division goes through account by account; everything else changes nothing when it is refused.
            let in_steps = matches!(step, Step::Divide(..));
            assert!(in_steps || (accounts == pool.accounts && cluster == pool.cluster), "{step:?}");
        }
        nothing_is_oversold(&carved, &pool);
        what_is_guaranteed_is_there(&pool);
        loans_are_in_both_accounts_or_in_none(&pool);
        every_end_is_one(&states, &pool);
        if let (Step::GiveBack(_), true) = (step, pool.accounts != accounts) {
            // What came back is nowhere in use any more.
            let returned = pool
                .accounts
                .values()
                .find(|now| now.borrowings.len() < accounts[&now.member].borrowings.len());
            let borrower = returned.unwrap();
            let gone =
                accounts[&borrower.member].borrowed().unwrap().saturating_sub(borrower.borrowed().unwrap());
            let beyond = pool.shown_of(borrower).0.saturating_sub(borrower.limit().unwrap());
            assert!(gone.min(beyond).is_zero(), "{borrower:?}");
        }
    }
    pool
}

proptest! {
    #[test]
    fn in_any_order_nothing_is_oversold_and_everything_ends_once(steps in steps()) {
        run(&steps);
    }
}

#[test]
fn the_machine_reaches_every_state_of_a_loan() {
    // A property test that never comes anywhere proves nothing: these are the ways that it can take.
    let begun = |until: &[Step]| {
        let mut steps = vec![Step::Join(0), Step::Join(1), Step::Entitle(0, 20, 20), Step::Offer(0, 0, 10)];
        steps.extend_from_slice(until);
        run(&steps).states()[0]
    };
    let active = [Step::ApproveOffer(0), Step::Take(0, 1), Step::ApproveTake(0), Step::Begin(0)];
    let with = |more: &[Step]| begun(&[&active[..], more].concat());
    assert_eq!(begun(&[]), LoanState::Offered);
    assert_eq!(begun(&active[..1]), LoanState::Open);
    assert_eq!(begun(&active[..2]), LoanState::Taken);
    assert_eq!(begun(&active), LoanState::Active);
    assert_eq!(begun(&[Step::Refuse(0)]), LoanState::Refused);
    assert_eq!(begun(&[Step::Withdraw(0, true)]), LoanState::Withdrawn);
    assert_eq!(begun(&[Step::Wait(21)]), LoanState::Expired);
    assert_eq!(begun(&[Step::ApproveOffer(0), Step::Wait(41)]), LoanState::Expired);
    assert_eq!(begun(&[Step::ApproveOffer(0), Step::Take(0, 1), Step::Withdraw(0, false)]), LoanState::Open);
    assert_eq!(with(&[Step::Recall(0)]), LoanState::Recalled);
    assert_eq!(with(&[Step::Wait(35)]), LoanState::Recalled, "its own end comes like a recall");
    assert_eq!(with(&[Step::Recall(0), Step::Wait(6)]), LoanState::Overdue);
    assert_eq!(with(&[Step::Recall(0), Step::Wait(6), Step::Decide(0, 0)]), LoanState::Recalled);
    assert_eq!(with(&[Step::Recall(0), Step::Wait(6), Step::Decide(0, 1)]), LoanState::Overdue);
    assert_eq!(with(&[Step::Recall(0), Step::Wait(6), Step::Decide(0, 2)]), LoanState::WrittenOff);
    assert_eq!(with(&[Step::GiveBack(0)]), LoanState::Returned);
    let in_use = [Step::Reserve(1, 0, 0, 4), Step::Show(1), Step::Recall(0), Step::GiveBack(0)];
    assert_eq!(with(&in_use), LoanState::Recalled, "what is in use does not go back");
    let shrunk = [&in_use[..], &[Step::Resize(1, 0, 0, 0), Step::GiveBack(0)]].concat();
    assert_eq!(with(&shrunk), LoanState::Recalled, "nor what the cluster still shows");
    assert_eq!(with(&[&shrunk[..], &[Step::Show(1), Step::GiveBack(0)]].concat()), LoanState::Returned);
    assert_eq!(member(0).as_str(), "aaa");
}
