//! Amounts as people write them: `4`, `250m`, `16Gi`. Whole base units inside, no floats; what does not come out whole is refused.

use std::collections::BTreeMap;

use allmende_proto::v1::Resources;
use clap::Args;

/// Amounts of resources on the command line.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ResourceArgs {
    /// CPUs: `4`, `0.5` or `250m`
    #[arg(long, value_name = "CPUS", value_parser = parse_cpu, allow_hyphen_values = true)]
    cpu: Option<i64>,
    /// Memory: `16Gi`, `512Mi`
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Persistent volumes: `120Gi`
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, allow_hyphen_values = true)]
    storage: Option<i64>,
    /// Number of pods
    #[arg(long, value_name = "COUNT", value_parser = parse_count, allow_hyphen_values = true)]
    pods: Option<i64>,
    /// Number of services of type LoadBalancer
    #[arg(long, value_name = "COUNT", value_parser = parse_count, allow_hyphen_values = true)]
    load_balancers: Option<i64>,
    /// Units of an extended resource that the cluster gives out: `nvidia.com/gpu=2` (several: once each)
    #[arg(long, value_name = "NAME=COUNT", value_parser = parse_extended)]
    extended: Vec<(String, i64)>,
}

impl ResourceArgs {
    /// What was given; the rest is zero.
    pub(crate) fn resources(&self) -> Resources {
        self.over(Resources::default())
    }

    /// What was given; the rest stays as it is.
    pub(crate) fn over(&self, present: Resources) -> Resources {
        let mut extended: BTreeMap<String, i64> = present.extended;
        extended.extend(self.extended.iter().cloned());
        extended.retain(|_, amount| *amount != 0);
        Resources {
            cpu_milli: self.cpu.unwrap_or(present.cpu_milli),
            memory_bytes: self.memory.unwrap_or(present.memory_bytes),
            storage_bytes: self.storage.unwrap_or(present.storage_bytes),
            pods: self.pods.unwrap_or(present.pods),
            load_balancers: self.load_balancers.unwrap_or(present.load_balancers),
            extended,
        }
    }

    /// True when nothing was given.
    pub(crate) fn is_empty(&self) -> bool {
        let given = [self.cpu, self.memory, self.storage, self.pods, self.load_balancers];
        given.iter().all(Option::is_none) && self.extended.is_empty()
    }
}

/// Units of bytes, binary before decimal.
const BYTE_UNITS: [(&str, i64); 11] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("", 1),
];

/// Units of CPUs, in thousandths.
const CPU_UNITS: [(&str, i64); 2] = [("m", 1), ("", 1000)];

/// Things come in pieces.
const PIECES: [(&str, i64); 1] = [("", 1)];

/// Largest amount that the API takes: far above any cluster.
const MOST: i128 = 1 << 60;

/// Thousandths of a CPU.
pub(crate) fn parse_cpu(text: &str) -> Result<i64, String> {
    parse(text, &CPU_UNITS)
        .map_err(|wrong| format!("`{text}` is no amount of CPUs ({wrong}): write 4, 0.5 or 250m"))
}

/// Bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<i64, String> {
    parse(text, &BYTE_UNITS)
        .map_err(|wrong| format!("`{text}` is no amount of bytes ({wrong}): write 16Gi, 512Mi or 1000000"))
}

/// A number of things.
pub(crate) fn parse_count(text: &str) -> Result<i64, String> {
    parse(text, &PIECES).map_err(|wrong| format!("`{text}` is no number of pieces ({wrong}): write 10"))
}

/// `nvidia.com/gpu=2`; also with the `requests.` that a ResourceQuota puts before it. Whether there is such a resource the API knows.
pub(crate) fn parse_extended(text: &str) -> Result<(String, i64), String> {
    let (name, count) = text.rsplit_once('=').unwrap_or((text, ""));
    let name = name.strip_prefix("requests.").unwrap_or(name);
    if !name.contains('/') || count.is_empty() {
        return Err(format!("`{text}` is no extended resource: write nvidia.com/gpu=2"));
    }
    Ok((name.to_owned(), parse_count(count)?))
}

