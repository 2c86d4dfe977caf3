//! Texts of mails: HTML with the variables of Go's templates, `{{.User}}`, and nothing else of theirs.

use std::path::Path;

use kernel::{Error, Result};

/// What the variables stand for (reference 01 §5.6). `Header` and `Footer` are empty, as upstream leaves them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) to: &'a str,
    pub(super) from: &'a str,
    pub(super) subject: &'a str,
    pub(super) user: &'a str,
    pub(super) content: &'a str,
    pub(super) host: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    To,
    From,
    Subject,
    User,
    Content,
    Host,
    Empty,
}

impl Variable {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "To" => Self::To,
            "From" => Self::From,
            "Subject" => Self::Subject,
            "User" => Self::User,
            "Content" => Self::Content,
            "Host" => Self::Host,
            "Header" | "Footer" => Self::Empty,
            _ => return None,
        })
    }

    const fn of<'a>(self, values: &Values<'a>) -> &'a str {
        match self {
            Self::To => values.to,
            Self::From => values.from,
            Self::Subject => values.subject,
            Self::User => values.user,
            Self::Content => values.content,
            Self::Host => values.host,
            Self::Empty => "",
        }
    }
}

/// A text with its variables; each is known.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// Text, and the variable after it.
    parts: Vec<(String, Variable)>,
    end: String,
}

impl Template {
    /// The template in `file`, or the built-in one.
    pub(super) fn load(file: Option<&Path>, built_in: &str) -> Result<Self> {
        let Some(file) = file else { return Self::parse(built_in) };
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::invalid(format!("the mail template `{}` cannot be read: {error}", file.display()))
        })?;
        Self::parse(&text)
            .map_err(|error| Error::invalid(format!("the mail template `{}`: {error}", file.display())))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) =
                after.split_once("}}").ok_or_else(|| Error::invalid("a `{{` lacks its `}}`"))?;
            let variable = inside.trim().strip_prefix('.').and_then(Variable::named).ok_or_else(|| {
                Error::invalid(format!(
                    "`{{{{{inside}}}}}` is not known; there are {{{{.To}}}}, {{{{.From}}}}, {{{{.Subject}}}}, \
                     {{{{.Header}}}}, {{{{.User}}}}, {{{{.Content}}}}, {{{{.Host}}}} and {{{{.Footer}}}}"
                ))
            })?;
            parts.push((before.to_owned(), variable));
            rest = after;
        }
        Ok(Self { parts, end: rest.to_owned() })
    }

    /// The text with what the variables stand for, none of which can add markup.
    pub(super) fn render(&self, values: &Values<'_>) -> String {
        let mut html = String::new();
        for (text, variable) in &self.parts {
            html.push_str(text);
            escape_into(&mut html, variable.of(values));
        }
        html.push_str(&self.end);
        html
    }
}

/// Writes text so that HTML shows it as it is.
pub(crate) fn escape_into(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'static> = Values {
        to: "ann@example.com",
        from: "us",
        subject: "s",
        user: "<b>\"ann'&",
        content: "http://x/?a=1&token=t",
        host: "http://x/",
    };

    #[test]
    fn variables_are_replaced_and_cannot_add_markup() {
        let template = Template::parse("{{.Header}}Dear {{ .User }}: {{.Content}} {{.Host}}!").unwrap();
        assert_eq!(
            template.render(&VALUES),
            "Dear &lt;b&gt;&quot;ann&#39;&amp;: http://x/?a=1&amp;token=t http://x/!"
        );
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        for bad in ["{{.Password}}", "{{if .User}}", "{{range .To}}", "{{User}}"] {
            let refused = Template::parse(bad).unwrap_err().to_string();
            assert!(refused.contains(bad) && refused.contains("{{.Content}}"), "{refused}");
        }
        assert_eq!(Template::parse("{{.User").unwrap_err().to_string(), "a `{{` lacks its `}}`");
        let missing = Template::load(Some(Path::new("/no/such.tmpl")), "").unwrap_err().to_string();
        assert!(missing.contains("/no/such.tmpl"), "{missing}");
    }
}
