"""Vendors of language models, real client libraries, and gateways between them."""

import hashlib
from dataclasses import dataclass

import httpx

from .gateway import Gateway, binary
from .peers import Peer
from .processes import Program, free_port

# The gateway's key of the app under test, and the vendors' keys, which no client ever sees.
KEY = "interop-client-key"
VENDOR_KEY = "interop-vendor-key"

# Where each library is pointed: below the vendor itself, and below the gateway by its own wire, by LLM.
DIRECT = {"openai": "/v1", "langchain": "/v1", "anthropic": "", "google": "", "amazon": ""}
NAMES = {"openai": "oai", "langchain": "oai", "anthropic": "claude", "google": "gem", "amazon": "aws"}

# Five plugins on both sides of every model. They look for little, so that only what a test sends on purpose is touched.
HOOKS = ["llm_input", "llm_output"]
PII = {
    **{
        f"detect_{kind}": False
        for kind in ["ssn", "credit_card", "phone", "ip_address", "date_of_birth", "passport"]
        + ["driver_license", "bank_account", "medical_record", "aws_keys", "api_keys"]
    },
    "detect_email": True,
    "default_mask_strategy": "redact",
}
FIVE_PLUGINS = [
    {"name": "Pii", "kind": "builtin.pii_filter", "hooks": HOOKS, "mode": "enforce", "priority": 10, "config": PII},
    {
        "name": "Secrets",
        "kind": "builtin.secrets_detection",
        "hooks": HOOKS,
        "mode": "enforce",
        "priority": 20,
        "config": {},
    },
    {
        "name": "Deny",
        "kind": "builtin.deny_list",
        "hooks": HOOKS,
        "mode": "enforce",
        "priority": 30,
        "config": {"words": ["forbidden-word"]},
    },
    {
        "name": "Replace",
        "kind": "builtin.regex_filter",
        "hooks": HOOKS,
        "mode": "enforce",
        "priority": 40,
        "config": {"words": [{"search": "colour-me", "replace": "coloured"}]},
    },
    {
        "name": "Audit",
        "kind": "builtin.audit_logger",
        "hooks": HOOKS,
        "mode": "audit",
        "priority": 50,
        "config": {},
    },
]


@dataclass(frozen=True)
class Models:
    """Where a test's libraries send their calls."""

    base: str
    direct: bool
    plugins: bool

    def address(self, library: str) -> str:
        """The base address that this library takes."""
        if self.direct:
            return f"{self.base}{DIRECT[library]}"
        return f"{self.base}/llm/call/{NAMES[library]}{DIRECT[library]}"

    @property
    def key(self) -> str:
        """The key a client has."""
        return VENDOR_KEY if self.direct else KEY


def vendor_binary():
    """The fake vendors, built beside the gateway."""
    path = binary().parent / "mortise-fake-vendor"
    assert path.exists(), f"{path} is missing: `cargo build -p mortise-testkit --bin mortise-fake-vendor`"
    return path


class FakeVendor(Program):
    """The fake vendors as a process."""

    def __init__(self, directory):
        port = free_port()
        super().__init__("mortise-fake-vendor", [str(vendor_binary()), "--port", str(port)], directory / "vendor.log")
        self.wait_for_port(port)
        self.base = f"http://127.0.0.1:{port}"

    def asked(self) -> list[dict]:
        """What it was asked since the last time."""
        return httpx.delete(f"{self.base}/__asked").json()["asked"]


def configuration(vendor: str, plugins: bool) -> dict:
    """A gateway before all vendors."""
    llms = {
        "oai": {"vendor": "openai", "endpoint": f"{vendor}/v1"},
        "claude": {"vendor": "anthropic", "endpoint": f"{vendor}/v1", "models": ["claude-*", "fault-*", "no-such-model"]},
        "gem": {"vendor": "gemini", "endpoint": f"{vendor}/v1beta", "models": ["gemini-*", "fault-*", "no-such-model"]},
        "aws": {"vendor": "bedrock", "endpoint": vendor, "region": "us-east-1", "models": ["anthropic.*", "amazon.*", "fault-*", "no-such-model"]},
    }
    llms["oai"]["models"] = ["gpt-*", "fake-*", "text-embedding-*", "fault-*", "no-such-model"]
    for llm in llms.values():
        llm["api_key"] = VENDOR_KEY
    app = {"name": "interop", "tokens": [{"sha256": hashlib.sha256(KEY.encode()).hexdigest()}]}
    return {"llms": llms, "apps": [app], **({"plugins": FIVE_PLUGINS} if plugins else {})}


class Library:
    """A real client library at one address; operations are methods."""

    def __init__(self, peer: Peer, name: str, base: str, key: str):
        self.peer, self.name, self.session = peer, name, f"{name} {base} {key}"

    def __getattr__(self, op: str):
        return lambda **arguments: self.peer.perform(self.session, op, arguments)


def gateway(directory, vendor: FakeVendor, plugins: bool) -> Gateway:
    """A gateway before the fake vendors."""
    return Gateway(directory / f"llm-gateway-{int(plugins)}", configuration(vendor.base, plugins))
