// A certified OpenID provider with a few accounts. Its one argument says which; its first line says where it is. It then reads where it
// is to send people back to, and says so when it does.
import http from 'node:http';
import https from 'node:https';
import readline from 'node:readline';
import { Provider } from 'oidc-provider';

const asked = JSON.parse(process.argv.at(-1));
const scheme = asked.tls ? 'https' : 'http';
const server = asked.tls ? https.createServer(asked.tls) : http.createServer();

/** The account that somebody types in, or what they decline. */
async function interact(provider, request, response) {
  const { uid } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    // Whoever only looks on is clicked for.
    const click = asked.click ? '<script>document.forms[0].submit()</script>' : '';
    response.setHeader('content-type', 'text/html');
    response.end(`<!DOCTYPE html><form method="post" action="/interaction/${uid}">
      <input name="login" value="${asked.click ?? ''}"></form>${click}`);
    return;
  }
  let body = '';
  for await (const chunk of request) body += chunk;
  const login = new URLSearchParams(body).get('login');
  const result = login
    ? { login: { accountId: login } }
    : { error: 'access_denied', error_description: 'declined' };
  await provider.interactionFinished(request, response, result);
}

server.listen(0, '127.0.0.1', () => {
  const issuer = `${scheme}://127.0.0.1:${server.address().port}`;
  console.log(issuer);
  readline.createInterface({ input: process.stdin }).once('line', (redirect) => serve(issuer, redirect));
});

function serve(issuer, redirect) {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'peerlight',
        client_secret: asked.secret,
        redirect_uris: [redirect],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        token_endpoint_auth_method: asked.method,
      },
    ],
    clientAuthMethods: [asked.method],
    claims: { openid: ['sub'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['a test'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    // Everybody consents.
    async loadExistingGrant({ oidc }) {
      const of = { clientId: oidc.client.clientId, accountId: oidc.session.accountId };
      const grant = new oidc.provider.Grant(of);
      grant.addOIDCScope('openid profile groups');
      await grant.save();
      return grant;
    },
    findAccount: (_context, id) =>
      asked.accounts[id] && { accountId: id, claims: () => ({ sub: id, ...asked.accounts[id] }) },
  });
  const answer = provider.callback();
  server.on('request', (request, response) =>
    request.url.startsWith('/interaction/') ? interact(provider, request, response) : answer(request, response),
  );
  console.log('ready');
}
