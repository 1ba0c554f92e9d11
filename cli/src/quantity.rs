//! Amounts as people write them: `4`, `250m`, `16Gi`. Whole base units inside; what does not come out whole is refused.

use allmende_proto::v1::Resources;
use clap::Args;

/// Amounts of resources on the command line.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ResourceArgs {
    /// CPUs: `4`, `0.5` or `250m`
    #[arg(long, value_name = "CPUS", value_parser = parse_cpu)]
    cpu: Option<i64>,
    /// Memory: `16Gi`, `512Mi`
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory: Option<i64>,
    /// Persistent volumes: `120Gi`
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    storage: Option<i64>,
    /// Number of pods
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(0..))]
    pods: Option<i64>,
}

impl ResourceArgs {
    /// What was given; the rest is zero.
    pub(crate) fn resources(&self) -> Resources {
        self.over(Resources::default())
    }

    /// What was given; the rest stays as it is.
    pub(crate) fn over(&self, present: Resources) -> Resources {
        Resources {
            cpu_milli: self.cpu.unwrap_or(present.cpu_milli),
            memory_bytes: self.memory.unwrap_or(present.memory_bytes),
            storage_bytes: self.storage.unwrap_or(present.storage_bytes),
            pods: self.pods.unwrap_or(present.pods),
        }
    }

    /// True when nothing was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none() && self.storage.is_none() && self.pods.is_none()
    }
}

const UNITS: [(&str, i64); 11] = [
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

/// Thousandths of a CPU.
pub(crate) fn parse_cpu(text: &str) -> Result<i64, String> {
    let (number, unit) = text.strip_suffix('m').map_or((text, 1000), |number| (number, 1));
    scaled(number, unit).ok_or_else(|| format!("`{text}` is no amount of CPUs: write 4, 0.5 or 250m"))
}

/// Bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<i64, String> {
    UNITS
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))
        .and_then(|(number, unit)| scaled(number, unit))
        .ok_or_else(|| format!("`{text}` is no amount of bytes: write 16Gi, 512Mi or 1000000"))
}

/// A decimal number times `unit`, if that is whole and fits.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let base = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let numerator = whole.parse::<i128>().ok()? * base + fraction.parse::<i128>().ok()?;
    let product = numerator.checked_mul(i128::from(unit))?;
    if product % base != 0 { None } else { i64::try_from(product / base).ok() }
}

/// `4`, `250m`.
pub(crate) fn cpu_text(milli: i64) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// In the largest binary unit that comes out whole.
pub(crate) fn bytes_text(bytes: i64) -> String {
    let binary = UNITS.iter().take(5).rev().find(|(_, unit)| bytes != 0 && bytes % unit == 0);
    binary.map_or_else(|| bytes.to_string(), |(suffix, unit)| format!("{}{suffix}", bytes / unit))
}

/// One line for people; `-` when there is nothing.
pub(crate) fn resources_text(resources: &Resources) -> String {
    let parts = [
        (resources.cpu_milli, format!("{} CPU", cpu_text(resources.cpu_milli))),
        (resources.memory_bytes, format!("{} RAM", bytes_text(resources.memory_bytes))),
        (resources.storage_bytes, format!("{} disk", bytes_text(resources.storage_bytes))),
        (resources.pods, format!("{} pods", resources.pods)),
    ];
    let told: Vec<String> =
        parts.into_iter().filter(|(amount, _)| *amount != 0).map(|(_, text)| text).collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
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
        for bad in ["Gi", "16gi", "-1Gi", "0.3", "16 Gi", "99999999Pi"] {
            assert!(parse_bytes(bad).is_err_and(|text| text.contains("16Gi")), "{bad}");
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
        let some = Resources { cpu_milli: 4000, memory_bytes: 16 << 30, storage_bytes: 0, pods: 40 };
        assert_eq!(resources_text(&some), "4 CPU, 16Gi RAM, 40 pods");
    }
}
