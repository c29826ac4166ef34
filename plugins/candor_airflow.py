"""What Candor registers with Airflow: the page "Candor runs", the reports of every run, for logged-in people only."""

from __future__ import annotations

from html import escape
from pathlib import Path

from airflow.api_fastapi.core_api.security import requires_authenticated
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse

app = FastAPI(title="Candor runs", docs_url=None, redoc_url=None, openapi_url=None)
LOGGED_IN = [Depends(requires_authenticated())]


def reports() -> Path:
    from candor.settings import load

    return load().reports_dir


@app.get("/", dependencies=LOGGED_IN)
def runs() -> HTMLResponse:
    """The list of runs that have a page, newest first."""
    from candor.reporting.collect import read_json

    found = [(read_json(path.with_name("run.json")) or {}, path.parent.name) for path in reports().glob("*/index.html")]
    rows = "".join(
        f'<li><a href="{escape(name)}/index.html">{escape(run.get("as_of", "?"))} UTC</a> <code>{escape(name)}</code></li>'
        for run, name in sorted(found, key=lambda item: item[0].get("as_of", ""), reverse=True)
    )
    return HTMLResponse(
        f'<!doctype html><meta charset="utf-8"><title>Candor runs</title><body style="font:15px system-ui;margin:30px">'
        f"<h1>Runs</h1><ul>{rows or 'no run has a report yet'}</ul>"
    )


@app.get("/{run_id}/{path:path}", dependencies=LOGGED_IN)
def page(run_id: str, path: str) -> FileResponse:
    """One file of a run's report folder. 404 for anything outside it."""
    root = (reports() / run_id).resolve()
    wanted = (root / path).resolve()
    if root.parent != reports().resolve() or not wanted.is_relative_to(root) or not wanted.is_file():
        raise HTTPException(404, "no such report")
    return FileResponse(wanted)


class CandorPlugin(AirflowPlugin):
    name = "candor"
    fastapi_apps = [{"app": app, "url_prefix": "/candor", "name": "Candor runs"}]
    external_views = [
        {"name": "Candor runs", "href": "/candor/", "destination": "nav", "category": "browse", "url_route": "candor-runs"}
    ]
