//! German and English. German unless asked otherwise: the members are German public bodies.

use clap::ValueEnum;

/// Language of headers, progress and hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// German: `1.234,56 €`.
    De,
    /// English: `EUR 1,234.56`.
    En,
}

impl Lang {
    /// From the value of `LANG`: English only when it says so.
    pub(crate) fn of_environment(lang: Option<&str>) -> Self {
        if lang.is_some_and(|lang| lang.starts_with("en")) { Self::En } else { Self::De }
    }

    /// The text in this language.
    pub(crate) fn pick<'a>(self, german: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::De => german,
            Self::En => english,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn german_is_spoken_unless_the_environment_says_english() {
        assert_eq!(Lang::of_environment(None), Lang::De);
        assert_eq!(Lang::of_environment(Some("C.UTF-8")), Lang::De);
        assert_eq!(Lang::of_environment(Some("en_GB.UTF-8")), Lang::En);
    }
}
