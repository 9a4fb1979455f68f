//! The direction of dependencies, as a test.
//!
//! `cargo metadata` tells who depends on whom; the tables here tell who may. A crate without a row is an error: a new
//! room needs its reason written down. Dependencies of tests are looser: they may use the test kit and the built-ins.

mod manifest;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use anyhow::{Context, bail};
use serde_json::Value;

/// What one room may use of the others.
struct Room {
    name: &'static str,
    uses: &'static [&'static str],
    why: &'static str,
}

const ROOMS: &[Room] = &[
    Room { name: "mortise-plugin-api", uses: &[], why: "the contract: what changes least stands lowest" },
    Room { name: "mortise-telemetry", uses: &[], why: "names and redaction, for everyone" },
    Room { name: "mortise-mcp", uses: &[], why: "pure: the protocol without sockets and plugins" },
    Room { name: "mortise-llm", uses: &[], why: "pure: what vendors speak, without sockets and plugins" },
    Room { name: "mortise-openapi", uses: &[], why: "pure: what documents make of calls, without sockets" },
    Room {
        name: "mortise-framework",
        uses: &["mortise-plugin-api", "mortise-telemetry"],
        why: "embeddable: no server, no runtime but the native one",
    },
    Room {
        name: "mortise-builtins",
        uses: &["mortise-plugin-api"],
        why: "built-in plugins use what every author uses, so they prove it",
    },
    Room {
        name: "mortise-mcp-transport",
        uses: &["mortise-mcp", "mortise-telemetry"],
        why: "carries the protocol and knows nothing of plugins",
    },
    Room {
        name: "mortise-proto",
        uses: &["mortise-plugin-api"],
        why: "messages and their conversions; who sends them is others' business",
    },
    Room {
        name: "mortise-sdk",
        uses: &["mortise-mcp", "mortise-mcp-transport", "mortise-plugin-api", "mortise-proto"],
        why: "authors of plugins compile it: what serves a plugin, and no pipeline",
    },
    Room {
        name: "mortise-store",
        uses: &[],
        why: "entities and databases; what they mean is the gateway's to say",
    },
    Room {
        name: "mortise-gateway",
        uses: &[
            "mortise-store",
            "mortise-framework",
            "mortise-llm",
            "mortise-mcp",
            "mortise-mcp-transport",
            "mortise-openapi",
            "mortise-plugin-api",
            "mortise-telemetry",
        ],
        why: "knows runtimes only as the trait; the binary hands them in",
    },
    Room {
        name: "mortise-runtime-external",
        uses: &[
            "mortise-framework",
            "mortise-mcp",
            "mortise-mcp-transport",
            "mortise-plugin-api",
            "mortise-proto",
        ],
        why: "plugins behind a connection; runtimes never use one another",
    },
    Room {
        name: "mortise-runtime-python",
        uses: &["mortise-framework", "mortise-plugin-api"],
        why: "processes of another language, and what is said to them",
    },
    Room {
        name: "mortise-runtime-process",
        uses: &["mortise-framework", "mortise-mcp-transport", "mortise-plugin-api", "mortise-proto"],
        why: "plugins that are programs of their own; runtimes never use one another",
    },
    Room {
        name: "mortise",
        uses: &[
            "mortise-builtins",
            "mortise-framework",
            "mortise-gateway",
            "mortise-mcp-transport",
            "mortise-plugin-api",
            "mortise-runtime-external",
            "mortise-runtime-process",
            "mortise-runtime-python",
            "mortise-sdk",
            "mortise-telemetry",
        ],
        why: "the only place that knows which runtimes and plugins there are",
    },
    Room {
        name: "mortise-plugin-test",
        uses: &["mortise-plugin-api"],
        why: "authors of plugins test with it: it needs the contract and nothing else",
    },
    Room {
        name: "mortise-testkit",
        uses: &["mortise-llm", "mortise-mcp", "mortise-mcp-transport", "mortise-plugin-api"],
        why: "below framework and gateway, so that these may use it in their own tests",
    },
    Room {
        name: "mortise-benches",
        uses: &[
            "mortise",
            "mortise-framework",
            "mortise-gateway",
            "mortise-plugin-api",
            "mortise-proto",
            "mortise-runtime-external",
            "mortise-runtime-process",
            "mortise-sdk",
            "mortise-testkit",
        ],
        why: "measures the whole product, and nothing uses it",
    },
    Room {
        name: "mortise-tests",
        uses: &[
            "mortise",
            "mortise-builtins",
            "mortise-framework",
            "mortise-gateway",
            "mortise-llm",
            "mortise-mcp",
            "mortise-mcp-transport",
            "mortise-plugin-api",
            "mortise-plugin-test",
            "mortise-runtime-external",
            "mortise-runtime-process",
            "mortise-runtime-python",
            "mortise-sdk",
            "mortise-store",
            "mortise-telemetry",
            "mortise-testkit",
        ],
        why: "tests the whole product through its public doors, and nothing uses it",
    },
    Room {
        name: "example-embed-framework",
        uses: &["mortise-framework", "mortise-plugin-api"],
        why: "shows what a program that embeds plugins needs, and nothing uses it",
    },
    Room {
        name: "example-custom-gateway",
        uses: &["mortise"],
        why: "shows that a build with own plugins needs one crate, and nothing uses it",
    },
    Room {
        name: "example-response-modifier",
        uses: &["mortise-framework", "mortise-plugin-api", "mortise-runtime-process", "mortise-sdk"],
        why: "shows a plugin that is a program, which its test has the process runtime start; nothing uses it",
    },
    Room {
        name: "xtask",
        uses: &["mortise", "mortise-telemetry"],
        why: "generates from the outside what everyone sees",
    },
];

