//! Every revision that the store ever had, one after another, and what must be true at each.

use std::collections::{BTreeMap, BTreeSet};

use allmende_testkit::etcd::TestEtcd;
use etcd_client::{Client, EventType, GetOptions, WatchOptions};
use serde_json::Value;

const ROOT: &str = "/allmende/v1/";

/// What was found.
#[derive(Debug, Default)]
pub struct Replay {
    /// Revisions that were looked at.
    pub revisions: u64,
    /// What was wrong, with its revision.
    pub violations: Vec<String>,
    /// How often each request id was written as done.
    pub done: BTreeMap<String, u32>,
    /// Changes of quota accounts.
    pub changes: u64,
    accounts: BTreeMap<String, Value>,
    clusters: BTreeMap<String, Value>,
    tenants: BTreeSet<String>,
}

/// One change of one key.
struct Event {
    key: String,
    value: Option<Value>,
}

impl Replay {
    /// Replays all revisions of the store.
    ///
    /// # Panics
    /// When etcd does not answer, or has forgotten something.
    pub async fn of(etcd: &TestEtcd) -> Self {
        let client = Client::connect([etcd.endpoint()], None).await.unwrap();
        let now = client.kv_client().get("now", Some(GetOptions::new().with_count_only())).await.unwrap();
        let last = now.header().unwrap().revision();
        let options = WatchOptions::new().with_prefix().with_start_revision(1).with_progress_notify();
        let mut watch = client
            .watch_client()
            .max_decoding_message_size(256 << 20)
            .watch(ROOT, Some(options))
            .await
            .unwrap();
        let mut replay = Self::default();
        let (mut at, mut batch) = (0, Vec::new());
        loop {
            let response = watch.message().await.unwrap().expect("etcd ended the watch");
            assert_eq!(response.compact_revision(), 0, "etcd has forgotten revisions");
            for event in response.events() {
                let kv = event.kv().unwrap();
                if kv.mod_revision() != at {
                    replay.revision(at, std::mem::take(&mut batch));
                    at = kv.mod_revision();
                }
                let put = event.event_type() == EventType::Put;
                batch.push(Event {
                    key: kv.key_str().unwrap().trim_start_matches(ROOT).to_owned(),
                    value: put.then(|| serde_json::from_slice::<Value>(kv.value()).unwrap()["value"].take()),
                });
            }
            // All values are of ours: the last revision is one of these.
            if at >= last {
                replay.revision(at, batch);
                return replay;
            }
        }
    }

    fn revision(&mut self, at: i64, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.revisions += 1;
        let mut accounts = BTreeSet::new();
        let mut looked_at = false;
        for Event { key, value } in events {
            match key.split('/').next().unwrap_or_default() {
                "account" => {
                    self.changes += 1;
                    looked_at = true;
                    accounts.insert(key.clone());
                    keep(&mut self.accounts, key, value);
                }
                "cluster" => {
                    looked_at = true;
                    keep(&mut self.clusters, key, value);
                }
                "tenant" => match value {
                    Some(tenant) => {
                        self.tenants.insert(name_of(&tenant));
                    }
                    None => {
                        let ids: Vec<&str> = key.split('/').map(|id| id.trim_end_matches('.')).collect();
                        self.tenants.remove(&format!("members/{}/tenants/{}", ids[1], ids[2]));
                    }
                },
                "receipt" => self.receipt(at, &key, value.as_ref()),
                _ => {}
            }
        }
        for key in accounts {
            self.check_account(at, &key);
        }
        if looked_at {
            self.check_loans(at);
            self.check_pool(at);
        }
    }

    /// A receipt that says "done" is written once and stays.
    fn receipt(&mut self, at: i64, key: &str, value: Option<&Value>) {
        let id = key.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let done = value.is_some_and(|value| value["state"] == "Done");
        if self.done.contains_key(&id) {
            self.violations.push(format!("revision {at}: the receipt of {id} was written over"));
        }
        if done {
            *self.done.entry(id).or_default() += 1;
        }
    }

    /// I2: what is reserved fits what may be. I5: what holds something is there, and what is gone holds nothing.
    fn check_account(&mut self, at: i64, key: &str) {
        let Some(account) = self.accounts.get(key) else { return };
        let mut reserved = Amounts::default();
        let holders: BTreeSet<&String> = account["holders"].as_object().unwrap().keys().collect();
        for amounts in account["holders"].as_object().unwrap().values() {
            reserved.add(amounts, 1);
        }
        let mut limit = Amounts::default();
        limit.add(&account["guaranteed"], 1);
        for (loans, times) in [("lendings", -1), ("borrowings", 1)] {
            for loan in account[loans].as_object().into_iter().flatten() {
                limit.add(&loan.1["amount"], times);
            }
        }
        if let Some(over) = reserved.first_above(&limit) {
            self.violations.push(format!("revision {at}: {key} has reserved more than it may: {over}"));
        }
        let prefix = format!("members/{}/tenants/", account["member"].as_str().unwrap());
        let there: BTreeSet<&String> = self.tenants.iter().filter(|name| name.starts_with(&prefix)).collect();
        if holders != there {
            self.violations.push(format!("revision {at}: {key} holds for {holders:?}, there are {there:?}"));
        }
    }

