"""The page of an export: what it is, what it proves and what not, and a list. Plain HTML that prints; no scripts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from agent.seal import Seal, fingerprint

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Evidence accepted by Chequr, {since} to {until}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: 12px; }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #ccc; }}
th {{ border-bottom-color: #1a1a1a; }} thead {{ display: table-header-group; }} tr {{ break-inside: avoid; }}
code {{ font: 11px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }}
.wide {{ overflow-x: auto; }}
@media print {{ body {{ margin: 0; max-width: none; }} .wide {{ overflow: visible; }} }}
</style>
</head>
<body>
<h1>Evidence accepted by Chequr</h1>
<p>{entries:,} entries of an evidence agent's ledger, accepted from {since} to {until}: entries {first} to {last}.
Exported at {exported_at} by chequr-agent {agent}.</p>

<h2>What this is</h2>
<p>The agent observes a company's systems and submits what it saw to Chequr as evidence. Each time that Chequr
accepted a piece, the agent appended one entry to its ledger: the SHA-256 of the request's bytes, Chequr's receipt, and
the SHA-256 of the entry before. So the entries form a chain. Each day a seal notes how far the chain had come.</p>

<h2>What it proves</h2>
<ul>
<li>None of these entries was altered, removed, inserted or moved since it was written, unless all that follow were made
anew; and none up to a seal that you, a log or an earlier export hold, unless that seal is false, too.</li>
<li>A seal with a signature was made by whoever holds the signing key.</li>
<li>Evidence that Chequr shows is what was submitted, where the SHA-256 of its request is the one of the entry. The
request is the canonical JSON (RFC 8785) of <code>collected_at</code>, <code>control_id</code>, <code>payload</code> and
<code>source</code>.</li>
</ul>
<h2>What it does not prove</h2>
<ul>
<li>That what was observed is the truth, or all of it: each payload names what could not be seen, and how the rest
was.</li>
<li>That whoever controls the agent's machine, and the signing key where there is one, did not write another chain
before anybody else held a seal of this one. Compare with Chequr's own audit log, which they do not control.</li>
<li>That Chequr still has it: <code>chequr-agent verify</code> asks.</li>
</ul>

<h2>How to check it</h2>
<p><code>chequr-agent ledger verify --archive FILE</code>, on any machine, without access to anything. By hand: the
<code>link</code> of a line of <code>entries.jsonl</code> is <code>sha256:</code> and the SHA-256 of its other
members as canonical JSON (RFC 8785), and the next line has it as <code>previous</code>; the signature of a seal is
Ed25519 over its other members, likewise. The files of this archive have these SHA-256:</p>
<ul>{files}</ul>
"""


def page(
    about: Mapping[str, Any], digests: Mapping[str, str], entries: Iterable[Mapping[str, Any]], seals: Sequence[Seal]
) -> Iterator[bytes]:
    """The page in pieces, so that memory stays flat."""
    files = "".join(f"<li><code>{escape(name)}</code> <code>{digest}</code></li>" for name, digest in digests.items())
    told = {"since": escape(about["from"]), "until": escape(about["to"]), "files": files}
    yield _HEAD.format(**{**about, **told}).encode()
    yield from _table("Seals", ("entry", "link", "sealed", "signed by"), map(_seal, seals))
    headings = (
        "entry",
        "accepted",
        "control",
        "evidence type",
        "where",
        "collected",
        "evidence id",
        "SHA-256 of the request",
    )
    yield from _table("Entries", headings, map(_entry, entries))
    yield b"</body>\n</html>\n"


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    told = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    yield f'<h2>{title}</h2>\n<div class="wide"><table><thead><tr>{told}</tr></thead><tbody>\n'.encode()
    for row in rows:
        yield ("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n").encode()
    yield b"</tbody></table></div>\n"


def _seal(seal: Seal) -> Sequence[str]:
    signer = f"<code>{escape(fingerprint(seal.public_key))}</code>" if seal.public_key else "nobody"
    forgets = " (those before were kept for long enough, and deleted)" if seal.forgets else ""
    return f"{seal.seq}{forgets}", f"<code>{escape(seal.link)}</code>", escape(seal.sealed_at), signer


def _entry(told: Mapping[str, Any]) -> Sequence[str]:
    part = f" (part {told['part']} of {told['parts']})" if told["parts"] > 1 else ""
    gaps = f", gaps: {told['gaps']}" if told["gaps"] else ""
    return (
        str(told["seq"]),
        escape(told["created_at"] or told["accepted_at"]),
        escape(told["control_id"]),
        escape(f"{told['evidence_type']}{part}, records: {told['records']}{gaps}"),
        escape(told["target"]),
        escape(told["collected_at"]),
        f"<code>{escape(told['evidence_id'])}</code>",
        f"<code>{escape(told['body'])}</code>",
    )
