// A real OpenID provider (npm oidc-provider, certified by the OpenID Foundation) for tests, with a person at a browser who agrees to everything.
//
//   node provider.mjs <folder with node_modules>
//
// Prints one line of JSON: {"issuer": "http://127.0.0.1:…"}. Beside the provider's own paths:
//   POST /control/rotate           signs with a fresh key from now on; the key before stays published until the next time
//   POST /control/person?id=…      who sits at the browser
//   POST /control/visit?url=…      lets the person open this address and click through to the end
//   POST /control/tokens?…         an access token and an ID token of the person, without the clicks: {access_token, id_token}
import { createServer } from 'node:http';
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { visit } from '../../../deploy/local/oidc/browser.mjs';

const installed = (file) => import(pathToFileURL(`${process.argv[2]}/node_modules/oidc-provider/lib/${file}`));
const { default: Provider } = await installed('index.js');
// One store for all: codes and refresh tokens outlive a change of keys.
const adapter = (await installed('adapters/memory_adapter.js')).createMemoryAdapter();

const AUDIENCE = 'allmende-api';
const RESOURCE = 'https://api.allmende.example';
const GROUPS = { 'lemgo-kasse': ['Kasse'], 'lemgo-admin': ['IT-Leitung'], rechenzentrum: ['Rechenzentrum'] };
let person = 'lemgo-kasse';
let keys = [];
let provider;
let callback;
let issuer;

function rotate() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const fresh = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
  keys = [fresh, ...keys.slice(0, 1)];
  provider = new Provider(issuer, configuration());
  callback = provider.callback();
}

function configuration() {
  return {
    adapter,
    jwks: { keys },
    cookies: { keys: ['test'] },
    clients: [{
      client_id: 'allmende-cli',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback'],
    }],
    claims: { openid: ['sub'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: 600, IdToken: 600, DeviceCode: 300, AuthorizationCode: 60, RefreshToken: 3600, Session: 3600, Interaction: 300, Grant: 3600 },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'allmende', audience: AUDIENCE, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    extraTokenClaims: (_, token) => ({ groups: GROUPS[token.accountId] ?? [] }),
    formats: { customizers: { jwt: (_, __, parts) => { parts.payload.nbf = parts.payload.iat; } } },
  };
}

// The provider asks who it is and whether that is fine.
async function interaction(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: person } }, { mergeWithLastSubmission: false });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(RESOURCE, 'allmende');
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

// Signs the person in with a code and PKCE, as a program would.
async function tokens() {
  const verifier = randomUUID() + randomUUID();
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const query = new URLSearchParams({
    client_id: 'allmende-cli', response_type: 'code', scope: 'openid', redirect_uri: 'http://127.0.0.1/callback',
    code_challenge: challenge, code_challenge_method: 'S256', state: 's',
  });
  const { url } = await visit(`${issuer}/auth?${query}`, { issuer, stops: (next) => next.startsWith('http://127.0.0.1/') });
  const body = new URLSearchParams({
    client_id: 'allmende-cli', grant_type: 'authorization_code', redirect_uri: 'http://127.0.0.1/callback',
    code_verifier: verifier, code: new URL(url).searchParams.get('code') ?? '',
  });
  return (await fetch(`${issuer}/token`, { method: 'POST', body })).json();
}

async function control(url) {
  switch (url.pathname) {
    case '/control/rotate': rotate(); return {};
    case '/control/person': person = url.searchParams.get('id'); return {};
    case '/control/visit': return visit(url.searchParams.get('url'), { issuer });
    case '/control/tokens': return tokens();
    default: throw new Error(`no such control: ${url.pathname}`);
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://127.0.0.1');
  try {
    if (url.pathname.startsWith('/control/')) {
      const answer = JSON.stringify(await control(url));
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
    } else if (url.pathname.startsWith('/interaction/')) {
      await interaction(request, response);
    } else {
      await callback(request, response);
    }
  } catch (error) {
    response.writeHead(500).end(JSON.stringify({ error: String(error) }));
  }
});
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  rotate();
  console.log(JSON.stringify({ issuer }));
});
// The test that started us is gone.
process.stdin.on('end', () => process.exit(0)).resume();
