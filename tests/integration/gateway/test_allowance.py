"""How fast one office may ask: what is beyond is told when to come again, and costs no other office anything."""

from fastapi import FastAPI

from axis.gateway.desk import Desk
from axis.intake import Allowance
from tests.house import OTHER, SENDER, House
from tests.integration.gateway.test_inbox import caller


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_office_that_asks_too_fast_is_told_when_to_come_again(app: FastAPI, home: House) -> None:
    clock = _Clock()
    desk: Desk = app.state.rooms.desk
    desk._allowance = Allowance(burst=3, per_second=0.25, clock_s=clock)
    async with caller(app, home, SENDER) as sender, caller(app, home, OTHER) as other:
        # Files, which are served in front of the framework, count alike.
        paths = ["/v1/offices", f"/v1/uploads/{'0' * 64}", "/v1/inbox"]
        assert [(await sender.request("HEAD" if "up" in path else "GET", path)).status_code for path in paths] == [
            200,
            200,
            200,
        ]
        for path in paths:
            answer = await sender.request("HEAD" if "up" in path else "GET", path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, "4")
        assert (await other.get("/v1/inbox")).status_code == 200
        clock.now_s += 4
        assert (await sender.get("/v1/inbox")).status_code == 200
        assert (await sender.get("/v1/inbox")).json()["code"] == "API.BUSY"
