"""Signs in, checks, registers a push token and signs out, with the client that was generated from the document of the API.

journey.py URL EMAIL PASSWORD
"""

import sys

from client import AuthenticatedClient, Client
from client.api.devices import list_devices, register_device
from client.api.sessions import check_session
from client.api.tokens import sign_in, sign_out
from client.models import RegisterDeviceBody, RegisterDeviceBodyMobileOs, SignInBody

url, email, password = sys.argv[1:]

wrong = sign_in.sync_detailed(client=Client(url), body=SignInBody(email=email, password="not " + password))
assert wrong.status_code == 401 and wrong.parsed.code == "invalid_credentials", wrong

signed_in = sign_in.sync(client=Client(url), body=SignInBody(email=email, password=password))
user = signed_in.user_info.id
phone = AuthenticatedClient(url, signed_in.token)
assert check_session.sync(client=phone).user_id == user

body = RegisterDeviceBody(mobile_os=RegisterDeviceBodyMobileOs.IOS, apn_token="push-1")
assert register_device.sync_detailed("phone-1", client=phone, body=body).status_code == 200
assert [device.apn_token for device in list_devices.sync(client=phone)] == ["push-1"]

assert sign_out.sync_detailed(user, client=phone).status_code == 200
assert check_session.sync_detailed(client=phone).status_code == 401
