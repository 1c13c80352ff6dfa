"""Errors: what went wrong, who must act, what happens next.

    AxisError
    ├── PermanentError      checked and bad: never retried
    │   └── Refusal         a message that the axis refuses, with every violation
    └── TransientError      could not do or could not check: tried again, counted

The texts stand in one table, CATALOGUE. The signed receipt, the HTTP answer
and the command line print the same Violation, so the words for one fault are
the same wherever a person meets it. Texts name no host, path or key of ours.

Spec: RFC 3463 §2 (class.subject.detail in `status`); docs/protocol/errors.md.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Actor(StrEnum):
    """Who must act before the message can go on."""

    ORIGINATOR = "originator"
    ADDRESSEE = "addressee"
    OPERATOR = "operator"
    INTEGRATOR = "integrator"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalogue."""

    status: str  # RFC 3463; class 4 is transient, class 5 permanent.
    http: int
    actor: Actor
    vi: str  # May hold one {detail}.
    en: str
    next: str  # What happens next, or what to do; in both languages, parted by " / ".

    @property
    def kind(self) -> str:
        """The class: "transient" where trying again may help, "permanent" where it cannot, "done" where nothing is wrong."""
        return {"2": "done", "4": "transient", "5": "permanent"}[self.status[0]]


_FIX = "Sửa rồi gửi lại. / Correct it and submit again."
# Of an envelope that was accepted: its document id means what it says for good.
_FIX_ANEW = "Sửa rồi gửi lại với mã văn bản mới. / Correct it and submit it under a new document id."
_SEAL = "Ký lại bằng khóa đã đăng ký rồi gửi lại. / Seal it again with the registered key and submit again."
_WAIT = "Trục tự thử lại. / The axis tries again by itself."
_ASK = "Liên hệ đơn vị vận hành trục. / Ask the operator of the axis."

_O, _A, _P, _I, _N = (
    Actor.ORIGINATOR,
    Actor.ADDRESSEE,
    Actor.OPERATOR,
    Actor.INTEGRATOR,
    Actor.NOBODY,
)

