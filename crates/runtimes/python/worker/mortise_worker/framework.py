"""The names that plugins import from their framework, of every generation of it.

Facts of the published interface, written anew: classes, fields, defaults, words. Objects may be changed in place, and
such a change counts, as it did in the first generation; later ones hand back a new payload, which works as well.
"""

from __future__ import annotations

import enum
from typing import Any, Dict, List, Optional

from .model import Model

# ---- words ---------------------------------------------------------------------------------------------------------


class _Word(str, enum.Enum):
    def __str__(self):
        return self.value


class PluginMode(_Word):
    """What a plugin's verdicts and failures mean."""

    ENFORCE = "enforce"
    ENFORCE_IGNORE_ERROR = "enforce_ignore_error"
    PERMISSIVE = "permissive"
    DISABLED = "disabled"
    SEQUENTIAL = "sequential"
    TRANSFORM = "transform"
    AUDIT = "audit"
    CONCURRENT = "concurrent"
    FIRE_AND_FORGET = "fire_and_forget"


class OnError(_Word):
    """What a failure means where that differs from the mode."""

    FAIL = "fail"
    IGNORE = "ignore"
    DISABLE = "disable"


class TransportType(_Word):
    """Transports of plugin servers."""

    STDIO = "STDIO"
    SSE = "SSE"
    HTTP = "HTTP"
    STREAMABLEHTTP = "STREAMABLEHTTP"
    GRPC = "GRPC"


def _hooks(name, *hooks):
    return _Word(name, {hook.upper(): hook for hook in hooks}, module=__name__)


_PROMPT, _TOOL = ("prompt_pre_fetch", "prompt_post_fetch"), ("tool_pre_invoke", "tool_post_invoke")
_RESOURCE, _AGENT = ("resource_pre_fetch", "resource_post_fetch"), ("agent_pre_invoke", "agent_post_invoke")
_HTTP = ("http_pre_request", "http_post_request", "http_auth_resolve_user", "http_auth_check_permission")
PromptHookType = _hooks("PromptHookType", *_PROMPT)
ToolHookType = _hooks("ToolHookType", *_TOOL)
ResourceHookType = _hooks("ResourceHookType", *_RESOURCE)
AgentHookType = _hooks("AgentHookType", *_AGENT)
HttpHookType = _hooks("HttpHookType", *_HTTP)
HookType = _hooks("HookType", *_PROMPT, *_TOOL, *_RESOURCE, *_AGENT, *_HTTP)

# ---- content -------------------------------------------------------------------------------------------------------


class Role(_Word):
    """Who a message is from."""

    ASSISTANT = "assistant"
    USER = "user"


class TextContent(Model):
    """A text."""

    type: str = "text"
    text: str = ""


class ImageContent(Model):
    """An image in base64."""

    type: str = "image"
    data: Any = None
    mime_type: Optional[str] = None


class ResourceContent(Model):
    """A resource, with its text or its bytes in base64."""

    type: str = "resource"
    id: Optional[str] = None
    uri: Optional[str] = None
    mime_type: Optional[str] = None
    text: Optional[str] = None
    blob: Any = None


class Content(Model):
    """Any other content."""

    type: Optional[str] = None


_CONTENTS = {"text": TextContent, "image": ImageContent, "resource": ResourceContent}


def content_of(value):
    """The content object of a dict; anything else as it is."""
    if isinstance(value, list):
        return [content_of(one) for one in value]
    return _CONTENTS.get(value.get("type"), Content)(**value) if isinstance(value, dict) else value


def resource_of(value):
    """The same for the content of a resource, which may not say its type."""
    if isinstance(value, dict):
        return _CONTENTS.get(value.get("type", "resource"), ResourceContent)(**value)
    return value


class Message(Model):
    """A message of a prompt or to an agent."""

    role: Any
    content: Any
    _reads = {"content": content_of}


def _messages(values):
    return [Message(**one) if isinstance(one, dict) and "role" in one else one for one in values]


class PromptResult(Model):
    """A rendered prompt."""

    messages: List[Message]
    description: Optional[str] = None
    _reads = {"messages": _messages}


# ---- payloads ------------------------------------------------------------------------------------------------------


class PluginPayload(Model):
    """What a hook is about."""