/// A decimal number with one of the units (smallest unit whole), or what is wrong with it.
fn parse(text: &str, units: &[(&str, i64)]) -> Result<i64, String> {
    if text.starts_with('-') {
        return Err("it must not be negative".to_owned());
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let exponent = suffix.strip_prefix(['e', 'E']);
    if exponent.is_some_and(|power| power.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')))
    {
        return Err("powers of ten are not read: write the digits or a unit".to_owned());
    }
    let Some((_, unit)) = units.iter().find(|(name, _)| *name == suffix) else {
        let known: Vec<&str> = units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("`{suffix}` is no unit of it; units: {known}"));
    };
    scaled(number, *unit)
}

/// A decimal number times `unit`, if that is whole and no more than a cluster can have.
fn scaled(number: &str, unit: i64) -> Result<i64, String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err("it is no decimal number with a point".to_owned());
    }
    let too_large = || "it is more than a cluster can have".to_owned();
    let not_whole = || "it does not come out whole in the smallest unit".to_owned();
    let fraction = fraction.trim_end_matches('0');
    // What has more digits than any unit has factors of ten does not come out whole.
    let base = u32::try_from(fraction.len()).ok().and_then(|places| 10_i128.checked_pow(places));
    let base = base.filter(|_| fraction.len() <= 18).ok_or_else(not_whole)?;
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().map_err(|_| not_whole())? };
    let whole = whole.trim_start_matches('0');
    let whole = match whole.len() {
        0 => 0,
        1..=19 => whole.parse::<i128>().map_err(|_| too_large())?,
        _ => return Err(too_large()),
    };
    // At most 10^19 × 10^18 + 10^18: within i128; the unit may carry it beyond.
    let numerator = whole * base + part;
    let product = numerator.checked_mul(i128::from(unit)).ok_or_else(too_large)?;
    if product % base != 0 {
        return Err(not_whole());
    }
    let amount = product / base;
    if amount > MOST { Err(too_large()) } else { i64::try_from(amount).map_err(|_| too_large()) }
}

/// `4`, `250m`.
pub(crate) fn cpu_text(milli: i64) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// In the largest binary unit that comes out whole.
pub(crate) fn bytes_text(bytes: i64) -> String {
    let binary = BYTE_UNITS.iter().take(5).rev().find(|(_, unit)| bytes != 0 && bytes % unit == 0);
    binary.map_or_else(|| bytes.to_string(), |(suffix, unit)| format!("{}{suffix}", bytes / unit))
}

/// The amount of a resource by its name in a ResourceQuota.
pub(crate) fn amount_of(resources: &Resources, resource: &str) -> i64 {
    match resource {
        "requests.cpu" => resources.cpu_milli,
        "requests.memory" => resources.memory_bytes,
        "requests.storage" => resources.storage_bytes,
        "pods" => resources.pods,
        "services.loadbalancers" => resources.load_balancers,
        other => {
            let name = other.strip_prefix("requests.").unwrap_or(other);
            resources.extended.get(name).copied().unwrap_or(0)
        }
    }
}

/// The same amount as people write it.
pub(crate) fn amount_text(resource: &str, amount: i64) -> String {
    match resource {
        "requests.cpu" => cpu_text(amount),
        "requests.memory" | "requests.storage" => bytes_text(amount),
        _ => amount.to_string(),
    }
}

