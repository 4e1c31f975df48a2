// An OpenID provider for the tests: oidc-provider on a free port of this machine.
//
//   node provider.mjs FOLDER    FOLDER holds node_modules
//
// A browser that is sent to it is signed in as ada without a question, unless it is told otherwise.
//
// It prints the issuer once it listens, and takes commands on standard input, one a line, each answered by the line `done`:
//
//   claims JSON    further claims of every access token from now on
//   rotate         new keys; those of before are gone
//   nobody         whoever wants to sign in from now on is refused
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const library = pathToFileURL(`${process.argv[2]}/node_modules/oidc-provider/lib/index.js`);
const { default: Provider } = await import(library.href);

let claims = {};
let refuses = false;

function keys() {
  const jwk = (type, options, more) =>
    ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', ...more });
  return [
    jwk('rsa', { modulusLength: 2048 }, { alg: 'RS256' }),
    jwk('ec', { namedCurve: 'P-256' }, { alg: 'ES256' }),
    jwk('ed25519', {}, { alg: 'EdDSA' }),
  ];
}

// The resource that is asked for names the audience and the algorithm: urn:AUDIENCE:ALGORITHM.
function resource(_, indicator) {
  const [, audience, alg] = indicator.split(':');
  return { scope: 'usage', audience, accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
}

function provider(issuer) {
  return new Provider(issuer, {
    jwks: { keys: keys() },
    clients: [{
      client_id: 'pages', client_secret: 'for the pages: %+/', grant_types: ['authorization_code'], response_types: ['code'],
      redirect_uris: ['http://127.0.0.1:1/login/callback'], id_token_signed_response_alg: 'ES256',
    }, {
      client_id: 'cluster', client_secret: 'for-the-tests', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    }],
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    ttl: { ClientCredentials: 600 },
    claims: { openid: ['sub', 'roles'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...claims }) }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    extraTokenClaims: () => claims,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true, getResourceServerInfo: resource },
    },
  });
}

// What a person would do on the provider's pages.
async function interact(provider, request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  const finish = (result) => provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  if (refuses) return finish({ error: 'access_denied' });
  if (prompt.name === 'login') return finish({ login: { accountId: 'ada' } });
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid');
  return finish({ consent: { grantId: await grant.save() } });
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  let current = provider(issuer);
  server.on('request', (request, response) =>
    request.url.startsWith('/interaction/') ? interact(current, request, response) : current.callback()(request, response));
  console.log(issuer);
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === 'rotate') current = provider(issuer);
    if (line === 'nobody') refuses = true;
    if (line.startsWith('claims ')) claims = JSON.parse(line.slice(7));
    console.log('done');
  }).on('close', () => process.exit(0));
});
