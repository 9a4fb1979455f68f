//! A rule, compiled.

use ::cel::{Context, Env, ExecutionError, Program, Value};
use mortise_plugin_api::{BuildError, HookTable, PluginError, Violation};

use super::{config::RuleConfig, facts::Variables};

/// Code of a violation where a rule names none.
const CODE: &str = "POLICY_DENIED";
/// Longest expression, in bytes.
const LONGEST: usize = 65_536;

/// A rule.
pub(super) struct Rule {
    pub(super) name: String,
    /// What its expressions refer to.
    pub(super) uses: Variables,
    hooks: Vec<String>,
    when: Option<Program>,
    says: Program,
    /// What refuses: the expression's being true, or its not being so.
    refuses_on: bool,
    reason: String,
    code: String,
}

impl Rule {
    pub(super) fn new(env: &Env, at: usize, config: &RuleConfig) -> Result<Self, BuildError> {
        let field = |name: &str| format!("rules[{at}].{name}");
        let (name, says, refuses_on) = match (&config.deny, &config.require) {
            (Some(deny), None) => ("deny", deny, true),
            (None, Some(require)) => ("require", require, false),
            _ => return Err(BuildError::new(format!("rules[{at}]"), "must have either `deny` or `require`")),
        };
        let table = HookTable::standard();
        let mut hooks = Vec::new();
        for (n, hook) in config.hooks.iter().enumerate() {
            let row = table.get(hook);
            let row = row.ok_or_else(|| BuildError::new(field(&format!("hooks[{n}]")), "is no hook"))?;
            hooks.push(row.name.to_string());
        }
        let (says, mut uses) = compile(env, &field(name), says)?;
        let when = match &config.when {
            Some(when) => {
                let (when, more) = compile(env, &field("when"), when)?;
                uses = uses.and(more);
                Some(when)
            }
            None => None,
        };
        let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise } else { text }.to_owned();
        Ok(Self {
            name: or(&config.name, &format!("rule {}", at + 1)),
            uses,
            hooks,
            when,
            says,
            refuses_on,
            reason: or(&config.reason, "Refused by policy"),
            code: or(&config.code, CODE),
        })
    }

    /// Whether it applies at a hook.
    pub(super) fn is_at(&self, hook: &str) -> bool {
        self.hooks.is_empty() || self.hooks.iter().any(|one| one == hook)
    }

    /// Whether it refuses the call.
    pub(super) fn refuses(&self, context: &Context<'_, '_>) -> Result<bool, PluginError> {
        if let Some(when) = &self.when
            && !self.evaluate(when, context)?
        {
            return Ok(false);
        }
        Ok(self.evaluate(&self.says, context)? == self.refuses_on)
    }

    fn evaluate(&self, program: &Program, context: &Context<'_, '_>) -> Result<bool, PluginError> {
        let failed =
            |why: &str| PluginError::failed(format!("the rule `{}` cannot be evaluated: {why}", self.name));
        match program.execute(context) {
            Ok(Value::Bool(word)) => Ok(word),
            Ok(_) => Err(failed("it comes to something else than true or false")),
            Err(error) => Err(failed(why(&error))),
        }
    }

    pub(super) fn violation(&self) -> Violation {
        Violation::new(self.code.as_str(), self.reason.as_str())
            .describe(format!("{} (rule `{}`)", self.reason, self.name))
            .detail("rule", self.name.as_str())
            .http_status(403)
    }
}

/// What went wrong, without what it went wrong with.
fn why(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::NoSuchKey(_) => "a member it reads is not there (`has()` asks whether one is)",
        ExecutionError::UndeclaredReference(_) => "it names what there is not",
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedBinaryOperator(..) => "a value is of another type than it expects",
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than it expects",
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "it divides by zero",
        ExecutionError::Overflow(..) => "a number becomes too large",
        _ => "an operation fails",
    }
}

fn compile(env: &Env, field: &str, source: &str) -> Result<(Program, Variables), BuildError> {
    if source.len() > LONGEST {
        return Err(BuildError::new(field, format!("is longer than {LONGEST} bytes")));
    }
    let program = env.compile(source).map_err(|errors| {
        let first = errors.to_string();
        let first = first.lines().next().unwrap_or_default().to_owned();
        BuildError::new(field, format!("is no CEL expression: {first}"))
    })?;
    let uses = Variables::of(&program, source).map_err(|name| {
        let known = Variables::NAMES.join(", ");
        BuildError::new(field, format!("refers to `{name}`, which there is not; there are {known}"))
    })?;
    Ok((program, uses))
}
