//! Printing: canonical proto JSON, the same as YAML, or tables made from the contract's descriptors.

mod cell;
mod csv;
mod label;
mod money;
mod table;

use std::io::{ErrorKind, Write};

use prost_reflect::DynamicMessage;
use serde_json::Value;

use crate::{arguments::Format, document::Named, failure::Failure, language::Lang};

/// Writes results to standard output and everything else to standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    format: Format,
    lang: Lang,
}

impl Printer {
    pub(crate) fn new(format: Format, lang: Lang) -> Self {
        Self { format, lang }
    }

    /// What was asked for.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// One message, with all that it says.
    pub(crate) fn one<M: Named>(&self, message: &M) -> Result<(), Failure> {
        let message = message.reflect();
        match self.format {
            Format::Table => self.text(&table::detail(&message, self.lang)),
            Format::Json | Format::Yaml => self.value(&canonical(&message)?),
            Format::Csv => Err(no_csv()),
        }
    }

    /// Several, with these fields (`net`, `population.inhabitants`) as columns.
    pub(crate) fn list<M: Named>(&self, messages: &[M], columns: &[&str]) -> Result<(), Failure> {
        let messages: Vec<DynamicMessage> = messages.iter().map(Named::reflect).collect();
        match self.format {
            Format::Table if messages.is_empty() => {
                self.note(self.lang.pick("nichts vorhanden", "there is nothing"));
                Ok(())
            }
            Format::Table => self.text(&table::list(&messages, columns, self.lang)),
            Format::Json | Format::Yaml => {
                let values: Result<Vec<Value>, Failure> = messages.iter().map(canonical).collect();
                self.value(&Value::Array(values?))
            }
            Format::Csv => {
                let text = csv::list(&messages, columns, self.lang);
                self.bytes(&text.map_err(|error| Failure::Local(error.to_string()))?)
            }
        }
    }

    /// A value that is no message of the contract.
    pub(crate) fn value(&self, value: &Value) -> Result<(), Failure> {
        let text = match self.format {
            Format::Yaml => {
                serde_saphyr::to_string(value).map_err(|error| Failure::Local(error.to_string()))?
            }
            Format::Csv => return Err(no_csv()),
            Format::Table | Format::Json => {
                serde_json::to_string_pretty(value).map_err(|error| Failure::Local(error.to_string()))?
            }
        };
        self.text(&text)
    }

    /// Rows under headers of our own.
    pub(crate) fn rows(&self, headers: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        self.text(&table::plain(headers.iter().map(|header| (*header).to_owned()).collect(), rows))
    }

    /// Plain text.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.bytes(format!("{text}{end}").as_bytes())
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::NobodyReads,
            _ => Failure::Local(format!("standard output: {error}")),
        })
    }

    /// A line for people, beside the result.
    pub(crate) fn note(&self, text: &str) {
        note(text);
    }
}

/// A line for people, on standard error.
pub(crate) fn note(text: &str) {
    // A closed standard error must not end the work.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn no_csv() -> Failure {
    Failure::Usage("csv is for lists: use -o json or -o yaml here".to_owned())
}

fn canonical(message: &DynamicMessage) -> Result<Value, Failure> {
    serde_json::to_value(message).map_err(|error| Failure::Local(error.to_string()))
}
