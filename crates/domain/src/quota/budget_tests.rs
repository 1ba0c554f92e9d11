use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::{
    money::MicroEuro,
    period::Period,
    price::{MeterPrice, PriceUnit},
    quota::count::Records,
    resources::Resources,
    usage::{FactKind, LifecycleFact, Meter},
};

const HOLDER: &str = "members/m-05766044/tenants/prod";

fn list(id: &str, month: i8, micro: i64) -> PriceList {
    let price =
        |meter, unit, micro| MeterPrice { meter, unit, price: MicroEuro(micro), title: "x".to_owned() };
    PriceList {
        id: id.parse().unwrap(),
        valid_from: date(2026, month, 1),
        resolution: "B-2026-01".to_owned(),
        prices: vec![
            price(Meter::Vcpu, PriceUnit::Hour, micro),
            price(Meter::MemoryGib, PriceUnit::Month, 3 * micro),
            price(Meter::StorageGib, PriceUnit::Month, 7 * micro),
            price(Meter::Namespace, PriceUnit::Month, micro),
        ],
    }
}

fn lists() -> Vec<PriceList> {
    vec![list("alt", 1, 12_300), list("neu", 10, 14_700)]
}

fn cpus(milli: i64) -> Charge {
    Charge { amounts: Resources { cpu_milli: milli, ..Resources::ZERO }, workspace: false }
}

fn start_of(month: &str) -> Timestamp {
    month.parse::<Period>().unwrap().start().unwrap()
}

fn opened(cents: i64, mode: Mode) -> Budget {
    let (member, bill_to) = ("m-05766044".parse().unwrap(), "main".parse().unwrap());
    Budget::opening(member, bill_to, "2026".parse().unwrap()).limited(Limit {
        cents: Cents(cents),
        mode,
        resolution: "HHS 2026".to_owned(),
    })
}

#[derive(Debug, Clone)]
enum Step {
    Commit(u8, i64),
    Release(u8),
}

