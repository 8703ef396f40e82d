// A small client of Portico's API, as a browser app needs it. There is nothing
// secret in here: the session lives in a cookie that no script can read.

/** Where Portico is. `config.json` beside this page says. */
const config = await (await fetch('config.json')).json()

/** Where a trial's mails can be read, if this is one. */
export const mailbox = config.mailbox

/** A problem document of Portico's (RFC 9457), or that it could not be reached. */
export class Problem extends Error {
  constructor(code, { status = 0, errors = [], retryAfter = 0, requestId = '' } = {}) {
    super(code)
    Object.assign(this, { code, status, errors, retryAfter, requestId })
  }
}

/**
 * Sends a request with the session's cookie. `X-CSRF: 1` goes with each: a page
 * of another origin cannot add it without being asked for leave first.
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
  /** Accepts a sign-up. The key makes it safe to send again. */
  signUp: (body) => call('POST', '/signup', { body, headers: { 'Idempotency-Key': crypto.randomUUID() } }),
  /** Where a sign-up stands; waits for up to 25 seconds for it to move. */
  signup: (id, { wait = 0, signal } = {}) => call('GET', `/signup/${encodeURIComponent(id)}?wait=${wait}`, { signal }),
  resend: (id) => call('POST', `/signup/${encodeURIComponent(id)}/resend`),
  me: () => call('GET', '/me'),
  rename: (display_name) => call('PATCH', '/me', { body: { display_name } }),
  requestEmail: (email) => call('POST', '/me/email', { body: { email } }),
  confirmEmail: (code) => call('POST', '/me/email/confirm', { body: { code } }),
  sessions: async () => (await call('GET', '/me/sessions')).sessions,
  endSession: (id) => call('DELETE', `/me/sessions/${encodeURIComponent(id)}`),
  endOtherSessions: () => call('DELETE', '/me/sessions'),
  export: () => call('GET', '/me/export'),
  close: () => call('DELETE', '/me'),
  logOut: () => call('POST', '/logout'),
  /** The address that begins a login and leads back to this page. */
  loginURL: (options = {}) => {
    const url = new URL('/login', config.api)
    url.search = new URLSearchParams({ return_to: location.origin + location.pathname, ...options })
    return url.href
  },
}
