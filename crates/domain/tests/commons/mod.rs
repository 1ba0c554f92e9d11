//! A small pool in memory: one cluster, a few members, their accounts and loans, and what the cluster shows, which lags behind.

use std::collections::BTreeMap;

use allmende_domain::{
    account::{QuotaAccount, Target},
    cluster::Cluster,
    ids::{LoanId, MemberId},
    quota::{
        approval::Eye,
        capacity::{PlannedShrink, ShrinkPlan, lower},
        division::{Seat, divide},
        loan::{Loan, LoanState, LoanTerms, Moment, OverdueDecision, Parties, Shown, Side},
        rule::{Basis, Overcommit, PoolRule, RulePart},
    },
    resources::Resources,
};
use jiff::{Timestamp, ToSpan, civil::Date, civil::date};

/// The day on which everything begins.
const FIRST_DAY: Date = date(2027, 1, 1);

/// What happens to the pool.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Join(u8),
    Exit(u8),
    Reserve(u8, u8, i64, i64),
    Resize(u8, u8, i64, i64),
    Release(u8, u8),
    /// The cluster shows what is booked for a member now.
    Show(u8),
    Entitle(u8, i64, i64),
    Capacity(i64, i64),
    /// Less capacity, with a plan that brings two members down.
    CapacityWithPlan(i64, i64, u8, u8, i64),
    /// A new division: shares of each member, overcommit of CPU.
    Divide(Vec<i64>, u32),
    Settle(u8),
    Offer(u8, i64, i64),
    ApproveOffer(u8),
    Take(u8, u8),
    ApproveTake(u8),
    Begin(u8),
    Withdraw(u8, bool),
    Refuse(u8),
    Recall(u8),
    GiveBack(u8),
    Decide(u8, u8),
    Wait(i64),
}

/// See the module.
pub(crate) struct Commons {
    pub(crate) cluster: Cluster,
    pub(crate) accounts: BTreeMap<MemberId, QuotaAccount>,
    pub(crate) loans: Vec<Loan>,
    /// What the cluster shows, by member and holder.
    pub(crate) shown: BTreeMap<(MemberId, String), Resources>,
    /// How often each loan came to an end.
    pub(crate) ends: BTreeMap<LoanId, u32>,
    day: i64,
}

pub(crate) fn amounts(cpu: i64, memory: i64) -> Resources {
    Resources { cpu_milli: cpu, memory_bytes: memory, ..Resources::ZERO }
}

/// Ids of which each is a prefix or a neighbour of another.
pub(crate) fn member(number: u8) -> MemberId {
    let ids = ["aaa", "aaa-b", "aaa0", "aaab"];
    ids[usize::from(number) % ids.len()].parse().unwrap()
}

fn eye(member: &MemberId) -> Eye {
    Eye {
        principal: format!("second of {member}"),
        role: allmende_domain::grant::Role::Approver,
        deputy: None,
    }
}

impl Commons {
    pub(crate) fn new(cpu: i64, memory: i64) -> Self {
        let cluster = Cluster {
            id: "c".parse().unwrap(),
            display_name: "c".to_owned(),
            capacity: amounts(cpu, memory),
            carved: Resources::ZERO,
            overcommit: Overcommit::default(),
            create_time: Timestamp::UNIX_EPOCH,
        };
        let (accounts, shown, ends) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { cluster, accounts, loans: Vec::new(), shown, ends, day: 0 }
    }

    pub(crate) fn moment(&self) -> Moment {
        let today = FIRST_DAY.checked_add(self.day.days()).unwrap();
        let now = Timestamp::from_second(self.day * 86_400).unwrap();
        Moment { now, today }
    }

    fn account(&self, number: u8) -> Option<QuotaAccount> {
        self.accounts.get(&member(number)).cloned()
    }

    fn keep(&mut self, account: QuotaAccount) {
        self.accounts.insert(account.member.clone(), account);
    }

    /// Writes an account with another entitlement, and the cluster with it.
    fn carve(&mut self, next: QuotaAccount) -> Option<()> {
        let before = &self.accounts.get(&next.member)?.guaranteed;
        self.cluster = self.cluster.carve(before, &next.guaranteed).ok()?;
        self.keep(next);
        Some(())
    }

