// The morning of a mobile fleet, for k6: sign-ins, checks, push registrations, sign-outs and resets, with open arrivals.
// In the folder of this repository:
//
//   export PORTCULLIS_PROFILE=loadtest
//   portcullis apps add load
//   portcullis users generate --count 10000 --tokens users.ndjson
//   portcullis serve
//
// And in a second terminal, in the same folder:
//
//   k6 run -e USERS=$PWD/users.ndjson -e BASE_URL=http://127.0.0.1:8080 -e RATE=200 -e DURATION=60s tests/load/morning.js
//
// The run replaces and ends sessions of the file: before the next one repeat `users generate` with --force, or requests with
// an old token are answered 401. The file needs more users than VUS, or some share a session.
// VUS (100) is the largest number of requests under way; when all are busy, k6 counts `dropped_iterations`.

import http from 'k6/http';
import exec from 'k6/execution';
import { check } from 'k6';
import { SharedArray } from 'k6/data';

// Parts of a thousand, as in src/scenarios/morning.rs and locustfile.py; a test compares them.
const MIX = {
  'check': 850,
  'push-registration': 100,
  'sign-in': 40,
  'sign-out': 8,
  'reset': 2,
};

const API = `${(__ENV.BASE_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '')}/api/v1`;
const RATE = Number(__ENV.RATE || 200);
const VUS = Number(__ENV.VUS || 100);

// k6 resolves a relative path from the folder of this script.
const users = new SharedArray('users', () =>
  open(__ENV.USERS || 'users.ndjson').trim().split('\n').map((line) => JSON.parse(line)));

export const options = {
  scenarios: {
    morning: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: __ENV.DURATION || '60s',
      preAllocatedVUs: VUS,
      maxVUs: VUS,
    },
  },
  // A threshold of a kind of request also makes k6 print its latency.
  thresholds: {
    'http_req_failed': ['rate<0.01'],
    'dropped_iterations': ['count<1'],
    'http_req_duration{name:check}': ['p(99)<25'],
    'http_req_duration{name:push-registration}': ['p(99)<50'],
    'http_req_duration{name:sign-in}': ['p(99)<1000'],
    'http_req_duration{name:sign-out}': ['p(99)<100'],
    'http_req_duration{name:reset}': ['p(99)<100'],
  },
  summaryTrendStats: ['avg', 'p(50)', 'p(99)', 'p(99.9)', 'max'],
};

// The tokens of users who signed in again or out, by their place in the file. Each VU has its own users, so no VU ends
// the session that another one uses.
const tokens = new Map();

function pick() {
  const mine = Math.max(1, Math.floor((users.length - exec.vu.idInTest) / VUS) + 1);
  const place = (exec.vu.idInTest - 1 + Math.floor(Math.random() * mine) * VUS) % users.length;
  const user = users[place];
  return { place, user, token: tokens.has(place) ? tokens.get(place) : user.token };
}

function draw() {
  let rest = Math.random() * Object.values(MIX).reduce((sum, weight) => sum + weight, 0);
  for (const [name, weight] of Object.entries(MIX)) {
    rest -= weight;
    if (rest < 0) {
      return name;
    }
  }
  return 'check';
}

function settings(name, token) {
  return { tags: { name }, headers: token ? { Authorization: `Bearer ${token}` } : {} };
}

const OPERATIONS = {
  'check': ({ token }) => http.get(`${API}/sessions/current`, settings('check', token)),
  'push-registration': ({ user, token }) => http.put(
    `${API}/devices/${user.device_token}`,
    { mobile_os: 'ios', apn_token: `push-${user.device_token}` },
    settings('push-registration', token),
  ),
  'sign-in': ({ place, user }) => {
    const form = { email: user.email, password: user.password, device_token: user.device_token, mobile_os: 'ios' };
    const answer = http.post(`${API}/tokens`, form, settings('sign-in'));
    if (answer.status === 200) {
      tokens.set(place, answer.json('token'));
    }
    return answer;
  },
  'sign-out': ({ place, user, token }) => {
    const answer = http.del(`${API}/tokens/${user.user_id}`, null, settings('sign-out', token));
    // Without an answer (status 0) nobody knows whether the token has ended.
    if (answer.status === 200 || answer.status === 0) {
      tokens.set(place, null);
    }
    return answer;
  },
  'reset': ({ user }) => http.post(`${API}/tokens/reset`, { email: user.email }, settings('reset')),
};

export default function () {
  const picked = pick();
  const drawn = draw();
  // Who has signed out signs in next.
  const name = picked.token || drawn === 'reset' ? drawn : 'sign-in';
  const answer = OPERATIONS[name](picked);
  // As a phone does: whose token is not valid signs in next.
  if (answer.status === 401) {
    tokens.set(picked.place, null);
  }
  check(answer, { 'answered 200': ({ status }) => status === 200 }, { name });
}
