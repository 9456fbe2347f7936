"""The credentials of Schemathesis: a user token, new after each 401, or a key where the document takes only keys."""

import os

import requests
import schemathesis


def takes_user_tokens(case):
    security = case.operation.definition.raw.get("security", [])
    return any("user" in name.lower() for requirement in security for name in requirement)


@schemathesis.auth(cache_by_key=lambda case, context: str(takes_user_tokens(case)))
class Credentials:
    def get(self, case, context):
        if not takes_user_tokens(case):
            return os.environ["PORTCULLIS_KEY"]
        who = {"email": "ada@example.com", "password": os.environ["PORTCULLIS_PASSWORD"]}
        answer = requests.post(os.environ["PORTCULLIS_URL"] + "/api/v1/tokens", json=who)
        answer.raise_for_status()
        return answer.json()["token"]

    def set(self, case, data, context):
        case.headers["Authorization"] = "Bearer " + data
