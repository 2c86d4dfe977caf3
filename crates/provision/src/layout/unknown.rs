//! What a layout says that nobody reads: a misspelt key would otherwise be lost without a word.

use kernel::nearest;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Keys at the top of a file.
const TOP: &[&str] = &["file", "server", "bootstrap", "clients", "channels", "cert"];
/// Those of the services that are replaced, in all generations (reference 04 §2.1).
const SERVER: &[&str] = &[
    "port",
    "http_port",
    "log_level",
    "tls",
    "server_cert",
    "server_key",
    "clients_url",
    "channels_url",
    "users_url",
    "certs_url",
    "mg_bs_url",
    "mg_email",
    "mg_username",
    "mg_pass",
    "mg_domain_id",
    "mg_api_key",
    "smq_bs_url",
    "smq_certs_url",
    "smq_email",
    "smq_username",
    "smq_pass",
    "smq_domain_id",
    "smq_api_key",
];
const BOOTSTRAP: &[&str] =
    &["x509_provision", "provision", "autowhite_list", "profile_id", "content", "render_context", "bindings"];
const BINDING: &[&str] = &["slot", "type", "name", "metadata_key", "metadata_value"];
const PART: &[&str] = &["name", "metadata"];
const CERT: &[&str] = &["ttl"];

/// One sentence for each key that nothing is known of, with its place and what was probably meant. Nothing where the text
/// is no TOML: that is said when it is read.
pub fn unknown(text: &str) -> Vec<String> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let mut found = Found { text, keys: Vec::new() };
    found.table("", table.get_ref(), TOP);
    for (key, value) in table.get_ref() {
        let known = match key.get_ref().as_ref() {
            "server" => SERVER,
            "bootstrap" => BOOTSTRAP,
            "clients" | "channels" => PART,
            "cert" => CERT,
            _ => continue,
        };
        let section = key.get_ref().as_ref();
        for table in tables(value) {
            found.table(section, table, known);
            let bindings =
                table.iter().filter(|(key, _)| section == "bootstrap" && key.get_ref() == "bindings");
            for table in bindings.flat_map(|(_, value)| tables(value)) {
                found.table("bootstrap.bindings", table, BINDING);
            }
        }
    }
    found.keys.sort_by_key(|(at, _)| *at);
    found.keys.into_iter().map(|(_, sentence)| sentence).collect()
}

/// The table that a value is, or those in the list that it is.
fn tables<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> Vec<&'a DeTable<'i>> {
    match value.get_ref() {
        DeValue::Table(table) => vec![table],
        DeValue::Array(values) => values.iter().filter_map(|value| value.get_ref().as_table()).collect(),
        _ => Vec::new(),
    }
}

struct Found<'a> {
    text: &'a str,
    /// With the byte at which each stands.
    keys: Vec<(usize, String)>,
}

impl Found<'_> {
    fn table(&mut self, section: &str, table: &DeTable<'_>, known: &[&str]) {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let at = key.span().start;
            let (line, column) = place(self.text, at);
            let dot = if section.is_empty() { "" } else { "." };
            let meant = nearest(name, known.iter().copied());
            let meant = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known are {}", known.join(", ")),
            };
            let sentence =
                format!("line {line}, column {column}: unknown key `{section}{dot}{name}`, {meant}");
            self.keys.push((at, sentence));
        }
    }
}

/// Line and column of a byte, both counted from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_named_with_its_place_and_what_was_meant() {
        let text = "[bootstrap]\nprovison = true\n  profileid = \"x\"\n[bootstrap.content]\nanything = 1\n[[clients]]\nnmae = \"a\"\n\
                    [clients.metadata]\nfree = 1\n[client.metadata]\nexternal_id = \"x\"\n[[bootstrap.bindings]]\nslots = \"a\"\n";
        assert_eq!(
            unknown(text),
            [
                "line 2, column 1: unknown key `bootstrap.provison`, did you mean `provision`?",
                "line 3, column 3: unknown key `bootstrap.profileid`, did you mean `profile_id`?",
                "line 7, column 1: unknown key `clients.nmae`, did you mean `name`?",
                "line 10, column 2: unknown key `client`, did you mean `clients`?",
                "line 13, column 1: unknown key `bootstrap.bindings.slots`, did you mean `slot`?",
            ]
        );
    }

    #[test]
    fn what_all_generations_write_is_known() {
        let text = "file = \"x\"\n[server]\nport = \"9016\"\nmg_api_key = \"\"\nsmq_pass = \"\"\nhttp_port = \"1\"\n[cert]\nttl = \"1h\"\n";
        assert_eq!(unknown(text), Vec::<String>::new());
        assert_eq!(
            unknown("[cert]\nhours = 1\n"),
            ["line 2, column 1: unknown key `cert.hours`, known are ttl"]
        );
        assert_eq!(unknown("[cert\n"), Vec::<String>::new());
    }
}
