//! Many members out of the real register, with no more than they need.

use std::path::Path;

use allmende_proto::v1;

/// Rows of the real register, with its head.
fn rows(file: &str) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    std::fs::read_to_string(data.join(file)).unwrap()
}

/// Keys of so many municipalities.
///
/// # Panics
/// When there are fewer.
pub fn keys(count: usize) -> Vec<String> {
    let text = rows("gemeinden_2023-11-30.csv");
    let keys: Vec<String> = text.lines().skip(1).take(count).map(|line| line[..8].to_owned()).collect();
    assert_eq!(keys.len(), count, "the register has fewer municipalities");
    keys
}

/// A register of these alone, and their counties.
pub fn import(keys: &[String]) -> Vec<v1::ImportRegisterRequest> {
    let kept = |file: &str, wanted: &dyn Fn(&str) -> bool| -> Vec<u8> {
        let text = rows(file);
        let lines = text.lines().enumerate().filter(|(row, line)| *row == 0 || wanted(line));
        (lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n") + "\n").into_bytes()
    };
    let ours = |line: &str| keys.iter().any(|key| line.starts_with(key.as_str()));
    let counties = |line: &str| keys.iter().any(|key| line.starts_with(&key[..5]));
    vec![v1::ImportRegisterRequest {
        edition: "2023-11-30".into(),
        population_as_of: "2022-12-31".into(),
        source: "Destatis GV-ISys, dl-de/by-2-0".into(),
        municipalities_csv: kept("gemeinden_2023-11-30.csv", &ours),
        counties_csv: kept("kreise_2023-11-30.csv", &counties),
    }]
}

/// The onboarding of one of them.
pub fn onboarding(key: &str) -> v1::CreateMemberRequest {
    let shares = vec![v1::ShareHolding { count: 4, valid_from: "2020-01-01".into() }];
    v1::CreateMemberRequest {
        member: Some(v1::Member { register_key: key.into(), shares, ..Default::default() }),
        bill_to: Some(v1::BillTo {
            recipient_name: "Stadtkasse (Muster)".into(),
            // Check digits of the Leitweg-ID: 98 less the number modulo 97.
            leitweg_id: leitweg_id(key),
            street: "Musterweg 1".into(),
            postal_code: "32657".into(),
            city: "Musterstadt".into(),
            electronic_address: "rechnung@muster.example".into(),
            valid_from: "2020-01-01".into(),
            ..Default::default()
        }),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    }
}

fn leitweg_id(key: &str) -> String {
    let number: u64 = key.parse::<u64>().unwrap() * 100 % 97;
    format!("{key}-{:02}", 98 - number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn check_digits_are_those_of_the_sample() {
        assert_eq!(super::leitweg_id("05374048"), "05374048-33");
    }
}
