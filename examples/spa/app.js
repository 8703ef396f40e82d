// @ts-check
import { mailbox, portico, Problem } from './portico.js'
import { fieldSentences, sentence } from './problems.js'

const main = /** @type {any} */ (document.querySelector('main'))
const who = document.getElementById('who')
const notices = document.getElementById('notices')

// Tabs tell each other when somebody signs in or out.
const tabs = new BroadcastChannel('portico-example')
tabs.onmessage = () => start()

// A sign-up that is under way survives a reload of this tab, and nothing else.
const pending = {
  get: () => JSON.parse(sessionStorage.getItem('signup') ?? 'null'),
  set: (value) => sessionStorage.setItem('signup', JSON.stringify(value)),
  clear: () => sessionStorage.removeItem('signup'),
}

let view = new AbortController() // ends what the view before was waiting for
let shown = null // the template's name
let signedInAs = null

/**
 * Shows a template. Whoever was on another screen before is taken to the new
 * one's heading: what they pressed is gone, and without sight or mouse they
 * would be nowhere.
 */
function show(name, values = {}) {
  view.abort()
  view = new AbortController()
  const content = /** @type {HTMLTemplateElement} */ (document.getElementById(name)).content.cloneNode(true)
  fill(content, values)
  main.replaceChildren(content)
  main.setAttribute('aria-busy', 'false')
  for (const link of main.querySelectorAll('[data-link=login]')) link.href = portico.loginURL()
  const heading = main.querySelector('h1')
  document.title = `${heading.textContent} – Portico example`
  if (shown && shown !== name) {
    heading.tabIndex = -1
    heading.focus()
  }
  shown = name
}

const dates = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

function fill(root, values) {
  for (const element of root.querySelectorAll('[data-text]')) element.textContent = values[element.dataset.text] ?? ''
  for (const element of root.querySelectorAll('[data-time]')) {
    const value = values[element.dataset.time]
    element.textContent = value ? dates.format(new Date(value)) : ''
  }
}

/** Tells something until it is dismissed, or for eight seconds. */
function tell(text, bad = false) {
  const notice = document.createElement('p')
  notice.className = bad ? 'notice bad' : 'notice'
  const dismiss = Object.assign(document.createElement('button'), { textContent: '×', ariaLabel: 'Dismiss' })
  dismiss.onclick = () => notice.remove()
  notice.append(text, dismiss)
  notices.replaceChildren(notice)
  if (!bad) setTimeout(() => notice.remove(), 8000)
}

/**
 * Says of a form's fields what is wrong with each.
 * @param {any} form
 * @param {Problem} problem
 */
