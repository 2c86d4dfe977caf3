#!/usr/bin/env python3
"""A small issuer of OpenID Connect, to try the policy service with. It needs nothing but Python.

    python3 issuer.py [PORT]            (9099; 0 lets the system choose)

It has a discovery document, public keys, and a token endpoint for the clients and users below. Its key is made anew at each
start, its secrets stand in this file, and it listens on this machine alone: it is for trying things out and for nothing else.
In production take Keycloak or whatever issues your tokens.
"""

import base64
import hashlib
import json
import math
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

# Services log in with their id and secret (grant_type=client_credentials) and get their scopes.
CLIENTS = {
    "svc-digital-twin": {"secret": "twin", "scope": "mqtt.write"},
    "svc-dash": {"secret": "dash", "scope": "mqtt.read"},
}
# Users log in with name and password (grant_type=password) and get their groups.
USERS = {
    "alice": {"password": "wonderland", "groups": ["/viewers"]},
    "root": {"password": "toor", "groups": ["/admins"]},
}
LIFE = 3600  # seconds

SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2))]


def is_prime(number):
    """Miller and Rabin's test; forty rounds are wrong less often than this machine."""
    if any(number % small == 0 for small in SMALL_PRIMES):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(40):
        power = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def prime(bits):
    """A prime whose two highest bits are set, so that a product of two has all its bits."""
    while True:
        candidate = secrets.randbits(bits) | 3 << (bits - 2) | 1
        if candidate % 65537 != 1 and is_prime(candidate):
            return candidate


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An RSA key of 2048 bits that signs with RS256 (RFC 8017 §8.2)."""

    def __init__(self):
        one, other = prime(1024), prime(1024)
        self.modulus = one * other
        self.exponent = pow(65537, -1, (one - 1) * (other - 1))
        self.id = secrets.token_hex(4)

    def public(self):
        modulus = encoded(self.modulus.to_bytes(256, "big"))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": modulus, "e": "AQAB"}

    def sign(self, claims):
        header = {"alg": "RS256", "typ": "JWT", "kid": self.id}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(text.encode()).digest()
        padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(digest)) + b"\x00" + digest
        signature = pow(int.from_bytes(padded, "big"), self.exponent, self.modulus)
        return f"{text}.{encoded(signature.to_bytes(256, 'big'))}"


class Refused(Exception):
    """The error of RFC 6749 §5.2."""


def claims_for(form):
    """What the token of a login says; raises Refused if the login does not hold."""

    def get(name):
        return form.get(name, [""])[0]

    def holds(known, given):
        return known is not None and secrets.compare_digest(known.encode(), given.encode())

    if get("grant_type") == "client_credentials":
        client = CLIENTS.get(get("client_id"), {})
        if not holds(client.get("secret"), get("client_secret")):
            raise Refused("invalid_client")
        return {"sub": get("client_id"), "client_id": get("client_id"), "scope": client["scope"]}
    if get("grant_type") == "password":
        user = USERS.get(get("username"), {})
        if not holds(user.get("password"), get("password")):
            raise Refused("invalid_grant")
        name = get("username")
        return {"sub": "user-" + name, "preferred_username": name, "groups": user["groups"]}
    raise Refused("unsupported_grant_type")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        issuer = self.server.issuer
        if self.path == "/.well-known/openid-configuration":
            self.answer(200, {
                "issuer": issuer,
                "jwks_uri": issuer + "/jwks",
                "token_endpoint": issuer + "/token",
                "grant_types_supported": ["client_credentials", "password"],
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            })
        elif self.path == "/jwks":
            self.answer(200, {"keys": [self.server.key.public()]})
        else:
            self.answer(404, {"error": "not_found"})

    def do_POST(self):
        length = min(int(self.headers.get("Content-Length") or 0), 65536)
        form = parse_qs(self.rfile.read(length).decode(errors="replace"))
        if self.path != "/token":
            return self.answer(404, {"error": "not_found"})
        try:
            claims = claims_for(form)
        except Refused as error:
            return self.answer(400, {"error": str(error)})
        now = int(time.time())
        claims |= {"iss": self.server.issuer, "iat": now, "exp": now + LIFE, "jti": secrets.token_hex(8)}
        token = self.server.key.sign(claims)
        return self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": LIFE})

    def log_message(self, *_):
        pass


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9099
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.issuer = f"http://127.0.0.1:{server.server_port}"
    server.key = Key()
    print(f"issuer {server.issuer}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
