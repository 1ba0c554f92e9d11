// The OpenID provider of the local cluster: npm oidc-provider with function accounts from a file. For development alone.
//
//   node provider.mjs <folder with node_modules> <data folder> <address> <port> <certificate> <key>
//
// The data folder holds accounts.json ({"account": {"password": "…", "groups": ["…"]}}, read at every sign-in) and keys.json, made at the
// first start. Sessions and refresh tokens live in memory: after a restart everybody signs in anew.
import { createServer } from 'node:https';
import { createHash, generateKeyPairSync, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, data, address, port, certificate, key] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${modules}/node_modules/oidc-provider/lib/index.js`));

const ISSUER = `https://${address}:${port}`;
const CLIENT = 'allmende-cli';
// Whom access tokens are for. ID tokens are for the client, and clusters take those: a cluster that gets one cannot use it at the API.
const AUDIENCE = 'allmende-api';
const RESOURCE = 'https://api.allmende.test';
const MINUTE = 60;

const accounts = () => JSON.parse(readFileSync(`${data}/accounts.json`, 'utf8'));

function keys() {
  const file = `${data}/keys.json`;
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const signing = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
    writeFileSync(`${file}.new`, JSON.stringify({ signing, cookies: randomBytes(32).toString('hex') }), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

const { signing, cookies } = keys();

const provider = new Provider(ISSUER, {
  jwks: { keys: [signing] },
  cookies: { keys: [cookies] },
  clients: [{
    client_id: CLIENT,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1/callback'],
  }],
  claims: { openid: ['sub', 'groups'] },
  // Groups into the ID token itself: an API server asks nobody.
  conformIdTokenClaims: false,
  findAccount: (_, id) => {
    const account = accounts()[id];
    return account && { accountId: id, claims: () => ({ sub: id, groups: account.groups }) };
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  ttl: {
    AccessToken: 10 * MINUTE, IdToken: 10 * MINUTE, DeviceCode: 5 * MINUTE, AuthorizationCode: MINUTE, Interaction: 5 * MINUTE,
    RefreshToken: 8 * 60 * MINUTE, Session: 8 * 60 * MINUTE, Grant: 8 * 60 * MINUTE,
  },
  features: {
    devInteractions: { enabled: false },
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'allmende', audience: AUDIENCE, accessTokenFormat: 'jwt', accessTokenTTL: 10 * MINUTE, jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims: (_, token) => ({ groups: accounts()[token.accountId]?.groups ?? [] }),
  formats: { customizers: { jwt: (_, __, parts) => { parts.payload.nbf = parts.payload.iat; } } },
});
const callback = provider.callback();

const page = (body) => `<!doctype html><html lang="de"><meta charset="utf-8"><title>Anmelden</title>${body}</html>`;
const signInPage = (uid, words) => page(`<p>${words}</p><form method="post" action="/interaction/${uid}">
<input name="account" placeholder="Funktionskonto"><input name="password" type="password"><button>Anmelden</button></form>`);

async function body(request) {
  let text = '';
  for await (const part of request) {
    text += part;
    if (text.length > 4096) throw new Error('too long');
  }
  return new URLSearchParams(text);
}

// Digests have one length, so that the comparison tells nothing.
const digest = (text) => createHash('sha256').update(text ?? '').digest();

function passes(form) {
  const found = accounts()[form.get('account')];
  return timingSafeEqual(digest(form.get('password')), digest(found?.password)) && found !== undefined;
}

// Who are you? The only question: the one client is this installation's own, so signing in is consent.
async function interaction(request, response) {
  const { uid, prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    const form = request.method === 'POST' ? await body(request) : undefined;
    if (form && passes(form)) {
      return provider.interactionFinished(request, response, { login: { accountId: form.get('account') } }, { mergeWithLastSubmission: false });
    }
    const words = form ? 'Konto oder Passwort stimmt nicht.' : 'Allmende auf dieser Maschine';
    return response.writeHead(form ? 401 : 200, { 'content-type': 'text/html; charset=utf-8' }).end(signInPage(uid, words));
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(RESOURCE, 'allmende');
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, async (request, response) => {
  try {
    if (request.url.startsWith('/interaction/')) await interaction(request, response);
    else await callback(request, response);
  } catch (error) {
    console.error(error.name);
    if (!response.headersSent) response.writeHead(400);
    response.end();
  }
});
server.listen(Number(port), address, () => console.log(`listens at ${ISSUER}`));
process.on('SIGTERM', () => process.exit(0));
