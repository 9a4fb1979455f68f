//! What OpenTelemetry's standard variables say. Variables for traces win over those for everything.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderMap;
use mortise_framework::config::Environment;
use url::{Url, form_urlencoded};

use super::{super::headers::header, NOT_CONFIGURABLE, Sampling, base, usable};

/// What variables say.
#[derive(Default)]
pub(super) struct Given {
    /// Whether they say that no spans are to be sent.
    pub(super) disabled: bool,
    pub(super) url: Option<Url>,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Option<Duration>,
    pub(super) delay: Option<Duration>,
    pub(super) queue: Option<usize>,
    pub(super) service_name: Option<String>,
    pub(super) resource: BTreeMap<String, String>,
    pub(super) sampling: Option<Sampling>,
}

/// Reads them.
///
/// # Errors
/// The first that cannot be obeyed, and why; its value is not repeated.
pub(super) fn read(environment: &Environment) -> Result<Given, String> {
    let get = |name: &str| environment.non_empty(name);
    let of_traces = |suffix: &str| {
        let (traces, all) =
            (format!("OTEL_EXPORTER_OTLP_TRACES_{suffix}"), format!("OTEL_EXPORTER_OTLP_{suffix}"));
        get(&traces).map(|value| (traces, value)).or_else(|| get(&all).map(|value| (all, value)))
    };
    let is = |name: &str, word: &str| get(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    let mut given = Given {
        disabled: is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none"),
        service_name: get("OTEL_SERVICE_NAME").map(str::to_owned),
        resource: get("OTEL_RESOURCE_ATTRIBUTES").map(pairs).unwrap_or_default(),
        ..Given::default()
    };
    if given.disabled {
        return Ok(given);
    }
    let about = |name: &str, why: &str| format!("no spans are sent: the variable {name}: {why}");
    given.url = match get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        Some(url) => Some(usable(url).map_err(|why| about("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &why))?),
        None => match get("OTEL_EXPORTER_OTLP_ENDPOINT") {
            Some(url) => Some(base(url).map_err(|why| about("OTEL_EXPORTER_OTLP_ENDPOINT", &why))?),
            None => None,
        },
    };
    if let Some((name, protocol)) = of_traces("PROTOCOL")
        && given.url.is_some()
        && protocol != "http/protobuf"
    {
        return Err(about(&name, "the one protocol there is, is http/protobuf"));
    }
    if let Some((name, headers)) = of_traces("HEADERS") {
        for (key, value) in pairs(headers) {
            let header = header(&key, &value, &NOT_CONFIGURABLE);
            let (key, value) = header.map_err(|_| about(&name, "it holds what is no header"))?;
            given.headers.insert(key, value);
        }
    }
    let number = |name: &str, value: &str| {
        value
            .trim()
            .parse::<u64>()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| about(name, "this is no number"))
    };
    if let Some((name, value)) = of_traces("TIMEOUT") {
        given.timeout = Some(Duration::from_millis(number(&name, value)?));
    }
    if let Some(value) = get("OTEL_BSP_SCHEDULE_DELAY") {
        given.delay = Some(Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", value)?));
    }
    if let Some(value) = get("OTEL_BSP_MAX_QUEUE_SIZE") {
        let size = number("OTEL_BSP_MAX_QUEUE_SIZE", value)?;
        given.queue = Some(usize::try_from(size).unwrap_or(usize::MAX).min(1_000_000));
    }
    if let Some(word) = get("OTEL_TRACES_SAMPLER") {
        let sampler = sampler(word, get("OTEL_TRACES_SAMPLER_ARG"));
        given.sampling =
            Some(sampler.ok_or_else(|| {
                about("OTEL_TRACES_SAMPLER", "there is no such sampler, or its share is none")
            })?);
    }
    Ok(given)
}

fn sampler(word: &str, argument: Option<&str>) -> Option<Sampling> {
    let (word, follow_caller) = match word.trim().strip_prefix("parentbased_") {
        Some(word) => (word, true),
        None => (word.trim(), false),
    };
    let ratio = match word {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => match argument {
            None => 1.0,
            Some(text) => text.trim().parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio))?,
        },
        _ => return None,
    };
    Some(Sampling { ratio, follow_caller })
}

/// `a=1,b=2`, values percent-encoded. What is no pair is passed over.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.trim().to_owned(), decoded(value.trim())))
        .filter(|(key, _)| !key.is_empty())
        .collect()
}

fn decoded(value: &str) -> String {
    // As in a form, but for its two characters that mean something else here.
    let escaped = value.replace('+', "%2B").replace('&', "%26");
    form_urlencoded::parse(format!("={escaped}").as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Given, String> {
        read(&Environment::new(variables.iter().copied()))
    }

    #[test]
    fn the_url_for_traces_is_taken_as_it_is_and_the_general_one_as_a_base() {
        let given = from(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/x")]).unwrap();
        assert_eq!(given.url.unwrap().as_str(), "http://c:4318/x/v1/traces");
        let given = from(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/spans"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ])
        .unwrap();
        assert_eq!(given.url.unwrap().as_str(), "http://t:1/spans");
        assert_eq!(given.timeout, Some(Duration::from_millis(2_500)));
    }

    #[test]
    fn headers_and_attributes_are_decoded_and_samplers_known() {
        let given = from(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20a+b%3D, x-tenant=acme"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,service.namespace=a%2Cb"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ])
        .unwrap();
        assert_eq!(
            (&given.headers["authorization"], &given.headers["x-tenant"]),
            (&"Basic a+b=".parse().unwrap(), &"acme".parse().unwrap())
        );
        assert_eq!(given.resource["service.namespace"], "a,b");
        assert_eq!(given.sampling, Some(Sampling { ratio: 0.25, follow_caller: true }));
        assert_eq!(sampler("always_off", None), Some(Sampling { ratio: 0.0, follow_caller: false }));
        assert_eq!(sampler("traceidratio", Some("7")), None);
    }

    #[test]
    fn what_cannot_be_obeyed_is_said_without_its_value() {
        let Err(error) = from(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://hunter2")]) else { panic!("taken") };
        assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !error.contains("hunter2"), "{error}");
        let given = from(&[("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense")]);
        assert!(given.is_ok_and(|given| given.disabled));
    }
}
