//! What one rendering may cost, so that no template keeps the machine busy or eats its memory.
//!
//! Templates are programs: text can be doubled in a loop, templates can call each other twice and twice again, and a
//! format may ask for a width of 65,535 columns many times. So each value that a template makes or hands to a function is
//! paid for out of one [`Budget`] before anything is made of it: the template's tree is rewritten so that they all pass
//! through [`PAY`], and what is a format through [`PAY_FORMAT`].

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gotmpl::{
    Template, TemplateError, Value,
    parse::{BranchNode, CommandNode, Expr, ListNode, Node, PipeNode, Pos},
};

/// What a rendering may spend, in bytes of values and steps.
const BUDGET: u64 = 16 * 1024 * 1024;
/// The price of a step, or of a value beside its text.
const STEP: u64 = 16;
/// The widest column that the library makes, also where the width comes from an argument.
const WIDTH_MAX: u64 = 65_535;
/// The most columns and digits that the verbs of one format may ask for.
const FORMAT_MAX: u64 = 256 * 1024;

const PAY: &str = "paid_for";
const PAY_FORMAT: &str = "paid_for_as_a_format";
const STEPS: &str = "paid_for_as_a_step";

/// What is left to spend.
#[derive(Debug, Clone)]
struct Budget(Arc<AtomicU64>);

impl Budget {
    fn spend(&self, price: u64) -> gotmpl::Result<()> {
        let less = |left: u64| left.checked_sub(price);
        let spent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        spent
            .map(drop)
            .map_err(|_| TemplateError::Exec("it takes too long or makes too much text".to_owned()))
    }
}

/// The template with the functions that [`rewrite`] puts into it. They hand on the value that they are given.
pub(super) fn with_budget(template: Template) -> Template {
    let budget = Budget(Arc::new(AtomicU64::new(BUDGET)));
    let paying = |price: fn(&Value) -> u64| {
        let budget = budget.clone();
        move |args: &[Value]| {
            let value = args.last().unwrap_or(&Value::Nil);
            budget.spend(price(value))?;
            Ok(value.clone())
        }
    };
    template
        .func(PAY, paying(price))
        .func(STEPS, paying(|_| STEP))
        .func(PAY_FORMAT, paying(|value| price(value).saturating_add(price_of_format(value))))
}

/// The bytes of all text in a value, and a step for each value in it.
fn price(value: &Value) -> u64 {
    let inner = match value {
        Value::String(text) => length(text),
        Value::List(items) => items.iter().map(price).fold(0, u64::saturating_add),
        Value::Map(members) => members
            .iter()
            .map(|(name, value)| length(name).saturating_add(price(value)))
            .fold(0, u64::saturating_add),
        _ => 0,
    };
    inner.saturating_add(STEP)
}

fn length(text: &str) -> u64 {
    text.len().try_into().unwrap_or(u64::MAX)
}

/// What a format's verbs may fill up with spaces and zeros. More than [`FORMAT_MAX`] is more than there is.
fn price_of_format(value: &Value) -> u64 {
    let Value::String(format) = value else { return 0 };
    let mut columns: u64 = 0;
    for verb in format.split('%').skip(1) {
        let end = verb.find(|c: char| c.is_alphabetic()).unwrap_or(verb.len());
        for part in verb.get(..end).unwrap_or_default().split('.') {
            let digits = part.trim_matches(|c: char| !c.is_ascii_digit() && c != '*');
            let wide = match digits {
                "" => 0,
                digits => digits.parse().map_or(WIDTH_MAX, |width: u64| width.min(WIDTH_MAX)),
            };
            columns = columns.saturating_add(wide);
        }
    }
    if columns > FORMAT_MAX { u64::MAX } else { columns }
}