function complain(form, problem) {
  let first
  for (const { pointer, code } of problem.errors) {
    const input = form.elements.namedItem(pointer.replace(/^\//, ''))
    if (!input) continue
    const text = form.querySelector(`#${CSS.escape(`${input.name}-error`)}`)
    input.setAttribute('aria-invalid', 'true')
    if (text) Object.assign(text, { textContent: fieldSentences[code] ?? sentence('invalid_fields'), hidden: false })
    first ??= input
  }
  first?.focus()
  return Boolean(first)
}

function forget(form) {
  for (const input of form.querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid')
  for (const text of form.querySelectorAll('.error')) text.hidden = true
}

/** What to do about a problem that no form can show. */
function handle(problem, form) {
  if (problem.name === 'AbortError') return
  if (!(problem instanceof Problem)) throw problem
  if (form && problem.errors?.length && complain(form, problem)) return
  if (problem.code === 'recent_login_required') {
    tell(sentence(problem.code))
    location.assign(portico.loginURL({ prompt: 'login' }))
    return
  }
  if (problem.status === 401 && signedInAs) {
    tell(sentence(problem.code), true)
    signedOut()
    return
  }
  const wait = problem.retryAfter ? ` Try again in ${problem.retryAfter} s.` : ''
  tell(sentence(problem.code) + (problem.status >= 500 && problem.requestId ? ` (${problem.requestId})` : '') + wait, true)
}

/** Runs do while the button that asked for it cannot be pressed again. */
async function busy(button, action, form) {
  if (form) forget(form)
  button.disabled = true
  try {
    return await action()
  } catch (problem) {
    handle(problem, form)
  } finally {
    button.disabled = false
    // What cannot be pressed, or seen any more, cannot keep the keyboard either.
    const held = document.activeElement
    if (button.isConnected && (!held || held === document.body || !held.checkVisibility())) button.focus()
  }
}

function onSubmit(name, action) {
  const form = main.querySelector(`[data-form=${name}]`)
  form.onsubmit = (event) => {
    event.preventDefault()
    busy(form.querySelector('button'), () => action(form.elements, form), form)
  }
  return form
}

function onAction(name, action, root = main) {
  const button = root.querySelector(`[data-action=${name}]`)
  button.onclick = () => busy(button, () => action(button))
  return button
}

function signedOut() {
  signedInAs = null
  who.hidden = true
  const waiting = pending.get()
  if (waiting) return follow(waiting)
  show('signed-out')
  onSubmit('signup', async ({ email, display_name }) => {
    /** @type {import('./portico.js').Schemas['SignupRequest']} */
    const body = { email: email.value.trim(), locale: navigator.language }
    if (display_name.value.trim()) body.display_name = display_name.value.trim()
    const receipt = await portico.signUp(body)
    const waiting = { id: receipt.signup_id, email: body.email, resendAfter: receipt.resend_after }
    pending.set(waiting)
    follow(waiting)
  })
}

const order = ['received', 'invited', 'active']

/** Follows a sign-up until its passkey is there. */
async function follow(waiting) {
  show('waiting', { email: waiting.email })
  const { signal } = view
  const hint = main.querySelector('[data-text=resend]')
  if (mailbox) {
    const trial = main.querySelector('[data-mailbox]')
    trial.hidden = false
    trial.querySelector('a').href = mailbox
  }
  const resend = onAction('resend', async () => {
    const receipt = await portico.resend(waiting.id)
    Object.assign(waiting, { resendAfter: receipt.resend_after })
    pending.set(waiting)
    tell('It is on its way again.')
    allow()
  })
  onAction('forget', () => {
    pending.clear()
    signedOut()
  })
  let stands = 'received'
  const allow = () => {
    if (signal.aborted) return
    const left = Math.ceil((Number(new Date(waiting.resendAfter)) - Date.now()) / 1000)
    resend.disabled = stands !== 'invited' || left > 0
    hint.textContent = stands === 'invited' && left > 0 ? 'Nothing there? You can have it sent again in a minute.' : ''
    if (left > 0) setTimeout(allow, left * 1000 + 200)
  }
  const progress = main.querySelector('[data-text=progress]')
  const mark = () => {
    progress.textContent = main.querySelector(`[data-step=${CSS.escape(stands)}]`)?.textContent ?? ''
    for (const step of main.querySelectorAll('[data-step]')) {
      const at = order.indexOf(step.dataset.step)
      step.classList.toggle('done', at <= order.indexOf(stands))
      if (at === order.indexOf(stands) + 1) step.setAttribute('aria-current', 'step')
      else step.removeAttribute('aria-current')
    }
    allow()
  }
  mark()
  for (let failures = 0; !signal.aborted;) {
    try {
      const receipt = await portico.signup(waiting.id, { wait: stands === 'received' ? 5 : 25, signal })
      failures = 0
      if (receipt.status !== stands) {
        stands = receipt.status
        mark()
        if (stands === 'active') {
          pending.clear()
          tell('Your passkey is there. You can sign in.')
        }
        if (stands === 'failed') {
          pending.clear()
          tell('This address could not be registered.', true)
        }
      }
      if (stands === 'active' || stands === 'failed') return
      await pause(1000, signal)
    } catch (problem) {
      if (signal.aborted) return
      if (problem.code === 'signup_not_found') {
        pending.clear()
        return signedOut()
      }
      await pause(Math.min(30000, 1000 * 2 ** failures++), signal)
    }
  }
}

const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms)
  signal.addEventListener('abort', () => { clearTimeout(timer); resolve() }, { once: true })
})

/** @satisfies {Record<import('./portico.js').Schemas['Me']['sync'], string>} */
const syncs = { synced: 'up to date', pending: 'on its way', failed: 'not taken over' }

