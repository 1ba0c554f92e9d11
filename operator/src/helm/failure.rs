//! Helm's errors in words that say what to do. Pure.

use super::ReleaseError;

/// Longest text that is kept of a tool's output.
const DETAIL_MAX: usize = 2_000;

/// What usually goes wrong: a part of the output, and the words for it.
const KNOWN: [(&str, &str); 9] = [
    (
        "exceeded quota",
        "das Kontingent des Dienstbereichs reicht nicht: kleineren Plan wählen oder Anspruch erhöhen lassen",
    ),
    (
        "values don't meet the specifications of the schema",
        "die Werte passen nicht zum Schema des Charts: Betrieb der Genossenschaft verständigen",
    ),
    (
        "is forbidden",
        "das Chart verlangt mehr, als der Dienstbereich erlaubt: Betrieb der Genossenschaft verständigen",
    ),
    (
        "violates PodSecurity",
        "das Chart verletzt die Pod-Sicherheit: Betrieb der Genossenschaft verständigen",
    ),
    ("manifest unknown", "das Chart liegt nicht im Register: Betrieb der Genossenschaft verständigen"),
    ("not found: not found", "das Chart liegt nicht im Register: Betrieb der Genossenschaft verständigen"),
    ("connection refused", "das Register der Charts antwortet nicht; neuer Versuch folgt"),
    ("context deadline exceeded", "der Dienst wurde in der vorgesehenen Zeit nicht bereit"),
    ("timed out", "der Dienst wurde in der vorgesehenen Zeit nicht bereit"),
];

/// Translates a tool's output.
pub fn translate(output: &str) -> ReleaseError {
    let words = KNOWN.iter().find(|(part, _)| output.contains(part)).map_or_else(
        || "Helm meldet einen Fehler; neuer Versuch folgt".to_owned(),
        |(_, words)| (*words).to_owned(),
    );
    ReleaseError { words, detail: masked(output) }
}

/// The end of the output, without lines that could carry a secret.
fn masked(output: &str) -> String {
    let sound: Vec<&str> = output
        .lines()
        .filter(|line| {
            !["password", "token", "secret", "bearer"].iter().any(|word| line.to_lowercase().contains(word))
        })
        .collect();
    let text = sound.join("\n");
    let skip = text.chars().count().saturating_sub(DETAIL_MAX);
    text.chars().skip(skip).collect()
}

/// Why pods are not ready, by the reasons that containers and the scheduler give.
pub fn pods_in_words(reasons: &[String]) -> Option<String> {
    let known = [
        ("ImagePullBackOff", "das Abbild ist nicht zu haben"),
        ("ErrImagePull", "das Abbild ist nicht zu haben"),
        ("CrashLoopBackOff", "der Dienst startet und bricht ab"),
        ("CreateContainerConfigError", "eine Einstellung oder ein Geheimnis fehlt"),
        ("Unschedulable", "auf dem Cluster ist kein Platz"),
    ];
    let mut words: Vec<String> = reasons
        .iter()
        .map(|reason| {
            known
                .iter()
                .find(|(name, _)| name == reason)
                .map_or_else(|| reason.clone(), |(name, text)| format!("{text} ({name})"))
        })
        .collect();
    words.sort();
    words.dedup();
    if words.is_empty() { None } else { Some(words.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_failures_have_words_and_secrets_never_leave() {
        let error = translate(
            "Error: pods \"db-0\" is forbidden: exceeded quota: allmende\npassword=hunter2 in values",
        );
        assert!(error.words.contains("Kontingent"));
        assert!(error.detail.contains("exceeded quota") && !error.detail.contains("hunter2"));
        assert!(translate("something new").words.contains("neuer Versuch"));
    }

    #[test]
    fn reasons_of_pods_are_told_once() {
        let reasons = ["ImagePullBackOff".to_owned(), "ImagePullBackOff".to_owned()];
        assert_eq!(pods_in_words(&reasons).unwrap(), "das Abbild ist nicht zu haben (ImagePullBackOff)");
        assert_eq!(pods_in_words(&[]), None);
    }
}
