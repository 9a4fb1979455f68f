"""What the plugin decides."""

from mortise_sdk import Block
from plugin import {{plugin}}


def test_hidden_paths_are_not_there():
    plugin = {{plugin}}()
    plugin.hidden = "/internal"
    assert isinstance(plugin.http_pre_request({"path": "/internal/x"}, None), Block)
    assert plugin.http_pre_request({"path": "/mcp"}, None) is None


def test_it_has_the_hook():
    assert {{plugin}}.hooks() == ["http_pre_request"]
