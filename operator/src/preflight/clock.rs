//! How far this program's clock and the API server's are apart. Certificates of minutes, tokens and billing depend on it.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};
use kube::{Client, client::Body};

use super::report::Verdict;
use crate::clock::Clock;

/// From here on somebody should look at it.
const WARNING: SignedDuration = SignedDuration::from_secs(2);
/// From here on short-lived certificates and tokens fail.
const FAILED: SignedDuration = SignedDuration::from_secs(30);
/// The header has whole seconds: the server's time is in the second that begins there.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);

/// Asks the API server for the time.
pub async fn check(client: &Client, clock: &dyn Clock) -> Verdict {
    let request = http::Request::get("/version").body(Body::empty());
    let Ok(request) = request else { return unknown("the request could not be made") };
    let before = clock.now();
    let response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => return Verdict::unreadable("the API server's clock", &error),
    };
    let after = clock.now();
    let date = response.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
    date.map_or_else(|| unknown("the API server's answer has no Date"), |date| judge(before, after, date))
}

fn unknown(what: &str) -> Verdict {
    Verdict::not_proven(what, "compare `date -u` on the nodes with a reference by hand")
}

/// Judges the `Date` of an answer to a request that was sent `before` and answered `after`.
pub fn judge(before: Timestamp, after: Timestamp, date: Timestamp) -> Verdict {
    let offset = offset(before, after, date);
    let seconds = offset.as_secs_f64();
    let detail = format!("the API server's clock is {seconds:+.1} s from this program's");
    let remedy = "synchronise the clocks of the nodes (chrony, systemd-timesyncd)";
    let apart = offset.abs();
    if apart >= FAILED {
        Verdict::failed(detail, remedy)
    } else if apart >= WARNING {
        Verdict::warning(detail, remedy)
    } else {
        Verdict::passed(detail)
    }
}

/// The smallest offset that explains the answer: zero when the header's second overlaps with the time of the request.
fn offset(before: Timestamp, after: Timestamp, date: Timestamp) -> SignedDuration {
    if date > after {
        date.duration_since(after)
    } else if date + RESOLUTION < before {
        (date + RESOLUTION).duration_since(before)
    } else {
        SignedDuration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::report::State, *};

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_514_400_000 + milliseconds).unwrap()
    }

    #[test]
    fn two_seconds_are_a_warning_and_thirty_a_failure_in_both_directions() {
        let now = (at(0), at(100));
        let state = |date| judge(now.0, now.1, at(date)).state;
        assert_eq!(state(0), State::Passed);
        assert_eq!(state(-1000), State::Passed);
        assert_eq!(state(3000), State::Warning);
        assert_eq!(state(-4000), State::Warning);
        assert_eq!(state(31_000), State::Failed);
        assert_eq!(state(-31_000), State::Failed);
        assert!(judge(now.0, now.1, at(31_000)).detail.contains("+30.9 s"));
    }

    proptest! {
        #[test]
        fn equal_clocks_are_never_warned_about_however_long_the_answer_takes(
            sent in 0i64..10_000_000, took in 0i64..60_000, when in 0.0..=1.0f64,
        ) {
            // The server stamps at some moment of the request, in whole seconds.
            #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds are meant")]
            let stamped = sent + (took as f64 * when) as i64;
            let date = at(stamped - (at(stamped).as_millisecond() % 1000));
            prop_assert_eq!(judge(at(sent), at(sent + took), date).state, State::Passed);
        }
    }
}