/// Lets everything that the tree makes be paid for, and sends what it prints through the function `show`.
pub(super) fn rewrite(list: &mut ListNode, show: &str) {
    for node in &mut list.nodes {
        match node {
            Node::Action(action) => {
                rewrite_pipe(&mut action.pipe);
                if action.pipe.decl.is_empty() {
                    action.pipe.commands.push(call(action.pos, show));
                }
            }
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => rewrite_branch(branch, show),
            Node::Template(template) => {
                let pos = template.pos;
                let dot = || PipeNode {
                    pos,
                    decl: Vec::new(),
                    commands: vec![CommandNode { pos, args: vec![Expr::Dot(pos)] }],
                    is_assign: false,
                };
                let pipe = template.pipe.get_or_insert_with(dot);
                rewrite_pipe(pipe);
                pipe.commands.push(call(pos, STEPS));
            }
            Node::List(list) => rewrite(list, show),
            Node::Define(define) => rewrite(&mut define.body, show),
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
}

fn rewrite_branch(branch: &mut BranchNode, show: &str) {
    rewrite_pipe(&mut branch.pipe);
    branch.pipe.commands.push(call(branch.pos, STEPS));
    rewrite(&mut branch.body, show);
    branch.else_body.iter_mut().for_each(|body| rewrite(body, show));
}

/// Each argument of each function pays before the function sees it, and so does each result that goes on to the next.
fn rewrite_pipe(pipe: &mut PipeNode) {
    let commands = std::mem::take(&mut pipe.commands);
    let mut commands = commands.into_iter().peekable();
    while let Some(mut command) = commands.next() {
        rewrite_command(&mut command);
        let pos = command.pos;
        let is_call = matches!(command.args.first(), Some(Expr::Identifier(..)));
        pipe.commands.push(command);
        match commands.peek() {
            Some(next) if is_printf(next) && next.args.len() == 1 => {
                pipe.commands.push(call(pos, PAY_FORMAT));
            }
            Some(_) => pipe.commands.push(call(pos, PAY)),
            None if is_call => pipe.commands.push(call(pos, PAY)),
            None => pipe.commands.push(call(pos, STEPS)),
        }
    }
}

fn rewrite_command(command: &mut CommandNode) {
    let formats = is_printf(command);
    for (place, arg) in command.args.iter_mut().enumerate() {
        rewrite_expr(arg);
        let plain = matches!(arg, Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) | Expr::Identifier(..));
        if place > 0 && !plain {
            let pos = arg.pos();
            let value = std::mem::replace(arg, Expr::Nil(pos));
            let pay = if formats && place == 1 { PAY_FORMAT } else { PAY };
            let commands = vec![CommandNode { pos, args: vec![value] }, call(pos, pay)];
            *arg = Expr::Pipe(pos, PipeNode { pos, decl: Vec::new(), commands, is_assign: false });
        }
    }
}

fn rewrite_expr(expr: &mut Expr) {
    match expr {
        Expr::Pipe(_, pipe) => rewrite_pipe(pipe),
        Expr::Chain(_, inner, _) => rewrite_expr(inner),
        _ => {}
    }
}

fn is_printf(command: &CommandNode) -> bool {
    matches!(command.args.first(), Some(Expr::Identifier(_, name)) if name.as_str() == "printf")
}

fn call(pos: Pos, function: &str) -> CommandNode {
    CommandNode { pos, args: vec![Expr::Identifier(pos, function.into())] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(template: &str) -> Result<String, String> {
        let template = with_budget(Template::new("t"))
            .func("show", |args| Ok(args.last().cloned().unwrap_or(Value::Nil)))
            .parse(template)
            .map_err(|error| error.to_string())?;
        let names: Vec<String> = template.templates().into_iter().map(str::to_owned).collect();
        let template = names.into_iter().fold(template, |template, name| {
            let mut tree = template.lookup(&name).unwrap().clone();
            rewrite(&mut tree, "show");
            template.add_parse_tree(&name, tree)
        });
        let mut result = String::new();
        template.execute_template_fmt(&mut result, "t", &Value::Int(7)).map_err(|error| error.to_string())?;
        Ok(result)
    }

    #[test]
    fn what_pays_says_what_it_said_before() {
        for (template, result) in [
            ("{{ printf \"%03d|%-5s|\" 7 \"a\" }}", "007|a    |"),
            ("{{ \"%d\" | printf }}", "%!d(MISSING)"),
            ("{{ 3 | printf \"%d %d\" 2 }}", "2 3"),
            ("{{ $x := print 1 2 }}{{ $x | len }}", "3"),
            ("{{ if and true (eq . 7) }}y{{ else }}n{{ end }}", "y"),
            ("{{ if or true (index . 1) }}lazy{{ end }}", "lazy"),
            ("{{ range $i := 3 }}{{ $i }}{{ end }}", "012"),
            ("{{ define \"u\" }}<{{ . }}>{{ end }}{{ template \"u\" }}{{ template \"u\" 3 }}", "<7><3>"),
            ("{{ with $x := 5 }}{{ $x }}{{ . }}{{ end }}", "55"),
            ("{{ html (print \"<\" \"b>\") | printf \"%s\" }}", "&lt;b&gt;"),
        ] {
            assert_eq!(run(template).as_deref(), Ok(result), "{template}");
        }
    }

    #[test]
    fn text_that_doubles_templates_that_branch_and_wide_columns_end() {
        let calls: String = (0..90)
            .map(|n| {
                let next = n + 1;
                format!(
                    "{{{{ define \"t{n}\" }}}}{{{{ template \"t{next}\" }}}}{{{{ template \"t{next}\" }}}}{{{{ end }}}}"
                )
            })
            .collect();
        for template in [
            "{{ $x := \"abcd\" }}{{ range 60 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}".to_owned(),
            "{{ $x := \"abcd\" }}{{ range 60 }}{{ $x = print $x $x $x | html }}{{ end }}".to_owned(),
            format!("{calls}{{{{ define \"t90\" }}}}{{{{ end }}}}{{{{ template \"t0\" }}}}"),
            format!("{{{{ $x := printf \"{}\" }}}}", "%65535d".repeat(30_000)),
            format!("{{{{ $x := \"{}\" | printf }}}}", "%.65535f".repeat(30_000)),
            format!("{{{{ range 1000 }}}}{{{{ $x := printf \"{}\" }}}}{{{{ end }}}}", "%*d".repeat(4)),
        ] {
            let error = run(&template).unwrap_err();
            assert!(error.contains("takes too long"), "{error}");
        }
    }
}
