"""Starts the gateway as a user would: the binary, a configuration file, a free port."""

import os
from pathlib import Path

import yaml

from .processes import REPOSITORY, Program

# Five plugins on every path, by the class paths of the documents' configuration format. They look for little,
# so that only what a test sends on purpose is touched.
FIVE_PLUGINS = [
    {
        "name": "Pii",
        "kind": "plugins.pii_filter.pii_filter.PIIFilterPlugin",
        "hooks": ["tool_post_invoke", "prompt_post_fetch", "resource_post_fetch"],
        "mode": "enforce",
        "priority": 10,
        "config": {
            **{
                f"detect_{kind}": False
                for kind in ["ssn", "credit_card", "phone", "ip_address", "date_of_birth", "passport"]
                + ["driver_license", "bank_account", "medical_record", "aws_keys", "api_keys"]
            },
            "detect_email": True,
            "default_mask_strategy": "partial",
        },
    },
    {
        "name": "Sql",
        "kind": "plugins.sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin",
        "hooks": ["tool_pre_invoke"],
        "mode": "enforce",
        "priority": 20,
        "config": {"fields": ["query"]},
    },
    {
        "name": "Deny",
        "kind": "plugins.deny_filter.deny.DenyListPlugin",
        "hooks": ["prompt_pre_fetch"],
        "mode": "enforce",
        "priority": 30,
        "config": {"words": ["forbidden-word"]},
    },
    {
        "name": "Replace",
        "kind": "plugins.regex_filter.search_replace.SearchReplacePlugin",
        "hooks": ["tool_pre_invoke", "tool_post_invoke"],
        "mode": "enforce",
        "priority": 40,
        "config": {"words": [{"search": "colour-me", "replace": "coloured"}]},
    },
    {
        "name": "Length",
        "kind": "plugins.output_length_guard.output_length_guard.OutputLengthGuardPlugin",
        "hooks": ["tool_post_invoke"],
        "mode": "enforce",
        "priority": 50,
        "config": {"max_chars": 100_000},
    },
]


def binary() -> Path:
    """The gateway under test: MORTISE_BIN, else the development build."""
    path = Path(os.environ.get("MORTISE_BIN", REPOSITORY / "target" / "debug" / "mortise"))
    assert path.exists(), f"{path} is missing: `cargo build -p mortise`, or set MORTISE_BIN (see CONTRIBUTING.md)"
    return path


class Gateway(Program):
    """A running gateway."""

    def __init__(self, directory: Path, config: dict):
        directory.mkdir(parents=True, exist_ok=True)
        file, ready = directory / "mortise.yaml", directory / "ready"
        file.write_text(yaml.safe_dump({"state_dir": str(directory / "state"), **config}, sort_keys=False))
        command = [str(binary()), "serve", "--config", str(file), "--port", "0", "--ready-file", str(ready)]
        super().__init__("mortise", command, directory / "mortise.log")
        self.wait_until(lambda: ready.exists() and ready.read_text().strip() != "", seconds=60)
        address = ready.read_text().strip()
        self.base = address if address.startswith("http") else f"http://{address}"
        self.url = f"{self.base.rstrip('/')}/mcp"
