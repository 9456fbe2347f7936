"""The morning of a mobile fleet, for Locust: sign-ins, checks, push registrations, sign-outs and resets.

In the folder of this repository:

    export PORTCULLIS_PROFILE=loadtest
    portcullis apps add load
    portcullis users generate --count 10000 --tokens users.ndjson
    portcullis serve

And in a second terminal, in the same folder (`pip install locust` installs Locust):

    locust -f tests/load/locustfile.py --headless -u 200 -r 200 -t 60s -H http://127.0.0.1:8080 --tokens users.ndjson

The run replaces and ends sessions of the file: before the next one repeat `users generate` with --force, or requests with
an old token are answered 401. More processes (`--processes 2`) share the accounts; -u must not exceed them.

Each simulated phone sends one request per second as long as answers take less than a second. Locust waits for the answers
of a slow server, so it sends fewer then, and its latencies leave out what a user would have waited: see the column RPS.
"""

import json
import logging
import random
from argparse import ArgumentTypeError

from locust import FastHttpUser, constant_throughput, events, task
from locust.exception import StopUser

# Parts of a thousand, as in src/scenarios/morning.rs and morning.js; a test compares them.
MIX = {
    "check": 850,
    "push-registration": 100,
    "sign-in": 40,
    "sign-out": 8,
    "reset": 2,
}

# Accounts that no phone uses at the moment.
ACCOUNTS = []


@events.init_command_line_parser.add_listener
def add_arguments(parser):
    usage = "the file of `portcullis users generate --tokens`"
    parser.add_argument("--tokens", default="users.ndjson", type=readable, help=usage)


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def readable(path):
    """The path itself. Locust goes on after errors in a listener, but not after one on its command line."""
    try:
        if not read(path):
            raise ArgumentTypeError(f"{path} has no users")
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{path}: {error}") from error
    return path


@events.test_start.add_listener
def read_accounts(environment, **_):
    ACCOUNTS[:] = read(environment.parsed_options.tokens)
    runner = environment.runner
    # With several processes each has its own accounts, so that none ends the session that another one uses.
    if getattr(runner, "worker_index", -1) >= 0:
        processes = max(1, environment.parsed_options.processes or 1)
        ACCOUNTS[:] = ACCOUNTS[runner.worker_index % processes :: processes]


def take():
    """Some account that no other phone uses at the moment."""
    if not ACCOUNTS:
        logging.warning("more phones than accounts: this one stops; generate more users")
        raise StopUser
    place = random.randrange(len(ACCOUNTS))
    ACCOUNTS[place], ACCOUNTS[-1] = ACCOUNTS[-1], ACCOUNTS[place]
    return ACCOUNTS.pop()


class Phone(FastHttpUser):
    host = "http://127.0.0.1:8080"
    wait_time = constant_throughput(1)

    @task
    def use(self):
        account = take()
        try:
            name = random.choices(list(MIX), list(MIX.values()))[0]
            # Who has signed out signs in next.
            if not account["token"] and name != "reset":
                name = "sign-in"
            getattr(self, name.replace("-", "_"))(account)
        finally:
            ACCOUNTS.append(account)

    def call(self, name, method, path, account=None, form=None):
        headers = {"Authorization": "Bearer " + account["token"]} if account else {}
        answer = self.client.request(method, "/api/v1" + path, name=name, headers=headers, data=form)
        # As a phone does: whose token is not valid signs in next.
        if account and answer.status_code == 401:
            account["token"] = None
        return answer

    def check(self, account):
        self.call("check", "GET", "/sessions/current", account)

    def push_registration(self, account):
        device = account["device_token"]
        form = {"mobile_os": "ios", "apn_token": "push-" + device}
        self.call("push-registration", "PUT", "/devices/" + device, account, form)

    def sign_in(self, account):
        form = {name: account[name] for name in ("email", "password", "device_token")}
        answer = self.call("sign-in", "POST", "/tokens", form=form | {"mobile_os": "ios"})
        if answer.status_code == 200:
            account["token"] = answer.json()["token"]

    def sign_out(self, account):
        answer = self.call("sign-out", "DELETE", f"/tokens/{account['user_id']}", account)
        # Without an answer (status 0) nobody knows whether the token has ended.
        if answer.status_code in (200, 0):
            account["token"] = None

    def reset(self, account):
        self.call("reset", "POST", "/tokens/reset", form={"email": account["email"]})
