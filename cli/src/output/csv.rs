//! Lists as CSV (RFC 4180), with the contract's field names as header: for spreadsheets and programs.

use prost_reflect::DynamicMessage;

use super::cell;
use crate::language::Lang;

/// A spreadsheet takes what begins with these for a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

pub(super) fn list(messages: &[DynamicMessage], columns: &[&str], lang: Lang) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(columns)?;
    for message in messages {
        writer.write_record(columns.iter().map(|path| harmless(cell::at(message, path, lang))))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Empty where nothing is, and never a formula.
fn harmless(text: String) -> String {
    if text == cell::NOTHING {
        String::new()
    } else if text.starts_with(FORMULA) {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_empty_and_a_formula_is_a_text() {
        assert_eq!(harmless("-".to_owned()), "");
        assert_eq!(harmless("=1+1".to_owned()), "'=1+1");
        assert_eq!(harmless("-5".to_owned()), "'-5");
        assert_eq!(harmless("allmende://principal/a".to_owned()), "allmende://principal/a");
    }
}
