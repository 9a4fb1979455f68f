"""An MCP server whose every answer a test can predict, on the FastMCP framework.

It is the upstream of most interop tests, and it stands alone: the same tests run against it directly, so a
difference behind the gateway is the gateway's. It runs on FastMCP 3 (MCP SDK 1.x) and FastMCP 4 (SDK 2.x);
what differs between them is decided by looking, never by a version number.

    python fastmcp_server.py stdio
    python fastmcp_server.py http PORT
"""

import asyncio
import sys
from dataclasses import dataclass

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.tools.base import ToolResult
from mcp import types

EMAIL = "alice@example.com"
UNICODE = "Grüße, 世界, 🦀, e\u0301, \u202eRTL\u202c, \u0000-free"

server = FastMCP("fixture", instructions="A server made for tests.")

# Filled by `wait_for_cancel`, read by `was_cancelled`: token -> set when the call was cancelled.
cancelled: dict[str, asyncio.Event] = {}


@server.tool
async def echo(message: str, delay_ms: int = 0) -> str:
    """Gives the message back, after the delay."""
    await asyncio.sleep(delay_ms / 1000)
    return message


@server.tool
def echo_arguments(value: dict) -> dict:
    """Gives any object back as structured content."""
    return value


@server.tool
def contact() -> str:
    """Answers with an e-mail address."""
    return f"Write to {EMAIL} for help."


@server.tool
def contact_structured() -> dict:
    """Answers with an e-mail address, in the text and in the structured content."""
    return {"name": "Alice", "email": EMAIL}


@dataclass
class Weather:
    """What `weather` answers: the tool offers its schema."""

    city: str
    temperature: float
    conditions: str


@server.tool
def weather(city: str) -> Weather:
    """Structured content with an output schema."""
    return Weather(city=city, temperature=21.5, conditions="sunny")


@server.tool
def run_sql(query: str) -> str:
    """Would run a query; a plugin may forbid it."""
    return f"ran: {query}"


@server.tool
def fail(message: str) -> str:
    """Ends in a tool error."""
    raise ToolError(message)


@server.tool
def many_contents() -> ToolResult:
    """One content block of each common type."""
    return ToolResult(
        content=[
            types.TextContent(type="text", text="first"),
            types.ImageContent(type="image", data="aGVsbG8=", mimeType="image/png"),
            types.EmbeddedResource(
                type="resource",
                resource=types.TextResourceContents(uri="fixture://note", mimeType="text/plain", text="embedded"),
            ),
        ],
        meta={"fixture/trace": "abc"},
    )


@server.tool
async def slow(steps: int, ctx: Context) -> str:
    """Reports progress before each step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(progress=step, total=steps, message=f"step {step}")
        await asyncio.sleep(0.01)
    return f"done in {steps} steps"


@server.tool
async def wait_for_cancel(token: str, ctx: Context) -> str:
    """Reports progress once, then waits until it is cancelled, and remembers that it was."""
    event = cancelled.setdefault(token, asyncio.Event())
    try:
        await ctx.report_progress(progress=0, total=1, message="waiting")
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        event.set()
        raise
    return "nobody cancelled"


@server.tool
async def was_cancelled(token: str) -> bool:
    """Waits at most ten seconds for the cancellation of `wait_for_cancel` with this token."""
    event = cancelled.setdefault(token, asyncio.Event())
    try:
        await asyncio.wait_for(event.wait(), timeout=10)
    except asyncio.TimeoutError:
        return False
    return True


@server.tool
async def log_lines(ctx: Context) -> str:
    """Sends one log message of each of three levels."""
    await ctx.debug("a debug line")
    await ctx.info("an info line")
    await ctx.error("an error line")
    return "logged"


@server.tool
async def ask_model(question: str, ctx: Context) -> str:
    """Asks the client's model (sampling)."""
    answer = await ctx.session.create_message(
        messages=[types.SamplingMessage(role="user", content=types.TextContent(type="text", text=question))],
        max_tokens=50,
        related_request_id=ctx.request_id,
    )
    return f"the model said: {answer.content.text}"


@dataclass
class Person:
    """What `ask_user` wants to know."""

    name: str
    age: int


@server.tool
async def ask_user(ctx: Context) -> str:
    """Asks the client's user (elicitation)."""
    answer = await ctx.elicit("Who are you?", response_type=Person)
    if answer.action != "accept":
        return f"the user answered: {answer.action}"
    return f"the user is {answer.data.name}, {answer.data.age}"


@server.tool
async def list_client_roots(ctx: Context) -> list[str]:
    """Asks the client for its roots."""
    result = await ctx.session.list_roots()
    return [str(root.uri) for root in result.roots]


@server.tool
async def grow(name: str, ctx: Context) -> str:
    """Adds a tool of that name and tells the client that the list changed."""

    def grown() -> str:
        return f"I am {name}"

    server.tool(grown, name=name)
    await ctx.send_notification(types.ToolListChangedNotification(method="notifications/tools/list_changed"))
    return f"added {name}"


@server.resource("fixture://note", mime_type="text/plain")
def note() -> str:
    """A text resource."""
    return f"Ask {EMAIL}. {UNICODE}"


@server.resource("fixture://blob", mime_type="application/octet-stream")
def blob() -> bytes:
    """A binary resource."""
    return bytes(range(256))


@server.resource("fixture://items/{item_id}", mime_type="application/json")
def item(item_id: str) -> str:
    """A resource template."""
    return f'{{"id": "{item_id}"}}'


@server.prompt
def greet(name: str, style: str = "warm") -> str:
    """A prompt with a required and an optional argument."""
    return f"Write a {style} greeting for {name}."


@server.prompt
def contact_prompt() -> str:
    """A prompt with an e-mail address in it."""
    return f"Write a letter to {EMAIL}."


def main() -> None:
    """Runs the server on the transport named on the command line."""
    if sys.argv[1] == "stdio":
        server.run(transport="stdio", show_banner=False)
    else:
        server.run(
            transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False, log_level="warning"
        )


if __name__ == "__main__":
    main()
