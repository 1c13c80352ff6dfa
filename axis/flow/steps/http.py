"""Steps in which an office asks the gateway."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from axis.flow.expect import eventually
from axis.flow.stage import Stage
from axis.flow.steps.fields import OfOffice, Within


class Call(OfOffice):
    """A request to the gateway."""

    get: str = Field(description="Path; {NAME} stands for the envelope id of a message.")
    answers: int = Field(200, description="The HTTP status.")
    has: dict[str, Any] = Field({}, description="What the JSON holds, at least.")
    says: tuple[str, ...] = Field((), description="What the text holds, at least.")
    headers: dict[str, str] = Field({}, description="Headers that it has.")
    within: Within = 10


async def call(stage: Stage, step: Call) -> None:
    """An office asks the gateway, and gets this answer."""

    async def look() -> Mapping[str, Any]:
        ids = {name: await stage.envelope_id(name) for name in stage.sent}
        url = f"{stage.gateway_url}{step.get.format(**ids)}"
        async with stage.http.get(url, headers=stage.headers(step.office)) as answer:
            text = await answer.text()
            return {
                "answers": answer.status,
                "has": _overlap(step.has, json.loads(text)) if step.has else {},
                "says": [one for one in step.says if one in text],
                "headers": {name: answer.headers.get(name) for name in step.headers},
            }

    expected = {"answers": step.answers, "has": step.has, "says": list(step.says), "headers": step.headers}
    await eventually(expected, look, step.within)


def _overlap(wanted: Any, said: Any) -> Any:
    """Return what is said in the places that are asked about."""
    if isinstance(wanted, dict) and isinstance(said, dict):
        return {name: _overlap(value, said.get(name)) for name, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(said, list) and len(wanted) == len(said):
        return [_overlap(one, other) for one, other in zip(wanted, said, strict=True)]
    return said