CATALOGUE: dict[str, Entry] = {
    # --- the envelope as XML -------------------------------------------------
    "ENV.TOO_LARGE": Entry("5.3.4", 413, _I, "Gói tin quá lớn: {detail}", "The envelope is too large: {detail}", _FIX),
    "ENV.ENCODING": Entry("5.5.2", 415, _I, "Gói tin phải là UTF-8: {detail}", "The envelope must be UTF-8: {detail}", _FIX),
    "ENV.NOT_WELL_FORMED": Entry("5.5.2", 400, _I, "XML sai cú pháp: {detail}", "The XML is not well formed: {detail}", _FIX),
    "ENV.DTD": Entry("5.5.2", 400, _I, "Không được có DOCTYPE hoặc thực thể: {detail}", "DOCTYPE and entities are not allowed: {detail}", _FIX),
    "ENV.COMMENT_OR_PI": Entry("5.5.2", 400, _I, "Không được có chú thích hoặc chỉ thị xử lý: {detail}", "Comments and processing instructions are not allowed: {detail}", _FIX),
    "ENV.TOO_COMPLEX": Entry("5.5.2", 400, _I, "XML quá phức tạp: {detail}", "The XML is too complex: {detail}", _FIX),
    "ENV.WRONG_ROOT": Entry("5.5.5", 400, _I, "Không phải gói tin edXML: {detail}", "Not an edXML message: {detail}", _FIX),
    "ENV.SCHEMA": Entry("5.6.0", 400, _I, "Sai cấu trúc: {detail}", "Against the schema: {detail}", _FIX),
    "ENV.ID_ATTRIBUTE": Entry("5.5.2", 400, _I, "Thuộc tính Id không hợp lệ: {detail}", "An Id attribute is not allowed here: {detail}", _FIX),
    "ENV.MIME": Entry("5.6.0", 400, _I, "Các phần MIME của gói tin không đọc được: {detail}", "The MIME parts of the message cannot be read: {detail}", _FIX),
    "ENV.DIALECT": Entry("5.5.5", 400, _I, "Không phải mẫu mà danh sách đơn vị ghi cho đơn vị: {detail}", "Not the dialect that the roll states for the office: {detail}", "Sửa gói tin, hoặc đề nghị sửa mục dialect trong danh sách đơn vị. / Correct the message, or ask for another dialect in the roll."),
    # --- the seal --------------------------------------------------------------
    "SIG.MISSING": Entry("5.7.7", 422, _O, "Gói tin chưa được ký số.", "The envelope carries no seal.", _SEAL),
    "SIG.POSITION": Entry("5.7.7", 422, _I, "Chữ ký không đặt đúng chỗ: {detail}", "The seal is not where it must be: {detail}", _SEAL),
    "SIG.STRUCTURE": Entry("5.7.7", 422, _I, "Cấu trúc chữ ký không đúng: {detail}", "The seal is not of the profile's shape: {detail}", _SEAL),
    "SIG.REFERENCE": Entry("5.7.7", 422, _I, "Chữ ký không phủ đúng các phần: {detail}", "The seal does not cover the parts that it must: {detail}", _SEAL),
    "SIG.TRANSFORM": Entry("5.7.6", 422, _I, "Phép biến đổi không được phép: {detail}", "The transform is not the profile's: {detail}", _SEAL),
    "SIG.ALGORITHM": Entry("5.7.6", 422, _I, "Thuật toán không được phép: {detail}", "The algorithm is not allowed: {detail}", _SEAL),
    "SIG.DUPLICATE_ID": Entry("5.7.7", 422, _I, "Id bị lặp: {detail}", "An Id occurs twice: {detail}", _SEAL),
    "SIG.C14N": Entry("5.7.7", 422, _I, "Không chuẩn hóa được XML: {detail}", "The XML cannot be canonicalised: {detail}", _SEAL),
    "SIG.DIGEST": Entry("5.7.7", 422, _O, "Nội dung đã bị thay đổi sau khi ký: {detail}", "The content was changed after it was sealed: {detail}", _SEAL),
    "SIG.VALUE": Entry("5.7.7", 422, _O, "Chữ ký không khớp khóa đã đăng ký của đơn vị gửi.", "The seal was not made with the key registered for the originator.", _SEAL),
    "SIG.LEGACY": Entry("5.7.7", 422, _O, "Chữ ký kiểu cũ không kiểm tra được: {detail}", "The signature is of a kind that cannot be checked: {detail}", _SEAL),
    "SIG.NOTARY": Entry("5.7.1", 422, _I, "Chỉ trục được ký thay đơn vị khác: {detail}", "Only the axis may seal for another office: {detail}", _SEAL),
    "KEY.UNKNOWN_SIGNER": Entry("5.1.8", 422, _P, "Đơn vị gửi chưa đăng ký khóa: {detail}", "No key is registered for the originator: {detail}", _ASK),
    "KEY.WRONG_SIGNER": Entry("5.7.1", 422, _O, "Chứng thư không thuộc đơn vị gửi: {detail}", "The certificate does not belong to the originator: {detail}", _SEAL),
    "KEY.EXPIRED": Entry("5.7.1", 422, _O, "Chứng thư đã hết hạn: {detail}", "The certificate has expired: {detail}", "Đăng ký chứng thư mới rồi gửi lại. / Register a new certificate and submit again."),
    "KEY.NOT_YET_VALID": Entry("5.7.1", 422, _O, "Chứng thư chưa có hiệu lực: {detail}", "The certificate is not yet valid: {detail}", _SEAL),
    "KEY.REVOKED": Entry("5.7.1", 422, _O, "Chứng thư đã bị thu hồi: {detail}", "The certificate was revoked: {detail}", "Đăng ký chứng thư mới rồi gửi lại. / Register a new certificate and submit again."),
    "KEY.WEAK": Entry("5.7.6", 422, _O, "Khóa quá yếu: {detail}", "The key is too weak: {detail}", "Đăng ký khóa mạnh hơn. / Register a stronger key."),
    "KEY.USAGE": Entry("5.7.1", 422, _O, "Chứng thư không dùng để ký: {detail}", "The certificate is not meant for signing: {detail}", _SEAL),
    "KEY.CHAIN": Entry("5.7.1", 422, _O, "Chứng thư không do CA của tỉnh cấp: {detail}", "The certificate does not chain to the province's CA: {detail}", _SEAL),
    "KEY.REVOCATION_UNKNOWN": Entry("4.7.5", 503, _P, "Chưa kiểm tra được tình trạng thu hồi: {detail}", "Revocation could not be checked: {detail}", _WAIT),
    # --- attachments -----------------------------------------------------------
    "ATT.MISSING": Entry("5.6.3", 422, _O, "Thiếu tệp đính kèm: {detail}", "An attachment is missing: {detail}", "Tải tệp lên rồi gửi lại. / Upload the file and submit again."),
    "ATT.UNLISTED": Entry("5.6.3", 400, _O, "Tệp đính kèm không có trong danh mục: {detail}", "An attachment is not listed in the manifest: {detail}", _FIX),
    "ATT.DIGEST": Entry("5.7.7", 422, _O, "Tệp đính kèm khác với tệp đã ký: {detail}", "An attachment differs from what was sealed: {detail}", _FIX),
    "ATT.SIZE": Entry("5.3.4", 413, _O, "Tệp đính kèm quá lớn: {detail}", "An attachment is too large: {detail}", _FIX),
    "ATT.COUNT": Entry("5.3.4", 400, _O, "Quá nhiều tệp đính kèm: {detail}", "Too many attachments: {detail}", _FIX),
    "ATT.NAME": Entry("5.6.0", 400, _O, "Tên tệp đính kèm không hợp lệ: {detail}", "An attachment name is not allowed: {detail}", _FIX),
    "ATT.ENCODING": Entry("5.6.0", 400, _I, "Không giải mã được tệp đính kèm: {detail}", "An attachment cannot be decoded: {detail}", _FIX),
    "ATT.ARCHIVE": Entry("5.6.0", 400, _O, "Tệp nén không hợp lệ: {detail}", "The archive is not acceptable: {detail}", _FIX),
    # --- contents --------------------------------------------------------------
    "CON.KIND": Entry("5.6.1", 400, _I, "Không biết loại nội dung: {detail}", "The kind of content is not known: {detail}", _FIX),
    "CON.ONCE": Entry("5.6.0", 400, _I, "Mỗi loại nội dung chỉ được một tệp: {detail}", "There may be one content of a kind: {detail}", _FIX),
    "CON.XML": Entry("5.6.0", 400, _I, "Tệp nội dung sai: {detail}", "The file of the content: {detail}", _FIX),
    "CON.SCHEMA": Entry("5.6.0", 400, _I, "Nội dung kèm theo: {detail}", "In the content: {detail}", _FIX),
    "CON.CODE": Entry("5.6.0", 400, _O, "Mã trong nội dung không hợp lệ: {detail}", "A code in the content is not valid: {detail}", _FIX),
    "CON.INCOMPLETE": Entry("5.6.0", 400, _O, "Nội dung chưa đủ: {detail}", "The content is not complete: {detail}", _FIX),
    "CON.DATE": Entry("5.6.0", 400, _O, "Ngày giờ trong nội dung không hợp lệ: {detail}", "A time in the content is not valid: {detail}", _FIX),
    "CON.PARTY": Entry("5.7.1", 422, _O, "Đơn vị không đúng vai trong nội dung: {detail}", "An office has no such part in the content: {detail}", _FIX),
    "CON.FILE": Entry("5.6.3", 422, _O, "Nội dung nêu tệp không có trong văn bản: {detail}", "The content names a file that does not travel with the document: {detail}", _FIX),
    "CON.TRANSITION": Entry("5.6.0", 409, _O, "Hồ sơ hoặc nhiệm vụ không thể chuyển trạng thái như vậy: {detail}", "The dossier or the task cannot come to that status: {detail}", _FIX),
    # --- business rules --------------------------------------------------------
    "RULE.DATE": Entry("5.6.0", 400, _O, "Ngày không hợp lệ: {detail}", "The date is not valid: {detail}", _FIX),
    "RULE.DUPLICATE_ADDRESSEE": Entry("5.6.0", 400, _O, "Nơi nhận bị lặp: {detail}", "An addressee occurs twice: {detail}", _FIX),
    "RULE.SELF_ADDRESSED": Entry("5.6.0", 400, _O, "Đơn vị gửi trùng nơi nhận: {detail}", "The originator is its own addressee: {detail}", _FIX),
    "RULE.CODE": Entry("5.6.0", 400, _O, "Số, ký hiệu không hợp lệ: {detail}", "The number or notation is not valid: {detail}", _FIX),
    "RULE.DOCUMENT_TYPE": Entry("5.6.0", 400, _O, "Loại văn bản không hợp lệ: {detail}", "The document type is not in the table: {detail}", _FIX),
    "RULE.ORGAN_ID": Entry("5.6.0", 400, _O, "Mã định danh không hợp lệ: {detail}", "The organ identifier is not valid: {detail}", _FIX),
    "RULE.BUSINESS": Entry("5.6.0", 400, _O, "Thông tin nghiệp vụ không hợp lệ: {detail}", "The business part is not valid: {detail}", _FIX),
    "RULE.STATUS": Entry("5.6.0", 400, _O, "Trạng thái không hợp lệ: {detail}", "The status is not valid: {detail}", _FIX),
    "RULE.MANIFEST": Entry("5.6.0", 400, _I, "Danh mục tệp đính kèm không hợp lệ: {detail}", "The manifest is not valid: {detail}", _FIX),
    "RULE.RELEASE": Entry("5.6.0", 400, _O, "Giờ phát hành không hợp lệ: {detail}", "The hour of release is not valid: {detail}", _FIX),
    "RULE.SECRET": Entry("5.7.1", 403, _O, "Văn bản mật không được gửi qua trục: {detail}", "A secret document must not travel the axis: {detail}", "Gửi theo đường văn bản mật. / Send it by the channel for secret documents."),
    # --- routing and rights ----------------------------------------------------
    "MSG.CONFLICT": Entry("5.5.0", 409, _O, "Mã văn bản đã dùng cho nội dung khác: {detail}", "This document id was used for other content: {detail}", "Dùng mã mới. / Use a new document id."),
    "MSG.TASK": Entry("5.7.1", 422, _O, "Văn bản trả lời nhiệm vụ không giao cho đơn vị gửi: {detail}", "The document answers a task that its originator was not given: {detail}", "Sửa mã nhiệm vụ rồi gửi lại. / Correct the code of the task and submit again."),
    "MSG.UNKNOWN_ADDRESSEE": Entry("5.1.1", 422, _O, "Không có nơi nhận này: {detail}", "No such addressee: {detail}", "Sửa mã nơi nhận rồi gửi lại. / Correct the addressee and submit again."),
    "MSG.CLOSED_ADDRESSEE": Entry("5.2.1", 422, _O, "Nơi nhận đã ngừng hoạt động: {detail}", "The addressee is closed: {detail}", "Gửi cho đơn vị kế thừa. / Send to its successor."),
    "MSG.EMPTY_GROUP": Entry("5.1.1", 422, _P, "Nhóm nơi nhận hiện không có đơn vị nào: {detail}", "The group has no office to send to: {detail}", "Sửa nhóm trong danh sách đơn vị, hoặc ghi rõ từng nơi nhận. / Mend the group in the roll, or name each addressee."),
    "MSG.NOT_ALLOWED": Entry("5.7.1", 403, _O, "Không được phép: {detail}", "Not allowed: {detail}", _ASK),
    "MSG.WRONG_SENDER": Entry("5.7.1", 403, _O, "Hệ thống gửi không phải là đơn vị gửi: {detail}", "The sending system is not the originator: {detail}", "Gửi bằng tài khoản của chính đơn vị. / Submit with the office's own account."),
    # --- receipts ----------------------------------------------------------------
    "RCT.INVALID": Entry("5.6.0", 422, _I, "Biên nhận không hợp lệ: {detail}", "The receipt is not valid: {detail}", _FIX),
    "RCT.UNKNOWN": Entry("5.5.0", 422, _I, "Biên nhận cho văn bản không tồn tại: {detail}", "The receipt is about no known delivery: {detail}", _FIX),
    "RCT.UNSIGNED": Entry("5.7.1", 403, _I, "Đơn vị này phải xác nhận bằng biên nhận có chữ ký: {detail}", "This office confirms with a signed receipt: {detail}", "Gửi biên nhận đã ký tới địa chỉ đó, hoặc đề nghị ghi unsigned trong danh sách đơn vị. / Bring the signed receipt there, or ask for unsigned in the roll."),
    "RCT.NOTARY": Entry("2.0.0", 200, _N, "Trục ghi theo lời hệ thống của nơi nhận, nơi nhận không ký.", "Written down by the axis on the word of the addressee's system, which did not sign.", "Không cần làm gì. / Nothing is to be done."),
    # --- orders ------------------------------------------------------------------
    "ORD.FROZEN": Entry("5.5.1", 409, _A, "Văn bản đang chờ quyết định thu hồi, cập nhật hoặc thay thế: {detail}", "The document is frozen until an order about it is answered: {detail}", "Trả lời lệnh trước. / Answer the order first."),
    "ORD.WITHDRAWN": Entry("5.5.1", 409, _N, "Văn bản đã được thu hồi: {detail}", "The document has been withdrawn: {detail}", "Không cần làm gì. / Nothing is to be done."),
    "ORD.ANSWER": Entry("5.5.4", 409, _I, "Câu trả lời không hợp với bản tin: {detail}", "This cannot be said about this message: {detail}", "Lệnh được trả lời một lần: đồng ý hoặc từ chối. / An order is answered once: Agreed or Declined."),
    "ORD.NOTHING_SENT": Entry("5.5.0", 404, _O, "Đơn vị chưa gửi văn bản này: {detail}", "This office has not sent such a document: {detail}", "Kiểm tra lại mã văn bản. / Check the document id."),
    # --- delivery ----------------------------------------------------------------
    "DLV.OFFICE_UNAVAILABLE": Entry("4.4.1", 503, _A, "Hệ thống của nơi nhận chưa sẵn sàng: {detail}", "The addressee's system is not available: {detail}", _WAIT),
    "DLV.UNCERTAIN": Entry("4.4.0", 503, _A, "Chưa rõ hệ thống của nơi nhận đã nhận văn bản hay chưa: {detail}", "It is not known whether the addressee's system has taken it: {detail}", _WAIT),
    "DLV.NO_ANSWER": Entry("4.4.1", 503, _A, "Nơi nhận chưa trả lời.", "The addressee has not answered.", _WAIT),
    "DLV.REFUSED": Entry("5.7.1", 422, _O, "Nơi nhận từ chối: {detail}", "The addressee refused it: {detail}", _FIX_ANEW),
    "DLV.FAILED": Entry("5.3.0", 500, _A, "Nơi nhận không xử lý được: {detail}", "The addressee's system cannot take it: {detail}", "Người vận hành xử lý rồi phát lại. / The operator mends the cause and replays it."),
    "DLV.FAILED_UNCERTAIN": Entry("5.3.0", 500, _A, "Nơi nhận không xử lý được, và chưa rõ trước đó đã nhận văn bản hay chưa: {detail}", "The addressee's system cannot take it, and it is not known whether it has taken it before: {detail}", "Người vận hành xử lý rồi phát lại. / The operator mends the cause and replays it."),
    "DLV.EXPIRED": Entry("5.4.7", 504, _O, "Quá thời hạn gửi.", "The lifetime of the delivery is over.", "Liên hệ nơi nhận rồi gửi lại đúng văn bản đó, việc giao bắt đầu lại. / Call the addressee and submit the same document again: its delivery begins anew."),
    "DLV.HELD": Entry("4.2.1", 503, _P, "Nơi nhận đã ngừng hoạt động, văn bản được giữ lại đến khi quyết định ai nhận thay: {detail}", "The addressee is closed; it is held until it is decided who gets it instead: {detail}", "Người vận hành chuyển cho đơn vị kế thừa hoặc trả lại. / The operator forwards it to a successor, or returns it."),
    "DLV.FORWARDED": Entry("2.1.5", 200, _N, "Nơi nhận đã ngừng hoạt động, văn bản được chuyển cho đơn vị kế thừa: {detail}", "The addressee is closed; it was forwarded to its successors: {detail}", "Không cần làm gì. / Nothing is to be done."),
    "DLV.RETURNED": Entry("5.2.1", 422, _O, "Nơi nhận đã ngừng hoạt động, văn bản được trả lại: {detail}", "The addressee is closed; it is returned: {detail}", "Gửi cho đơn vị kế thừa. / Send to its successor."),
    "DLV.NO_HEIR": Entry("5.1.6", 422, _P, "Không nhận thay được: {detail}", "It cannot be forwarded there: {detail}", "Chọn một đơn vị kế thừa đang hoạt động, hoặc trả lại. / Choose a successor that takes part, or return it."),
    "DUE.SOON": Entry("4.4.7", 504, _A, "Sắp đến hạn: {detail}", "A deadline is near: {detail}", "Vào sổ, xử lý rồi báo trạng thái. / Register it, deal with it, and report the status."),
    "DUE.OVER": Entry("4.4.7", 504, _A, "Đã quá hạn: {detail}", "A deadline is over: {detail}", "Vào sổ, xử lý rồi báo trạng thái. / Register it, deal with it, and report the status."),
    "DLV.POISON": Entry("5.3.0", 500, _P, "Gói tin làm hỏng hệ thống nhận nhiều lần: {detail}", "The envelope broke the receiving process repeatedly: {detail}", "Người vận hành xử lý rồi phát lại. / The operator mends the cause and replays it."),
    # --- orders about an earlier document, and statuses ----------------------------
    "ORD.WAITS": Entry("4.5.0", 503, _N, "Chờ văn bản mà lệnh hoặc trạng thái này nói đến.", "It waits for the document that it speaks of.", _WAIT),
    "ORD.UNKNOWN_DOCUMENT": Entry("5.5.0", 422, _O, "Không có văn bản mà lệnh này nói đến: {detail}", "The document that this order speaks of is not here: {detail}", _FIX_ANEW),
    "ORD.NOT_SENT_TO": Entry("5.1.1", 422, _O, "Văn bản chưa từng được gửi cho nơi nhận này: {detail}", "The document was never sent to this addressee: {detail}", _FIX_ANEW),
    "ORD.TAKEN_BACK": Entry("2.0.0", 200, _N, "Văn bản đã được lấy lại trước khi giao, theo {detail}.", "The document was taken back before it was delivered, by {detail}.", "Không cần làm gì. / Nothing is to be done."),
    "ORD.NOTHING_THERE": Entry("2.0.0", 200, _N, "Nơi nhận không có văn bản này nên lệnh không cần giao: {detail}", "The addressee does not have the document, so the order need not be delivered: {detail}", "Không cần làm gì. / Nothing is to be done."),
    "ORD.NOT_ADDRESSEE": Entry("5.7.1", 403, _O, "Đơn vị báo trạng thái không phải là nơi nhận của văn bản: {detail}", "The office that reports is no addressee of the document: {detail}", _FIX),
    # --- the interface -------------------------------------------------------------
    "API.AUTH": Entry("5.7.1", 401, _I, "Chưa xác thực: {detail}", "Not authenticated: {detail}", "Tạo mã truy cập mới, hoặc dùng chứng thư đã đăng ký. / Make a new token, or show the registered certificate."),
    "API.NOT_FOUND": Entry("5.1.1", 404, _I, "Không tìm thấy.", "Not found.", "Kiểm tra địa chỉ và đơn vị đang gọi. / Check the address, and which office calls."),
    "API.METHOD": Entry("5.5.1", 405, _I, "Không dùng được phương thức này ở đây.", "This method is not served here.", "Xem phương thức cho phép trong Allow. / See in Allow which are served."),
    "API.PARAMETER": Entry(
        "5.5.4", 400, _I, "Tham số không hợp lệ: {detail}", "A parameter is not valid: {detail}", _FIX
    ),
    "API.RANGE": Entry("5.5.4", 416, _I, "Khoảng byte không hợp lệ: {detail}", "The byte range is not valid: {detail}", "Hỏi lại kích thước tệp rồi tải tiếp. / Ask for the size of the file and go on from there."),
    "API.OFFSET": Entry("5.5.4", 409, _I, "Vị trí tải lên không khớp: {detail}", "The upload offset does not match: {detail}", "Hỏi lại vị trí rồi tải tiếp. / Ask for the offset and go on from there."),
    "API.WEBHOOK": Entry("5.5.4", 422, _I, "Webhook không dùng được: {detail}", "The webhook cannot be used: {detail}", _FIX),
    "API.CHECKSUM": Entry("5.7.7", 460, _I, "Đoạn tải lên khác với mã kiểm: {detail}", "The piece differs from its checksum: {detail}", "Gửi lại đoạn này. / Send the piece again."),
    "API.VERSION": Entry("5.5.4", 412, _I, "Phiên bản giao thức không được hỗ trợ: {detail}", "The version of the protocol is not supported: {detail}", _FIX),
    "API.MEDIA_TYPE": Entry("5.5.4", 415, _I, "Kiểu nội dung không đúng: {detail}", "The media type is not right: {detail}", _FIX),
    "API.KEY_REUSED": Entry("5.5.4", 422, _I, "Idempotency-Key đã dùng cho nội dung khác: {detail}", "The Idempotency-Key was used for another body: {detail}", "Dùng khóa mới. / Use a new key."),
    "API.KEY_BUSY": Entry("4.5.4", 409, _N, "Yêu cầu với Idempotency-Key này đang được xử lý: {detail}", "The request with this Idempotency-Key is being worked on: {detail}", "Thử lại sau giây lát, cùng khóa. / Try again in a moment, with the same key."),
    "API.BUSY": Entry("4.3.2", 429, _N, "Trục đang bận.", "The axis is busy.", "Thử lại sau. / Try again later."),
    "SYS.LEDGER": Entry("4.3.0", 503, _P, "Sổ cái tạm thời không ghi được.", "The ledger cannot be written just now.", _WAIT),
    "SYS.SPOOL": Entry("4.3.1", 503, _P, "Kho tệp tạm thời không ghi được.", "The spool cannot be written just now.", _WAIT),
    "SYS.STATE": Entry("4.3.1", 503, _A, "Hệ thống của đơn vị tạm thời không ghi được.", "The office's own state cannot be written just now.", _WAIT),
    "SYS.BROKER": Entry("4.4.2", 503, _P, "Hàng đợi tạm thời không dùng được.", "The broker cannot be reached just now.", _WAIT),
    "SYS.KEY": Entry("4.7.5", 503, _P, "Chứng thư của hệ thống này không còn hiệu lực: {detail}", "The certificate of this system is not valid now: {detail}", "Cấp và đăng ký chứng thư mới. / Issue a new certificate and register it."),
    "SYS.INTERNAL": Entry("4.3.0", 500, _P, "Lỗi nội bộ của trục.", "Internal error of the axis.", _WAIT),
    "CFG.INVALID": Entry("5.3.5", 500, _P, "Cấu hình sai: {detail}", "The configuration is wrong: {detail}", "Sửa cấu hình rồi chạy lại. / Correct the configuration and start again."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a message, as every surface shows it."""

    code: str  # A key of CATALOGUE.
    line: int | None  # 1-based line in the file as submitted; None if it has no place.
    path: str  # XPath with prefix edXML, or "".
    rule: str  # The rule's stable id, e.g. "xsd:cvc-minLength-valid" or "rule:date.future".
    vi: str
    en: str
    who_must_act: str
    next: str

    def as_dict(self) -> dict[str, object]:
        """Return the eight fields, in the order of the protocol."""
        return asdict(self)


MOST_LINE_CHARS = 400
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2, Char.
_LINE_ENDS = re.compile("[\t\n\r\x85\u2028\u2029]+")


def fit(text: str, most: int) -> str:
    """Return text without characters that XML cannot carry, and not longer than `most`."""
    # What Python calls printable holds nothing that XML cannot carry, and is seen at once; most texts are.
    carried = str(text)
    carried = carried if carried.isprintable() else NOT_XML.sub("\ufffd", carried)
    return carried if len(carried) <= most else carried[: most - 1] + "…"


def one_line(text: str) -> str:
    """Return text as every surface can show it, the signed receipt too: one line, of a length that a person reads."""
    line = str(text)
    return fit(line if line.isprintable() else _LINE_ENDS.sub(" ", line), MOST_LINE_CHARS)


def violation(
    code: str,
    detail: str = "",
    *,
    detail_vi: str | None = None,
    line: int | None = None,
    path: str = "",
    rule: str = "",
) -> Violation:
    """Build a Violation from its catalogue entry.

    Args:
        code: A key of CATALOGUE.
        detail: What exactly, for the originator to read: no host, path or key of ours.
        detail_vi: The same in Vietnamese, where `detail` is English prose.
        rule: Stable rule id; defaults to the code itself.
    """
    entry = CATALOGUE[code]
    return Violation(
        code=code,
        line=line,
        path=one_line(path),
        rule=one_line(rule or code),
        vi=one_line(entry.vi.format(detail=detail if detail_vi is None else detail_vi)),
        en=one_line(entry.en.format(detail=detail)),
        who_must_act=entry.actor,
        next=entry.next,
    )


def _in_words(words: str, detail: str) -> str:
    kept = f" ({detail})" if detail and "{detail}" not in words else ""
    return f"{words.format(detail=detail)}{kept}"


class AxisError(Exception):
    """Root of what the axis raises. `code` is a key of CATALOGUE.

    Its text is for whoever runs this program: it has the detail also where the catalogue keeps that from others.

    Args:
        code: A key of CATALOGUE.
        detail: What exactly.
        is_whole: The detail is the sentence of the catalogue already, with what it is about.
    """

    def __init__(self, code: str, detail: str = "", *, is_whole: bool = False) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail if is_whole else _in_words(CATALOGUE[code].en, detail)}")

    @property
    def entry(self) -> Entry:
        """The catalogue row of this error."""
        return CATALOGUE[self.code]


class PermanentError(AxisError):
    """Checked and bad. Trying again cannot help."""


class TransientError(AxisError):
    """Could not be done or checked now. Trying again may help."""


class Refusal(PermanentError):
    """A message that is refused, with every violation that was found."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        if not self.violations:
            raise AssertionError("a refusal names at least one violation")
        super().__init__(self.violations[0].code, self.violations[0].en, is_whole=True)


def refuse(
    code: str,
    detail: str = "",
    *,
    detail_vi: str | None = None,
    line: int | None = None,
    path: str = "",
    rule: str = "",
) -> Refusal:
    """Build a Refusal with the one violation described by the arguments."""
    return Refusal([violation(code, detail, detail_vi=detail_vi, line=line, path=path, rule=rule)])
