"""Keys of age on the operator's machine: made here, and held against fairlead.yml. Nothing is encrypted here."""

from __future__ import annotations

from collections.abc import Collection

from pyrage import x25519

from fairlead.errors import NotReady
from fairlead.model import SecretRef
from fairlead.outside.secrets import Secrets


def new_key() -> tuple[str, str]:
    """A new identity, which is a secret, and its public key."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


async def trouble_with(ref: SecretRef, public: Collection[str], secrets: Secrets) -> tuple[str, str]:
    """Why this identity cannot read what is encrypted to these public keys, and the next thing to type; empty = it can.

    Raises NotReady where the secret is missing or no identity.
    """
    line = await secrets.rendered(ref)
    try:
        mine = str(x25519.Identity.from_str(line.decode().strip()).to_public())
    except ValueError:
        raise NotReady(
            f"the secret {ref.name} is no identity of age: its sum is wrong", "was it copied whole?"
        ) from None
    if mine in public:
        return "", ""
    return (
        f"the identity {ref.name} belongs to none of the public keys in backup_store.encrypt.to",
        f"its public key is {mine}: is that what `to` should name?",
    )
