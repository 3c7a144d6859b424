"""Starts the app: loopback by default, nothing shared, only the artefact folder served."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from .service import Service, Settings

_TIDY_EVERY = 600.0  # seconds


class Running:
    """An app that is being served. `close` ends it and takes its files away.

    Args:
        settings: how the app runs.
        host, port: where it listens; port 0 takes a free one.
        auth: name and password that visitors must give.
        warm: load the models before it is served, not beside it.
    """

    def __init__(
        self, settings: Settings, host: str = "127.0.0.1", port: int = 0, auth: tuple[str, str] | None = None, warm: bool = False
    ) -> None:  # fmt: skip
        os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
        sys.setswitchinterval(0.001)  # models at work on other threads must not hold up the pages
        uploads = str(settings.folder / "uploads")  # they go with the rest at the end
        os.environ["GRADIO_TEMP_DIR"] = uploads
        from starlette.middleware import Middleware

        from .guarded import MOST_BYTES, BodyLimit
        from .page import build
        from .theme import css, head, theme

        self.service = Service(settings)
        self.blocks: Any = build(self.service)
        self._over = threading.Event()
        if warm:
            self.service.warm()
        else:
            threading.Thread(target=self.service.warm, name="warm", daemon=True).start()
        threading.Thread(target=self._tidy, name="tidy", daemon=True).start()
        _, self.address, _ = self.blocks.launch(
            server_name=host, server_port=port or None, share=False, auth=auth, allowed_paths=[str(settings.folder)],
            max_file_size=MOST_BYTES, theme=theme(), css=css(), head=head(), quiet=True, show_error=False, footer_links=[],
            prevent_thread_lock=True, pwa=False, app_kwargs={"middleware": [Middleware(BodyLimit)]},
        )  # fmt: skip

    def _tidy(self) -> None:
        while not self._over.wait(_TIDY_EVERY):
            self.service.tidy()

    def close(self) -> None:
        """End it."""
        self._over.set()
        self.blocks.close()
        self.service.close()


def launch(
    settings: Settings, host: str, port: int, auth: tuple[str, str] | None = None, quiet: bool = False
) -> None:
    """Serve until interrupted; `quiet` prints the address alone."""
    running = Running(settings, host, port, auth)
    try:
        print(f"Sightline is at {running.address}", flush=True)
        if not quiet and host not in ("127.0.0.1", "localhost", "::1") and auth is None:
            print(
                "Anybody who can reach this address can use it; give --auth NAME:PASSWORD to keep it to yourself.",
                flush=True,
            )
        running.blocks.block_thread()
    finally:
        running.close()
