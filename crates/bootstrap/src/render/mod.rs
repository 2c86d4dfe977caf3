//! Rendering a profile's template for one device, as Go does (reference 04 §3.2).

mod budget;
mod format;
mod show;

use std::{collections::BTreeMap, sync::Arc};

use gotmpl::{MissingKey, Template, TemplateError, Value};
use kernel::{Error, Result};
use serde_json::{Map, json};

use crate::model::{ContentFormat, Profile, Snapshot};

/// The most turns of all `range` in one rendering.
const TURNS_MAX: u64 = 10_000;
/// The largest result in bytes.
const RESULT_MAX_LEN: usize = 1024 * 1024;
/// The name of a template's top.
const MAIN: &str = "profile";
/// The function through which all that a template prints goes.
const SHOW: &str = "shown_as_go_does";

/// The device that a template is rendered for.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The id of its configuration.
    pub(crate) id: String,
    /// What it calls itself.
    pub(crate) external_id: String,
    /// Its domain.
    pub(crate) domain: String,
    /// Values that come before the profile's defaults.
    pub(crate) values: Map<String, serde_json::Value>,
}

/// The content for a device: the template rendered, and in the profile's format. Unprocessable where it cannot be.
///
/// It may take its time, on a thread where nobody waits behind it.
pub(crate) async fn rendered(profile: Profile, target: Target, bound: Vec<Snapshot>) -> Result<String> {
    tokio::task::spawn_blocking(move || render(&profile, &target, &bound)).await.map_err(Error::internal)?
}

fn render(profile: &Profile, target: &Target, bound: &[Snapshot]) -> Result<String> {
    if profile.format == ContentFormat::Raw {
        return Ok(profile.template.clone());
    }
    let missing =
        profile.slots.iter().find(|slot| slot.required && !bound.iter().any(|b| b.slot == slot.name));
    if let Some(slot) = missing {
        return Err(Error::unprocessable(format!("the binding slot `{}` is required, bind it", slot.name)));
    }
    let template = parse(&profile.template)?;
    let mut result = Bounded(String::new());
    let data = data(profile, target, bound);
    if template.lookup(MAIN).is_some() {
        template.execute_template_fmt(&mut result, MAIN, &data).map_err(|error| refused(&error))?;
    }
    format::checked(result.0, profile.format)
}

/// The template, ready. Invalid where it cannot be read.
pub(crate) fn parse(text: &str) -> Result<Template> {
    let template = budget::with_budget(Template::new(MAIN))
        .missing_key(MissingKey::Error)
        .max_range_iters(TURNS_MAX)
        .func(SHOW, |args| Ok(show::shown(args.last().unwrap_or(&Value::Nil))))
        .func("toJSON", |args| {
            Ok(Value::from_text(&show::json(args.last().unwrap_or(&Value::Nil)).to_string()))
        })
        .func("default", default)
        .func("required", required);
    let template = template.parse(text).map_err(|error| {
        Error::invalid(format!("the template cannot be read: {}", short(&error.to_string())))
    })?;
    Ok(rewritten(template))
}

/// `default def val`: `def` where `val` is nothing.
fn default(args: &[Value]) -> gotmpl::Result<Value> {
    match args {
        [default, value] if is_nothing(value) => Ok(default.clone()),
        [_, value] => Ok(value.clone()),
        _ => Err(failed("default takes two values")),
    }
}

/// `required key val`: fails where `val` is nothing.
fn required(args: &[Value]) -> gotmpl::Result<Value> {
    match args {
        [key, value] if is_nothing(value) => Err(failed(&format!("`{key}` is required"))),
        [_, value] => Ok(value.clone()),
        _ => Err(failed("required takes two values")),
    }
}

fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Nil) || value.as_str() == Some("")
}

fn failed(message: &str) -> TemplateError {
    TemplateError::Exec(message.to_owned())
}

fn refused(error: &TemplateError) -> Error {
    Error::unprocessable(format!("the profile cannot be rendered: {}", short(&error.to_string())))
}

