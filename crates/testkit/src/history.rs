//! Histories of concurrent clients of one quota account, judged by a library's checker: is there an order in which every answer is right,
//! each change between its call and its answer?
//!
//! A call without an answer may have been applied at any time since, or never: it stays open to the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use todc_utils::{
    linearizability::{
        WGLChecker,
        history::{Action, History},
    },
    specifications::Specification,
};

/// Who holds how much of the account.
pub type Holders = BTreeMap<String, i64>;

/// What may be held in all.
pub const LIMIT: i64 = 10_000;

/// How a change ended for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Acknowledged.
    Done,
    /// Refused: it does not fit, or the holder holds something already (a reservation) or nothing (a change).
    Refused,
    /// No answer, or one that says nothing.
    Unknown,
}

/// An operation with its answer.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A holder takes an amount.
    Reserve(String, i64, Answer),
    /// A holder has another amount from now on.
    Resize(String, i64, Answer),
    /// A holder begins to end: it holds what it holds, and changes no more.
    End(String, Answer),
    /// A holder gives all back; nothing to give back is no mistake.
    Release(String, Answer),
    /// Who holds what.
    Read(Holders),
}

/// The account as one client alone would see it.
#[derive(Debug)]
struct Account;

/// Who holds how much, and who is ending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct State {
    held: Holders,
    ending: BTreeSet<String>,
}

impl Specification for Account {
    type State = State;
    type Operation = Operation;

    fn init() -> State {
        State::default()
    }

    fn apply(operation: &Operation, state: &State) -> (bool, State) {
        let (next, answer) = match operation {
            Operation::Read(seen) => return (*seen == state.held, state.clone()),
            Operation::Reserve(holder, amount, answer) => (state.set(holder, *amount, false), answer),
            Operation::Resize(holder, amount, answer) => (state.set(holder, *amount, true), answer),
            Operation::End(holder, answer) => (state.end(holder), answer),
            Operation::Release(holder, answer) => (Some(state.release(holder)), answer),
        };
        match (next, answer) {
            (Some(next), Answer::Done | Answer::Unknown) => (true, next),
            (Some(_), Answer::Refused) | (None, Answer::Done) => (false, state.clone()),
            (None, Answer::Refused | Answer::Unknown) => (true, state.clone()),
        }
    }
}

impl State {
    /// None: refused. Shrinking always may.
    fn set(&self, holder: &str, amount: i64, held: bool) -> Option<Self> {
        if self.held.contains_key(holder) != held || self.ending.contains(holder) {
            return None;
        }
        let mut next = self.clone();
        let before = next.held.insert(holder.to_owned(), amount).unwrap_or(0);
        (amount <= before || next.held.values().sum::<i64>() <= LIMIT).then_some(next)
    }

    fn end(&self, holder: &str) -> Option<Self> {
        let mut next = self.clone();
        (self.held.contains_key(holder) && next.ending.insert(holder.to_owned())).then_some(next)
    }

    fn release(&self, holder: &str) -> Self {
        let mut next = self.clone();
        next.held.remove(holder);
        next.ending.remove(holder);
        next
    }
}

/// Takes down what clients do, in the order in which it happens.
#[derive(Debug, Default)]
pub struct Recorder {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    actions: Vec<(usize, Action<Operation>)>,
    /// Open to the end.
    open: Vec<(usize, Operation)>,
    calls: usize,
}

/// A call under way.
#[derive(Debug)]
pub struct Call(usize);

impl Recorder {
    /// Before a call is sent. What it is is told by its answer.
    pub fn call(&self) -> Call {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.calls += 1;
        // Each call is a process of its own: a client goes on while an earlier call of it may still be under way.
        let process = taken.calls;
        taken.actions.push((process, Action::Call(Operation::Read(Holders::new()))));
        Call(process)
    }

    /// After its answer has come.
    pub fn answered(&self, Call(process): Call, operation: Operation) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = match &operation {
            Operation::Reserve(.., answer)
            | Operation::Resize(.., answer)
            | Operation::End(_, answer)
            | Operation::Release(_, answer) => *answer == Answer::Unknown,
            Operation::Read(_) => false,
        };
        if unknown {
            taken.open.push((process, operation));
        } else {
            taken.actions.push((process, Action::Response(operation)));
        }
    }

    /// A read that got no answer says nothing.
    pub fn forget(&self, Call(process): Call) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.actions.retain(|(other, _)| *other != process);
    }

    /// Operations so far, and how many of them are open.
    pub fn counts(&self) -> (usize, usize) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        (taken.actions.len().saturating_sub(taken.open.len()) / 2 + taken.open.len(), taken.open.len())
    }

    /// Whether there is an order in which all of it is right.
    pub fn is_linearizable(self) -> bool {
        let taken = self.taken.into_inner().unwrap_or_else(PoisonError::into_inner);
        let open = taken.open.into_iter().map(|(process, operation)| (process, Action::Response(operation)));
        let actions: Vec<_> = taken.actions.into_iter().chain(open).collect();
        actions.is_empty() || WGLChecker::<Account>::is_linearizable(History::from_actions(actions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(pairs: &[(&str, i64)]) -> Operation {
        Operation::Read(pairs.iter().map(|(holder, amount)| ((*holder).to_owned(), *amount)).collect())
    }

    fn reserve(amount: i64, answer: Answer) -> Operation {
        Operation::Reserve("a".to_owned(), amount, answer)
    }

    fn one_after_another(operations: Vec<Operation>) -> bool {
        let recorder = Recorder::default();
        for operation in operations {
            let call = recorder.call();
            recorder.answered(call, operation);
        }
        recorder.is_linearizable()
    }

    #[test]
    fn what_was_acknowledged_must_be_read_from_then_on() {
        assert!(one_after_another(vec![reserve(1, Answer::Done), held(&[("a", 1)])]));
        assert!(!one_after_another(vec![reserve(1, Answer::Done), held(&[])]));
        assert!(!one_after_another(vec![reserve(LIMIT + 1, Answer::Done)]));
        assert!(!one_after_another(vec![reserve(1, Answer::Refused)]), "nothing stood in the way");
    }

    #[test]
    fn what_is_not_known_may_have_happened_then_or_later_or_never_but_not_twice() {
        let unknown = || reserve(1, Answer::Unknown);
        assert!(one_after_another(vec![unknown(), held(&[]), held(&[("a", 1)])]));
        assert!(one_after_another(vec![unknown(), held(&[]), held(&[])]));
        assert!(!one_after_another(vec![unknown(), held(&[("a", 1)]), held(&[])]));
    }

    #[test]
    fn calls_at_the_same_time_may_come_in_either_order() {
        let recorder = Recorder::default();
        let (one, other) = (recorder.call(), recorder.call());
        recorder.answered(other, held(&[]));
        recorder.answered(one, reserve(1, Answer::Done));
        assert!(recorder.is_linearizable());
    }
}