/// What tests of any room may use beside what the room itself may.
const FOR_TESTS: [&str; 3] = ["mortise-plugin-test", "mortise-testkit", "mortise-builtins"];

/// What must not be in a room's code, not even indirectly.
struct Banned {
    room: &'static str,
    crates: &'static [&'static str],
    why: &'static str,
}

const BANNED: &[Banned] = &[
    Banned {
        room: "mortise-plugin-api",
        crates: &["tokio", "hyper", "rustls", "reqwest", "tracing-subscriber"],
        why: "authors of plugins compile it, for any runtime",
    },
    Banned {
        room: "mortise-plugin-test",
        crates: &["hyper", "rustls", "clap"],
        why: "authors of plugins compile it",
    },
    Banned {
        room: "mortise-mcp",
        crates: &["tokio", "hyper", "rustls", "socket2"],
        why: "it is driven by bytes",
    },
    Banned {
        room: "mortise-llm",
        crates: &["tokio", "hyper", "rustls", "socket2"],
        why: "it is driven by bytes",
    },
    Banned {
        room: "mortise-openapi",
        crates: &["tokio", "hyper", "rustls", "socket2"],
        why: "it fetches nothing",
    },
    Banned { room: "mortise-telemetry", crates: &["tokio", "hyper"], why: "it is names, no exporter" },
    Banned {
        room: "mortise-builtins",
        crates: &["tokio", "hyper", "rustls"],
        why: "what they need of the outside they ask their host for",
    },
    Banned {
        room: "mortise-framework",
        crates: &["hyper", "rustls", "clap", "tracing-subscriber"],
        why: "it is embedded in other programs",
    },
];

/// Heavy or far-reaching dependencies, and the rooms that may name them.
struct Owned {
    name: &'static str,
    owners: &'static [&'static str],
    why: &'static str,
}

