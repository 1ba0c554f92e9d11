//! Log lines on standard error: JSON for machines, text for a person at a terminal.

use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, LoggingError> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(LoggingError(format!("log format {other} is unknown: use json or text"))),
        }
    }
}

/// Logging could not be set up.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct LoggingError(String);

/// Sets up logging for the whole process, once.
///
/// # Errors
/// When the filter is malformed or logging was set up before.
pub fn init_logging(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    let wrong = |error: &dyn std::fmt::Display| LoggingError(format!("log filter {filter}: {error}"));
    let filter = EnvFilter::try_new(filter).map_err(|error| wrong(&error))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
        LogFormat::Text => builder.compact().try_init(),
    };
    set.map_err(|error| LoggingError(error.to_string()))
}
