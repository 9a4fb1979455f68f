//! Makes Rust of contracts/proto: a line for each family, behind the feature of its name. Without `protoc`.

use std::{env, error::Error, path::PathBuf};

/// A family of packages that is compiled together: the feature it is behind, its files, and types of their packages
/// that are written by hand.
struct Family {
    feature: &'static str,
    files: &'static [&'static str],
    by_hand: &'static [(&'static str, &'static str)],
}

const FAMILIES: &[Family] = &[
    Family {
        feature: "contextforge",
        files: &["contextforge/plugin_service.proto", "contextforge/plugin_service_1_0.proto"],
        by_hand: &[(".google.protobuf.Struct", "crate::json::Struct")],
    },
    Family {
        feature: "tyk",
        files: &[
            "tyk/config_provider.proto",
            "tyk/go_plugin.proto",
            "tyk/health.proto",
            "tyk/microgateway_management.proto",
            "tyk/plugin.proto",
            "tyk/plugin_events.proto",
        ],
        by_hand: &[],
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../contracts/proto");
    println!("cargo::rerun-if-changed=build.rs");
    for family in FAMILIES {
        let variable = format!("CARGO_FEATURE_{}", family.feature.to_uppercase().replace('-', "_"));
        if env::var_os(variable).is_none() {
            continue;
        }
        for file in family.files {
            println!("cargo::rerun-if-changed={}", root.join(file).display());
        }
        let out = PathBuf::from(env::var("OUT_DIR")?).join(family.feature);
        std::fs::create_dir_all(&out)?;
        // Connections are their users' business, so the code names no transport.
        let builder = tonic_prost_build::configure().build_transport(false);
        let mut builder = builder.out_dir(out).include_file("packages.rs").bytes(".");
        for (name, path) in family.by_hand {
            builder = builder.extern_path(*name, *path);
        }
        builder.compile_fds(protox::compile(family.files, [&root])?)?;
    }
    Ok(())
}