    /// Does one thing. None: it was refused, and nothing was changed.
    pub(crate) fn apply(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::Join(m) => {
                if self.account(*m).is_none() {
                    self.keep(QuotaAccount::empty(member(*m), self.cluster.id.clone()));
                }
            }
            Step::Exit(m) => return self.exit(*m),
            Step::Reserve(m, holder, cpu, memory) => {
                let next = self.account(*m)?.admit(&holder.to_string(), amounts(*cpu, *memory)).ok()?;
                self.keep(next);
            }
            Step::Resize(m, holder, cpu, memory) => {
                let next = self.account(*m)?.change(&holder.to_string(), amounts(*cpu, *memory)).ok()?;
                self.keep(next);
            }
            Step::Release(m, holder) => {
                let next = self.account(*m)?.release(&holder.to_string());
                self.shown.remove(&(member(*m), holder.to_string()));
                self.keep(next);
            }
            Step::Show(m) => {
                for (holder, booked) in self.account(*m)?.holders {
                    self.shown.insert((member(*m), holder), booked);
                }
            }
            Step::Wait(days) => self.wait(*days),
            Step::Entitle(..)
            | Step::Capacity(..)
            | Step::CapacityWithPlan(..)
            | Step::Divide(..)
            | Step::Settle(_) => return self.decide(step),
            loan => return self.lend(loan),
        }
        Some(())
    }

    /// Steps of the cooperative.
    fn decide(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::Entitle(m, cpu, memory) => {
                let next = self.account(*m)?.with_guaranteed(amounts(*cpu, *memory), "GV").ok()?;
                self.carve(next)
            }
            Step::Capacity(cpu, memory) => {
                self.cluster = self.cluster.with_capacity(amounts(*cpu, *memory)).ok()?;
                Some(())
            }
            Step::CapacityWithPlan(cpu, memory, one, other, keep) => {
                let accounts = [self.account(*one)?, self.account(*other)?];
                let shrink = accounts.iter().map(|account| PlannedShrink {
                    member: account.member.clone(),
                    guaranteed: account.entitled().min(amounts(*keep, *keep)),
                });
                let plan = ShrinkPlan {
                    resolution: "GV".to_owned(),
                    resolve_by: self.moment().today.tomorrow().unwrap(),
                    shrink: shrink.collect(),
                };
                plan.violations(self.moment().today).is_empty().then_some(())?;
                let (cluster, changed) =
                    lower(&self.cluster, amounts(*cpu, *memory), &plan, &accounts).ok()?;
                self.cluster = cluster;
                changed.into_iter().for_each(|account| self.keep(account));
                Some(())
            }
            Step::Divide(shares, overcommit) => self.divide(shares, *overcommit),
            Step::Settle(m) => {
                let next = self.account(*m)?.settle(&self.cluster.room().ok()?).ok()?;
                self.carve(next)
            }
            _ => None,
        }
    }

    fn divide(&mut self, shares: &[i64], overcommit: u32) -> Option<()> {
        let rule = PoolRule {
            id: "r".parse().unwrap(),
            valid_from: FIRST_DAY,
            resolution: "GV".to_owned(),
            parts: vec![RulePart { basis: Basis::Shares, permille: 1_000 }],
            fixed: Vec::new(),
            reserve_permille: 50,
            overcommit: Overcommit([("requests.cpu".to_owned(), overcommit)].into()),
            resolve_days: 30,
            create_time: Timestamp::UNIX_EPOCH,
        };
        let members: Vec<MemberId> = self.accounts.keys().cloned().collect();
        let seats = members.iter().zip(shares).map(|(member, shares)| Seat {
            member: member.clone(),
            register_key: String::new(),
            shares: *shares,
            inhabitants: 0,
        });
        let seats: Vec<Seat> = seats.collect();
        let division = divide(&rule, &self.cluster.id, &self.cluster.capacity, &seats).ok()?;
        self.cluster.overcommit = rule.overcommit;
        let resolve_by = self.moment().today.checked_add(30.days()).unwrap();
        for row in division.rows {
            let target = Target { guaranteed: row.total, resolution: "GV".to_owned(), resolve_by };
            let next = self.accounts.get(&row.member)?.retarget(target, &self.cluster.room().ok()?).ok()?;
            self.carve(next)?;
        }
        Some(())
    }

    /// A member with reservations or loans does not leave.
    fn exit(&mut self, number: u8) -> Option<()> {
        let account = self.account(number)?;
        let free = account.holders.is_empty() && account.lendings.is_empty() && account.borrowings.is_empty();
        let open =
            self.loans.iter().any(|loan| !loan.state.is_final() && loan.side_of(&account.member).is_some());
        (free && !open).then_some(())?;
        self.carve(account.with_guaranteed(Resources::ZERO, "GV").ok()?)?;
        self.accounts.remove(&member(number));
        Some(())
    }

    fn wait(&mut self, days: i64) {
        self.day += days;
        for index in 0..self.loans.len() {
            let loan = self.loans[index].clone();
            let borrower = loan.borrower.as_ref().and_then(|borrower| self.accounts.get(borrower));
            if let Some((next, account)) = loan.pass_time(borrower, self.moment()).unwrap() {
                account.into_iter().for_each(|account| self.keep(account));
                self.replace(index, next);
            }
        }
    }

    fn replace(&mut self, index: usize, next: Loan) {
        if next.state.is_final() && !self.loans[index].state.is_final() {
            *self.ends.entry(next.id.clone()).or_default() += 1;
        }
        self.loans[index] = next;
    }

    fn index_of(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.loans.len())
    }

    fn parties(&self, loan: &Loan) -> Option<Parties> {
        let borrower = self.accounts.get(loan.borrower.as_ref()?)?.clone();
        Some(Parties { lender: self.accounts.get(&loan.lender)?.clone(), borrower })
    }

    /// Steps of a loan.
    fn lend(&mut self, step: &Step) -> Option<()> {
        let at = self.moment();
        if let Step::Offer(m, cpu, memory) = step {
            return self.offer(*m, amounts(*cpu, *memory), at);
        }
        let (Step::ApproveOffer(n)
        | Step::Take(n, _)
        | Step::ApproveTake(n)
        | Step::Begin(n)
        | Step::Withdraw(n, _)
        | Step::Refuse(n)
        | Step::Recall(n)
        | Step::GiveBack(n)
        | Step::Decide(n, _)) = step
        else {
            return None;
        };
        let index = self.index_of(*n)?;
        let loan = self.loans[index].clone();
        let next = match step {
            Step::ApproveOffer(_) => loan.approve(Side::Lender, &eye(&loan.lender), "", at).ok()?,
            Step::Take(_, m) => loan.take(&self.account(*m)?, "first", at).ok()?,
            Step::ApproveTake(_) => {
                let borrower = loan.borrower.clone()?;
                loan.approve(Side::Borrower, &eye(&borrower), "", at).ok()?
            }
            Step::Withdraw(_, lender) => {
                loan.withdraw(if *lender { Side::Lender } else { Side::Borrower }, at).ok()?
            }
            Step::Refuse(_) => loan.refuse(Side::Lender, &eye(&loan.lender), "no", at).ok()?,
            Step::Recall(_) => {
                let (next, account) = loan.recall("needed", &self.parties(&loan)?.borrower, at).ok()?;
                self.keep(account);
                next
            }
            two_accounts => {
                let parties = self.parties(&loan)?;
                let (next, Parties { lender, borrower }) = match two_accounts {
                    Step::Begin(_) => loan.begin(&parties, at),
                    Step::GiveBack(_) => loan.give_back(&parties, &self.shown_of(&parties.borrower), at),
                    Step::Decide(_, what) => {
                        let decision = match what % 3 {
                            0 => OverdueDecision::Extend(at.today.checked_add(3.days()).unwrap()),
                            1 => OverdueDecision::Leave,
                            _ => OverdueDecision::WriteOff,
                        };
                        loan.decide_overdue(&decision, &parties, at)
                    }
                    _ => return None,
                }
                .ok()?;
                self.keep(lender);
                self.keep(borrower);
                next
            }
        };
        self.replace(index, next);
        Some(())
    }

    fn offer(&mut self, number: u8, amount: Resources, at: Moment) -> Option<()> {
        let terms = LoanTerms {
            cluster: self.cluster.id.clone(),
            amount,
            from: at.today,
            until: at.today.checked_add(40.days()).unwrap(),
            notice_days: 5,
            prices: BTreeMap::new(),
        };
        terms.violations(at.today).is_empty().then_some(())?;
        let id = format!("00000000-0000-7000-8000-{:012}", self.loans.len()).parse().unwrap();
        let loan = Loan::offer(id, &self.account(number)?, terms, "first", at).ok()?;
        self.loans.push(loan);
        Some(())
    }

    /// What the cluster holds for a member: it grows at once where more is booked, and shrinks when the cluster shows it.
    pub(crate) fn shown_of(&self, account: &QuotaAccount) -> Shown {
        let held = account.holders.iter().map(|(holder, booked)| {
            let shown = self.shown.get(&(account.member.clone(), holder.clone()));
            shown.map_or_else(|| booked.clone(), |shown| booked.max(shown))
        });
        Shown(Resources::sum(&held.collect::<Vec<_>>()).unwrap())
    }

    /// Whether the loan is in the accounts: once on each side, or nowhere.
    pub(crate) fn is_booked(&self, loan: &Loan) -> (bool, bool) {
        let lent = self.accounts.values().any(|account| account.lendings.contains_key(&loan.id));
        let borrowed = self.accounts.values().any(|account| account.borrowings.contains_key(&loan.id));
        (lent, borrowed)
    }

    /// Whether it waits for nobody.
    pub(crate) fn states(&self) -> Vec<LoanState> {
        self.loans.iter().map(|loan| loan.state).collect()
    }
}