/// One line for people; `-` when there is nothing.
pub(crate) fn resources_text(resources: &Resources) -> String {
    let parts = [
        (resources.cpu_milli, format!("{} CPU", cpu_text(resources.cpu_milli))),
        (resources.memory_bytes, format!("{} RAM", bytes_text(resources.memory_bytes))),
        (resources.storage_bytes, format!("{} disk", bytes_text(resources.storage_bytes))),
        (resources.pods, format!("{} pods", resources.pods)),
        (resources.load_balancers, format!("{} LB", resources.load_balancers)),
    ];
    let extended = resources.extended.iter().map(|(name, amount)| (*amount, format!("{amount} {name}")));
    let told: Vec<String> =
        parts.into_iter().chain(extended).filter(|(amount, _)| *amount != 0).map(|(_, text)| text).collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_writes_them() {
        assert_eq!(parse_cpu("4"), Ok(4000));
        assert_eq!(parse_cpu("0.5"), Ok(500));
        assert_eq!(parse_cpu("250m"), Ok(250));
        assert_eq!(parse_bytes("16Gi"), Ok(16 << 30));
        assert_eq!(parse_bytes("1.5Gi"), Ok(3 << 29));
        assert_eq!(parse_bytes("512Mi"), Ok(512 << 20));
        assert_eq!(parse_bytes("2G"), Ok(2_000_000_000));
        assert_eq!(parse_bytes("1000"), Ok(1000));
    }

    #[test]
    fn what_is_no_amount_or_not_whole_is_refused_with_an_example() {
        for bad in
            ["", "-1", "4 CPUs", "0.0001", "1.2.3", "1.", ".5", "٣", "99999999999999999999", "1e3", "0.5m"]
        {
            assert!(parse_cpu(bad).is_err_and(|text| text.contains("250m")), "{bad}");
        }
        for bad in ["Gi", "16gi", "-1Gi", "0.3", "16 Gi", "99999999Pi", "1e30", "2Gi4", "500m", "NaN", "inf"]
        {
            assert!(parse_bytes(bad).is_err_and(|text| text.contains("16Gi")), "{bad}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let told = |text: &str, wrong: &str| {
            let refusal =
                parse_count(text).or_else(|_| parse_bytes(text)).or_else(|_| parse_cpu(text)).unwrap_err();
            assert!(refusal.contains(wrong), "{text}: {refusal}");
        };
        told("-4", "must not be negative");
        told("1e30", "powers of ten");
        told("1E+3", "powers of ten");
        told("4 CPUs", "units: m");
        told("0.0001", "whole");
        told("99999999999999999999999", "more than a cluster can have");
        assert!(parse_count("2.5").unwrap_err().contains("whole"), "half a pod");
        assert!(parse_count("10m").unwrap_err().contains("no unit"));
        assert_eq!(parse_count("10.0"), Ok(10));
        assert!(parse_bytes("500m").unwrap_err().contains("`m` is no unit"));
        assert_eq!(parse_extended("requests.nvidia.com/gpu=2"), Ok(("nvidia.com/gpu".to_owned(), 2)));
        for bad in ["nvidia.com/gpu", "gpu=1", "nvidia.com/gpu=", "nvidia.com/gpu=-1", "nvidia.com/gpu=0.5"] {
            assert!(parse_extended(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_exactly_what_was_written(milli in 0..=(1_i64 << 60)) {
            let decimal = format!("{}.{:03}", milli / 1000, milli % 1000);
            prop_assert_eq!(parse_cpu(&decimal), Ok(milli));
            prop_assert_eq!(parse_cpu(&format!("{milli}m")), Ok(milli));
            prop_assert_eq!(parse_cpu(&cpu_text(milli)), Ok(milli));
            prop_assert_eq!(parse_bytes(&bytes_text(milli)), Ok(milli));
        }

        #[test]
        fn no_text_is_read_as_less_than_nothing_or_more_than_a_cluster_or_breaks_the_reader(
            text in "[0-9]{0,24}[.]?[0-9]{0,24}(|m|Ki|Gi|Pi|e|E|-|,|[a-z])[0-9]{0,3}",
        ) {
            for read in [parse_cpu(&text), parse_bytes(&text), parse_count(&text)] {
                prop_assert!(read.is_err() || read.is_ok_and(|amount| (0..=1 << 60).contains(&amount)));
            }
        }
    }

    #[test]
    fn amounts_are_written_so_that_they_can_be_read_again() {
        for bytes in [0, 1, 1024, 3 << 29, 16 << 30, 1_000_000, -(5_i64 << 30)] {
            let text = bytes_text(bytes);
            if bytes >= 0 {
                assert_eq!(parse_bytes(&text), Ok(bytes), "{text}");
            }
        }
        assert_eq!(bytes_text(-(5_i64 << 30)), "-5Gi");
        assert_eq!(cpu_text(1500), "1500m");
        let some = Resources {
            cpu_milli: 4000,
            memory_bytes: 16 << 30,
            pods: 40,
            load_balancers: 1,
            extended: [("nvidia.com/gpu".to_owned(), 2)].into(),
            ..Resources::default()
        };
        assert_eq!(resources_text(&some), "4 CPU, 16Gi RAM, 40 pods, 1 LB, 2 nvidia.com/gpu");
    }
}