const OWNED: &[Owned] = &[
    Owned {
        name: "rustls",
        owners: &["mortise-mcp-transport"],
        why: "one crypto provider, set up in one place",
    },
    Owned {
        name: "tokio-tungstenite",
        owners: &["mortise-mcp-transport"],
        why: "WebSockets carry MCP alone",
    },
    Owned { name: "cedar-policy", owners: &["mortise-builtins"], why: "a plugin, behind a feature" },
    Owned { name: "cel", owners: &["mortise-builtins"], why: "a plugin, behind a feature" },
    Owned { name: "tokio-rustls", owners: &["mortise-mcp-transport"], why: "as rustls" },
    Owned { name: "rustls-native-certs", owners: &["mortise-mcp-transport"], why: "as rustls" },
    Owned {
        name: "rustix",
        owners: &["mortise", "mortise-mcp-transport", "mortise-runtime-process", "mortise-runtime-python"],
        why: "signals to process groups; advice about the program's own memory",
    },
    Owned {
        name: "sqlx",
        owners: &["mortise-store"],
        why: "one way to databases, behind a feature of the program",
    },
    Owned { name: "granit-parser", owners: &["mortise-framework"], why: "one reader of YAML" },
    Owned {
        name: "jsonschema",
        owners: &["mortise-framework", "mortise-builtins"],
        why: "one wording of schema errors in configurations; tools' schemas are judged by a plugin",
    },
    Owned { name: "minijinja", owners: &["mortise-framework"], why: "templates belong to one file format" },
    Owned {
        name: "mimalloc",
        owners: &["mortise", "mortise-benches"],
        why: "a program chooses its allocator, a library does not",
    },
    Owned { name: "tracing-subscriber", owners: &["mortise"], why: "a program chooses where logs go" },
    Owned {
        name: "anyhow",
        owners: &["mortise", "mortise-benches", "xtask"],
        why: "libraries have typed errors",
    },
    Owned {
        name: "clap",
        owners: &["mortise", "mortise-benches", "mortise-testkit", "xtask"],
        why: "command lines are for programs",
    },
    Owned {
        name: "prost",
        owners: &[
            "mortise-benches",
            "mortise-gateway",
            "mortise-proto",
            "mortise-runtime-external",
            "mortise-runtime-process",
            "mortise-sdk",
            "mortise-tests",
        ],
        why: "beside spans, only what speaks to plugins elsewhere is sent as protobuf",
    },
    Owned {
        name: "tonic",
        owners: &[
            "mortise-benches",
            "mortise-proto",
            "mortise-runtime-external",
            "mortise-runtime-process",
            "mortise-sdk",
            "mortise-testkit",
        ],
        why: "gRPC is for plugins elsewhere; nothing else compiles it",
    },
    Owned {
        name: "opentelemetry-proto",
        owners: &["mortise-tests"],
        why: "it judges what is sent; the SDK it brings is a second pipeline that the product does without",
    },
    Owned {
        name: "hyper",
        owners: &[
            "mortise-benches",
            "mortise-mcp-transport",
            "mortise-gateway",
            "mortise-runtime-process",
            "mortise-sdk",
            "mortise-testkit",
        ],
        why: "HTTP has one client and one server; gRPC to a plugin and from one has its own, and so has what the SDK serves; what is measured is measured beside it bare",
    },
];

/// Checks everything; returns what is wrong.
pub(crate) fn run(root: &Path) -> anyhow::Result<Vec<String>> {
    let graph = Graph::read(root)?;
    let mut problems = manifest::check(root, &graph.manifests())?;
    problems.extend(check_rooms(&graph));
    problems.extend(check_banned(&graph));
    problems.extend(check_owned(&graph));
    Ok(problems)
}

fn check_rooms(graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    for name in graph.members.keys() {
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            problems.push(format!(
                "{name} has no row in xtask/src/deps.rs: say what it may use, and why it is a crate"
            ));
            continue;
        };
        for used in graph.direct(name, Kind::Code).filter(|used| graph.members.contains_key(*used)) {
            if !room.uses.contains(&used) {
                problems.push(format!("{name} must not use {used} ({})", room.why));
            }
        }
        for used in graph.direct(name, Kind::Tests).filter(|used| graph.members.contains_key(*used)) {
            if !room.uses.contains(&used) && !FOR_TESTS.contains(&used) {
                problems.push(format!("tests of {name} must not use {used} ({})", room.why));
            }
        }
        if let Some(path) = graph.path(name, name) {
            problems.push(format!("{name} depends on itself: {}", path.join(" -> ")));
        }
    }
    problems
}

fn check_banned(graph: &Graph) -> Vec<String> {
    let rows = BANNED.iter().flat_map(|row| row.crates.iter().map(move |name| (row, *name)));
    let found = rows.filter_map(|(row, name)| {
        let path = graph.path(row.room, name)?;
        Some(format!("{} must not reach {name} ({}): {}", row.room, row.why, path.join(" -> ")))
    });
    found.collect()
}

fn check_owned(graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    for owned in OWNED {
        for member in graph.members.keys().filter(|member| !owned.owners.contains(&member.as_str())) {
            if graph.direct(member, Kind::Code).any(|used| used == owned.name) {
                let owners = owned.owners.join(", ");
                problems.push(format!(
                    "{member} must not use {}: it belongs to {owners} ({})",
                    owned.name, owned.why
                ));
            }
        }
    }
    problems
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Tests,
}

/// The packages and what they use, by name.
struct Graph {
    /// Manifests of the workspace's own packages.
    members: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<(String, Kind)>>,
}