class HttpHeaderPayload(dict):
    """Headers by name."""

    def __init__(self, root=None, **headers):
        super().__init__(root if root is not None else {}, **headers)

    @property
    def root(self):
        """The headers as a dict."""
        return self

    def model_dump(self, **_):
        """The headers as a dict."""
        return dict(self)

    @classmethod
    def model_validate(cls, value, **_):
        """Headers of a dict."""
        return cls(value)

    def model_copy(self, *, update=None, **_):
        """The same with other headers."""
        return type(self)({**self, **(update or {})})


class _Prompt(PluginPayload):
    _renamed = {"name": "prompt_id"}

    @property
    def name(self):
        """What the first generation calls `prompt_id`."""
        return self.prompt_id

    @name.setter
    def name(self, value):
        self.prompt_id = value


class PromptPrehookPayload(_Prompt):
    """A prompt that is asked for."""

    prompt_id: str
    args: Optional[Dict[str, str]] = {}


class PromptPosthookPayload(_Prompt):
    """A prompt as it was rendered."""

    prompt_id: str
    result: Any
    _reads = {"result": lambda value: PromptResult(**value) if "messages" in value else value}


class ToolPreInvokePayload(PluginPayload):
    """A tool call."""

    name: str
    args: Optional[Dict[str, Any]] = {}
    headers: Optional[HttpHeaderPayload] = None
    _reads = {"headers": HttpHeaderPayload}


class ToolPostInvokePayload(PluginPayload):
    """What a tool answered."""

    name: str
    result: Any


class ResourcePreFetchPayload(PluginPayload):
    """A resource that is asked for."""

    uri: str
    metadata: Optional[Dict[str, Any]] = {}


class ResourcePostFetchPayload(PluginPayload):
    """A resource as it was read."""

    uri: str
    content: Any
    _reads = {"content": resource_of}


class AgentPreInvokePayload(PluginPayload):
    """A call of an agent."""

    agent_id: str
    messages: List[Any]
    tools: Optional[List[str]] = None
    headers: Optional[HttpHeaderPayload] = None
    model: Optional[str] = None
    system_prompt: Optional[str] = None
    parameters: Optional[Dict[str, Any]] = {}
    _reads = {"headers": HttpHeaderPayload, "messages": _messages}


class AgentPostInvokePayload(PluginPayload):
    """What an agent answered."""

    agent_id: str
    messages: List[Any]
    tool_calls: Optional[List[Dict[str, Any]]] = None
    _reads = {"messages": _messages}


class HttpPreRequestPayload(PluginPayload):
    """A request that has come in."""

    path: str
    method: str
    client_host: Optional[str] = None
    client_port: Optional[int] = None
    headers: HttpHeaderPayload
    _reads = {"headers": HttpHeaderPayload}


class HttpPostRequestPayload(HttpPreRequestPayload):
    """The answer to it."""

    response_headers: Optional[HttpHeaderPayload] = None
    status_code: Optional[int] = None
    _reads = {"headers": HttpHeaderPayload, "response_headers": HttpHeaderPayload}


class HttpAuthResolveUserPayload(PluginPayload):
    """Who is it?"""

    credentials: Optional[dict] = None
    headers: HttpHeaderPayload
    client_host: Optional[str] = None
    client_port: Optional[int] = None
    _reads = {"headers": HttpHeaderPayload}


class HttpAuthCheckPermissionPayload(PluginPayload):
    """May they?"""

    user_email: str
    permission: str
    resource_type: Optional[str] = None
    team_id: Optional[str] = None
    is_admin: bool = False
    auth_method: Optional[str] = None
    client_host: Optional[str] = None
    user_agent: Optional[str] = None


class HttpAuthCheckPermissionResultPayload(PluginPayload):
    """The answer to that."""

    granted: bool
    reason: Optional[str] = None


class AnyPayload(PluginPayload):
    """What a hook of another kind is about: whatever the gateway says."""


PAYLOADS = {
    "prompt_pre_fetch": PromptPrehookPayload,
    "prompt_post_fetch": PromptPosthookPayload,
    "tool_pre_invoke": ToolPreInvokePayload,
    "tool_post_invoke": ToolPostInvokePayload,
    "resource_pre_fetch": ResourcePreFetchPayload,
    "resource_post_fetch": ResourcePostFetchPayload,
    "agent_pre_invoke": AgentPreInvokePayload,
    "agent_post_invoke": AgentPostInvokePayload,
    "http_pre_request": HttpPreRequestPayload,
    "http_post_request": HttpPostRequestPayload,
    "http_auth_resolve_user": HttpAuthResolveUserPayload,
    "http_auth_check_permission": HttpAuthCheckPermissionPayload,
}

