//! `trunkline policy`: the policy service alone, and rules tried without a service.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use kernel::{Clock, Rng};
use policy::cases::{Cases, Explained, Trial};
use policy::rules::RuleOptions;
use policy::{Action, Policy, PolicySource, RegoOptions, Subject, SubjectKind, Who};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Address, Environment, Layers, Settings};
use crate::{compose, doors, logging, open_files, signals};

/// The flags of the service, or what else is to be done.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    command: Option<PolicyCommand>,
    #[command(flatten)]
    service: ServiceArgs,
}

/// What the service is told; each flag is a setting of `policy` and has its variable.
#[derive(Debug, Args)]
struct ServiceArgs {
    /// Configuration file; `trunkline config example` shows all settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rule file, or directory with *.json files [env: TRUNKLINE_POLICY_RULES]
    #[arg(long, value_name = "PATH")]
    rules: Option<String>,
    /// Where brokers ask [env: TRUNKLINE_POLICY_ADDRESS] [default: 0.0.0.0:8009]
    #[arg(long, value_name = "ADDR")]
    address: Option<String>,
    /// Issuer whose tokens are taken; may be repeated
    /// [env: TRUNKLINE_POLICY_ISSUERS]
    #[arg(long, value_name = "URL")]
    issuer: Vec<String>,
    /// Where the issuers' public keys are [env: TRUNKLINE_POLICY_JWKS_URI]
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// Audience that a token must have [env: TRUNKLINE_POLICY_AUDIENCES]
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// How tokens may be signed [env: TRUNKLINE_POLICY_ALGORITHMS]
    /// [default: RS256]
    #[arg(long, value_name = "LIST")]
    algorithms: Option<String>,
    /// File that keeps logins over a restart
    /// [env: TRUNKLINE_POLICY_LOGINS_FILE]
    #[arg(long, value_name = "FILE")]
    logins_file: Option<String>,
    /// What the log shows [env: TRUNKLINE_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How the log is written: text or json [env: TRUNKLINE_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Try the cases of a file; exit code 1 if one does not hold
    Test {
        /// YAML with subjects and cases; see the guide
        #[arg(value_name = "CASES")]
        cases: PathBuf,
        /// Rules to try, in place of those that the file names
        #[arg(long, value_name = "PATH")]
        rules: Option<PathBuf>,

        /// Rego policies to try, in place of those that the file names
        #[arg(long, value_name = "PATH")]
        policies: Option<PathBuf>,
    },
    /// Say what is decided about somebody, and by which rule
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// Rule file, or directory with *.json files
    #[arg(long, value_name = "PATH", required_unless_present = "policies")]
    rules: Option<PathBuf>,

    /// Rego file, or directory with *.rego files; the rules are its data
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,

    /// Package of the Rego policies [default: celine.mqtt.acl]
    #[arg(long, value_name = "NAME", requires = "policies")]
    package: Option<String>,
    /// The user with this id
    #[arg(long, value_name = "ID", conflicts_with = "service", required_unless_present = "service")]
    user: Option<String>,
    /// The service with this client id
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// A group that it is in; may be repeated
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// A scope that it has; may be repeated
    #[arg(long, value_name = "NAME")]
    scope: Vec<String>,
    /// Its client id at the broker
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    clientid: String,
    /// subscribe, read, publish or superuser
    #[arg(value_name = "ACTION", value_parser = action)]
    action: Action,
    /// The topic or filter
    #[arg(value_name = "TOPIC", default_value = "", hide_default_value = true)]
    topic: String,
}

fn action(text: &str) -> Result<Action, String> {
    let known = Action::ALL.into_iter().find(|action| action.as_str() == text);
    known.ok_or_else(|| "expected `subscribe`, `read`, `publish` or `superuser`".to_owned())
}

/// Runs the service, or what else was asked.
pub(crate) fn run(arguments: PolicyArgs, environment: Environment) -> anyhow::Result<()> {
    match arguments.command {
        None => {
            let dotenv = std::fs::read_to_string(".env").unwrap_or_default();
            serve(&arguments.service.layers(environment.with_celine(&dotenv)))
        }
        Some(PolicyCommand::Test { cases, rules, policies }) => test(&cases, rules, policies),
        Some(PolicyCommand::Explain(arguments)) => explain(&arguments),
    }
}

impl ServiceArgs {
    fn layers(self, environment: Environment) -> Layers {
        let words = |list: Vec<String>| (!list.is_empty()).then(|| list.join(","));
        Layers::new(environment)
            .with_file(self.config)
            .with_flag("policy.rules", "--rules", self.rules)
            .with_flag("policy.address", "--address", self.address)
            .with_flag("policy.issuers", "--issuer", words(self.issuer))
            .with_flag("policy.jwks_uri", "--jwks-uri", self.jwks_uri)
            .with_flag("policy.audiences", "--audience", words(self.audience))
            .with_flag("policy.algorithms", "--algorithms", self.algorithms)
            .with_flag("policy.logins_file", "--logins-file", self.logins_file)
            .with_flag("log.level", "--log-level", self.log_level)
            .with_flag("log.format", "--log-format", self.log_format)
    }
}

