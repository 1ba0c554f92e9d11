//! Pure. What is to be done about the certificate now.

/// From when to when the certificate that is held counts, Unix seconds.
pub type Life = (i64, i64);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// There is a join token: somebody wants the cluster to join, for the first time or anew.
    Join,
    /// Half of its life is over.
    Renew,
    /// There is none that counts, and no token: only people can help.
    Stranded,
}

/// Decides.
pub fn next(held: Option<Life>, has_token: bool, now: i64) -> Step {
    if has_token {
        return Step::Join;
    }
    match held {
        None => Step::Stranded,
        Some((_, end)) if now >= end => Step::Stranded,
        Some((begin, end)) if now >= begin.saturating_add(end.saturating_sub(begin) / 2) => Step::Renew,
        Some(_) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_renews_from_half_of_the_life_on_and_is_stranded_at_its_end() {
        let life = Some((1000, 2000));
        for (now, step) in [
            (1000, Step::Wait),
            (1499, Step::Wait),
            (1500, Step::Renew),
            (1999, Step::Renew),
            (2000, Step::Stranded),
        ] {
            assert_eq!(next(life, false, now), step, "{now}");
            assert_eq!(next(life, true, now), Step::Join, "a token is the wish of a person");
        }
        assert_eq!(next(None, false, 0), Step::Stranded);
    }
}
