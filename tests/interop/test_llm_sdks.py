"""The vendors' own client libraries through the gateway: each sees what it sees directly."""

import httpx
import pytest
from harness.llm import KEY, VENDOR_KEY, FakeVendor, Library, Models, gateway
from harness.peers import Peer, RpcError

KINDS = ["direct", "gateway", "gateway-5-plugins"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The fake vendors, both gateways and both clients."""
    directory = tmp_path_factory.mktemp("llm")
    vendor = FakeVendor(directory)
    gateways = {plugins: gateway(directory, vendor, plugins) for plugins in (False, True)}
    peers = {"python": Peer("llm-python"), "node": Peer("llm-node")}
    yield vendor, gateways, peers
    for program in [*peers.values(), *gateways.values(), vendor]:
        program.stop()


@pytest.fixture
def vendor(programs):
    """The fake vendors, with nothing asked yet."""
    programs[0].asked()
    return programs[0]


def models(programs, kind: str) -> Models:
    """The vendor itself, or a gateway before it."""
    vendor, gateways, _ = programs
    base = vendor.base if kind == "direct" else gateways[kind.endswith("plugins")].base
    return Models(base, direct=kind == "direct", plugins=kind.endswith("plugins"))


def library(programs, name: str, kind: str, base: str | None = None) -> Library:
    """A library pointed at the vendor or at a gateway."""
    where = models(programs, kind)
    peer = programs[2]["node" if name == "node" else "python"]
    wire = "openai" if name == "node" else name
    return Library(peer, wire, base or where.address(wire), where.key)


OPENAI = ("openai", "chat", "gpt-fake")
NODE = ("node", "chat", "gpt-fake")
ANTHROPIC = ("anthropic", "message", "claude-fake")
GOOGLE = ("google", "generate", "gemini-fake")
AMAZON = ("amazon", "converse", "amazon.nova:0")
EMBEDDERS = [("openai", "text-embedding-fake"), ("node", "text-embedding-fake"), ("google", "gemini-embedding")]
CHATS = [
    ("openai", "chat"),
    ("node", "chat"),
    ("anthropic", "message"),
    ("google", "generate"),
    ("langchain", "chat"),
    ("amazon", "converse"),
]

CALLS = [
    pytest.param(name, op, {"model": model, **arguments}, id=f"{name}-{op}-{label}")
    for name, op, model, variants in [
        ("openai", "chat", "gpt-fake", "all"),
        ("openai", "chat_by_events", "gpt-fake", "text"),
        ("openai", "completion", "gpt-fake", "plain"),
        ("openai", "response", "gpt-fake", "all"),
        ("node", "chat", "gpt-fake", "all"),
        ("node", "response", "gpt-fake", "all"),
        ("anthropic", "message", "claude-fake", "all"),
        ("anthropic", "message_by_events", "claude-fake", "text"),
        ("anthropic", "count", "claude-fake", "text"),
        ("google", "generate", "gemini-fake", "all"),
        ("langchain", "chat", "gpt-fake", "all"),
        ("amazon", "converse", "amazon.nova:0", "all"),
        ("amazon", "invoke", "anthropic.claude:0", "plain"),
    ]
    for label, arguments in {
        "text": {"text": "what is it?"},
        "stream": {"text": "Grüße, \U0001f600 \"quoted\"\nnew line", "stream": True},
        "tools": {"text": "call the weather", "tools": True},
        "tools-stream": {"text": "call the weather", "tools": True, "stream": True},
    }.items()
    if variants == "all" or label == "text" or (variants == "plain" and label == "stream")
]


@pytest.mark.parametrize(("name", "op", "arguments"), CALLS)
def test_library_sees_through_the_gateway_what_it_sees_directly(programs, name, op, arguments):
    seen = {kind: getattr(library(programs, name, kind), op)(**arguments) for kind in KINDS}
    assert seen["direct"], "the library sees something"
    assert seen["gateway"] == seen["direct"]
    if op.endswith("events"):
        assert seen["gateway-5-plugins"]["whole"] == seen["direct"]["whole"]
    elif not arguments.get("stream"):
        assert seen["gateway-5-plugins"] == seen["direct"]
    else:
        # A guard holds text back until it is sure: how it is cut is its own, what is said is not.
        assert said(seen["gateway-5-plugins"]) == said(seen["direct"])


def said(stream) -> dict:
    """What a stream says, however it was cut."""
    if isinstance(stream, dict):
        return stream
    out = {"text": "", "arguments": "", "finish": [], "last": None}
    for event in stream:
        for choice in event.get("choices") or []:
            delta = choice.get("delta") or {"content": choice.get("text")}
            out["text"] += delta.get("content") or ""
            for call in delta.get("tool_calls") or []:
                out["arguments"] += call["function"].get("arguments") or ""
            out["finish"] += [choice["finish_reason"]] if choice.get("finish_reason") else []
        for candidate in event.get("candidates") or []:
            for part in (candidate.get("content") or {}).get("parts") or []:
                out["text"] += part.get("text") or ""
                out["arguments"] += str((part.get("function_call") or {}).get("args") or "")
            out["finish"] += [candidate["finish_reason"]] if candidate.get("finish_reason") else []
        block = (event.get("contentBlockDelta") or {}).get("delta") or {}
        out["text"] += block.get("text") or ""
        out["arguments"] += (block.get("toolUse") or {}).get("input") or ""
        out["finish"] += [event["messageStop"]["stopReason"]] if "messageStop" in event else []
        kind = event.get("type") or ""
        delta = event.get("delta")
        if isinstance(delta, dict):
            out["text"] += delta.get("text") or ""
            out["arguments"] += delta.get("partial_json") or ""
            out["finish"] += [delta["stop_reason"]] if delta.get("stop_reason") else []
        elif isinstance(delta, str):
            out["arguments" if "arguments" in kind else "text"] += delta
        if kind == "response.completed":
            out["last"] = event["response"]
    return out


@pytest.mark.parametrize(("name", "model"), EMBEDDERS)
def test_embeddings_arrive_as_the_same_numbers(programs, name, model):
    seen = {kind: library(programs, name, kind).embeddings(model=model, inputs=["ab", "c"]) for kind in KINDS}
    vector = (seen["direct"].get("data") or seen["direct"]["embeddings"])[0]
    assert all(isinstance(number, float) for number in vector.get("embedding") or vector["values"])
    assert seen["gateway"] == seen["direct"]
    assert seen["gateway-5-plugins"] == seen["direct"]


ERRORS = [("fault-429", 429), ("fault-500", 500), ("fault-503", 503), ("no-such-model", 404)]


@pytest.mark.parametrize(("model", "status"), ERRORS)
@pytest.mark.parametrize(("name", "op"), CHATS)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_a_vendor_arrive_as_its_own(programs, name, op, model, status, stream):
    seen = {}
    for kind in KINDS:
        with pytest.raises(RpcError) as raised:
            getattr(library(programs, name, kind), op)(model=model, text="hi", stream=stream)
        seen[kind] = (raised.value.code, raised.value.message, raised.value.data)
    assert seen["direct"][0] == status
    assert seen["gateway"] == seen["direct"]
    assert seen["gateway-5-plugins"] == seen["direct"]


@pytest.mark.parametrize(("name", "op"), [("openai", "chat"), ("anthropic", "message"), ("node", "chat"), ("amazon", "converse")])
def test_error_within_a_stream_is_raised(programs, name, op):
    for kind in KINDS:
        with pytest.raises(RpcError) as raised:
            getattr(library(programs, name, kind), op)(model="fault-error", text="hello there", stream=True)
        assert "overloaded on purpose" in raised.value.message + str(raised.value.data), kind


@pytest.mark.parametrize(("name", "op"), [chat for chat in CHATS if chat[0] != "langchain"])
def test_stream_that_breaks_off_is_an_error(programs, name, op):
    for kind in KINDS:
        with pytest.raises(RpcError):
            getattr(library(programs, name, kind), op)(model="fault-reset", text="hello there", stream=True)


@pytest.mark.parametrize(("name", "op", "model"), [OPENAI, ANTHROPIC, GOOGLE, AMAZON])
def test_keys_stay_on_their_side(programs, vendor, name, op, model):
    getattr(library(programs, name, "gateway"), op)(model=model, text="hi")
    asked = vendor.asked()
    assert len(asked) == 1
    assert KEY not in str(asked)
    assert VENDOR_KEY in str(asked[0]["headers"])


@pytest.mark.parametrize(("name", "op", "model"), [OPENAI, NODE, ANTHROPIC, GOOGLE, AMAZON])
def test_wrong_key_is_refused_as_the_vendor_refuses_one(programs, vendor, name, op, model):
    where = models(programs, "gateway")
    client = library(programs, name, "gateway")
    client.session = client.session.replace(where.key, "somebody-elses-key")
    with pytest.raises(RpcError) as raised:
        getattr(client, op)(model=model, text="hi")
    assert raised.value.code == 401
    assert vendor.asked() == []


def test_plain_v1_finds_the_vendor_by_model(programs):
    base = models(programs, "gateway").base
    chat = library(programs, "openai", "gateway", f"{base}/v1").chat(model="gpt-fake", text="hi")
    assert chat["choices"][0]["message"]["content"] == "You said: hi"
    message = library(programs, "anthropic", "gateway", base).message(model="claude-fake", text="hi")
    assert message["content"][0]["text"] == "You said: hi"
    answer = library(programs, "google", "gateway", base).generate(model="gemini-fake", text="hi")
    assert answer["candidates"][0]["content"]["parts"][0]["text"] == "You said: hi"


CONVERTED = [("claude", "claude-fake"), ("gem", "gemini-fake"), ("aws", "amazon.nova-fake")]


@pytest.mark.parametrize("kind", ["gateway", "gateway-5-plugins"])
@pytest.mark.parametrize(("llm", "model"), CONVERTED)
@pytest.mark.parametrize("stream", [False, True])
def test_openai_library_talks_to_every_vendor(programs, kind, llm, model, stream):
    client = library(programs, "openai", kind, f"{models(programs, kind).base}/ai/{llm}/v1")
    answer = client.chat(model=model, text="hello there", stream=stream)
    if stream:
        assert said(answer)["text"] == "You said: hello there"
        assert said(answer)["finish"] == ["stop"]
        assert answer[-1]["usage"]["completion_tokens"] == 6
    else:
        assert answer["choices"][0]["message"]["content"] == "You said: hello there"
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize(("llm", "model"), CONVERTED)
@pytest.mark.parametrize("stream", [False, True])
def test_tools_work_with_every_vendor(programs, llm, model, stream):
    client = library(programs, "openai", "gateway", f"{models(programs, 'gateway').base}/ai/{llm}/v1")
    answer = client.chat(model=model, text="call the weather", tools=True, stream=stream)
    if stream:
        assert said(answer)["arguments"].replace(" ", "") == '{"city":"Oslo"}'
        assert said(answer)["finish"] == ["tool_calls"]
        return
    call = answer["choices"][0]["message"]["tool_calls"][0]
    assert (call["function"]["name"], answer["choices"][0]["finish_reason"]) == ("weather", "tool_calls")
    history = [
        {"role": "user", "content": "call the weather"},
        {"role": "assistant", "tool_calls": [{key: call[key] for key in ("id", "type", "function")}]},
        {"role": "tool", "tool_call_id": call["id"], "content": "rain"},
    ]
    told = client.chat(model=model, messages=history, tools=True)
    assert told["choices"][0]["message"]["content"] == "The tool said: rain"


@pytest.mark.parametrize("llm", ["claude", "gem", "aws"])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_every_vendor_are_the_openai_librarys(programs, llm, stream):
    client = library(programs, "openai", "gateway", f"{models(programs, 'gateway').base}/ai/{llm}/v1")
    with pytest.raises(RpcError) as raised:
        client.chat(model="fault-429", text="hi", stream=stream)
    assert (raised.value.code, raised.value.data["type"]) == (429, "RateLimitError")


@pytest.mark.parametrize("text", ["write to ann.lee@example.com today", "colour-me please"])
@pytest.mark.parametrize(("name", "op", "model"), [OPENAI, ("openai", "response", "gpt-fake"), ANTHROPIC, GOOGLE, AMAZON])
@pytest.mark.parametrize("stream", [False, True])
def test_plugins_change_prompts_of_every_vendor(programs, vendor, name, op, model, text, stream):
    getattr(library(programs, name, "gateway-5-plugins"), op)(model=model, text=text, stream=stream)
    body = str(vendor.asked()[0]["body"])
    assert "ann.lee@example.com" not in body and "colour-me" not in body


@pytest.mark.parametrize(("name", "op", "model"), [OPENAI, ANTHROPIC, GOOGLE, AMAZON])
def test_refused_prompt_is_an_error_of_the_vendors_shape(programs, vendor, name, op, model):
    with pytest.raises(RpcError) as raised:
        getattr(library(programs, name, "gateway-5-plugins"), op)(model=model, text="a forbidden-word in it")
    assert 400 <= raised.value.code < 500
    assert vendor.asked() == []


def test_models_are_listed(programs):
    base = models(programs, "gateway").base
    listed = httpx.get(f"{base}/v1/models", headers={"authorization": f"Bearer {KEY}"})
    assert listed.status_code == 200, listed.text
    assert listed.json()["object"] == "list"


@pytest.mark.parametrize(("llm", "model"), CONVERTED)
@pytest.mark.parametrize("stream", [False, True])
def test_responses_of_every_vendor_are_read_by_the_openai_library(programs, llm, model, stream):
    client = library(programs, "openai", "gateway", f"{models(programs, 'gateway').base}/ai/{llm}/v1")
    answer = client.response(model=model, text="hello there", stream=stream)
    whole = said(answer)["last"] if stream else answer
    assert whole["output"][0]["content"][0]["text"] == "You said: hello there"
    assert (whole["status"], whole["usage"]["output_tokens"]) == ("completed", 6)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("llm", "model"), [("oai", "gpt-fake"), ("gem", "gemini-fake"), ("aws", "amazon.nova-fake")])
def test_anthropic_library_talks_to_every_vendor(programs, llm, model, stream):
    """At `/v1/messages` the model decides which vendor is asked, whatever it speaks."""
    client = library(programs, "anthropic", "gateway", models(programs, "gateway").base)
    answer = client.message(model=model, text="hello there", stream=stream)
    if stream:
        assert said(answer)["text"] == "You said: hello there"
        assert said(answer)["finish"] == ["end_turn"]
    else:
        assert answer["content"][0]["text"] == "You said: hello there"
        assert (answer["stop_reason"], answer["usage"]["output_tokens"]) == ("end_turn", 6)
