"""Voice: in whose name, and with which key, receipts are said."""

from dataclasses import dataclass
from typing import Any

from axis.receipts.issue import issue
from axis.receipts.model import Receipt, SignedReceipt
from axis.seal import SigningKey


@dataclass(frozen=True, slots=True)
class Voice:
    """An office that signs receipts: the axis, or an addressee."""

    organ_id: str
    key: SigningKey

    def say(self, **fields: Any) -> SignedReceipt:
        """Sign one receipt; `fields` are those of Receipt, without the issuer.

        Raises:
            TransientError: SYS.KEY; nobody would believe it.
        """
        said = Receipt(issuer=self.organ_id, **fields)
        self.key.require(said.at)
        return issue(said, self.key)
