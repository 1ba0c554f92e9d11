// Somebody who signs in: opens the address that `allmende login` told, with the account and its password, and clicks through.
//
//   NODE_EXTRA_CA_CERTS=… node person.mjs <accounts.json> <account> <address>
import { readFileSync } from 'node:fs';
import { visit } from './browser.mjs';

const [file, account, address] = process.argv.slice(2);
const found = JSON.parse(readFileSync(file, 'utf8'))[account];
if (!found) throw new Error(`no account ${account}`);
const { status } = await visit(address, { issuer: new URL(address).origin, fields: { account, password: found.password } });
if (status !== 200) throw new Error(`the last page answers ${status}`);
