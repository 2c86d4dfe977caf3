//! The command line: commands, flags, help.
//!
//! The help of a flag comes from the table of settings, so that its default and its variable are never wrong. Answers go
//! to standard output; an error is one sentence on standard error and exit code 1, wrong usage is exit code 2.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use users::model::Username;

use crate::commands::{self, address};
use crate::config::{self, Environment, Layers};
use crate::quickstart::{self, QuickstartArgs};
use crate::{build_info, help, rescue, serve};

/// The whole of an IoT platform in one program: identity, access, devices, messages.
#[derive(Debug, Parser)]
#[command(
    name = "trunkline",
    version = build_info::version(),
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = "`trunkline serve` needs no configuration; `trunkline quickstart` shows the platform at work;\n\
                  `trunkline login` comes before the commands that manage a running platform."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the platform on this machine
    Serve(SettingsArgs),
    /// Take the tour against a running platform, and print each command and answer
    Quickstart(QuickstartArgs),
    #[command(flatten)]
    Manage(commands::Command),
    /// Be a device: fetch a configuration, connect with it, send measurements and answer commands
    #[command(
        after_help = "It connects over TLS with the certificate of its configuration, or with its secret where there is \
                            none.\nThe key is better given in TRUNKLINE_AGENT_EXTERNAL_KEY: others on this machine can \
                            read arguments.\n\nExamples:\n  trunkline agent --external-id 33:52:77:99:43 --domain plant\n  \
                            trunkline agent --external-id 33:52:77:99:43 --ca ca.crt --count 1 --once"
    )]
    Agent(commands::agent::AgentArgs),
    /// Ask a running platform whether it is alive; exit code 1 if not
    Health {
        /// Address of the platform, with or without http://
        #[arg(long, value_name = "URL", env = "TRUNKLINE_URL", default_value = quickstart::DEFAULT_URL)]
        url: String,
    },
    /// Certificates of clients, and the authority that signs them
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Help an administrator who is locked out, on the machine of the platform
    #[command(subcommand)]
    Admin(AdminCommand),
    /// The policy service for other brokers, alone: with nothing but a rule file
    #[command(
        after_help = "Examples:\n  trunkline policy --rules celine.json --issuer http://keycloak:8080/realms/celine\n  \
                            trunkline policy test cases.yaml\n  trunkline policy explain --rules celine.json \\\n    \
                            --service svc-dash --scope mqtt.read subscribe 'celine/#'"
    )]
    Policy(commands::policy::PolicyArgs),
    /// Look at the configuration without starting anything
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script that completes commands with the Tab key
    #[command(after_help = "For this shell only:\n  source <(trunkline completion bash)\n\nFor good:\n  \
                            trunkline completion bash > ~/.local/share/bash-completion/completions/trunkline\n  \
                            trunkline completion zsh > \"${fpath[1]}/_trunkline\"\n  \
                            trunkline completion fish > ~/.config/fish/completions/trunkline.fish")]
    Completion {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the version and the commit
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting with the value that counts and where it comes from; secrets are masked
    Show(SettingsArgs),
    /// Check the configuration and say all that is wrong
    Check(SettingsArgs),
    /// Print a configuration file with all settings, their documentation and defaults
    Example,
}

#[derive(Debug, Subcommand)]
enum CertsCommand {
    #[command(flatten)]
    Manage(commands::certs_manage::ManageCommand),
    /// Make certificates for development: an authority, servers, callers of gRPC, a device
    #[command(
        after_help = "Files that are there are replaced, but for the authority (ca.crt, ca.key), so that a \
                            device's certificate can be added later.\n\nExamples:\n  trunkline certs dev\n  \
                            trunkline certs dev --host iot.example.org server_cert\n  \
                            trunkline certs dev client_cert --client \"$CLIENT\""
    )]
    Dev(commands::certs_dev::DevArgs),
    /// Let an authority of your own sign; the platform must be stopped
    #[command(
        after_help = "A root signs an intermediate, which is made at once; an intermediate signs devices itself.\n\n\
                            Example:\n  trunkline certs import --certificate root.pem --key root.key"
    )]
    Import {
        /// PEM file with its certificate, followed by those above it up to the root
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// PEM file with its private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        settings: SettingsArgs,
    },
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Give an administrator a new password and print it; the platform must be stopped
    ResetPassword {
        /// Name that the administrator logs in with
        #[arg(long, value_name = "NAME", default_value = "admin")]
        username: Username,
        #[command(flatten)]
        settings: SettingsArgs,
    },
}

