//! Old enough is too old: admission policies without webhooks came with 1.30.

use super::report::Verdict;

/// The first minor version with `ValidatingAdmissionPolicy` in `admissionregistration.k8s.io/v1`:
/// <https://kubernetes.io/blog/2024/04/24/validating-admission-policy-ga/>.
const NEEDED: (u32, u32) = (1, 30);

/// Judges what the API server says of itself, for example `1`, `33+` and `v1.33.1-gke.1`.
pub fn judge(major: &str, minor: &str, full: &str) -> Verdict {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    };
    match number(major).zip(number(minor)) {
        Some(version) if version >= NEEDED => Verdict::passed(full),
        Some(_) => Verdict::failed(
            format!("{full} is older than 1.30"),
            "upgrade the cluster: the walls between tenants need ValidatingAdmissionPolicy v1",
        ),
        None => Verdict::not_proven(
            format!("the API server says version {full}, which is none that is known"),
            "compare with `kubectl version`: 1.30 or later is needed",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::report::State, *};

    #[test]
    fn the_version_is_read_as_distributions_write_it() {
        for (major, minor, state) in [
            ("1", "30", State::Passed),
            ("1", "33+", State::Passed),
            ("2", "0", State::Passed),
            ("1", "29", State::Failed),
            ("1", "9", State::Failed),
            ("", "", State::NotProven),
        ] {
            assert_eq!(judge(major, minor, "v").state, state, "{major}.{minor}");
        }
    }
}
