"""Whether a request comes from ComfyUI's own page, told from its headers alone.

A page of another site can make a browser send requests to this machine. Browsers say where a page is from: in `Origin`
with every POST, in `Sec-Fetch-Site` where the address is trusted (https, localhost). A page whose name an attacker lets
point at this machine (DNS rebinding) gives itself away by that name in `Host`.
"""
from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

LOCAL_NAMES = (".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa", ".test")      # nobody else can own these
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded")
OWN_SITE = ("same-origin", "none")       # of Sec-Fetch-Site: ComfyUI's page, or an address that the user typed


def is_foreign(headers: Mapping[str, str], remote: str, allowed_origin: str = "") -> bool:
    """Whether a request is another site's, or cannot be told from one.

    headers: of the request, names in any case. remote: the address it came from. allowed_origin: of a site that the user
    lets in, "*" for every one.
    """
    origin, host = headers.get("Origin", ""), headers.get("Host", "")
    try:
        return _is_foreign(headers, origin, host, remote, allowed_origin)
    except ValueError:                   # a port or an address that is none
        return True


def _is_foreign(headers: Mapping[str, str], origin: str, host: str, remote: str, allowed_origin: str) -> bool:
    if allowed_origin and (allowed_origin == "*" or allowed_origin == origin):
        return False
    if headers.get("Sec-Fetch-Site", "") == "cross-site":
        return True
    if origin and not _same(origin, host) and not _through_a_proxy(headers):
        return True
    return _is_loopback(remote) and not _is_own_name(host) and not _came_over_https(headers)


def _same(origin: str, host: str) -> bool:
    """Whether an Origin is the Host's; as in ComfyUI's own check, ports count where both name one. "null" (a sandboxed frame, a
    local file) is nobody's."""
    there, here = urlsplit(origin), urlsplit(f"//{host}")
    if there.port is None or here.port is None:
        return bool(there.hostname) and there.hostname == here.hostname
    return there.netloc.lower() == host.lower()


def _through_a_proxy(headers: Mapping[str, str]) -> bool:
    """A proxy may ask in a name of its own. No other site's page can put these headers into a request unasked."""
    return headers.get("Sec-Fetch-Site", "") in OWN_SITE or any(name in headers for name in FORWARDED)


def _came_over_https(headers: Mapping[str, str]) -> bool:
    """A name with a certificate is no rebound one: whoever serves it is a proxy that the user has set up."""
    return headers.get("Origin", "").startswith("https://") or headers.get("Sec-Fetch-Site", "") in OWN_SITE


def _is_loopback(remote: str) -> bool:
    try:
        return ipaddress.ip_address(remote.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_own_name(host: str) -> bool:
    """Whether a Host is an address, or a name that no stranger can have: one without a dot, or of a local network."""
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        return "." not in name or name.endswith(LOCAL_NAMES)
