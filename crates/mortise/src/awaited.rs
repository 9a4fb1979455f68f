//! What entries wait for whose kind nothing here can run yet.
//!
//! The class paths of plugins that other frameworks bundle and that are not built in, of every generation, are known by
//! their module, so that an entry of a file written for them says what it waits for instead of being taken for
//! somebody's own class. Runtimes are asked first: a plugin leaves the table when it is built in.

/// Bundled plugins that are not built in, and the modules they have lived in, without underscores.
const BUNDLED: [(&str, &[&str]); 23] = [
    ("AIArtifactsNormalizer", &["aiartifactsnormalizer"]),
    ("ALTKJsonProcessor", &["altkjsonprocessor"]),
    ("CitationValidator", &["citationvalidator"]),
    ("CodeFormatter", &["codeformatter"]),
    ("CodeSafetyLinter", &["codesafetylinter"]),
    ("EncodedExfilDetector", &["encodedexfildetection", "encodedexfildetector"]),
    ("HTMLToMarkdown", &["htmltomarkdown"]),
    ("JwtClaimsExtraction", &["jwtclaimsextraction"]),
    ("LicenseHeaderInjector", &["licenseheaderinjector"]),
    ("MarkdownCleaner", &["markdowncleaner"]),
    ("PrivacyNoticeInjector", &["privacynoticeinjector"]),
    ("ResponseCacheByPrompt", &["responsecachebyprompt"]),
    ("RobotsLicenseGuard", &["robotslicenseguard"]),
    ("SafeHTMLSanitizer", &["safehtmlsanitizer"]),
    ("SpanAttributeCustomizer", &["spanattributecustomizer"]),
    ("SPARCStaticValidator", &["sparcstaticvalidator"]),
    ("Summarizer", &["summarizer"]),
    ("TimezoneTranslator", &["timezonetranslator"]),
    ("ToolsTelemetryExporter", &["toolstelemetryexporter"]),
    ("ToonEncoder", &["toonencoder"]),
    ("VirusTotalURLChecker", &["virustotalchecker", "virustotalurlchecker"]),
    ("Watchdog", &["watchdog"]),
    ("WebhookNotification", &["webhooknotification"]),
];

/// Plugin servers that are usually run outside, by the package of their class.
const SERVERS: [(&str, &str); 2] =
    [("CedarPolicyPlugin", "cedarpolicyplugin"), ("LLMGuard", "llmguardplugin")];

/// What an entry of this kind waits for that no runtime of this build claims; `None` where nothing is known of it.
#[must_use]
pub fn reason(kind: &str) -> Option<String> {
    match kind {
        "wasm" => return Some(runtime("WebAssembly plugins")),
        "python" | "isolated_venv" => return Some(runtime("Python plugins")),
        _ => {}
    }
    kind.contains('.').then(|| bundled(kind).unwrap_or_else(|| python(kind)))
}

/// What a class path waits for that belongs to a plugin which other frameworks bundle; `None` for any other.
#[must_use]
pub fn bundled(kind: &str) -> Option<String> {
    let (first, rest) = kind.split_once('.')?;
    if let Some((name, _)) = SERVERS.iter().find(|(_, package)| *package == first) {
        return Some(format!(
            "waits for the plugin server {name}: run it, and write the entry as `kind: external`; or name the folder of \
             its code in `plugin_dirs`, and it runs as a Python class"
        ));
    }
    let module = match first.strip_prefix("cpex_") {
        Some(module) => module,
        None if first == "plugins" => rest.split('.').next()?,
        None => return None,
    };
    let module = module.replace('_', "").to_lowercase();
    let (name, _) = BUNDLED.iter().find(|(_, modules)| modules.contains(&module.as_str()))?;
    Some(format!(
        "waits for the built-in plugin {name}, which is not part of this version; with the folder of its code in \
         `plugin_dirs` it runs as a Python class"
    ))
}

fn runtime(what: &str) -> String {
    format!("waits for {what}, which this version cannot run")
}

fn python(kind: &str) -> String {
    format!("waits for Python plugins, which this version cannot run (class {kind})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundled_plugins_of_every_generation_are_known_by_name() {
        for (kind, name) in [
            ("plugins.watchdog.watchdog.WatchdogPlugin", "Watchdog"),
            ("cpex_encoded_exfil_detection.EncodedExfilDetectorPlugin", "EncodedExfilDetector"),
            ("plugins.html_to_markdown.html_to_markdown.HTMLToMarkdownPlugin", "HTMLToMarkdown"),
        ] {
            let reason = reason(kind).unwrap();
            assert!(reason.contains(&format!("built-in plugin {name},")), "{kind}: {reason}");
        }
    }

    #[test]
    fn own_classes_wait_for_python_and_runtimes_for_themselves() {
        for (kind, word) in [
            ("plugins.my_plugin.plugin.MyPlugin", "Python"),
            ("acme.guard.Guard", "Python"),
            ("wasm", "WebAssembly"),
            ("llmguardplugin.plugin.LLMGuardPlugin", "plugin server"),
        ] {
            assert!(reason(kind).unwrap().contains(word), "{kind}");
        }
        assert_eq!(reason("nothing"), None);
    }
}
