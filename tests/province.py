"""Province: a certificate authority, offices with keys, and good envelopes, all made up in memory.

Offices and persons are examples. Certificates can be made with one flaw each;
`Province.certificate` says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from axis import edxml, seal
from axis.seal.trust import DOCUMENT_SIGNING, fingerprint_of

AT = datetime(2026, 9, 1, 2, 30, tzinfo=UTC)
DAY = timedelta(days=1)

DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="http://www.mic.gov.vn/TBT/QCVN_102_2016">
 <edXML:edXMLEnvelope xmlns:edXML="http://www.mic.gov.vn/TBT/QCVN_102_2016">
  <edXML:edXMLHeader>
   <edXML:MessageHeader>
    <edXML:From><edXML:OrganId>H56.05</edXML:OrganId><edXML:OrganName>Sở Khoa học và Công nghệ (ví dụ)</edXML:OrganName></edXML:From>
    <edXML:To><edXML:OrganId>H56.112</edXML:OrganId><edXML:OrganName>UBND phường Hàm Rồng (ví dụ)</edXML:OrganName></edXML:To>
    <edXML:To><edXML:OrganId>H56.113</edXML:OrganId><edXML:OrganName>UBND xã mẫu</edXML:OrganName></edXML:To>
    <edXML:DocumentId>H56.05,2026/08/25,125/SKHCN-CĐS</edXML:DocumentId>
    <edXML:Code><edXML:CodeNumber>125</edXML:CodeNumber><edXML:CodeNotation>SKHCN-CĐS</edXML:CodeNotation></edXML:Code>
    <edXML:PromulgationInfo><edXML:Place>Thanh Hóa</edXML:Place><edXML:PromulgationDate>2026/08/25</edXML:PromulgationDate></edXML:PromulgationInfo>
    <edXML:DocumentType><edXML:Type>2</edXML:Type><edXML:TypeDetail>18</edXML:TypeDetail><edXML:TypeName>Công văn</edXML:TypeName></edXML:DocumentType>
    <edXML:Subject>V/v rà soát mã định danh đơn vị (ví dụ)</edXML:Subject>
    <edXML:Content>Đề nghị các xã, phường rà soát mã định danh</edXML:Content>
    <edXML:SignerInfo><edXML:Competence>KT. GIÁM ĐỐC</edXML:Competence><edXML:Position>Phó Giám đốc</edXML:Position><edXML:FullName>Nguyễn Văn A</edXML:FullName></edXML:SignerInfo>
    <edXML:OtherInfo><edXML:Priority>1</edXML:Priority><edXML:Direction>false</edXML:Direction></edXML:OtherInfo>
    <edXML:SteeringType>1</edXML:SteeringType>
    <edXML:ToPlaces><edXML:Place>Như trên</edXML:Place><edXML:Place>Lưu: VT, CĐS</edXML:Place></edXML:ToPlaces>
   </edXML:MessageHeader>
   <edXML:TraceHeaderList>
    <edXML:TraceHeader><edXML:OrganId>H56.05</edXML:OrganId><edXML:Timestamp>2026/08/25 09:30:05</edXML:Timestamp></edXML:TraceHeader>
    <edXML:Bussiness><edXML:BussinessDocType>0</edXML:BussinessDocType><edXML:BussinessDocReason>Văn bản điện tử mới</edXML:BussinessDocReason><edXML:Paper>0</edXML:Paper></edXML:Bussiness>
   </edXML:TraceHeaderList>
  </edXML:edXMLHeader>
  <edXML:edXMLBody><edXML:edXMLManifest version="1.0" xmlns:axp="urn:axis:profile:1">
   <edXML:Reference axp:sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" axp:bytes="3"><edXML:ContentId>cid:a1</edXML:ContentId><edXML:ContentType>application/pdf</edXML:ContentType><edXML:AttachmentName>125.pdf</edXML:AttachmentName></edXML:Reference>
  </edXML:edXMLManifest></edXML:edXMLBody>
 </edXML:edXMLEnvelope>
</edXML>
"""

STATUS = """<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="http://www.mic.gov.vn/TBT/QCVN_102_2016">
 <edXML:edXMLEnvelope xmlns:edXML="http://www.mic.gov.vn/TBT/QCVN_102_2016">
  <edXML:edXMLHeader><edXML:MessageHeader>
   <edXML:From><edXML:OrganId>H56.112</edXML:OrganId><edXML:OrganName>UBND phường Hàm Rồng (ví dụ)</edXML:OrganName></edXML:From>
   <edXML:ResponseFor><edXML:OrganId>H56.05</edXML:OrganId><edXML:Code>125/SKHCN-CĐS</edXML:Code><edXML:DocumentId>H56.05,2026/08/25,125/SKHCN-CĐS</edXML:DocumentId><edXML:PromulgationDate>2026/08/25</edXML:PromulgationDate></edXML:ResponseFor>
   <edXML:StatusCode>03</edXML:StatusCode>
   <edXML:Description>Đã tiếp nhận, vào sổ số đến 417</edXML:Description>
   <edXML:Timestamp>2026/08/25 10:02:11</edXML:Timestamp>
  </edXML:MessageHeader></edXML:edXMLHeader>
 </edXML:edXMLEnvelope>
</edXML>
"""

