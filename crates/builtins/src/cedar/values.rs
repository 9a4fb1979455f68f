//! Callers, things and JSON as Cedar knows them.

use std::collections::{HashMap, HashSet};

use ::cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use mortise_plugin_api::{BuildError, PluginError, Request};
use serde_json::Value;

/// The types of entities there are.
pub(super) struct Types {
    user: EntityTypeName,
    app: EntityTypeName,
    nobody: EntityTypeName,
    team: EntityTypeName,
    tenant: EntityTypeName,
    action: EntityTypeName,
    /// By first word of the hook.
    things: [(&'static str, EntityTypeName); 5],
    upstream: EntityTypeName,
    server: EntityTypeName,
}

impl Types {
    /// # Errors
    /// Never: the names are names.
    pub(super) fn new() -> Result<Self, BuildError> {
        let name = |name: &str| {
            name.parse().map_err(|_| BuildError::new("policies", format!("{name} is no name of a type")))
        };
        Ok(Self {
            user: name("User")?,
            app: name("App")?,
            nobody: name("Anonymous")?,
            team: name("Team")?,
            tenant: name("Tenant")?,
            action: name("Action")?,
            things: [
                ("tool", name("Tool")?),
                ("prompt", name("Prompt")?),
                ("resource", name("Resource")?),
                ("agent", name("Agent")?),
                ("llm", name("Llm")?),
            ],
            upstream: name("Upstream")?,
            server: name("Server")?,
        })
    }

    /// Who calls: the user, else the app, else nobody in particular.
    pub(super) fn principal(&self, request: &Request) -> EntityUid {
        match (&request.caller.user, &request.caller.app) {
            (Some(user), _) => uid(&self.user, user),
            (None, Some(app)) => uid(&self.app, app),
            (None, None) => uid(&self.nobody, "anonymous"),
        }
    }

    /// What is done: the hook.
    pub(super) fn action(&self, hook: &str) -> EntityUid {
        uid(&self.action, hook)
    }

    /// What it is done to.
    pub(super) fn resource(&self, hook: &str, subject: &str) -> EntityUid {
        let found = self.things.iter().find(|(word, _)| hook.starts_with(word));
        let name = found.map_or(&self.things[0].1, |(_, name)| name);
        uid(name, subject)
    }

    /// Who calls, with teams, tenant and app above; and what is called, with server and upstream above.
    ///
    /// # Errors
    /// Metadata of an app that are no values.
    pub(super) fn entities(
        &self,
        principal: &EntityUid,
        resource: &EntityUid,
        request: &Request,
    ) -> Result<Vec<Entity>, PluginError> {
        let caller = &*request.caller;
        let mut above: HashSet<EntityUid> = caller.teams.iter().map(|team| uid(&self.team, team)).collect();
        above.extend(caller.tenant.as_deref().map(|tenant| uid(&self.tenant, tenant)));
        above.extend(caller.app.as_deref().map(|app| uid(&self.app, app)));
        above.remove(principal);
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let texts =
            |texts: &[std::sync::Arc<str>]| RestrictedExpression::new_set(texts.iter().map(|one| text(one)));
        let mut attributes = HashMap::from([
            ("is_admin".to_owned(), RestrictedExpression::new_bool(caller.is_admin)),
            ("teams".to_owned(), texts(&caller.teams)),
            ("scopes".to_owned(), texts(&caller.scopes)),
        ]);
        for (name, value) in [
            ("app", &caller.app),
            ("user", &caller.user),
            ("tenant", &caller.tenant),
            ("auth_method", &caller.auth_method),
        ] {
            attributes.extend(value.as_deref().map(|value| (name.to_owned(), text(value))));
        }
        let metadata = expression(&Value::Object(caller.metadata.clone()));
        attributes.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
        let who = Entity::new(principal.clone(), attributes, above)
            .map_err(|_| PluginError::failed("the caller cannot be shown to the policies"))?;
        let mut above = HashSet::new();
        above.extend(request.upstream.as_deref().map(|name| uid(&self.upstream, name)));
        above.extend(request.server_id.as_deref().map(|id| uid(&self.server, id)));
        Ok(vec![who, Entity::new_no_attrs(resource.clone(), above)])
    }
}

fn uid(name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
}

/// JSON as a value. Cedar knows neither null, which is left out, nor fractions, which become text.
pub(super) fn expression(json: &Value) -> Option<RestrictedExpression> {
    Some(match json {
        Value::Null => return None,
        Value::Bool(word) => RestrictedExpression::new_bool(*word),
        Value::Number(number) => match number.as_i64() {
            Some(number) => RestrictedExpression::new_long(number),
            None => RestrictedExpression::new_string(number.to_string()),
        },
        Value::String(text) => RestrictedExpression::new_string(text.clone()),
        Value::Array(items) => RestrictedExpression::new_set(items.iter().filter_map(expression)),
        Value::Object(members) => {
            let members =
                members.iter().filter_map(|(name, member)| Some((name.clone(), expression(member)?)));
            RestrictedExpression::new_record(members).ok()?
        }
    })
}
