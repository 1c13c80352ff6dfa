"""Definitions: accounts and permissions in the form that RabbitMQ imports.

One file for any number of offices, for the private node and for a cluster that
an administrator runs (`rabbitmqctl import_definitions FILE`).
"""

import base64
import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from axis.broker import topology


def definitions(
    passwords: Mapping[str, str], *, vhost: str = "/", own: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Return the definitions that give each office its account.

    Args:
        passwords: Password by office code; the code is the name of the account.
        vhost: The virtual host of the axis.
        own: Name and password of the axis's own account, which may do everything in the virtual host; None leaves it out.
    """
    permissions = []
    if own is not None:
        permissions.append({"user": own[0], "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"})
    for code in passwords:
        allowed = topology.permissions(code)
        permissions.append(
            {"user": code, "vhost": vhost, "configure": allowed.configure, "write": allowed.write, "read": allowed.read}
        )
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            *([_user(*own, limits={})] if own else []),
            *(_user(name, word, limits=topology.ACCOUNT_LIMITS) for name, word in passwords.items()),
        ],
        "permissions": permissions,
    }


def _user(name: str, password: str, *, limits: Mapping[str, int]) -> dict[str, Any]:
    # RabbitMQ, "Credentials and Passwords": four bytes of salt before the digest of salt and password.
    salt = os.urandom(4)
    hashed = base64.b64encode(salt + sha256(salt + password.encode()).digest()).decode()
    return {
        "name": name,
        "password_hash": hashed,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "",
        "limits": dict(limits),
    }
