// An OpenID provider that is not ours, set up as an operator would for Portico.
//
// It takes its settings as the first line of standard input, an account as each
// further one, and ends with it. On standard output it writes a line of JSON
// for whatever a test may wait for. It keeps everything in memory, listens on
// loopback only, and lets in whoever login_hint names.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

const key = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg,
});

const accounts = new Map(); // by e-mail address

const account = (email) => accounts.has(email) && {
  accountId: email,
  // The provider's own name for the user tells nothing, as it should be.
  claims: () => ({ sub: email, external_id: accounts.get(email).external_id, id: accounts.get(email).id }),
};

function provider(settings) {
  const client = (more) => ({
    redirect_uris: [settings.redirect_uri],
    post_logout_redirect_uris: [settings.post_logout_redirect_uri],
    backchannel_logout_uri: settings.backchannel_logout_uri,
    backchannel_logout_session_required: true,
    ...more,
  });
  const op = new Provider(settings.issuer, {
    clients: [
      client({ client_id: 'by-secret', client_secret: settings.client_secret, token_endpoint_auth_method: 'client_secret_basic', id_token_signed_response_alg: 'RS256' }),
      client({ client_id: 'by-key', jwks: settings.client_keys, token_endpoint_auth_method: 'private_key_jwt', id_token_signed_response_alg: 'ES256' }),
    ],
    jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    claims: { openid: ['sub', 'external_id', 'id'] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true, allowedPolicy: (ctx, client, token) => token.clientId === client.clientId },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => { ctx.body = `<!doctype html><title>Log out?</title>${form}`; },
        postLogoutSuccessSource: (ctx) => { ctx.body = '<!doctype html><title>Logged out</title>'; },
      },
    },
    // It refuses to send logout tokens to loopback, rightly anywhere but here.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (ctx, id) => account(id),
    // Whoever logs in has agreed to what the client asks for.
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ accountId: ctx.oidc.session.accountId, clientId: ctx.oidc.client.clientId });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
    ttl: { Session: 3600, Grant: 3600, Interaction: 600, IdToken: 300, AccessToken: 600 },
  });

  op.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    const { prompt, params } = await op.interactionDetails(ctx.req, ctx.res);
    say('interaction', { prompt: prompt.name, reasons: prompt.reasons });
    const known = prompt.name === 'login' && accounts.has(params.login_hint);
    const result = known
      ? { login: { accountId: params.login_hint, acr: 'phr', amr: ['hwk', 'user'] } }
      : { error: 'access_denied', error_description: 'nobody of that name' };
    await op.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
    return undefined;
  });

  op.on('authorization.success', () => say('authorized'));
  op.on('authorization.error', (ctx, error) => say('refused', { error: error.message }));
  op.on('grant.success', (ctx) => say('redeemed', { client: ctx.oidc.client.clientId, authentication: ctx.oidc.client.tokenEndpointAuthMethod }));
  op.on('grant.error', (ctx, error) => say('failed', { error: error.message, detail: error.error_detail }));
  op.on('access_token.destroyed', () => say('revoked'));
  op.on('revocation.error', (ctx, error) => say('failed', { error: error.message, detail: error.error_detail }));
  op.on('backchannel.success', (ctx, client, accountId, sid) => say('logout', { client: client.clientId, sub: accountId, sid }));
  op.on('backchannel.error', (ctx, error) => say('failed', { error: error.message, detail: String(error.cause) }));
  op.on('server_error', (ctx, error) => say('failed', { error: String(error.stack) }));
  return op;
}

let running;
for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  if (!running) {
    running = provider(told).listen(new URL(told.issuer).port, '127.0.0.1', () => say('ready'));
  } else {
    accounts.set(told.email, told);
    say('account', { email: told.email });
  }
}
process.exit(0);