/// Flags that set something; each with the key of its setting in [`help::FLAGS`].
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Configuration file; without it `trunkline.toml` in the current directory, if it is there
    /// [env: TRUNKLINE_CONFIG]
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,

    #[arg(long, value_name = "DIR", help_heading = "Data")]
    data_dir: Option<String>,
    #[arg(long, value_name = "URL", help_heading = "Data")]
    database_url: Option<String>,

    #[arg(long, value_name = "ADDR", help_heading = "Listeners")]
    http: Option<String>,
    #[arg(long, value_name = "ADDR", help_heading = "Listeners")]
    mqtt: Option<String>,
    #[arg(long, value_name = "ADDR", help_heading = "Listeners")]
    coap: Option<String>,
    /// Do not open the ports of the separate services (9001, 9002, …)
    /// [env: TRUNKLINE_COMPAT_PORTS_ENABLED=false]
    #[arg(long, help_heading = "Listeners")]
    no_compat_ports: bool,
    #[arg(long, value_name = "LIST", help_heading = "Listeners")]
    only: Option<String>,

    #[arg(long, value_name = "LEVEL", help_heading = "Log")]
    log_level: Option<String>,
    #[arg(long, value_name = "FORMAT", help_heading = "Log")]
    log_format: Option<String>,
}

impl SettingsArgs {
    fn layers(self, environment: Environment) -> Layers {
        let compat_ports = self.no_compat_ports.then(|| "false".to_owned());
        Layers::new(environment)
            .with_file(self.config)
            .with_flag("data_dir", "--data-dir", self.data_dir)
            .with_flag("database_url", "--database-url", self.database_url)
            .with_flag("http", "--http", self.http)
            .with_flag("mqtt", "--mqtt", self.mqtt)
            .with_flag("coap.address", "--coap", self.coap)
            .with_flag("only", "--only", self.only)
            .with_flag("compat_ports.enabled", "--no-compat-ports", compat_ports)
            .with_flag("log.level", "--log-level", self.log_level)
            .with_flag("log.format", "--log-format", self.log_format)
    }
}

/// The command with the help that comes from the table of settings.
pub(crate) fn command() -> clap::Command {
    let config = |command: clap::Command| {
        command.mut_subcommand("show", help::with_settings).mut_subcommand("check", help::with_settings)
    };
    let admin = |command: clap::Command| command.mut_subcommand("reset-password", help::with_settings);
    Cli::command()
        .mut_subcommand("serve", help::with_settings)
        .mut_subcommand("admin", admin)
        .mut_subcommand("certs", |command| command.mut_subcommand("import", help::with_settings))
        .mut_subcommand("config", config)
}

/// Runs the command that the arguments name, and gives the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = command().try_get_matches_from(arguments).and_then(|matches| parse(&matches));
    let outcome = match parsed {
        Ok(cli) => execute(cli.command),
        // Help and version are "errors" too; clap knows where each goes and which code it has.
        Err(error) => error.exit(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // `trunkline clients list | head -1`: whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "trunkline: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |kind: std::io::ErrorKind| kind == std::io::ErrorKind::BrokenPipe;
    // JSON is written through serde, which wraps the error.
    let wrapped = error.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
    error.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(wrapped).is_some_and(is_pipe)
}

fn parse(matches: &ArgMatches) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(matches)
}

fn execute(command: Command) -> anyhow::Result<()> {
    let environment = Environment::of_process();
    match command {
        Command::Serve(flags) => serve::run(&flags.layers(environment)),
        Command::Quickstart(options) => quickstart::run(options),
        Command::Agent(arguments) => commands::agent::run(&arguments),
        Command::Health { url } => health(&url),
        Command::Admin(AdminCommand::ResetPassword { username, settings }) => {
            rescue::run(&settings.layers(environment), username)
        }
        Command::Certs(CertsCommand::Manage(command)) => commands::certs_manage::run(command),
        Command::Certs(CertsCommand::Dev(arguments)) => commands::certs_dev::run(&arguments),
        Command::Certs(CertsCommand::Import { certificate, key, settings }) => {
            commands::certs_import::import(&settings.layers(environment), &certificate, &key)
        }
        Command::Config(ConfigCommand::Show(flags)) => {
            let loaded = config::load(&flags.layers(environment))?;
            warn(&loaded.warnings)?;
            print(&config::show(&loaded))
        }
        Command::Config(ConfigCommand::Check(flags)) => {
            let loaded = config::load(&flags.layers(environment))?;
            warn(&loaded.warnings)?;
            print("the configuration is valid\n")
        }
        Command::Config(ConfigCommand::Example) => print(&config::example()),
        Command::Policy(arguments) => commands::policy::run(arguments, environment),
        Command::Manage(command) => commands::run(command),
        Command::Completion { shell } => print(&completion(shell)),
        Command::Version => print(&format!("trunkline {}\n", build_info::version())),
    }
}

