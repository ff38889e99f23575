"""What the tests of the Admin API have in common."""

NOWHERE = "00000000-0000-4000-8000-00000000dead"


def refused(answer, fields=None, message=None, code=2, status=400):
    assert answer.status == status, answer
    assert answer.json["code"] == code, answer
    if fields is not None:
        assert answer.json["fields"] == fields
    if message is not None:
        assert answer.json["message"] == message
    return answer.json


def service(gateway, name="s", **more):
    return gateway.create("/services", name=name, host="h.test", **more)


def everything(gateway, path):
    """All rows of a collection, page by page as a client would."""
    rows, pages = [], 0
    while path:
        page = gateway.admin("GET", path)
        assert page.status == 200, page
        rows += page.json["data"]
        pages += 1
        path = page.json["next"]
    return rows, pages