fn serve(layers: &Layers) -> anyhow::Result<()> {
    let loaded = config::load(layers)?;
    logging::start(&loaded.settings.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    open_files::raise_limit();
    // An error means that a provider is installed already, and there is only one in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(served(&loaded.settings))
}

/// The port of the original service.
const PORT: u16 = 8009;

async fn served(settings: &Settings) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    signals::watch(shutdown.clone())?;
    // There is no platform here whose certificates could be revoked.
    let certificates = doors::Certificates::load(settings, &certs::Revoked::default(), None).await?;
    let default = Address { host: "0.0.0.0".to_owned(), port: PORT };
    let address = settings.policy.address.as_ref().unwrap_or(&default);
    let listener = doors::open_policy(settings, certificates.as_ref(), address).await?;
    if let Some(certificates) = certificates {
        certificates.tend(None, &shutdown)?;
    }
    // The recorder first: what is made before it counts nothing.
    tokio::spawn(web::Metrics::install()?.upkeep(shutdown.clone()));
    let policy = Policy::open(settings.policy.options(logins(settings)), None, Clock::system())?;
    policy.start(&shutdown);
    let app = compose::policy_app(settings, policy.clone(), compose::app_info(settings, &Rng::system()))?;
    say(&format!("listening policy {}\nready\n", listener.local_addr()))?;
    listener.serve(app, shutdown).await;
    policy.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// The file of logins where none is set: in the data directory, if that can be had.
fn logins(settings: &Settings) -> Option<PathBuf> {
    let directory = &settings.node.data_dir;
    match std::fs::create_dir_all(directory) {
        Ok(()) => Some(directory.join("policy-logins.jsonl")),
        Err(error) => {
            tracing::warn!(
                directory = %directory.display(), %error,
                "logins are not kept over a restart; --logins-file names a place for them"
            );
            None
        }
    }
}

fn test(file: &Path, rules: Option<PathBuf>, policies: Option<PathBuf>) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let cases = Cases::read(&text).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let beside = |path: &PathBuf| file.parent().unwrap_or(Path::new(".")).join(path);
    let rules = rules.or_else(|| cases.rules.as_ref().map(beside));
    let policies = policies.or_else(|| cases.policies.as_ref().map(beside));
    anyhow::ensure!(
        rules.is_some() || policies.is_some(),
        "`{}` names no `rules` and no `policies`; add them, or name them with --rules or --policies",
        file.display()
    );
    let trial = load(rules, policies, cases.package.as_deref())?;
    let verdicts = cases.run(&trial).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let failed = verdicts.iter().filter(|verdict| !verdict.holds).count();
    for verdict in &verdicts {
        let mark = if verdict.holds { "ok    " } else { "FAILED" };
        say(&format!("{mark} {} ({})\n", verdict.name, verdict.decided))?;
    }
    anyhow::ensure!(failed == 0, "{failed} of {} cases do not hold", verdicts.len());
    say(&format!("{} cases hold\n", verdicts.len()))
}

fn explain(arguments: &ExplainArgs) -> anyhow::Result<()> {
    let trial = load(arguments.rules.clone(), arguments.policies.clone(), arguments.package.as_deref())?;
    let (kind, id) = match (&arguments.user, &arguments.service) {
        (Some(id), _) => (SubjectKind::User, id),
        (None, Some(id)) => (SubjectKind::Service, id),
        (None, None) => anyhow::bail!("name somebody with --user or --service"),
    };
    let texts = |list: &'_ [String]| list.to_vec();
    let (groups, scopes) = (texts(&arguments.group), texts(&arguments.scope));
    let subject =
        Subject::new(kind, id.clone(), groups.iter().map(String::as_str), scopes.iter().map(String::as_str));
    let who = Who { subject: &subject, username: Some(id), clientid: &arguments.clientid };
    let Explained { allowed, why } = trial.explain(&who, arguments.action, &arguments.topic);
    say(&format!("{}: {why}\n", if allowed { "allow" } else { "deny" }))
}

fn load(rules: Option<PathBuf>, policies: Option<PathBuf>, package: Option<&str>) -> anyhow::Result<Trial> {
    let trial = Trial::load(&match policies {
        None => PolicySource::Rules(rules, RuleOptions::default()),
        Some(policies) => PolicySource::Rego(RegoOptions {
            policies,
            data: rules,
            package: package.unwrap_or("celine.mqtt.acl").to_owned(),
            superuser_groups: Vec::new(),
            superuser_scopes: Vec::new(),
        }),
    })?;
    let mut err = std::io::stderr().lock();
    for warning in trial.warnings() {
        writeln!(err, "warning: {warning}")?;
    }
    Ok(trial)
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