/** @param {import('./portico.js').Schemas['Me']} me */
function signedIn(me) {
  signedInAs = me.id
  pending.clear()
  who.textContent = me.display_name || me.email
  who.hidden = false
  show('signed-in', { ...me, sync: syncs[me.sync] })
  const update = (changed) => {
    fill(main, { ...changed, sync: syncs[changed.sync] })
    who.textContent = changed.display_name || changed.email
  }
  const profile = onSubmit('profile', async ({ display_name }) => {
    update(await portico.rename(display_name.value.trim()))
    await listSessions()
    tell('Saved.')
  })
  profile.elements.display_name.value = me.display_name
  const confirm = onSubmit('confirm', async ({ code }, form) => {
    update(await portico.confirmEmail(code.value.trim()))
    await listSessions()
    form.hidden = true
    form.closest('details').open = false
    tell('Your address is changed.')
  })
  onSubmit('email', async ({ email }) => {
    await portico.requestEmail(email.value.trim())
    confirm.hidden = false
    confirm.elements.code.focus()
    tell('Look into that mailbox for the code.')
  })
  onAction('end-others', async () => {
    await portico.endOtherSessions()
    await listSessions()
    tell('Signed out everywhere else.')
  })
  onAction('logout', logOut)
  onAction('export', download)
  onAction('delete', async () => {
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('confirm-delete'))
    dialog.returnValue = 'no'
    dialog.showModal()
    await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))
    if (dialog.returnValue !== 'yes') return
    await portico.close()
    tabs.postMessage('out')
    signedOut()
    tell('Your account is closed.')
  })
  listSessions().catch(handle)
}

async function listSessions() {
  const list = main.querySelector('[data-list=sessions]')
  const sessions = await portico.sessions()
  list.replaceChildren(...sessions.map((session) => {
    const row = /** @type {any} */ (document.getElementById('session')).content.cloneNode(true)
    fill(row, { ...session, device: deviceOf(session), current: 'this one' })
    const item = row.firstElementChild
    item.querySelector('.badge').hidden = !session.current
    const button = onAction('end-session', async () => {
      if (session.current) return logOut()
      await portico.endSession(session.id)
      await listSessions()
    }, item)
    button.setAttribute('aria-label', `Sign out ${deviceOf(session)}`)
    return item
  }))
}

/**
 * A user agent as a person says it.
 * @param {import('./portico.js').Schemas['Session']} session
 */
function deviceOf({ device, client }) {
  const browser = /(Edg|OPR|Firefox|Chrome|Safari)\//.exec(device)?.[1]
  const system = /(Windows|Android|iPhone|iPad|Mac OS|Linux)/.exec(device)?.[1]
  const named = { Edg: 'Edge', OPR: 'Opera' }[browser] ?? browser
  if (!named && !system) return client === 'native' ? 'An app' : 'A browser'
  return [named ?? 'A browser', system && `on ${system}`].filter(Boolean).join(' ')
}

async function download() {
  const everything = await portico.export()
  const url = URL.createObjectURL(new Blob([JSON.stringify(everything, null, 2)], { type: 'application/json' }))
  Object.assign(document.createElement('a'), { href: url, download: 'my-data.json' }).click()
  URL.revokeObjectURL(url)
}

async function logOut() {
  const { logout_url } = await portico.logOut()
  tabs.postMessage('out')
  signedOut()
  if (logout_url) location.assign(logout_url)
  else tell('You are signed out.')
}

/** Asks who is signed in and shows what follows from it. */
async function start() {
  try {
    const me = await portico.me()
    if (me.id !== signedInAs) signedIn(me)
  } catch (problem) {
    if (problem.status === 401) return signedOut()
    show('away', { why: sentence(problem.code) })
    onAction('again', start)
  }
}

// A login that failed leads back here with ?error=; it is told once.
const arrived = new URLSearchParams(location.search).get('error')
if (location.search) history.replaceState(null, '', location.pathname)
await start()
if (arrived) tell(sentence(arrived), true)
else if (signedInAs) tabs.postMessage('in')

// A browser may keep a page that is left, as it was, for the back button: it
// shall not show somebody's account to who comes next.
addEventListener('pagehide', () => {
  if (!signedInAs) return
  signedInAs = shown = null
  who.hidden = true
  who.textContent = ''
  main.replaceChildren()
})

// Whoever comes back to a tab sees how things are by now: also by the back
// button, which shows a page as it was left.
addEventListener('pageshow', (event) => { if (event.persisted) start() })
document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible' && signedInAs) start() })
