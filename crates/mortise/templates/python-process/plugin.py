"""What the plugin decides: some paths of the gateway are not there."""

from mortise_sdk import Plugin, block


class {{plugin}}(Plugin):
    """{{about}}"""

    name = "{{name}}"

    def start(self):
        """Told the `config:` of the entry."""
        self.hidden = self.config.value("hidden", "/internal")

    def http_pre_request(self, payload, context):
        """Asked before anything is known of the caller. To return nothing lets the request pass."""
        if payload["path"].startswith(self.hidden):
            return block("nothing here", status=404)
        return None


if __name__ == "__main__":
    from mortise_sdk.process import serve

    serve({{plugin}})
