"""The page at /docs: every address with its fields, to read and to try out. Nothing on it comes from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

__all__ = ["POLICY", "page"]

#: Content-Security-Policy: what is in the page, and requests to this server.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(described: dict[str, Any]) -> str:
    """The page, as HTML.

    Args:
        described: an OpenAPI description.
    """
    about, shapes = described["info"], described.get("components", {}).get("schemas", {})
    operations = [
        _operation(path, method, operation, shapes)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    listed = "".join(
        f'<details id="shape-{escape(name)}"><summary><code>{escape(name)}</code></summary>{_fields(shape)}</details>'
        for name, shape in sorted(shapes.items())
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(about["title"])}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><style>{STYLE}</style></head><body><main><h1>{escape(about["title"])} '
        f"<small>{escape(about['version'])}</small></h1><p>{escape(about['description'])} Programs read "
        '<a href="openapi.json">openapi.json</a>.</p><label>Key, where the server wants one <input id="key" '
        'type="password" autocomplete="off"></label>'
        f"<h2>Addresses</h2>{''.join(operations)}<h2>Shapes</h2>{listed}</main><script>{SCRIPT}</script></body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any], shapes: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    body = _resolved(content.get("application/json", {}).get("schema", {}), shapes)
    form = content.get("multipart/form-data", {}).get("schema", {})
    parts = []
    if body:
        parts.append(f"<h4>As JSON</h4>{_fields(body)}")
    if form:
        parts.append(f"<h4>{'Or as' if body else 'As'} a form, with a file</h4>{_fields(form)}")
    parts.append(_answers(operation.get("responses", {}), shapes))
    names = [parameter["name"] for parameter in operation.get("parameters", [])]
    parts.append(_trial(path, method, names, body, bool(form)))
    return (
        f'<details><summary><b class="{method}">{method.upper()}</b> <code>{escape(path)}</code> '
        f"{escape(operation.get('summary', ''))}</summary>{''.join(parts)}</details>"
    )


def _answers(responses: dict[str, Any], shapes: dict[str, Any]) -> str:
    rows = []
    for status, response in responses.items():
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        said = response.get("description", "")
        rows.append(
            f"<tr><td>{escape(status)}</td><td>{_kind(schema) if schema else ''}</td><td>{escape(said)}</td></tr>"
        )
    return f"<h4>Answers</h4><table><tr><th>status</th><th>body</th><th></th></tr>{''.join(rows)}</table>"


def _trial(path: str, method: str, names: list[str], body: dict[str, Any], has_file: bool) -> str:
    """What sends a request from the page."""
    fields = "".join(f'<label>{escape(name)} <input data-name="{escape(name)}"></label>' for name in names)
    if body:
        examples = [json.dumps(example, indent=1) for example in body.get("examples", [{}])]
        options = "".join(
            f'<option value="{escape(text)}">example {number}</option>' for number, text in enumerate(examples, 1)
        )
        chooser = f"<label>Begin with <select data-examples>{options}</select></label>" if len(examples) > 1 else ""
        fields += f'{chooser}<label>Body <textarea rows="9" spellcheck="false">{escape(examples[0])}</textarea></label>'
    if has_file:
        instead = " (sent as a form then, with the body's text and prompts)" if body else ""
        fields += f'<label>File{instead} <input type="file"></label>'
    return (
        f'<form data-method="{method.upper()}" data-path="{escape(path)}"><h4>Try it</h4>{fields}'
        '<button>Send</button> <output aria-live="polite"></output><pre hidden tabindex="0"></pre></form>'
    )


def _fields(shape: dict[str, Any]) -> str:
    """The fields of an object as a table."""
    if "properties" not in shape:
        return f"<p>{_kind(shape)}</p>"
    needed, rows = shape.get("required", []), []
    for name, field in shape["properties"].items():
        mark = " <em>needed</em>" if name in needed else ""
        said = field.get("description", "")
        rows.append(
            f"<tr><td><code>{escape(name)}</code>{mark}</td><td>{_kind(field)}{_bounds(field)}</td>"
            f"<td>{escape(said)}</td></tr>"
        )
    about = f"<p>{escape(shape['description'])}</p>" if shape.get("description") else ""
    return f"{about}<table><tr><th>field</th><th>is</th><th></th></tr>{''.join(rows)}</table>"


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in words, with links to the shapes."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#shape-{name}">{name}</a>'
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = [_kind(one) for one in schema[several] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds)) or "nothing"
    if "const" in schema or "enum" in schema:
        return " or ".join(
            f"<code>{escape(json.dumps(one))}</code>" for one in schema.get("enum", [schema.get("const")])
        )
    if "prefixItems" in schema:
        return f"[{', '.join(map(_kind, schema['prefixItems']))}]"
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and "title" in schema and "properties" in schema:
        name = escape(schema["title"])
        return f'<a href="#shape-{name}">{name}</a>'
    return "file" if schema.get("format") == "binary" else escape(str(schema.get("type", "anything")))


def _bounds(field: dict[str, Any]) -> str:
    """The limits of a number."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    kinds = [field, *field.get("anyOf", [])]
    limits = [(sign, kind[name]) for kind in kinds for name, sign in signs.items() if name in kind]
    found = [f"{sign} {int(limit) if limit == int(limit) else limit}" for sign, limit in limits]
    return f", {escape(', '.join(found))}" if found else ""