    /// I5: a loan is at both sides or at none, with the same amount.
    fn check_loans(&mut self, at: i64) {
        let side = |loans: &str| -> BTreeMap<String, Value> {
            let all = self.accounts.values().filter_map(|account| account[loans].as_object()).flatten();
            all.map(|(id, loan)| (id.clone(), loan["amount"].clone())).collect()
        };
        let (given, taken) = (side("lendings"), side("borrowings"));
        if given != taken {
            self.violations.push(format!("revision {at}: lent {given:?}, borrowed {taken:?}"));
        }
    }

    /// I1: what is given out of a cluster is what the cluster says, and not more than it has.
    fn check_pool(&mut self, at: i64) {
        for (key, cluster) in &self.clusters {
            let mut given = Amounts::default();
            for account in self.accounts.values().filter(|account| account["cluster"] == cluster["id"]) {
                given.add(&account["guaranteed"], 1);
            }
            let (mut carved, mut capacity) = (Amounts::default(), Amounts::default());
            carved.add(&cluster["carved"], 1);
            capacity.add(&cluster["capacity"], 1);
            if let Some(over) = given.first_above(&capacity) {
                self.violations.push(format!("revision {at}: {key} gives more than it has: {over}"));
            }
            if let Some(over) = given.first_above(&carved).or_else(|| carved.first_above(&given)) {
                self.violations.push(format!("revision {at}: {key} does not know what it gives: {over}"));
            }
        }
    }
}

fn keep(map: &mut BTreeMap<String, Value>, key: String, value: Option<Value>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn name_of(tenant: &Value) -> String {
    let text = |field: &str| tenant[field].as_str().unwrap().to_owned();
    format!("members/{}/tenants/{}", text("member"), text("id"))
}

/// Amounts by their path in the record: new resources count by themselves.
#[derive(Debug, Default)]
struct Amounts(BTreeMap<String, i128>);

impl Amounts {
    fn add(&mut self, value: &Value, times: i128) {
        self.add_at("", value, times);
    }

    fn add_at(&mut self, path: &str, value: &Value, times: i128) {
        match value {
            Value::Object(fields) => {
                for (field, inner) in fields {
                    self.add_at(&format!("{path}.{field}"), inner, times);
                }
            }
            Value::Number(number) => {
                *self.0.entry(path.to_owned()).or_default() += i128::from(number.as_i64().unwrap()) * times;
            }
            _ => {}
        }
    }

    fn first_above(&self, limit: &Self) -> Option<String> {
        let of = |path: &String| limit.0.get(path).copied().unwrap_or(0);
        let above = self.0.iter().find(|(path, amount)| **amount > of(path))?;
        Some(format!("{} {} > {}", above.0, above.1, of(above.0)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(key: &str, value: Value) -> Event {
        Event { key: key.to_owned(), value: Some(value) }
    }

    fn account(cpu: i64, held: i64) -> Value {
        let holders = json!({ "members/m-1/tenants/a": { "cpu_milli": held } });
        json!({ "member": "m-1", "cluster": "c", "guaranteed": { "cpu_milli": cpu }, "holders": holders })
    }

    fn tenant() -> Event {
        put("tenant/m-1..../a.../", json!({ "member": "m-1", "id": "a" }))
    }

    fn cluster(carved: i64) -> Event {
        let (carved, capacity) = (json!({ "cpu_milli": carved }), json!({ "cpu_milli": 10 }));
        put("cluster/c/", json!({ "id": "c", "capacity": capacity, "carved": carved }))
    }

    fn violations(events: Vec<Event>) -> Vec<String> {
        let mut replay = Replay::default();
        replay.revision(7, events);
        assert_eq!(replay.revisions, 1);
        replay.violations
    }

    #[test]
    fn a_sound_revision_is_sound() {
        let found = violations(vec![tenant(), cluster(10), put("account/m-1/c/", account(10, 10))]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn each_planted_mistake_is_found() {
        let oversold = violations(vec![tenant(), cluster(10), put("account/m-1/c/", account(10, 11))]);
        assert!(oversold[0].contains("reserved more"), "{oversold:?}");
        let given = violations(vec![tenant(), cluster(11), put("account/m-1/c/", account(11, 1))]);
        assert!(given[0].contains("gives more"), "{given:?}");
        let unknown = violations(vec![tenant(), cluster(9), put("account/m-1/c/", account(10, 1))]);
        assert!(unknown[0].contains("does not know"), "{unknown:?}");
        let orphan = violations(vec![cluster(10), put("account/m-1/c/", account(10, 1))]);
        assert!(orphan[0].contains("holds for"), "{orphan:?}");
        let mut lender = account(10, 1);
        lender["lendings"] = json!({ "l-1": { "amount": { "cpu_milli": 1 } } });
        let alone = violations(vec![tenant(), cluster(10), put("account/m-1/c/", lender)]);
        assert!(alone[0].contains("lent"), "{alone:?}");
        let twice = || put("receipt/x/id-1/", json!({ "state": "Done" }));
        assert!(violations(vec![twice(), twice()])[0].contains("written over"));
    }
}
