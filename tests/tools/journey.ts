// Signs in, checks and signs out, with the types that were generated from the document of the API.

import type { paths } from './api';

type Ok<Call> = Call extends { responses: { 200: { content: { 'application/json': infer Body } } } } ? Body : never;
type Sent<Call> = Call extends { requestBody: { content: { 'application/json': infer Body } } } ? Body : never;
type SignIn = paths['/api/v1/tokens']['post'];
type Check = paths['/api/v1/sessions/current']['get'];

declare const process: { argv: string[] };
const [url, email, password] = process.argv.slice(2) as [string, string, string];

const body: Sent<SignIn> = { email, password };
const headers = { 'content-type': 'application/json' };
const answer = await fetch(`${url}/api/v1/tokens`, { method: 'POST', headers, body: JSON.stringify(body) });
const signedIn: Ok<SignIn> = await answer.json();
const bearer = { authorization: `Bearer ${signedIn.token}` };

const check = async () => fetch(`${url}/api/v1/sessions/current`, { headers: bearer });
const session: Ok<Check> = await (await check()).json();
if (session.user_id !== signedIn.user_info.id) throw new Error(`a session of ${session.user_id}`);
const out = await fetch(`${url}/api/v1/tokens/${session.user_id}`, { method: 'DELETE', headers: bearer });
const after = await check();
if (out.status !== 200 || after.status !== 401) throw new Error(`signing out: ${out.status}, then ${after.status}`);

export {};
