// A small client of Portico's API, as a browser app needs it. There is nothing
// secret in here: the session lives in a cookie that no script can read.
// @ts-check

/**
 * What the contract has, so that a field which it does not know is an error
 * here too: `make contract-lint`. The types are written from openapi.yaml.
 * @typedef {import('../types/portico.d.ts').components['schemas']} Schemas
 */

/** Where Portico is. `config.json` beside this page says. */
const config = await (await fetch('config.json')).json()

/** Where a trial's mails can be read, if this is one. */
export const mailbox = config.mailbox

/** A problem document of Portico's (RFC 9457), or that it could not be reached. */
export class Problem extends Error {
  /**
   * @param {Schemas['ProblemCode']} code
   * @param {{ status?: number, errors?: Schemas['FieldError'][], retryAfter?: number, requestId?: string }} [more]
   */
  constructor(code, { status = 0, errors = [], retryAfter = 0, requestId = '' } = {}) {
    super(code)
    this.code = code
    this.status = status
    this.errors = errors
    this.retryAfter = retryAfter
    this.requestId = requestId
  }
}

/**
 * Sends a request with the session's cookie. `X-CSRF: 1` goes with each: a page
 * of another origin cannot add it without being asked for leave first.
 * @param {'GET' | 'POST' | 'PATCH' | 'DELETE'} method
 * @param {string} path
 * @param {{ body?: object, signal?: AbortSignal, headers?: Record<string, string> }} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, { body, signal, headers } = {}) {
  let response
  try {
    response = await fetch(config.api + path, {
      method,
      signal,
      credentials: 'include',
      cache: 'no-store',
      headers: { 'X-CSRF': '1', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new Problem('unavailable')
  }
  const type = response.headers.get('Content-Type') ?? ''
  const answer = type.includes('json') ? await response.json() : undefined
  if (response.ok) return answer
  throw new Problem(answer?.code ?? 'internal_error', {
    status: response.status,
    errors: answer?.errors,
    requestId: answer?.request_id,
    retryAfter: Number(response.headers.get('Retry-After') ?? 0),
  })
}

export const portico = {
  /**
   * Accepts a sign-up. The key makes it safe to send again.
   * @type {(body: Schemas['SignupRequest']) => Promise<Schemas['SignupReceipt']>}
   */
  signUp: (body) => call('POST', '/signup', { body, headers: { 'Idempotency-Key': crypto.randomUUID() } }),
  /**
   * Where a sign-up stands; waits for up to 25 seconds for it to move.
   * @type {(id: string, options?: { wait?: number, signal?: AbortSignal }) => Promise<Schemas['SignupReceipt']>}
   */
  signup: (id, { wait = 0, signal } = {}) => call('GET', `/signup/${encodeURIComponent(id)}?wait=${wait}`, { signal }),
  /** @type {(id: string) => Promise<Schemas['SignupReceipt']>} */
  resend: (id) => call('POST', `/signup/${encodeURIComponent(id)}/resend`),
  /** @type {() => Promise<Schemas['Me']>} */
  me: () => call('GET', '/me'),
  /** @type {(display_name: Schemas['MeChange']['display_name']) => Promise<Schemas['Me']>} */
  rename: (display_name) => call('PATCH', '/me', { body: { display_name } }),
  /** @type {(email: Schemas['EmailRequest']['email']) => Promise<Schemas['EmailRequested']>} */
  requestEmail: (email) => call('POST', '/me/email', { body: { email } }),
  /** @type {(code: Schemas['EmailConfirmation']['code']) => Promise<Schemas['Me']>} */
  confirmEmail: (code) => call('POST', '/me/email/confirm', { body: { code } }),
  /** @type {() => Promise<Schemas['SessionList']['sessions']>} */
  sessions: async () => (await call('GET', '/me/sessions')).sessions,
  /** @type {(id: string) => Promise<void>} */
  endSession: (id) => call('DELETE', `/me/sessions/${encodeURIComponent(id)}`),
  /** @type {() => Promise<void>} */
  endOtherSessions: () => call('DELETE', '/me/sessions'),
  /** @type {() => Promise<Schemas['AccountExport']>} */
  export: () => call('GET', '/me/export'),
  /** @type {() => Promise<Schemas['AccountClosed']>} */
  close: () => call('DELETE', '/me'),
  /** @type {() => Promise<Schemas['LoggedOut']>} */
  logOut: () => call('POST', '/logout'),
  /**
   * The address that begins a login and leads back to this page.
   * @param {import('../types/portico.d.ts').operations['startLogin']['parameters']['query']} [options]
   */
  loginURL: (options = {}) => {
    const url = new URL('/login', config.api)
    url.search = String(new URLSearchParams(/** @type {any} */ ({ return_to: location.origin + location.pathname, ...options })))
    return url.href
  },
}
