//! The help of `trunkline serve`: flags and variables as the table of settings documents them.

use crate::config::{self, Section, Setting};

/// The flags that set something: the name of the argument and the key of the setting.
pub(crate) const FLAGS: &[(&str, &str)] = &[
    ("data_dir", "data_dir"),
    ("database_url", "database_url"),
    ("http", "http"),
    ("mqtt", "mqtt"),
    ("coap", "coap.address"),
    ("only", "only"),
    ("log_level", "log.level"),
    ("log_format", "log.format"),
];

/// Gives each flag of a setting its help, and lists all settings below.
pub(crate) fn with_settings(command: clap::Command) -> clap::Command {
    let mut command = command.after_long_help(settings());
    for setting in config::table() {
        if let Some(&(argument, _)) = FLAGS.iter().find(|(_, key)| *key == setting.key) {
            command = command.mut_arg(argument, |flag| flag.help(flag_help(setting)));
        }
    }
    command
}

fn flag_help(setting: &Setting) -> String {
    let mut help: Vec<&str> = setting.doc.iter().map(|line| line.trim()).collect();
    let (variable, default) =
        (format!("[env: {}]", setting.variable()), format!("[default: {}]", setting.default));
    help.push(&variable);
    if !matches!(setting.default, "" | "none") {
        help.push(&default);
    }
    help.join(" ")
}

/// All settings by section, each with its variable.
fn settings() -> String {
    let mut text = String::from(
        "Settings:\n\
         \x20 A flag wins over the environment, the environment over the file, the file over the default.\n\
         \x20 Each setting stands with its name in the file, its variable and its default. The names of SuperMQ and\n\
         \x20 Magistrala (SMQ_*, MG_*) are understood too. A secret may be given as a file: its name with _FILE.\n",
    );
    for section in config::SECTIONS {
        text.push_str(&section_help(section));
    }
    text.push_str("\n`trunkline config example` prints a file with all of them, `trunkline config show` what counts now.");
    text
}

fn section_help(section: &Section) -> String {
    let about: Vec<&str> = section.about.iter().map(|line| line.trim()).collect();
    let mut text = match section.name() {
        "" => "\n".to_owned(),
        name => format!("\n[{name}]\n"),
    };
    text.push_str(&format!("  {}\n", about.join("\n  ")));
    for setting in section.table {
        let default = match setting.default {
            "" => "-",
            default => default,
        };
        text.push_str(&format!("    {:<34} {:<50} {default}\n", setting.name(), setting.variable()));
    }
    text
}
