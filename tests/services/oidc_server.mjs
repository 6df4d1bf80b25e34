// SPDX-License-Identifier: Apache-2.0
// The OpenID Connect issuer of the tests: node oidc_server.mjs PORT. Prints "up URL" when it listens.
// oidc-provider issues good tokens; beside it stand
//   POST /test/sign    {"key":KID|"foreign"|"none"|"hmac","alg":…,"header":{…},"claims":{…}} -> a token, however
//                      wrong; "header" and "claims" may be texts, to be taken as they are
//   POST /test/rotate  other keys from now on
//   POST /test/site    the origin of an upload page whose people may log in here
//   GET  /test/counts  requests so far by path, and how often the keys were changed
// People log in with any name and no password, or cancel, in the form of /interaction/. Clients of a page:
// dex-web, which has a secret, and dex-public, which has none but gets refresh tokens.
import { Provider } from 'oidc-provider';
import { createHmac, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import http from 'node:http';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };
const ALGS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const SCOPES = ['dex:upload', 'dex:read', 'dex:route', 'dex:admin'];

const makeRsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });

function makeKey(alg, kid, rsa) {
  const pair = CURVES[alg] ? generateKeyPairSync('ec', { namedCurve: CURVES[alg] })
    : alg === 'EdDSA' ? generateKeyPairSync('ed25519')
      : rsa;
  return { ...pair.privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

const client = (id, scopes) => ({
  client_id: id, client_secret: `${id}-secret`, grant_types: ['client_credentials'],
  redirect_uris: [], response_types: [], ...(scopes.length > 0 && { scope: scopes.join(' ') }),
});

const page = (id, more) => ({
  client_id: id, redirect_uris: ['https://dex.example/oauth_callback'], response_types: ['code'],
  grant_types: ['authorization_code'], scope: `openid profile ${SCOPES.join(' ')}`, ...more,
});

const sites = new Set(); // origins of upload pages

let generation = -1; // of the keys
let keys, provider;
const foreign = makeKey('RS256', 'k-RS256-0', makeRsa());

function start() {
  generation += 1;
  const rsa = makeRsa(); // one for six algorithms: making them takes half a second each
  keys = ALGS.map((alg) => makeKey(alg, `k-${alg}-${generation}`, rsa));
  provider = new Provider(issuer, {
    jwks: { keys },
    scopes: SCOPES,
    clients: [
      ...['alice', 'bob', 'carol'].map((id) => client(id, SCOPES)),
      { ...client('dex', []), grant_types: [] },
      page('dex-web', { client_secret: 'dex-web-secret' }),
      page('dex-public', {
        token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'],
      }),
    ],
    claims: { profile: ['name'] },
    conformIdTokenClaims: false,
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the tests` }) }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    // Nobody is asked whether he consents. A name that ends in "-reader" may read only.
    async loadExistingGrant(ctx) {
      const { client, session, params } = ctx.oidc;
      const earlier = session.grantIdFor(client.clientId);
      const grant = earlier ? await provider.Grant.find(earlier)
        : new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      const reader = session.accountId.endsWith('-reader');
      const given = SCOPES.filter((scope) => !reader || scope === 'dex:read').join(' ');
      const refused = SCOPES.filter((scope) => reader && scope !== 'dex:read').join(' ');
      grant.addOIDCScope(`openid profile ${given}`);
      grant.addResourceScope(params.resource, given);
      if (reader) {
        grant.rejectOIDCScope(refused);
        grant.rejectResourceScope(params.resource, refused);
      }
      await grant.save();
      return grant;
    },
    enabledJWA: {},
    ttl: { ClientCredentials: 600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => {
          const { searchParams } = new URL(resource);
          const alg = searchParams.get('alg');
          return {
            scope: SCOPES.join(' '), audience: searchParams.get('aud') ?? 'urn:dex',
            accessTokenTTL: Number(searchParams.get('ttl') ?? 600),
            accessTokenFormat: alg ? 'jwt' : 'opaque',
            ...(alg && { jwt: { sign: { alg, kid: `k-${alg}-${generation}` } } }),
          };
        },
      },
    },
  });
  // Ports of the tests' pages are not known before they are there.
  provider.Client.prototype.redirectUriAllowed = (uri) =>
    [...sites].some((site) => uri === `${site}/oauth_callback`);
  provider.Client.prototype.postLogoutRedirectUriAllowed = (uri) =>
    [...sites].some((site) => uri === `${site}/`);
  provider.on('server_error', (ctx, e) => console.error(e));
}

const encode = (x) => Buffer.from(typeof x === 'string' ? x : JSON.stringify(x)).toString('base64url');

function signature(jwk, alg, text) {
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  if (alg === 'EdDSA') return sign(null, text, key);
  const options = { key };
  if (alg.startsWith('PS')) Object.assign(options, { padding: 6, saltLength: Number(alg.slice(2)) / 8 });
  if (alg.startsWith('ES')) options.dsaEncoding = 'ieee-p1363';
  return sign(`sha${alg.slice(2)}`, text, options);
}

function makeToken({ key, alg, header, claims }) {
  const jwk = key === 'foreign' ? foreign : keys.find((k) => k.kid === key) ?? keys[0];
  const text = `${encode(header)}.${encode(claims)}`;
  if (key === 'none') return `${text}.`;
  if (key === 'hmac') {
    const { kty, n, e } = jwk;
    return `${text}.${createHmac('sha256', JSON.stringify({ kty, n, e })).update(text).digest('base64url')}`;
  }
  return `${text}.${signature(jwk, alg, Buffer.from(text)).toString('base64url')}`;
}

const counts = {};

async function bodyOf(req) {
  let body = '';
  for await (const piece of req) body += piece;
  return body;
}

async function interact(req, res) {
  if (req.method === 'POST') {
    const form = new URLSearchParams(await bodyOf(req));
    const result = form.has('cancel') ? { error: 'access_denied' } : { login: { accountId: form.get('name') } };
    return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
  }
  res.setHeader('Content-Type', 'text/html');
  return res.end(`<!DOCTYPE html><html lang="en"><title>Issuer</title><h1>Who are you?</h1><form method="post">
<label>Name <input name="name" value="alice"></label><button>Enter</button><button name="cancel">Cancel</button></form>`);
}

async function control(req, res) {
  const body = await bodyOf(req);
  let answer = '';
  if (req.url === '/test/sign') answer = makeToken(JSON.parse(body));
  else if (req.url === '/test/rotate') start();
  else if (req.url === '/test/site') sites.add(body);
  else answer = JSON.stringify({ ...counts, generation });
  res.setHeader('Content-Type', 'text/plain');
  res.end(answer);
}

start();
http.createServer((req, res) => {
  if (req.url.startsWith('/test/')) return control(req, res);
  if (req.url.startsWith('/interaction/')) return interact(req, res);
  counts[req.url] = (counts[req.url] ?? 0) + 1;
  return provider.callback()(req, res);
}).listen(port, '127.0.0.1', () => console.log('up', issuer));