def _resolved(schema: dict[str, Any], shapes: dict[str, Any]) -> dict[str, Any]:
    return shapes[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


STYLE = """
:root { --ink: #1c1b22; --soft: #66636f; --line: #e6e3dc; --ground: #f7f6f3; --card: #fff; --accent: #5b3fd6; }
@media (prefers-color-scheme: dark) { :root { --ink: #eeecf4; --soft: #a29eb0; --line: #2e2c38; --ground: #131217;
  --card: #1c1b22; --accent: #a08cff; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0; }
main { max-width: 900px; margin: 0 auto; padding: 24px 16px 80px; }
h1 { letter-spacing: -.02em; } h1 small, th, em { color: var(--soft); font-weight: 400; font-style: normal; }
a { color: var(--accent); }
details { background: var(--card); border: 1px solid var(--line); border-radius: 12px; margin: 8px 0; }
details > *:not(summary) { margin-left: 16px; margin-right: 16px; }
summary { cursor: pointer; padding: 10px 16px; overflow-wrap: anywhere; } summary b { display: inline-block;
  min-width: 4.2em; color: var(--accent); }
table { border-collapse: collapse; font-size: .9rem; width: calc(100% - 32px); }
th, td { text-align: left; vertical-align: top; padding: 4px 10px 4px 0; border-top: 1px solid var(--line); }
td:first-child, th:first-child { width: 12em; } code, pre, textarea { font: .86rem/1.45 ui-monospace, monospace; }
label { display: block; margin: 8px 0; } input, select, textarea { font-size: 1rem; max-width: 100%; color: inherit;
  background: var(--ground); border: 1px solid var(--line); border-radius: 8px; padding: 6px 8px; }
textarea { display: block; width: 100%; box-sizing: border-box; }
button { background: #5b3fd6; color: #fff; border: 0; border-radius: 8px; padding: 8px 20px; font: inherit;
  cursor: pointer; } form { padding-bottom: 16px; }
pre { background: var(--ground); border-radius: 8px; padding: 10px; max-height: 24em; overflow: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
"""

SCRIPT = """
for (const form of document.forms) {
  const area = form.querySelector('textarea'), file = form.querySelector('input[type=file]');
  const said = form.querySelector('output'), shown = form.querySelector('pre');
  form.querySelector('select')?.addEventListener('change', (event) => { area.value = event.target.value; });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const start = performance.now();
    said.textContent = 'waiting…';
    shown.hidden = true;
    try {
      let path = form.dataset.path, body, headers = {};
      for (const field of form.querySelectorAll('[data-name]'))
        path = path.replace(`{${field.dataset.name}}`, encodeURIComponent(field.value));
      if (file?.files.length) {
        body = new FormData();
        body.append('file', file.files[0]);
        const more = area ? JSON.parse(area.value) : {};
        for (const name of ['text', 'max_new_tokens']) if (more[name] != null) body.append(name, more[name]);
        if (more.prompts) body.append('prompts', JSON.stringify(more.prompts));
      } else if (area) {
        body = area.value;
        headers['Content-Type'] = 'application/json';
      }
      const key = document.querySelector('#key').value;
      if (key) headers.Authorization = `Bearer ${key}`;
      const answer = await fetch(path.slice(1), { method: form.dataset.method, headers, body });
      const wait = answer.headers.get('Retry-After');
      shown.textContent = '';
      shown.hidden = false;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part; !(part = await reader.read()).done;) shown.textContent += part.value;
      try { shown.textContent = JSON.stringify(JSON.parse(shown.textContent), null, 1); } catch { /* a stream */ }
      const seconds = ((performance.now() - start) / 1000).toFixed(2);
      said.textContent = `${answer.status}${wait ? `, try again in ${wait} s` : ''} · ${seconds} s`;
    } catch (error) { said.textContent = error.message; }
  });
}
"""
