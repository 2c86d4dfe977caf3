//! `trunkline config show`: every setting with the value that counts and where it comes from.

use super::Loaded;

/// One line per setting; secrets are masked.
pub fn show(loaded: &Loaded) -> String {
    let rows: Vec<(&str, String, String)> = loaded
        .effective
        .iter()
        .map(|effective| {
            let value = effective.shown().unwrap_or_else(|| "-".to_owned());
            (effective.setting.key, value, effective.source.to_string())
        })
        .collect();
    let key_width = rows.iter().map(|(key, ..)| key.len()).max().unwrap_or_default();
    let value_width = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (key, value, source) in rows {
        text.push_str(&format!("{key:key_width$}  {value:value_width$}  {source}\n"));
    }
    text
}