# ---- contexts ------------------------------------------------------------------------------------------------------


class UserContext(Model):
    """More about a user."""

    user_id: str
    email: Optional[str] = None
    full_name: Optional[str] = None
    is_admin: bool = False
    groups: List[str] = []
    roles: List[str] = []
    team_id: Optional[str] = None
    teams: Optional[List[str]] = None
    department: Optional[str] = None
    attributes: Dict[str, Any] = {}
    auth_method: Optional[str] = None
    authenticated_at: Any = None
    service_account: Optional[str] = None
    delegation_chain: List[Any] = []


class GlobalContext(Model):
    """What all plugins of a request share."""

    request_id: str = ""
    user: Any = None
    user_context: Optional[UserContext] = None
    tenant_id: Optional[str] = None
    server_id: Optional[str] = None
    content_type: Optional[str] = None
    state: Dict[str, Any] = {}
    metadata: Dict[str, Any] = {}
    _reads = {"user_context": lambda value: UserContext(**value)}


class PluginContext(Model):
    """What a plugin remembers during a request, and what it shares. What the documents show as its own fields
    (`request_id`, `user`, ...) are those of `global_context`."""

    state: Dict[str, Any] = {}
    global_context: GlobalContext = GlobalContext
    metadata: Dict[str, Any] = {}
    _reads = {"global_context": lambda value: GlobalContext(**value)}

    def get_state(self, key, default=None):
        """An own value."""
        return self.state.get(key, default)

    def set_state(self, key, value):
        """Sets an own value."""
        self.state[key] = value

    def is_empty(self):
        """Whether nothing was ever written."""
        return not (self.state or self.metadata or self.global_context.state)

    async def cleanup(self):
        """Forgets everything."""
        self.state.clear()
        self.metadata.clear()


def _shared(name):
    return property(lambda self: getattr(self.global_context, name))


for _name in ("request_id", "user", "tenant_id", "server_id", "content_type"):
    setattr(PluginContext, _name, _shared(_name))

# ---- results -------------------------------------------------------------------------------------------------------


class PluginViolation(Model):
    """Why a call must not go on."""

    reason: str = ""
    description: str = ""
    code: str = ""
    details: Optional[Dict[str, Any]] = {}
    mcp_error_code: Optional[int] = None
    http_status_code: Optional[int] = None
    http_headers: Optional[Dict[str, str]] = None
    _renamed = {"violation_code": "code"}


class PluginResult(Model):
    """What a hook answers."""

    continue_processing: bool = True
    modified_payload: Any = None
    violation: Optional[PluginViolation] = None
    metadata: Optional[Dict[str, Any]] = {}
    http_headers: Optional[Dict[str, str]] = None
    retry_delay_ms: int = 0
    modified_extensions: Any = None
    denial_metadata: Optional[Dict[str, Any]] = None


PromptPrehookResult = PromptPosthookResult = ToolPreInvokeResult = ToolPostInvokeResult = PluginResult
ResourcePreFetchResult = ResourcePostFetchResult = AgentPreInvokeResult = AgentPostInvokeResult = PluginResult
HttpPreRequestResult = HttpPostRequestResult = PluginResult
HttpAuthResolveUserResult = HttpAuthCheckPermissionResult = PluginResult


class PluginErrorModel(Model):
    """An error of a plugin."""

    message: str
    plugin_name: str = ""
    code: Optional[str] = ""
    details: Optional[Dict[str, Any]] = {}
    mcp_error_code: int = -32603


class PluginError(Exception):
    """A plugin failed."""

    def __init__(self, error):
        self.error = error
        super().__init__(getattr(error, "message", error))


class PluginViolationError(Exception):
    """A plugin refuses, said by raising."""

    def __init__(self, message, violation=None):
        self.message, self.violation = message, violation
        super().__init__(message)


# ---- configuration and base class ----------------------------------------------------------------------------------


class PluginCondition(Model):
    """Where a plugin runs."""

    server_ids: Any = None
    tenant_ids: Any = None
    tools: Any = None
    prompts: Any = None
    resources: Any = None
    agents: Any = None
    user_patterns: Any = None
    content_types: Any = None


