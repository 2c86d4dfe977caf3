//! The example file: every setting with its documentation and default, all of it commented out.

use super::setting::Setting;
use super::value::Form;
use super::{DEFAULT_FILE, SECTIONS};

/// The text of `trunkline.example.toml`.
pub fn example() -> String {
    let mut text = format!(
        "# Trunkline: all settings with their defaults. Save as {DEFAULT_FILE} and uncomment what you change.\n\
         # Made by `trunkline config example`.\n\
         #\n\
         # Flags win over the environment, the environment over this file. The variable of a setting stands beside it;\n\
         # the MG_ and SMQ_ names of SuperMQ and Magistrala are understood too.\n\
         # Durations: 300ms, 90s, 1h30m or a number of seconds. Sizes: 64KiB, 5MiB or a number of bytes.\n\
         # A secret may stand in a file of its own: write its name with _file and the path.\n"
    );
    for section in SECTIONS {
        if !section.name().is_empty() {
            text.push('\n');
            for line in section.about {
                text.push_str(&format!("#{line}\n"));
            }
            text.push_str(&format!("[{}]\n", section.name()));
        }
        for setting in section.table {
            text.push('\n');
            text.push_str(&entry(setting));
        }
    }
    text
}

fn entry(setting: &Setting) -> String {
    let mut lines = String::new();
    for line in setting.doc {
        lines.push_str(&format!("#{line}\n"));
    }
    let other = setting.suffixes.first().map(|suffix| format!(", MG_{suffix}")).unwrap_or_default();
    lines.push_str(&format!("# Environment: {}{other}\n", setting.variable()));
    lines.push_str(&format!("#{} = {}\n", setting.name(), toml_value(setting)));
    lines
}

/// The default as TOML.
fn toml_value(setting: &Setting) -> String {
    let default = setting.default;
    let items = || default.split(',').filter(|item| *item != "none");
    match setting.form {
        Form::Text => format!("\"{default}\""),
        Form::Bare => default.to_owned(),
        Form::Numbers => format!("[{}]", items().collect::<Vec<_>>().join(", ")),
        Form::Words => {
            let quoted: Vec<String> = items().map(|item| format!("\"{item}\"")).collect();
            format!("[{}]", quoted.join(", "))
        }
    }
}
