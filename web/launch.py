"""Starts the app: loopback by default, nothing shared, only the artefact folder served."""

from __future__ import annotations

import os
import threading

from .service import Service, Settings


def launch(
    settings: Settings, host: str, port: int, auth: tuple[str, str] | None = None, quiet: bool = False
) -> None:
    """Serve until interrupted.

    Args:
        settings: how the app runs.
        host, port: where it listens; port 0 takes a free one.
        auth: name and password that visitors must give.
        quiet: print the address alone.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from .page import build
    from .theme import css, head, theme

    service = Service(settings)
    blocks = build(service)
    threading.Thread(target=service.warm, name="warm", daemon=True).start()
    try:
        _, address, _ = blocks.launch(
            server_name=host, server_port=port or None, share=False, auth=auth, allowed_paths=[str(settings.folder)],
            max_file_size="32mb", theme=theme(), css=css(), head=head(), quiet=True, show_error=False, prevent_thread_lock=True,
            footer_links=[], pwa=False,
        )  # fmt: skip
        print(f"Sightline is at {address}", flush=True)
        if not quiet and host not in ("127.0.0.1", "localhost", "::1") and auth is None:
            print(
                "Anybody who can reach this address can use it; give --auth NAME:PASSWORD to keep it to yourself.",
                flush=True,
            )
        blocks.block_thread()
    finally:
        blocks.close()
        service.close()
