//! What lies in the hot ranges, in key order, each value decoded at most once.

use std::{
    any::Any,
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    envelope::{Record, decode},
    error::StoreError,
    key::{Key, Revision, Versioned},
};

/// Room that a row takes beside its key and value, about.
const ROW_BYTES: usize = 160;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: BTreeMap<Box<str>, Arc<Row>>,
    bytes: usize,
}

/// One value.
#[derive(Debug)]
pub(crate) struct Row {
    revision: Revision,
    bytes: usize,
    form: Mutex<Form>,
}

#[derive(Debug)]
enum Form {
    /// As it lies in etcd.
    Encoded(Box<[u8]>),
    /// Once somebody has read it; the bytes are dropped then.
    Decoded(Arc<dyn Any + Send + Sync>),
}

impl Row {
    /// The value, decoded now or earlier.
    fn value<T: Record>(&self) -> Result<Arc<T>, StoreError> {
        let mut form = self.form.lock().unwrap_or_else(PoisonError::into_inner);
        let value = match &*form {
            Form::Decoded(value) => Arc::clone(value),
            Form::Encoded(bytes) => {
                let value: Arc<dyn Any + Send + Sync> = Arc::new(decode::<T>(bytes)?);
                *form = Form::Decoded(Arc::clone(&value));
                value
            }
        };
        drop(form);
        let other = |_| StoreError::Corrupt {
            kind: T::KIND,
            reason: "another kind was read from this key".to_owned(),
        };
        value.downcast::<T>().map_err(other)
    }

    /// With its key, as the readers of the store want it.
    pub(crate) fn versioned<T: Record>(&self, raw: &str) -> Result<Versioned<T>, StoreError> {
        let value = T::clone(&*self.value::<T>()?);
        Ok(Versioned { key: Key::new(raw.to_owned()), value, revision: self.revision })
    }
}

impl Rows {
    pub(crate) fn put(&mut self, raw: &str, value: &[u8], revision: Revision) {
        let bytes = raw.len() + value.len() + ROW_BYTES;
        let form = Mutex::new(Form::Encoded(value.into()));
        let row = Arc::new(Row { revision, bytes, form });
        let before = self.rows.insert(raw.into(), row);
        self.bytes = self.bytes.saturating_add(bytes).saturating_sub(before.map_or(0, |row| row.bytes));
    }

    pub(crate) fn delete(&mut self, raw: &str) {
        let before = self.rows.remove(raw);
        self.bytes = self.bytes.saturating_sub(before.map_or(0, |row| row.bytes));
    }

    pub(crate) fn get(&self, raw: &str) -> Option<Arc<Row>> {
        self.rows.get(raw).cloned()
    }

    /// At most `limit` rows of the keys that begin with `prefix`, after the key `after`.
    pub(crate) fn range(
        &self,
        (prefix, end): (&str, &str),
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(String, Arc<Row>)> {
        // A key of another range in a forged page token must not widen what is read.
        let begin = match after.filter(|key| key.starts_with(prefix)) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        self.rows
            .range::<str, _>((begin, Bound::Excluded(end)))
            .take(limit)
            .map(|(raw, row)| (raw.to_string(), Arc::clone(row)))
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Keys, values as they lie in etcd, and what holds them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use allmende_domain::ids::{ClusterId, MemberId};
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::keys;

    /// Names that begin alike: few letters, and what sorts around them.
    fn alike() -> impl Strategy<Value = MemberId> {
        "a[ab0-]{1,3}[ab0]".prop_map(|id| id.parse().expect("an id"))
    }

    proptest! {
        #[test]
        fn a_range_gives_all_of_a_member_and_nothing_of_another(
            members in vec(alike(), 1..12),
            clusters in vec("c[ab0]{0,2}", 1..6),
            after in any::<proptest::sample::Index>(),
            limit in 1_usize..8,
        ) {
            let clusters: Vec<ClusterId> = clusters.iter().map(|id| id.parse().expect("an id")).collect();
            let mut rows = Rows::default();
            let mut all = BTreeSet::new();
            for member in &members {
                for cluster in &clusters {
                    let raw = keys::account(member, cluster).raw().to_owned();
                    rows.put(&raw, b"x", Revision(1));
                    all.insert((member.clone(), raw));
                }
            }
            let raws: Vec<&String> = all.iter().map(|(_, raw)| raw).collect();
            let from: &String = raws[after.index(raws.len())];
            for member in &members {
                let range = keys::accounts(member);
                let own: Vec<&String> = all.iter().filter(|(of, _)| of == member).map(|(_, raw)| raw).collect();
                let found = rows.range((range.prefix(), &range.end()), None, usize::MAX);
                prop_assert_eq!(found.iter().map(|(raw, _)| raw).collect::<Vec<_>>(), own.clone());
                // A page goes on in the member's own range, whosever key the token names.
                let page = rows.range((range.prefix(), &range.end()), Some(from), limit);
                let rest: Vec<&String> = match own.contains(&from) {
                    true => own.into_iter().filter(|raw| *raw > from).collect(),
                    false => own,
                };
                let expected: Vec<&String> = rest.into_iter().take(limit).collect();
                prop_assert_eq!(page.iter().map(|(raw, _)| raw).collect::<Vec<_>>(), expected);
            }
            let whole = keys::accounts_all();
            let found = rows.range((whole.prefix(), &whole.end()), None, usize::MAX);
            prop_assert_eq!(found.len(), all.len());
        }

        #[test]
        fn the_room_that_rows_take_is_that_of_what_is_left(writes in vec((0_u8..4, vec(any::<u8>(), 0..20)), 0..40)) {
            let (mut rows, mut left) = (Rows::default(), BTreeMap::new());
            for (key, value) in writes {
                let raw = format!("/k/{key}");
                if value.is_empty() {
                    rows.delete(&raw);
                    left.remove(&raw);
                } else {
                    rows.put(&raw, &value, Revision(1));
                    left.insert(raw, value);
                }
            }
            let expected: usize = left.iter().map(|(raw, value)| raw.len() + value.len() + ROW_BYTES).sum();
            prop_assert_eq!((rows.len(), rows.bytes()), (left.len(), expected));
        }
    }
}
