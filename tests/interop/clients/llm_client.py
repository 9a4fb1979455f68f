"""A remote-controlled client of language models: JSON lines in, JSON lines out, on the vendors' own Python libraries.

One operation per line, each with the address and the key to use; the answer is what the library made of the wire, in full,
so that a test can hold what came through the gateway against what came directly. It decides nothing: expectations live in
the tests.

    python llm_client.py
"""

import json
import sys
import traceback
import warnings

warnings.filterwarnings("ignore")

TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def chat_messages(arguments: dict) -> list[dict]:
    """What is said, in OpenAI's and Anthropic's common shape."""
    return arguments.get("messages") or [{"role": "user", "content": arguments["text"]}]


def dumped(model) -> dict:
    """A library's object in full."""
    return model.model_dump(mode="json")


class OpenAi:
    """The official OpenAI library."""

    def __init__(self, base: str, key: str):
        from openai import OpenAI

        self.client = OpenAI(base_url=base, api_key=key, max_retries=0, timeout=20)

    def chat(self, arguments: dict):
        """Chat completions."""
        tools = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": TOOL}}]
        with_tools = {"tools": tools} if arguments.get("tools") else {}
        call = {"model": arguments["model"], "messages": chat_messages(arguments), **with_tools, **arguments.get("more", {})}
        if not arguments.get("stream"):
            return dumped(self.client.chat.completions.create(**call))
        options = {"include_usage": True}
        return [dumped(chunk) for chunk in self.client.chat.completions.create(**call, stream=True, stream_options=options)]

    def chat_by_events(self, arguments: dict):
        """The library's helper that puts a stream together itself."""
        call = {"model": arguments["model"], "messages": chat_messages(arguments)}
        with self.client.chat.completions.stream(**call) as stream:
            events = [event.type for event in stream]
            return {"events": events, "whole": dumped(stream.get_final_completion())}

    def parsed(self, arguments: dict):
        """Structured output, parsed by the library."""
        from pydantic import BaseModel

        class Answer(BaseModel):
            city: str

        answer = self.client.chat.completions.parse(
            model=arguments["model"], messages=chat_messages(arguments), response_format=Answer
        )
        return dumped(answer)

    def completion(self, arguments: dict):
        """The older completions."""
        call = {"model": arguments["model"], "prompt": arguments["text"]}
        if not arguments.get("stream"):
            return dumped(self.client.completions.create(**call))
        return [dumped(chunk) for chunk in self.client.completions.create(**call, stream=True)]

    def response(self, arguments: dict):
        """Responses."""
        tools = [{"type": "function", "name": "weather", "description": "d", "parameters": TOOL, "strict": True}]
        with_tools = {"tools": tools} if arguments.get("tools") else {}
        call = {"model": arguments["model"], "input": arguments["text"], **with_tools}
        if not arguments.get("stream"):
            return dumped(self.client.responses.create(**call))
        return [dumped(event) for event in self.client.responses.create(**call, stream=True)]

    def embeddings(self, arguments: dict):
        """Embeddings, which the library asks for as base64."""
        return dumped(self.client.embeddings.create(model=arguments["model"], input=arguments["inputs"]))

    def models(self, _arguments: dict):
        """Names of models."""
        return sorted(model.id for model in self.client.models.list())


class Anthropic:
    """The official Anthropic library."""

    def __init__(self, base: str, key: str):
        from anthropic import Anthropic as Client

        self.client = Client(base_url=base, api_key=key, max_retries=0, timeout=20)

    def message(self, arguments: dict):
        """Messages."""
        tools = [{"name": "weather", "description": "d", "input_schema": TOOL}]
        with_tools = {"tools": tools} if arguments.get("tools") else {}
        call = {"model": arguments["model"], "max_tokens": 100, "messages": chat_messages(arguments), **with_tools}
        if not arguments.get("stream"):
            return dumped(self.client.messages.create(**call))
        return [dumped(event) for event in self.client.messages.create(**call, stream=True)]

    def message_by_events(self, arguments: dict):
        """The library's helper that puts a stream together itself."""
        call = {"model": arguments["model"], "max_tokens": 100, "messages": chat_messages(arguments)}
        with self.client.messages.stream(**call) as stream:
            text = "".join(stream.text_stream)
            return {"text": text, "whole": dumped(stream.get_final_message())}

    def count(self, arguments: dict):
        """Counting tokens."""
        return dumped(self.client.messages.count_tokens(model=arguments["model"], messages=chat_messages(arguments)))

    def models(self, _arguments: dict):
        """Names of models."""
        return sorted(model.id for model in self.client.models.list())


class Google:
    """The official Google GenAI library."""

    def __init__(self, base: str, key: str):
        from google import genai

        self.client = genai.Client(api_key=key, http_options={"base_url": base, "timeout": 20_000})

    def generate(self, arguments: dict):
        """generateContent."""
        from google.genai import types

        config = types.GenerateContentConfig(
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            tools=[
                types.Tool(
                    function_declarations=[
                        types.FunctionDeclaration(name="weather", description="d", parameters_json_schema=TOOL)
                    ]
                )
            ]
            if arguments.get("tools")
            else None,
        )
        call = {"model": arguments["model"], "contents": arguments["text"], "config": config}
        if not arguments.get("stream"):
            return self.shown(self.client.models.generate_content(**call))
        return [self.shown(chunk) for chunk in self.client.models.generate_content_stream(**call)]

    @staticmethod
    def shown(answer) -> dict:
        """An answer without the HTTP exchange that the library keeps beside it."""
        return answer.model_dump(mode="json", exclude={"sdk_http_response"}, exclude_none=True)

    def embeddings(self, arguments: dict):
        """Embeddings."""
        answer = self.client.models.embed_content(model=arguments["model"], contents=arguments["inputs"])
        return self.shown(answer)