fn steps() -> impl Strategy<Value = Vec<(Step, i64)>> {
    let step = prop_oneof![
        (0..5_u8, 1..4_000_i64).prop_map(|(holder, milli)| Step::Commit(holder, milli)),
        (0..5_u8).prop_map(Step::Release),
    ];
    prop::collection::vec((step, 1..900_000_i64), 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_committed_never_passes_a_binding_limit_and_nothing_that_was_spent_is_forgotten(steps in steps()) {
        let mut budget = opened(30_000, Mode::Block);
        let mut second = start_of("2026-03").as_second();
        for (step, pause) in steps {
            second += pause;
            let now = Timestamp::from_second(second).unwrap();
            let before = budget.committed().unwrap();
            match step {
                Step::Commit(holder, milli) => {
                    if let Ok(effect) = budget.commit(&holder.to_string(), &cpus(milli), now, &lists()) {
                        budget = effect.budget;
                        prop_assert_eq!(budget.committed().unwrap(), before.checked_add(effect.asked).unwrap());
                    }
                }
                Step::Release(holder) => {
                    let next = budget.release(&holder.to_string(), now, &lists()).unwrap();
                    let spent = next.ended.values().chain([&next.ended_others]).all(|cents| *cents >= Cents::ZERO);
                    prop_assert!(spent && next.committed().unwrap() <= before);
                    budget = next;
                }
            }
            prop_assert!(budget.committed().unwrap() <= Cents(30_000));
            prop_assert!(budget.holders.values().all(|one| one.settled >= Cents::ZERO && one.ahead >= Cents::ZERO));
        }
    }

    #[test]
    fn a_release_at_once_gives_all_back_and_at_the_years_end_nothing(milli in 1..4_000_i64) {
        let budget = opened(i64::MAX, Mode::Block);
        let now = start_of("2026-05");
        let held = budget.commit(HOLDER, &cpus(milli), now, &lists()).unwrap().budget;
        prop_assert_eq!(held.release(HOLDER, now, &lists()).unwrap().committed().unwrap(), Cents::ZERO);
        let end = held.year.end().unwrap();
        prop_assert_eq!(held.release(HOLDER, end, &lists()).unwrap().committed().unwrap(), held.committed().unwrap());
    }
}

#[test]
fn a_refusal_tells_limit_committed_and_asked_and_changes_nothing() {
    let now = start_of("2026-12");
    // December has 744 hours: 1 CPU at 0.0147 EUR is 10.94 EUR.
    let budget = opened(2_000, Mode::Block).commit("a", &cpus(1000), now, &lists()).unwrap().budget;
    let refused = budget.commit("b", &cpus(1000), now, &lists()).unwrap_err();
    let (limit, committed, asked) = (Cents(2_000), Cents(1_094), Cents(1_094));
    assert_eq!(refused, BudgetError::Exceeded(Excess { limit, committed, asked, mode: Mode::Block }));
    assert_eq!(budget.remaining().unwrap(), Some(Cents(906)));
    assert!(budget.commit("b", &cpus(500), now, &lists()).is_ok());
    let only_shown = Budget { limit: None, ..budget };
    assert!(only_shown.commit("b", &cpus(1000), now, &lists()).is_ok());
}

#[test]
fn shrinking_is_accepted_over_the_limit_and_when_prices_rose() {
    let now = start_of("2026-06");
    let old = [list("alt", 1, 12_300)];
    let held = opened(i64::MAX, Mode::Block).commit(HOLDER, &cpus(4000), now, &old).unwrap().budget;
    let over =
        held.limited(Limit { cents: Cents(1), mode: Mode::Block, resolution: "HHS 2026/2".to_owned() });
    let dear = [list("alt", 1, 12_300), list("teuer", 7, 900_000)];
    let later = start_of("2026-07");
    let effect = over.commit(HOLDER, &cpus(3999), later, &dear).unwrap();
    assert!(effect.asked > Cents::ZERO, "the prices of the new list count from now on");
    assert!(matches!(over.commit(HOLDER, &cpus(4001), later, &dear), Err(BudgetError::Exceeded(_))));
    assert!(over.remaining().unwrap().unwrap() < Cents::ZERO);
}

#[test]
fn what_has_no_price_is_refused_where_the_limit_binds_and_marked_where_not() {
    let now = start_of("2026-06");
    let refused = opened(100, Mode::Ask).commit(HOLDER, &cpus(1), now, &[]).unwrap_err();
    assert!(matches!(refused, BudgetError::Unpriced(ProjectionError::NoPriceList(_))));
    let shown = opened(100, Mode::Report).commit(HOLDER, &cpus(1), now, &[]).unwrap().budget;
    assert_eq!((shown.unpriced(), shown.committed().unwrap()), (1, Cents::ZERO));
}

#[test]
fn a_permission_lets_one_order_pass_once_for_its_holder_its_money_and_its_time() {
    let now = start_of("2026-12");
    let until = Timestamp::from_second(now.as_second() + 86_400).unwrap();
    let permission =
        |cents| Permission { holder: HOLDER.to_owned(), cents: Cents(cents), valid_until: until };
    let asking = opened(100, Mode::Ask);
    let with = |cents| asking.permitting("r1", permission(cents), now).unwrap();
    assert!(asking.commit(HOLDER, &cpus(1000), now, &lists()).is_err(), "nobody permitted it");
    assert!(with(1_093).commit(HOLDER, &cpus(1000), now, &lists()).is_err(), "too little");
    assert!(with(1_094).commit("other", &cpus(1000), now, &lists()).is_err(), "for another");
    assert!(with(1_094).commit(HOLDER, &cpus(1000), until, &lists()).is_err(), "too late");
    let used = with(1_094).commit(HOLDER, &cpus(1000), now, &lists()).unwrap();
    assert_eq!(used.permission.as_deref(), Some("r1"));
    assert!(used.budget.permissions.is_empty());
    assert!(used.budget.commit(HOLDER, &cpus(2000), now, &lists()).is_err(), "it counts once");
    let blocking =
        with(1_094).limited(Limit { cents: Cents(100), mode: Mode::Block, resolution: "x".to_owned() });
    assert!(blocking.commit(HOLDER, &cpus(1000), now, &lists()).is_err(), "a limit that blocks asks nobody");
}

#[test]
fn a_count_from_the_records_gives_the_ledgers_numbers_where_nothing_differs() {
    let (ordered, now) = (start_of("2026-11"), start_of("2026-12"));
    let ledger =
        opened(1_000_000, Mode::Block).commit(HOLDER, &cpus(2000), ordered, &lists()).unwrap().budget;
    let ready = |amounts| LifecycleFact {
        id: "f".to_owned(),
        member: "m-05766044".parse().unwrap(),
        subject: HOLDER.to_owned(),
        uid: "0192f0c1-2345-7abc-8def-0123456789ab".parse().unwrap(),
        kind: FactKind::Ready,
        generation: 1,
        occurred: ordered,
        received: ordered,
        amounts,
        workspace: false,
        bill_to: "main".parse().unwrap(),
        accounting_reference: String::new(),
    };
    let facts = [ready(cpus(2000).amounts)];
    let living = BTreeMap::from([(HOLDER.to_owned(), cpus(2000))]);
    let lists = lists();
    let records = Records { facts: &facts, imported: &[], living: &living, lists: &lists };
    let counted = ledger.counted(records, now).unwrap();
    assert_eq!(counted.committed().unwrap(), ledger.committed().unwrap());
    assert!(ledger.drift(&counted, Cents::ZERO).unwrap().is_empty());
    let none = BTreeMap::new();
    let ended = ledger.counted(Records { living: &none, ..records }, now).unwrap();
    let drift = ledger.drift(&ended, Cents(1)).unwrap();
    assert_eq!(drift.len(), 1);
    assert!(drift[0].records < drift[0].ledger, "what does not live on costs nothing any more");
    let foreign = Budget { bill_to: "schulen".parse().unwrap(), ..ledger };
    let other = foreign.counted(Records { living: &none, ..records }, now).unwrap();
    assert_eq!(other.committed().unwrap(), Cents::ZERO, "another recipient pays that");
}