impl Graph {
    fn read(root: &Path) -> anyhow::Result<Self> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
            .current_dir(root)
            .output()
            .context("running cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).context("reading what cargo metadata printed")?;
        Ok(Self::of(&metadata))
    }

    fn of(metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let packages = list(&metadata["packages"]);
        let names: BTreeMap<String, String> =
            packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let own: BTreeSet<String> = list(&metadata["workspace_members"]).iter().map(text).collect();
        let members = packages.iter().filter(|package| own.contains(&text(&package["id"])));
        let members =
            members.map(|package| (text(&package["name"]), text(&package["manifest_path"]))).collect();
        let mut edges: BTreeMap<String, Vec<(String, Kind)>> = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let from = names.get(&text(&node["id"])).cloned().unwrap_or_default();
            for dep in list(&node["deps"]) {
                let to = names.get(&text(&dep["pkg"])).cloned().unwrap_or_default();
                for kind in list(&dep["dep_kinds"]) {
                    let kind = if kind["kind"] == "dev" { Kind::Tests } else { Kind::Code };
                    edges.entry(from.clone()).or_default().push((to.clone(), kind));
                }
            }
        }
        Self { members, edges }
    }

    fn manifests(&self) -> Vec<(&str, &Path)> {
        self.members.iter().map(|(name, path)| (name.as_str(), Path::new(path))).collect()
    }

    fn direct(&self, name: &str, kind: Kind) -> impl Iterator<Item = &str> {
        let edges = self.edges.get(name).into_iter().flatten();
        let found: BTreeSet<&str> = edges.filter(|(_, k)| *k == kind).map(|(to, _)| to.as_str()).collect();
        found.into_iter()
    }

    /// How the code of `from` reaches `to`, if it does.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![vec![from.to_owned()]];
        while let Some(path) = waiting.pop() {
            let last = path.last()?.clone();
            for next in self.direct(&last, Kind::Code) {
                let longer: Vec<String> = path.iter().cloned().chain([next.to_owned()]).collect();
                if next == to {
                    return Some(longer);
                }
                if seen.insert(next.to_owned()) {
                    waiting.push(longer);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn graph(edges: &[(&str, &str, Option<&str>)]) -> Graph {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(a, b, _)| [*a, *b]).collect();
        let nodes: Vec<Value> = names
            .iter()
            .map(|name| {
                let deps = edges.iter().filter(|(from, ..)| from == name);
                let deps: Vec<Value> =
                    deps.map(|(_, to, kind)| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] })).collect();
                json!({ "id": name, "deps": deps })
            })
            .collect();
        let packages: Vec<Value> =
            names.iter().map(|name| json!({ "id": name, "name": name, "manifest_path": "x" })).collect();
        let own: Vec<&&str> = names.iter().filter(|name| name.starts_with("mortise")).collect();
        Graph::of(&json!({ "packages": packages, "workspace_members": own, "resolve": { "nodes": nodes } }))
    }

    #[test]
    fn an_edge_that_no_row_allows_is_found() {
        let problems = check_rooms(&graph(&[("mortise-framework", "mortise-gateway", None)]));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("mortise-framework must not use mortise-gateway"));
        assert!(check_rooms(&graph(&[("mortise-framework", "mortise-testkit", Some("dev"))])).is_empty());
    }

    #[test]
    fn a_room_without_a_row_and_a_circle_are_found() {
        let problems = check_rooms(&graph(&[("mortise-new", "serde", None)]));
        assert!(problems[0].contains("has no row"));
        let circle = [("mortise-mcp", "mortise-framework", None), ("mortise-framework", "mortise-mcp", None)];
        assert!(check_rooms(&graph(&circle)).iter().any(|problem| problem.contains("depends on itself")));
    }

    #[test]
    fn what_is_banned_is_found_behind_others_but_not_in_tests() {
        let problems = check_banned(&graph(&[("mortise-mcp", "a", None), ("a", "tokio", None)]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].ends_with("mortise-mcp -> a -> tokio"));
        assert!(check_banned(&graph(&[("mortise-mcp", "tokio", Some("dev"))])).is_empty());
    }

    #[test]
    fn heavy_dependencies_stay_with_their_owners() {
        assert_eq!(check_owned(&graph(&[("mortise-gateway", "rustls", None)])).len(), 1);
        assert!(check_owned(&graph(&[("mortise-mcp-transport", "rustls", None)])).is_empty());
    }
}