class LangChain:
    """LangChain's ChatOpenAI."""

    def __init__(self, base: str, key: str):
        self.base, self.key = base, key

    def chat(self, arguments: dict):
        """A chat, by invoke or by stream."""
        from langchain_openai import ChatOpenAI

        model = ChatOpenAI(
            model=arguments["model"], base_url=self.base, api_key=self.key, max_retries=0, timeout=20, stream_usage=True
        )
        if arguments.get("tools"):
            function = {"name": "weather", "description": "d", "parameters": TOOL}
            model = model.bind_tools([{"type": "function", "function": function}])
        if not arguments.get("stream"):
            return self.shown(model.invoke(arguments["text"]))
        whole = None
        for chunk in model.stream(arguments["text"]):
            whole = chunk if whole is None else whole + chunk
        return self.shown(whole)

    @staticmethod
    def shown(message) -> dict:
        """What a chain would see of a message."""
        return {
            "content": message.content,
            "tool_calls": [{"name": call["name"], "args": call["args"]} for call in message.tool_calls],
            "usage": message.usage_metadata,
            "finish": message.response_metadata.get("finish_reason"),
        }


class Amazon:
    """Amazon's boto3. It signs with keys of Amazon's, so the gateway's goes in as a Bedrock API key would."""

    def __init__(self, base: str, key: str):
        import boto3
        import botocore
        from botocore.config import Config

        # As a bearer token boto3 sends it over TLS only.
        config = Config(signature_version=botocore.UNSIGNED, retries={"max_attempts": 0}, read_timeout=20)
        self.client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=base, config=config)

        def authorize(request, **_):
            request.headers["Authorization"] = f"Bearer {key}"

        self.client.meta.events.register("before-send.bedrock-runtime.*", authorize)

    def converse(self, arguments: dict):
        """Converse."""
        spec = {"name": "weather", "inputSchema": {"json": TOOL}}
        with_tools = {"toolConfig": {"tools": [{"toolSpec": spec}]}} if arguments.get("tools") else {}
        messages = [{"role": "user", "content": [{"text": arguments["text"]}]}]
        call = {"modelId": arguments["model"], "messages": messages, **with_tools}
        if arguments.get("stream"):
            return list(self.client.converse_stream(**call)["stream"])
        answer = self.client.converse(**call)
        answer.pop("ResponseMetadata")
        return answer

    def invoke(self, arguments: dict):
        """InvokeModel of one of Anthropic's models."""
        body = {"messages": chat_messages(arguments), "max_tokens": 100, "anthropic_version": "bedrock-2023-05-31"}
        call = {"modelId": arguments["model"], "body": json.dumps(body)}
        if arguments.get("stream"):
            events = self.client.invoke_model_with_response_stream(**call)["body"]
            return [json.loads(event["chunk"]["bytes"]) for event in events]
        return json.loads(self.client.invoke_model(**call)["body"].read())


LIBRARIES = {"amazon": Amazon, "openai": OpenAi, "anthropic": Anthropic, "google": Google, "langchain": LangChain}


def error_of(error: Exception) -> dict | None:
    """What a library raised for an answer of the vendor or for a broken connection; `None` for our own mistakes."""
    module = type(error).__module__.split(".")[0]
    if module not in {"openai", "anthropic", "google", "langchain_openai", "botocore", "httpx", "httpx2", "urllib3"}:
        return None
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        metadata, told = response.get("ResponseMetadata", {}), response.get("Error", {})
        retry = metadata.get("HTTPHeaders", {}).get("retry-after")
        data = {"type": told.get("Code"), "retry_after": retry, "body": None}
        return {"code": metadata.get("HTTPStatusCode") or 0, "message": told.get("Message", ""), "data": data}
    headers = getattr(response, "headers", None) or {}
    message = getattr(error, "message", None) or str(error)
    data = {"type": type(error).__name__, "retry_after": headers.get("retry-after"), "body": getattr(error, "body", None)}
    return {"code": status if isinstance(status, int) else 0, "message": str(message), "data": data}


def main() -> None:
    """Performs one operation per line."""
    made = {}
    for line in sys.stdin:
        request = json.loads(line)
        arguments = request["arguments"]
        library, base, key = request["session"].split(" ")
        answer = {"id": request["id"]}
        try:
            client = made.setdefault((library, base, key), None) or LIBRARIES[library](base, key)
            made[(library, base, key)] = client
            answer["value"] = getattr(client, request["op"])(arguments)
        except Exception as error:  # noqa: BLE001: whatever a library raises is what the test asks for
            known = error_of(error)
            answer.update({"error": known} if known else {"crash": traceback.format_exc()})
        print(json.dumps(answer), flush=True)


main()
