"""The Gradio app: click on a picture and ask.

python app.py                    on this machine only, at http://127.0.0.1:7860
sightline app --help             all options

"""

from __future__ import annotations

from sightline.cli import app

if __name__ == "__main__":
    import sys

    sys.argv[1:1] = ["app"]
    app()