/// The script that makes `shell` complete our commands.
fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "trunkline", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn health(url: &str) -> anyhow::Result<()> {
    let api = sdk::Api::new(sdk::Remotes::one(&address::normal(url)?))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let health = runtime.block_on(api.health())?;
    print(&format!("{}, version {}\n", health.status, health.version))
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn warn(warnings: &[String]) -> anyhow::Result<()> {
    let mut err = std::io::stderr().lock();
    for warning in warnings {
        writeln!(err, "warning: {warning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help_of(path: &[&str]) -> String {
        let mut command = command().term_width(110);
        command.build();
        let mut inner = &mut command;
        for name in path {
            inner = inner.find_subcommand_mut(name).unwrap();
        }
        inner.render_long_help().to_string()
    }

    #[test]
    fn the_help_of_every_command_is_as_kept() {
        insta::assert_snapshot!("help", help_of(&[]));
        insta::assert_snapshot!("help_serve", help_of(&["serve"]));
        insta::assert_snapshot!("help_quickstart", help_of(&["quickstart"]));
        insta::assert_snapshot!("help_config", help_of(&["config"]));
        for noun in [
            "login",
            "users",
            "domains",
            "groups",
            "clients",
            "channels",
            "roles",
            "invitations",
            "pats",
            "keys",
            "provision",
            "agent",
            "completion",
        ] {
            insta::assert_snapshot!(format!("help_{noun}"), help_of(&[noun]));
        }
        insta::assert_snapshot!("help_clients_create", help_of(&["clients", "create"]));
        insta::assert_snapshot!("help_clients_list", help_of(&["clients", "list"]));
    }

    /// What a narrow terminal would break in the middle of a word, or wrap to a ragged margin.
    #[test]
    fn help_fits_a_terminal_of_eighty_columns() {
        fn check(command: &mut clap::Command, path: &str) {
            for line in command.render_long_help().to_string().lines() {
                // Commands to be copied and settings in columns stay on their line.
                let is_example =
                    ["  trunkline ", "    ", "Usage: "].iter().any(|start| line.starts_with(start));
                assert!(is_example || line.chars().count() <= 80, "{path}: {line}");
            }
            for inner in command.get_subcommands_mut() {
                let path = format!("{path} {}", inner.get_name());
                check(inner, &path);
            }
        }
        let mut command = command().term_width(80);
        command.build();
        check(&mut command, "trunkline");
    }

    #[test]
    fn every_command_and_flag_says_what_it_is_for() {
        fn check(command: &clap::Command, path: &str) {
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{path} {}", argument.get_id());
                assert!(!help.ends_with('.'), "{path} {}: {help}", argument.get_id());
            }
            for inner in command.get_subcommands() {
                let path = format!("{path} {}", inner.get_name());
                assert!(inner.get_about().is_some(), "{path}");
                check(inner, &path);
            }
        }
        let mut command = command();
        command.build();
        check(&command, "trunkline");
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_of_a_setting_has_its_help_from_the_table() {
        // The help wraps its lines, also in the middle of what is looked for.
        let text = help_of(&["serve"]).split_whitespace().collect::<Vec<_>>().join(" ");
        for &(_, key) in help::FLAGS {
            let setting = config::table().into_iter().find(|setting| setting.key == key).unwrap();
            assert!(text.contains(&format!("[env: {}]", setting.variable())), "{key}");
        }
    }

    #[test]
    fn the_flags_that_scripts_rely_on_are_understood() {
        let arguments = "trunkline serve --data-dir d --http 127.0.0.1:0 --mqtt 127.0.0.1:0 --no-compat-ports \
                         --only mqtt,users --database-url sqlite:x";
        let matches = command().try_get_matches_from(arguments.split_whitespace()).unwrap();
        let Command::Serve(flags) = parse(&matches).unwrap().command else { panic!("not serve") };
        let settings = config::load(&flags.layers(Environment::default())).unwrap().settings;
        assert_eq!(settings.node.data_dir, PathBuf::from("d"));
        assert_eq!(settings.node.http.to_string(), "127.0.0.1:0");
        assert_eq!(settings.database_url().as_str(), "sqlite:x");
        assert!(settings.compat_ports().is_empty());
        assert!(!settings.node.only.serves(config::Capability::Clients));
    }
}
