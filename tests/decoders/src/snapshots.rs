//! The operator's snapshot: whatever the stream brings, only what the end marker counts and digests is taken.

use allmende_operator::sync::snapshot::{Collecting, digest};
use allmende_proto::v1;
use prost::Message;

/// Objects one after the other, each with its length before it.
pub(crate) fn check(bytes: &[u8]) -> bool {
    let (mut rest, mut objects) = (bytes, Vec::new());
    while let Ok(object) = v1::DesiredObject::decode_length_delimited(&mut rest) {
        objects.push(object);
        if rest.is_empty() || objects.len() > 64 {
            break;
        }
    }
    let collected = || {
        let mut collecting = Collecting::default();
        objects.iter().cloned().for_each(|object| collecting.add(object));
        collecting
    };
    let count = u64::try_from(objects.len()).unwrap_or(u64::MAX);
    let told = digest(objects.iter());
    let end = |count, digest| v1::SnapshotEnd { count, digest, ..Default::default() };
    assert!(
        collected().finish(&end(count.wrapping_add(1), told.clone())).is_err(),
        "a lost object was not missed"
    );
    assert!(collected().finish(&end(count, format!("{told}0"))).is_err(), "another digest was taken");
    let mut names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let whole = collected().finish(&end(count, told));
    assert_eq!(
        whole.is_ok(),
        names.len() == objects.len(),
        "a name that is there twice was taken, or a whole one was not"
    );
    !objects.is_empty()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for number in 0..3u64 {
        let object = v1::DesiredObject {
            name: format!("members/m-05766044/tenants/t{number}"),
            generation: number,
            deleting: number == 1,
            ..Default::default()
        };
        all.extend(object.encode_length_delimited_to_vec());
    }
    vec![all]
}