/// An error may quote the template; an answer must not grow with it.
fn short(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

trait FromText {
    fn from_text(text: &str) -> Self;
}

impl FromText for Value {
    fn from_text(text: &str) -> Self {
        Self::String(Arc::from(text))
    }
}

/// Sends whatever the template prints through [`SHOW`], for the library prints numbers as Rust does, and lets it be paid for.
fn rewritten(template: Template) -> Template {
    let names: Vec<String> = template.templates().into_iter().map(str::to_owned).collect();
    names.into_iter().fold(template, |template, name| match template.lookup(&name).cloned() {
        Some(mut tree) => {
            budget::rewrite(&mut tree, SHOW);
            template.add_parse_tree(&name, tree)
        }
        None => template,
    })
}

/// What the template sees: `.Device`, `.Vars` and `.Bindings`.
fn data(profile: &Profile, target: &Target, bound: &[Snapshot]) -> Value {
    let mut vars = profile.defaults.as_map().clone();
    vars.extend(target.values.clone());
    let device = json!({"ID": target.id, "ExternalID": target.external_id, "DomainID": target.domain});
    let bindings = bound.iter().map(|bound| (Arc::from(bound.slot.as_str()), binding(profile, bound)));
    map([
        ("Device", show::value(&device)),
        ("Vars", show::value(&serde_json::Value::Object(vars))),
        ("Bindings", Value::Map(Arc::new(bindings.collect()))),
    ])
}

fn binding(profile: &Profile, bound: &Snapshot) -> Value {
    let fields = profile.slots.iter().find(|slot| slot.name == bound.slot).map(|slot| slot.fields.as_slice());
    let fields = fields.filter(|fields| !fields.is_empty());
    let wanted = |name: &str| fields.is_none_or(|fields| fields.iter().any(|field| field == name));
    let known = bound.known.iter().filter(|(name, _)| wanted(name));
    let known = known.map(|(name, value)| (Arc::from(name.as_str()), show::value(value)));
    let secret = bound.secret.iter().filter(|_| wanted("secret"));
    let secret = secret.map(|secret| (Arc::from("secret"), Value::from_text(secret.expose())));
    map([
        ("Type", Value::from_text(&bound.kind)),
        ("ID", Value::from_text(&bound.id)),
        ("Snapshot", Value::Map(Arc::new(known.collect()))),
        ("Secret", Value::Map(Arc::new(secret.collect()))),
    ])
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members: BTreeMap<Arc<str>, Value> = members.into_iter().map(|(k, v)| (Arc::from(k), v)).collect();
    Value::Map(Arc::new(members))
}

/// A result that does not grow without end.
struct Bounded(String);

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > RESULT_MAX_LEN {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kernel::{DomainId, Metadata, ProfileId, Rng, Secret, Timestamp};

    use super::*;
    use crate::model::Slot;

    fn profile(template: &str, format: ContentFormat) -> Profile {
        let rng = Rng::seeded(1);
        Profile {
            id: ProfileId::generate(&rng),
            domain: DomainId::generate(&rng),
            name: "p".parse().unwrap(),
            description: String::new(),
            format,
            template: template.to_owned(),
            defaults: object(json!({"port": 1883, "big": 1_000_000, "level": "info"})),
            slots: Vec::new(),
            version: 1,
            created_at: Timestamp::from_micros(0),
            updated_at: None,
        }
    }

    fn object(json: serde_json::Value) -> Metadata {
        serde_json::from_value(json).unwrap()
    }

    fn target() -> Target {
        Target {
            id: "config-1".to_owned(),
            external_id: "33:52".to_owned(),
            domain: "domain-1".to_owned(),
            values: object(json!({"level": "debug", "empty": "", "list": ["a", 2, true]})).as_map().clone(),
        }
    }

    fn bound() -> Vec<Snapshot> {
        vec![Snapshot {
            slot: "mqtt_client".to_owned(),
            kind: "client".to_owned(),
            id: "client-1".to_owned(),
            known: object(json!({"id": "client-1", "name": "box", "metadata": {"n": 1.5}})).as_map().clone(),
            secret: Some(Secret::new("s3cret".to_owned())),
            updated_at: Timestamp::from_micros(0),
        }]
    }

    fn rendered(template: &str) -> Result<String> {
        render(&profile(template, ContentFormat::GoTemplate), &target(), &bound())
    }

    #[test]
    fn what_deployed_profiles_use_is_rendered_as_go_does() {
        for (template, result) in [
            ("{{ .Device.ID }} {{ .Device.ExternalID }} {{ .Device.DomainID }}", "config-1 33:52 domain-1"),
            ("{{ index .Vars \"level\" }}", "debug"),
            ("{{ (index .Bindings \"mqtt_client\").ID }}", "client-1"),
            ("{{ index (index .Bindings \"mqtt_client\").Secret \"secret\" }}", "s3cret"),
            ("{{ index (index .Bindings \"mqtt_client\").Snapshot \"name\" }}", "box"),
            ("{{ index .Vars \"nothing\" }}", "<no value>"),
            ("{{ .Vars.port }} {{ .Vars.big }} {{ .Vars.list }}", "1883 1e+06 [a 2 true]"),
            ("{{ .Vars.empty | default \"a\" }}{{ index .Vars \"x\" | default \"b\" }}", "ab"),
            ("{{ toJSON .Vars.list }}", "[\"a\",2,true]"),
            ("{{ if eq .Vars.level \"debug\" }}yes{{ else }}no{{ end }}", "yes"),
            ("{{ range $i, $v := .Vars.list }}{{ $i }}={{ $v }};{{ end }}", "0=a;1=2;2=true;"),
            ("{{ with .Vars.level }}{{ . }}{{ end }}", "debug"),
            ("a {{- $x := .Vars.port }} {{ printf \"%s-%v\" .Vars.level $x -}} b", "a debug-1883b"),
            ("{{ define \"t\" }}<{{ .port }}>{{ end }}{{ template \"t\" .Vars }}", "<1883>"),
            ("", ""),
        ] {
            assert_eq!(rendered(template).unwrap(), result, "{template}");
        }
    }

    #[test]
    fn what_is_missing_is_an_error_that_names_it() {
        for template in ["{{ .Vars.nothing }}", "{{ required \"url\" .Vars.empty }}"] {
            let error = rendered(template).unwrap_err();
            assert_eq!(error.kind(), kernel::Kind::Unprocessable, "{template}");
        }
        let mut profile = profile("x", ContentFormat::GoTemplate);
        profile.slots = vec![Slot {
            name: "telemetry".to_owned(),
            kind: "channel".to_owned(),
            required: true,
            fields: Vec::new(),
        }];
        let error = render(&profile, &target(), &bound()).unwrap_err();
        assert_eq!(error.to_string(), "the binding slot `telemetry` is required, bind it");
    }

    #[test]
    fn a_slot_shows_only_the_fields_that_it_names() {
        let mut profile =
            profile("{{ toJSON (index .Bindings \"mqtt_client\") }}", ContentFormat::GoTemplate);
        profile.slots = vec![Slot {
            name: "mqtt_client".to_owned(),
            kind: "client".to_owned(),
            required: false,
            fields: vec!["name".to_owned()],
        }];
        assert_eq!(
            render(&profile, &target(), &bound()).unwrap(),
            r#"{"ID":"client-1","Secret":{},"Snapshot":{"name":"box"},"Type":"client"}"#
        );
    }

    #[test]
    fn a_raw_template_stays_as_it_is_and_endless_ones_end() {
        let raw = profile("{{ whatever", ContentFormat::Raw);
        assert_eq!(render(&raw, &target(), &[]).unwrap(), "{{ whatever");
        assert!(rendered("{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}").is_err());
        assert!(rendered("{{ range 100000000 }}x{{ end }}").is_err());
    }
}