INLINE = '<AttachmentEncoded><Attachment><ContentId>cid:a1</ContentId><AttachmentName>125.pdf</AttachmentName><ContentType>application/pdf</ContentType><edXML:ContentTransferEncoded xmlns:edXML="http://www.mic.gov.vn/TBT/QCVN_102_2016">YWJj</edXML:ContentTransferEncoded></Attachment></AttachmentEncoded>'

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """One RSA key of each size is enough; making them is slow."""
    return rsa.generate_private_key(65537, bits)


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"), x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*names: str) -> x509.KeyUsage:
    fields = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{field: field in names for field in fields})


OFFICE_EXTENSIONS: dict[str, tuple[Any, bool]] = {
    "basic": (x509.BasicConstraints(ca=False, path_length=None), True),
    "usage": (usage("digital_signature", "content_commitment"), True),
    "purpose": (x509.ExtendedKeyUsage([DOCUMENT_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
}
AUTHORITY_EXTENSIONS: dict[str, tuple[Any, bool]] = {
    "basic": (x509.BasicConstraints(ca=True, path_length=0), True),
    "usage": (usage("key_cert_sign", "crl_sign"), True),
}


def certificate(
    subject: str,
    key: Any,
    *,
    issuer: str,
    issuer_key: PrivateKey,
    extensions: dict[str, tuple[Any, bool]],
    not_before: datetime = AT - 100 * DAY,
    not_after: datetime = AT + 100 * DAY,
) -> x509.Certificate:
    public = key.public_key() if hasattr(key, "public_key") else key
    builder = (
        x509.CertificateBuilder(subject_name=name_of(subject), issuer_name=name_of(issuer), public_key=public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    for extension, critical in extensions.values():
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


@dataclass
class Province:
    """A root of trust and the offices under it."""

    ca_name: str = "CA tỉnh (ví dụ)"
    ca_key: PrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    ca_extensions: dict[str, tuple[Any, bool]] = field(default_factory=lambda: AUTHORITY_EXTENSIONS)
    ca_lifetime: tuple[datetime, datetime] = (AT - 1000 * DAY, AT + 1000 * DAY)
    keys: dict[str, PrivateKey] = field(default_factory=dict)
    certificates: dict[str, list[x509.Certificate]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ca = certificate(
            self.ca_name,
            self.ca_key,
            issuer=self.ca_name,
            issuer_key=self.ca_key,
            extensions=self.ca_extensions,
            not_before=self.ca_lifetime[0],
            not_after=self.ca_lifetime[1],
        )

    def certificate(self, organ_id: str, key: Any, **flaws: Any) -> x509.Certificate:
        """Return an office's certificate, good but for the flaws: arguments of `certificate`, or an extension by name.

        An extension given as None is left out.
        """
        extensions = dict(OFFICE_EXTENSIONS)
        for place in ("basic", "usage", "purpose", "other"):
            if place in flaws:
                flaw = flaws.pop(place)
                extensions.pop(place, None)
                if flaw is not None:
                    extensions[place] = flaw
        return certificate(
            organ_id,
            key,
            **{"issuer": self.ca_name, "issuer_key": self.ca_key, "extensions": extensions, **flaws},
        )

    def register(self, organ_id: str, key: PrivateKey | None = None, **flaws: Any) -> seal.SigningKey:
        """Give an office a key and a certificate; again, for a successor key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        made = self.certificate(organ_id, key, **flaws)
        self.keys[organ_id] = key
        self.certificates.setdefault(organ_id, []).append(made)
        return seal.SigningKey(key, made, fingerprint_of(made))

    def signer(self, organ_id: str) -> seal.SigningKey:
        made = self.certificates[organ_id][-1]
        return seal.SigningKey(self.keys[organ_id], made, fingerprint_of(made))

    def crl(
        self,
        *revoked: x509.RevokedCertificate,
        at: datetime = AT - DAY,
        until: datetime = AT + DAY,
        by: PrivateKey | None = None,
        number: int = 1,
    ) -> x509.CertificateRevocationList:
        builder = x509.CertificateRevocationListBuilder(name_of(self.ca_name), at, until).add_extension(
            x509.CRLNumber(number), critical=False
        )
        for entry in revoked:
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(by or self.ca_key, hashes.SHA256())

    def trust(self, *crls: x509.CertificateRevocationList, require_fresh_crl: bool = False) -> seal.Trust:
        signers = {organ_id: tuple(certificates) for organ_id, certificates in self.certificates.items()}
        return seal.Trust((self.ca,), crls, signers, require_fresh_crl=require_fresh_crl)


def province(*organ_ids: str) -> Province:
    """Return a province in which these offices are registered."""
    made = Province()
    for organ_id in organ_ids or ("H56.05", "H56.112", "H56.TRUC"):
        made.register(organ_id)
    return made


def revoked(
    made: x509.Certificate, at: datetime, reason: x509.ReasonFlags | None = None, invalid_from: datetime | None = None
) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(made.serial_number, at)
    if reason is not None:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    if invalid_from is not None:
        builder = builder.add_extension(x509.InvalidityDate(invalid_from.replace(tzinfo=None)), critical=False)
    return builder.build()


def sealed(
    of: Province, organ_id: str = "H56.05", text: str = DOCUMENT, swaps: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Return a sealed envelope; `swaps` change the text before it is sealed."""
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new, 1)
    return seal.seal(text.encode(), of.signer(organ_id))


def verify(envelope: bytes, trust: seal.Trust, at: datetime = AT) -> seal.Verified:
    return seal.verify(edxml.parse(envelope), trust, at=at)


__all__ = [
    "AT",
    "DAY",
    "DOCUMENT",
    "INLINE",
    "STATUS",
    "Province",
    "province",
    "replace",
    "revoked",
    "sealed",
    "verify",
]
