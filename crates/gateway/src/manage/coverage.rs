//! `GET /api/v1/coverage`: which plugins would run where.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{
    answers::{detail, ok},
    asked::{Asked, percent_decoded},
};
use crate::coverage::{Caller, report};

/// Answers with the coverage of what is served now.
pub(super) async fn coverage(asked: &Asked<'_>) -> Response<Bytes> {
    let Some(snapshot) = asked.managed.snapshot() else {
        return detail(StatusCode::NOT_FOUND, "nothing is served here");
    };
    let (framework, caller) = (asked.managed.framework().clone(), caller(asked.query));
    // Thousands of tools times thousands of plugins take a while, which no call of this thread should wait for.
    match tokio::task::spawn_blocking(move || report(&snapshot, &framework, caller)).await {
        Ok(Ok(report)) => ok(&report),
        Ok(Err(unknown)) => detail(StatusCode::BAD_REQUEST, &unknown.to_string()),
        Err(_) => detail(StatusCode::INTERNAL_SERVER_ERROR, "the coverage could not be worked out"),
    }
}

/// A caller out of `app`, `user`, `tenant` and any number of `team`; `user=` says that there is none.
fn caller(query: &str) -> Caller {
    let mut caller = Caller::default();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = percent_decoded(value).unwrap_or_default();
        match key {
            "app" => caller.app = Some(value),
            "user" => caller.user = Some(value),
            "tenant" => caller.tenant = Some(value),
            "team" => caller.teams.get_or_insert_default().extend((!value.is_empty()).then_some(value)),
            _ => {}
        }
    }
    caller
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_says_what_is_known_of_the_caller() {
        let known = caller("app=ci&user=&team=a%20b&team=c&other=1");
        assert_eq!(known.app.as_deref(), Some("ci"));
        assert_eq!(known.user.as_deref(), Some(""), "known to have none");
        assert_eq!(known.tenant, None);
        assert_eq!(known.teams, Some(vec!["a b".to_owned(), "c".to_owned()]));
        assert_eq!(caller("team=").teams, Some(Vec::new()));
    }
}
