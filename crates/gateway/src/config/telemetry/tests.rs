use mortise_framework::{
    Framework,
    config::{Environment, Errors, FileKind},
};

use super::{super::LoadOptions, *};
use crate::config::Settled;

const GUIDE: &str = include_str!("../../../../../docs/guide/observe.md");

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settled, Errors> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mortise.yaml"), text).unwrap();
    let mut options = LoadOptions::new(folder.path(), Environment::new(variables.iter().copied()));
    options.files.push(("mortise.yaml".into(), FileKind::Own));
    Settled::load(&options, &Framework::builder().build())
}

#[test]
fn nothing_is_sent_unless_somebody_says_where() {
    assert_eq!(load("telemetry: { service_name: edge, sample_ratio: 0.5 }", &[]).unwrap().telemetry, None);
    let settled =
        load("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SERVICE_NAME", "edge")]);
    let telemetry = settled.unwrap().telemetry.unwrap();
    assert_eq!(
        (telemetry.url.as_str(), &*telemetry.resource["service.name"]),
        ("http://c:4318/v1/traces", "edge")
    );
    let off = [("OTEL_SDK_DISABLED", "true")];
    assert_eq!(load("telemetry: { otlp: { endpoint: 'http://c:4318' } }", &off).unwrap().telemetry, None);
}

#[test]
fn the_example_of_the_guide_is_what_it_says() {
    let block = GUIDE.split("```yaml\n").find(|block| block.starts_with("telemetry:")).unwrap();
    let example = block.split("```").next().unwrap();
    let variables =
        [("OTLP_TOKEN", "hunter2"), ("OTEL_SERVICE_NAME", "other"), ("OTEL_TRACES_SAMPLER", "always_off")];
    let telemetry = load(example, &variables).unwrap().telemetry.unwrap();
    assert_eq!(telemetry.url.as_str(), "http://127.0.0.1:4318/v1/traces");
    assert_eq!(&*telemetry.resource["service.name"], "mortise-edge", "the file is over variables");
    assert_eq!(telemetry.sampling, Sampling { ratio: 0.1, follow_caller: true });
    assert_eq!((telemetry.timeout.as_secs(), telemetry.delay.as_secs(), telemetry.queue), (10, 5, 2_048));
    assert!(telemetry.headers["authorization"].is_sensitive());
    assert!(!format!("{telemetry:?}").contains("hunter2"));
}

#[test]
fn errors_name_the_key_and_never_repeat_the_url() {
    for (text, key) in [
        ("telemetry: { otlp: { endpoint: 'ftp://hunter2/' } }", "telemetry.otlp.endpoint"),
        ("telemetry: { otlp: { endpoint: 'http://u:hunter2@h/' } }", "telemetry.otlp.endpoint"),
        (
            "telemetry: { otlp: { endpoint: 'http://h', headers: { host: hunter2 } } }",
            "telemetry.otlp.headers.host",
        ),
        ("telemetry: { otlp: { endpoint: 'http://h', protocol: grpc } }", "protocol"),
        ("telemetry: { sample_ratio: 1.5 }", "sample_ratio"),
    ] {
        let Err(errors) = load(text, &[]) else { panic!("{text} was taken") };
        let said = errors.to_string();
        assert!(said.contains(key) && !said.contains("hunter2"), "{text}: {said}");
    }
}