def _mode(value):
    try:
        return PluginMode(value)
    except ValueError:
        return value


class PluginConfig(Model):
    """The entry of a plugin."""

    name: str
    kind: str = ""
    description: Optional[str] = None
    author: Optional[str] = None
    namespace: Optional[str] = None
    version: Optional[str] = None
    hooks: List[str] = []
    tags: List[str] = []
    mode: Any = PluginMode.ENFORCE
    on_error: Any = None
    priority: Optional[int] = 100
    conditions: List[PluginCondition] = []
    applied_to: Any = None
    capabilities: Any = frozenset()
    config: Optional[Dict[str, Any]] = {}
    mcp: Any = None
    grpc: Any = None
    unix_socket: Any = None
    max_content_size: int = 10_000_000
    _reads = {"conditions": lambda values: [PluginCondition(**one) for one in values]}

    def __init__(self, **values):
        super().__init__(**values)
        self.mode = _mode(self.mode)


class Plugin:
    """Base class of plugins."""

    def __init__(self, config, hook_payloads=None, hook_results=None):
        self._config = config
        for hook, payload in (hook_payloads or {}).items():
            get_hook_registry().register_hook(hook, payload, (hook_results or {}).get(hook, PluginResult))

    @property
    def config(self):
        """Its entry."""
        return self._config

    @property
    def name(self):
        """Its name."""
        return self._config.name

    @property
    def priority(self):
        """Lower runs first."""
        return self._config.priority

    @property
    def mode(self):
        """What its verdicts mean."""
        return self._config.mode

    @property
    def hooks(self):
        """Where it runs."""
        return self._config.hooks

    @property
    def tags(self):
        """Words to find it by."""
        return self._config.tags

    @property
    def conditions(self):
        """Where it runs, narrowed."""
        return self._config.conditions

    async def initialize(self):
        """Begins."""

    async def shutdown(self):
        """Ends."""


class Extensions(Model):
    """What newer hooks are shown beside payload and context; a gateway tells it nothing here."""

    request: Any = None
    agent: Any = None
    http: Any = None
    security: Any = None
    delegation: Any = None
    mcp: Any = None
    completion: Any = None
    provenance: Any = None
    llm: Any = None
    framework: Any = None
    meta: Any = None
    custom: Any = None


class HookMetadata:
    """What `@hook` notes on a method."""

    def __init__(self, hook_types, payload_type=None, result_type=None):
        self.hook_types, self.payload_type, self.result_type = hook_types, payload_type, result_type
        self.hook_type = hook_types[0]


def hook(hook_type, payload_type=None, result_type=None):
    """Marks a method as the one for a hook, or for several."""
    several = [hook_type] if isinstance(hook_type, str) else list(hook_type)
    names = [getattr(one, "value", one) for one in several]

    def mark(function):
        for name in names:
            if payload_type is not None:
                get_hook_registry().register_hook(name, payload_type, result_type or PluginResult)
        function._plugin_hook_metadata = HookMetadata(names, payload_type, result_type)
        return function

    return mark


class HookRegistry:
    """Payload and result types by hook."""

    def __init__(self):
        self._payloads, self._results = dict(PAYLOADS), {}

    def register_hook(self, hook_type, payload_class, result_class=PluginResult):
        """Adds a hook."""
        name = getattr(hook_type, "value", hook_type)
        self._payloads[name], self._results[name] = payload_class, result_class

    def get_payload_type(self, hook_type):
        """The payload's type."""
        return self._payloads.get(getattr(hook_type, "value", hook_type))

    def get_result_type(self, hook_type):
        """The result's type."""
        name = getattr(hook_type, "value", hook_type)
        return self._results.get(name, PluginResult if name in self._payloads else None)

    def is_registered(self, hook_type):
        """Whether there is such a hook."""
        return getattr(hook_type, "value", hook_type) in self._payloads

    def get_registered_hooks(self):
        """All hooks."""
        return list(self._payloads)


_REGISTRY = HookRegistry()


def get_hook_registry():
    """The one registry."""
    return _REGISTRY


def get_attr(value, name, default=None):
    """A field of an object or a key of a dict."""
    return value.get(name, default) if isinstance(value, dict) else getattr(value, name, default)
